"""A trace: the buffers of all CPUs and what is written to them.

Follows Linux 6.1 kernel/trace/trace.c; what they look like as text is in `trace_output`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from kprobesim.errors import LinuxError
from kprobesim.kprobes import PtRegs, RunningKernel
from kprobesim.linux_errno import Errno
from kprobesim.tracing.error_log import ErrorLog
from kprobesim.tracing.ring_buffer import RingBuffer
from kprobesim.tracing.trace_options import TraceOptions

__all__ = ["CLOCKS", "NMI_MASK", "TRACE_PRINT", "TRACE_STACK", "TraceArray", "int3_context", "thread_context"]

NMI_MASK: Final = 0xF0_0000
"""The bits of a preempt count that say that an NMI, or a breakpoint, is being handled."""

TRACE_STACK: Final = 4
TRACE_PRINT: Final = 5
_BOOT_KB, _EXPANDED_KB = 7, 1408
CLOCKS: Final = ("local", "global", "perf", "mono", "mono_raw", "boot", "tai")
_SAVED_CMDLINES: Final = 128
# ZEROED_TRACE_FLAGS
_NOT_INHERITED: Final = frozenset({"event-fork", "function-fork"})
_HEAD: Final = struct.Struct("<HBBi")
_STACK_HEAD: Final = struct.Struct("<i4x")
_IRQS_OFF, _HARDIRQ, _NMI = 1, 8, 0x40
_IF: Final = 1 << 9


def int3_context(preempt_count: int, *, preemption: bool = True) -> tuple[int, int]:
    """Flags and preempt count of a record that is written in a breakpoint's handler (TFS-22).

    ``tracing_gen_ctx_dec`` takes one preempt level off, which a breakpoint has never added: with a count of zero it
    borrows from the flags, and ``d`` becomes ``.`` and the depths ``ff``. A kernel that is not preemptible takes off
    nothing.

    Args:
        preempt_count: of the CPU.
        preemption: ``CONFIG_PREEMPTION``.
    """
    context = (_IRQS_OFF | _HARDIRQ | _NMI) << 16 | min(preempt_count & 0xFF, 0xF)
    context -= preemption
    return context >> 16, context & 0xFF


def thread_context(regs: PtRegs, preempt_count: int) -> tuple[int, int]:
    """The same for a handler that runs as part of the probed task: of a return, of an optimized probe, by ftrace."""
    flags = 0 if regs.flags & _IF else _IRQS_OFF
    return flags | (_HARDIRQ if preempt_count & 0xF0000 else 0), min(preempt_count & 0xFF, 0xF)


class SavedTasks:
    """Names and thread groups of tasks, for the records that know only a pid; all traces share them.

    Attributes:
        limit: how many names are kept (``saved_cmdlines_size``).
        comms, tgids: by pid, the latest last.
    """

    def __init__(self) -> None:
        self.limit = _SAVED_CMDLINES
        self.comms: dict[int, str] = {}
        self.tgids: dict[int, int] = {}

    def note(self, pid: int, name: str | None, tgid: int) -> None:
        """``tracing_record_taskinfo``.

        Args:
            pid: whose.
            name: as it is now; None: names are not kept.
            tgid: its thread group; 0: these are not kept.
        """
        if tgid:
            self.tgids[pid] = tgid
        if pid == 0 or name is None or self.comms.get(pid) == name:
            return
        self.comms.pop(pid, None)
        self.comms[pid] = name
        if len(self.comms) > self.limit:
            del self.comms[next(iter(self.comms))]

    def resize(self, count: int) -> None:
        """Another number of names to keep; those that are kept are forgotten."""
        self.limit = count
        self.comms = {}

    def save(self) -> object:
        """All of its state."""
        return self.limit, tuple(self.comms.items()), tuple(self.tgids.items())

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        self.limit, comms, tgids = state
        self.comms, self.tgids = dict(comms), dict(tgids)


class TraceArray:
    """``struct trace_array``: the trace of the kernel, or an instance.

    Args:
        kernel: whose.
        name: of an instance; empty for the trace that is always there.
        tasks: the tasks' names, which an instance shares.

    Attributes:
        name, tasks: as given.
        errors: what ``error_log`` reads.
        is_outdated: it may hold records of an event that is about to go (``clear_trace``).
        buffers: one for each CPU.
        snapshot: the buffers of the snapshot, if it is allocated.
        options: the switches of ``trace_options``.
        tracing_on: records are written at all.
        expanded: the buffers have their full size.
        clock: the name of the clock; all are the machine's one.
        cpumask: bit for each CPU that writes records.
        on_write: called after each record, for those who wait.
        stack_trace: makes the addresses of a stack trace; set by who knows about probes.
    """

    def __init__(self, kernel: RunningKernel, name: str = "", tasks: SavedTasks | None = None) -> None:
        self._machine = kernel.machine
        self._kernel = kernel
        self.name: Final = name
        self.tasks: Final = tasks or SavedTasks()
        self.errors: Final = ErrorLog()
        self.is_outdated = False
        self.buffers = [RingBuffer(cpu.number, _BOOT_KB) for cpu in kernel.machine.cpus]
        self.snapshot: list[RingBuffer] | None = None
        self.options = TraceOptions()
        self.tracing_on = True
        self.expanded = False
        self.clock = "local"
        self.cpumask = (1 << len(self.buffers)) - 1
        self.on_write: Callable[[int], None] = lambda cpu: None
        self.stack_trace: Callable[[int, PtRegs | None], Sequence[int]] = lambda cpu, regs: ()
        self._preempt_counts: dict[int, int] = {}

    def make_instance(self, name: str) -> TraceArray:
        """One more trace, with this one's options and buffers of its own (``trace_array_create``)."""
        made = TraceArray(self._kernel, name, self.tasks)
        made.options.on = self.options.on - _NOT_INHERITED
        made.on_write, made.stack_trace = self.on_write, self.stack_trace
        made.update_buffers()
        for buffer in made.buffers:
            buffer.overwrite = "overwrite" in made.options
        return made

    # Sizes and options

    def update_buffers(self) -> None:
        """``tracing_update_buffers``: the first event that is enabled makes the small buffer of the boot a real one."""
        if not self.expanded:
            self.resize(_EXPANDED_KB)

    def resize(self, kilobytes: int, cpu: int | None = None) -> None:
        """Set the size of a CPU's buffer, or of each."""
        self.expanded = True
        for buffer in self.buffers if cpu is None else [self.buffers[cpu]]:
            buffer.resize(kilobytes)

    @property
    def expanded_kilobytes(self) -> int:
        """What each buffer's size will be once an event is enabled."""
        return _EXPANDED_KB

    def set_clock(self, name: str) -> None:
        """``tracing_set_clock``: records of two clocks cannot be compared, so all buffers are emptied.

        Raises:
            LinuxError: EINVAL, no such clock.
        """
        if name not in CLOCKS:
            raise LinuxError(Errno.EINVAL, f"There is no clock {name}.", hint="trace_clock lists them.")
        self.clock = name
        for buffer in self.buffers + (self.snapshot or []):
            buffer.reset()

    def set_option(self, name: str, on: bool) -> None:
        """Set an option, with what follows from it.

        Raises:
            LinuxError: EINVAL, no such option, or one that refuses.
        """
        self.options.set(name, on)
        for buffer in self.buffers + (self.snapshot or []):
            buffer.overwrite = "overwrite" in self.options

    # Writing

    def preempt_count(self, cpu: int) -> int:
        """``__preempt_count`` of a CPU; 0 where the kernel has none."""
        physical = self._preempt_counts.get(cpu)
        if physical is None:
            if not self._kernel.has_symbol("__preempt_count"):
                return 0
            physical = self._preempt_counts[cpu] = self._kernel.percpu_physical("__preempt_count", cpu)
        return int.from_bytes(self._machine.ram.read(physical, 4), "little")

    def head(self, event: int, context: tuple[int, int], cpu: int) -> bytes:
        """The common fields of a record, which are the same in all traces."""
        return _HEAD.pack(event, context[0] & 0xFF, context[1], self._kernel.current(cpu).pid)

    def write(self, cpu: int, record: bytes) -> bool:
        """Write a record, and note its task's name.

        Returns:
            False: this CPU writes none, it does not fit a page, or the buffer is full and nothing may be overwritten.
        """
        task = self._kernel.current(cpu)
        name = task.name if "record-cmd" in self.options else None
        self.tasks.note(task.pid, name, task.tgid if "record-tgid" in self.options else 0)
        if not self.cpumask >> cpu & 1 or not self.buffers[cpu].write(self._machine.ns, record):
            return False
        self.on_write(cpu)
        return True

    def write_stack(self, cpu: int, context: tuple[int, int], regs: PtRegs | None) -> None:
        """``__ftrace_trace_stack``: a record of the stack.

        Args:
            cpu: which runs.
            context: flags and preempt count.
            regs: what a probe has interrupted.
        """
        if not self.tracing_on:
            return
        callers = self.stack_trace(cpu, regs)
        head = self.head(TRACE_STACK, context, cpu) + _STACK_HEAD.pack(len(callers))
        self.write(cpu, head + struct.pack(f"<{len(callers)}Q", *callers))

    def write_print(self, cpu: int, text: bytes) -> bool:
        """A record of a text (``tracing_mark_write``).

        Returns:
            False: tracing is off.
        """
        if not self.tracing_on:
            return False
        end = b"\0" if text.endswith(b"\n") else b"\n\0"
        context = 0, min(self.preempt_count(cpu) & 0xFF, 0xF)
        return self.write(cpu, self.head(TRACE_PRINT, context, cpu) + bytes(8) + text + end)

    def reset(self, cpu: int | None = None) -> None:
        """Empty a CPU's buffer, or all."""
        for buffer in self.buffers if cpu is None else [self.buffers[cpu]]:
            buffer.reset()

    # The snapshot

    def alloc_snapshot(self) -> None:
        """``tracing_alloc_snapshot_instance``."""
        if self.snapshot is None:
            self.snapshot = [RingBuffer(buffer.cpu, buffer.kilobytes) for buffer in self.buffers]
            self.set_option("overwrite", "overwrite" in self.options)

    def take_snapshot(self) -> None:
        """``update_max_tr``: the two sets of buffers change places."""
        if self.snapshot is not None:
            self.buffers, self.snapshot = self.snapshot, self.buffers

    # Going back and forth in time

    def save(self) -> object:
        """All of its state."""
        buffers = tuple(buffer.save() for buffer in self.buffers)
        snapshot = None if self.snapshot is None else tuple(buffer.save() for buffer in self.snapshot)
        flags = self.options.on, self.tracing_on, self.expanded, self.clock, self.cpumask
        return buffers, snapshot, flags, self.errors.entries, self.tasks.save()

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        buffers, snapshot, flags, self.errors.entries, tasks = state
        self.options.on, self.tracing_on, self.expanded, self.clock, self.cpumask = flags
        _restore(self.buffers, buffers)
        self.snapshot = None
        if snapshot is not None:
            self.snapshot = [RingBuffer(buffer.cpu, buffer.kilobytes) for buffer in self.buffers]
            _restore(self.snapshot, snapshot)
        self.tasks.restore(tasks)


def _restore(buffers: list[RingBuffer], states: Sequence[object]) -> None:
    for buffer, saved in zip(buffers, states, strict=True):
        buffer.restore(saved)
