"""The files of the trace buffer: Linux 6.1 kernel/trace/trace.c."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

from kprobesim.errors import LinuxError
from kprobesim.kprobes import RunningKernel
from kprobesim.linux_errno import Errno
from kprobesim.tracing.ctype import SPACES
from kprobesim.tracing.trace_array import CLOCKS, TraceArray
from kprobesim.tracing.trace_output import TraceOutput
from kprobesim.tracing.tracefs.nodes import Directory, File, Node, number_from_user, text_from_user

__all__ = ["BufferFiles"]

_PAGE: Final = 4096
_MAX_KB: Final = 1 << 20
_TRACE_BUF_SIZE: Final = 1024
_PID_MAX_DEFAULT: Final = 0x8000


class BufferFiles:
    """What shows and sets the buffers of a trace.

    Args:
        trace: the buffers.
        output: the same as text.
        kernel: for the time and the CPU that writes.
    """

    def __init__(self, trace: TraceArray, output: TraceOutput, kernel: RunningKernel) -> None:
        self._trace = trace
        self._output = output
        self._machine = kernel.machine
        self._pipes: frozenset[int] = frozenset()

    def saved_task_files(self) -> dict[str, Node]:
        """What is known of tasks: the same for all traces, and in the tracefs root alone."""
        tasks = self._trace.tasks
        return {
            "saved_cmdlines": File(0o440, lambda: "".join(f"{pid} {name}\n" for pid, name in tasks.comms.items())),
            "saved_cmdlines_size": File(0o640, lambda: f"{tasks.limit}\n", self._resize_cmdlines),
            "saved_tgids": File(0o440, lambda: "".join(f"{pid} {tgid}\n" for pid, tgid in sorted(tasks.tgids.items()))),
        }

    def top_files(self) -> dict[str, Node]:
        """Those of the tracefs root, and of an instance's."""
        trace = self._trace
        return {
            "buffer_size_kb": File(0o640, self._sizes, self._resize),
            "buffer_total_size_kb": File(0o440, self._total_size),
            "free_buffer": File(0o200, None, lambda data: None, self._free),
            "options": Directory(self._options),
            "per_cpu": Directory(self._cpus),
            "snapshot": File(0o640, self._output.snapshot, self._snapshot, self._clear_snapshot),
            "trace": File(0o640, self._output.text, lambda data: None, trace.reset),
            "trace_clock": File(0o644, self._show_clocks, self._set_clock),
            "trace_marker": File(0o220, None, self._mark),
            "trace_options": File(0o640, trace.options.text, lambda data: self._set_options(text_from_user(data))),
            "trace_pipe": File(0o440, stream=lambda: self._open_pipe(None)),
            "tracing_cpumask": File(0o640, self._show_cpumask, self._set_cpumask),
            "tracing_on": File(0o640, lambda: f"{int(trace.tracing_on)}\n", self._tracing_on),
        }

    def _cpus(self) -> Mapping[str, Node]:
        return {
            f"cpu{buffer.cpu}": Directory(functools.partial(self._cpu, buffer.cpu)) for buffer in self._trace.buffers
        }

    def _cpu(self, cpu: int) -> Mapping[str, Node]:
        return {
            "buffer_size_kb": File(
                0o640, lambda: f"{self._trace.buffers[cpu].kilobytes}\n", lambda data: self._resize(data, cpu)
            ),
            "stats": File(0o440, lambda: self._stats(cpu)),
            "trace": File(0o640, lambda: self._output.text(cpu), lambda data: None, lambda: self._trace.reset(cpu)),
            "trace_pipe": File(0o440, stream=lambda: self._open_pipe(cpu)),
        }

    # Sizes and counts

    def _sizes(self) -> str:
        """``tracing_entries_read``."""
        sizes = {buffer.kilobytes for buffer in self._trace.buffers}
        if len(sizes) > 1:
            return "X\n"
        rest = "" if self._trace.expanded else f" (expanded: {self._trace.expanded_kilobytes})"
        return f"{sizes.pop()}{rest}\n"

    def _total_size(self) -> str:
        buffers = self._trace.buffers
        rest = "" if self._trace.expanded else f" (expanded: {self._trace.expanded_kilobytes * len(buffers)})"
        return f"{sum(buffer.kilobytes for buffer in buffers)}{rest}\n"

    def _resize(self, data: bytes, cpu: int | None = None) -> None:
        kilobytes = number_from_user(data)
        if not kilobytes:
            raise LinuxError(Errno.EINVAL, "A buffer has at least one kilobyte.")
        if kilobytes > _MAX_KB:
            raise LinuxError(Errno.ENOMEM, f"The machine has no {kilobytes} KiB for each CPU.")
        self._trace.resize(kilobytes, cpu)

    def _free(self) -> None:
        """Opening ``free_buffer``; in Linux the buffer goes when the file is closed."""
        if "disable_on_free" in self._trace.options:
            self._trace.tracing_on = False
        self._trace.resize(1)
        self._trace.reset()

    def _stats(self, cpu: int) -> str:
        """``tracing_stats_read``."""
        buffer = self._trace.buffers[cpu]
        return (
            f"entries: {len(buffer)}\n"
            f"overrun: {buffer.overrun}\n"
            "commit overrun: 0\n"
            f"bytes: {buffer.bytes}\n"
            f"oldest event ts: {_seconds(buffer.oldest_ns() or 0)}\n"
            f"now ts: {_seconds(self._machine.ns)}\n"
            f"dropped events: {buffer.dropped}\n"
            f"read events: {buffer.read}\n"
        )

    def _resize_cmdlines(self, data: bytes) -> None:
        count = number_from_user(data)
        if not 0 < count <= _PID_MAX_DEFAULT:
            raise LinuxError(Errno.EINVAL, f"Between 1 and {_PID_MAX_DEFAULT} names can be kept.")
        self._trace.tasks.resize(count)

    # Switches

    def _tracing_on(self, data: bytes) -> None:
        self._trace.tracing_on = bool(number_from_user(data))

    def _show_clocks(self) -> str:
        return " ".join(f"[{name}]" if name == self._trace.clock else name for name in CLOCKS) + "\n"

    def _set_clock(self, data: bytes) -> None:
        self._trace.set_clock(text_from_user(data).strip(SPACES))

    def _options(self) -> Mapping[str, Node]:
        options = self._trace.options

        def store(name: str, data: bytes) -> None:
            value = number_from_user(data)
            if value > 1:
                raise LinuxError(Errno.EINVAL, "An option takes 0 and 1.")
            self._trace.set_option(name, bool(value))

        return {
            name: File(0o640, functools.partial(_shown, options, name), functools.partial(store, name))
            for name in options.names + options.tracer_names
            if not (self._trace.name and name in options.of_the_kernel)
        }

    def _set_options(self, text: str) -> None:
        word = text.strip(SPACES)
        self._trace.set_option(word.removeprefix("no"), not word.startswith("no"))

    def _show_cpumask(self) -> str:
        return f"{self._trace.cpumask:x}\n"

    def _set_cpumask(self, data: bytes) -> None:
        """``cpumask_parse_user``: hexadecimal, in words of 32 bits with commas."""
        text = text_from_user(data).strip(SPACES)
        try:
            mask = int(text.replace(",", ""), 16) if text and not text.startswith(("-", "+")) else None
        except ValueError:
            mask = None
        if mask is None or "_" in text:
            raise LinuxError(Errno.EINVAL, f"{text!r} is no mask of CPUs.", hint="It is written in hexadecimal.")
        if mask >> len(self._trace.buffers):
            raise LinuxError(Errno.EOVERFLOW, f"The machine has {len(self._trace.buffers)} CPUs.")
        self._trace.cpumask = mask

    # Texts from user space

    def _mark(self, data: bytes) -> None:
        """``tracing_mark_write``."""
        if "markers" not in self._trace.options:
            raise LinuxError(Errno.EINVAL, "The option markers is off.")
        if not self._trace.write_print(self._machine.current_cpu.number, data[:_TRACE_BUF_SIZE]):
            raise LinuxError(Errno.EBADF, "Tracing is off.", hint="Write 1 to tracing_on.")

    # The snapshot

    def _snapshot(self, data: bytes) -> None:
        """``tracing_snapshot_write``."""
        self._trace.update_buffers()
        value = number_from_user(data)
        if value == 0:
            self._trace.snapshot = None
        elif value == 1:
            self._trace.alloc_snapshot()
            self._trace.take_snapshot()
        else:
            self._clear_snapshot()

    def _clear_snapshot(self) -> None:
        for buffer in self._trace.snapshot or ():
            buffer.reset()

    # trace_pipe

    def _open_pipe(self, cpu: int | None) -> _TracePipe:
        """``open_pipe_on_cpu``: one reader for each CPU."""
        wanted = frozenset(buffer.cpu for buffer in self._trace.buffers if cpu in (None, buffer.cpu))
        if self._pipes & wanted:
            raise LinuxError(Errno.EBUSY, "Somebody reads trace_pipe already.")
        self._pipes |= wanted
        return _TracePipe(self, cpu, wanted)

    def close_pipe(self, cpus: frozenset[int]) -> None:
        """``close_pipe_on_cpu``."""
        self._pipes -= cpus

    def read_pipe(self, cpu: int | None, size: int, has_read: bool) -> bytes | None:
        """``tracing_read_pipe``: whole lines, taken out of the buffer."""
        if self._output.is_empty(cpu):
            return b"" if has_read and not self._trace.tracing_on else None
        text = b""
        while len(text) < min(size, _PAGE - 1) and (line := self._output.take_line(cpu)) is not None:
            text += line
        return text

    # Going back and forth in time

    def save(self) -> object:
        """Which CPUs' pipes are open."""
        return self._pipes

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        self._pipes = state


class _TracePipe:
    """An open ``trace_pipe``.

    Args:
        files: where it was opened.
        cpu: whose records, or None for all.
        cpus: the numbers of those CPUs.
    """

    def __init__(self, files: BufferFiles, cpu: int | None, cpus: frozenset[int]) -> None:
        self._files, self._cpu, self._cpus = files, cpu, cpus
        self._rest = b""
        self._has_read = False

    def read(self, size: int) -> bytes | None:
        """The next records; once there were some and tracing is off, the end."""
        if not self._rest:
            text = self._files.read_pipe(self._cpu, size, self._has_read)
            if not text:
                return text
            self._has_read, self._rest = True, text
        piece, self._rest = self._rest[:size], self._rest[size:]
        return piece

    def close(self) -> None:
        """Somebody else may read now."""
        self._files.close_pipe(self._cpus)

    def save(self) -> object:
        """What was taken out of the buffer and not given yet."""
        return self._rest, self._has_read

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        self._rest, self._has_read = state


def _seconds(ns: int) -> str:
    seconds, micros = divmod((ns + 500) // 1000, 1_000_000)
    return f"{seconds:5}.{micros:06}"


def _shown(options: Any, name: str) -> str:
    return f"{int(name in options)}\n"
