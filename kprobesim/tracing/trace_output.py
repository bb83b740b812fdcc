"""The trace as text: ``trace``, ``trace_pipe``, ``snapshot``.

Follows Linux 6.1 kernel/trace/trace.c (print_trace_line, trace_default_header) and trace_output.c (trace_print_context,
trace_print_lat_fmt, trace_stack_print, trace_print_print).
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Callable, Sequence
from typing import Final

from kprobesim.kprobes import RunningKernel
from kprobesim.tracing.ring_buffer import Entry, RingBuffer
from kprobesim.tracing.trace_array import TRACE_PRINT, TRACE_STACK, TraceArray

__all__ = ["TraceOutput"]

_HEAD: Final = struct.Struct("<HBBi")
_STACK_AT, _PRINT_AT = 16, 16
_IRQS_OFF, _NEED_RESCHED, _HARDIRQ, _SOFTIRQ, _PREEMPT_RESCHED, _NMI, _BH_OFF = 1, 4, 8, 0x10, 0x20, 0x40, 0x80
_LEGEND: Final = (
    "  _-----=> irqs-off/BH-disabled",
    " / _----=> need-resched",
    "| / _---=> hardirq/softirq",
    "|| / _--=> preempt-depth",
    "||| / _-=> migrate-disable",
    "|||| /     delay",
)
_NO_MODULE: Final = "__builtin__"
_SNAPSHOT_HELP: Final = (
    "# Snapshot commands:\n"
    "# echo 0 > snapshot : Clears and frees snapshot buffer\n"
    "# echo 1 > snapshot : Allocates snapshot buffer, if not already allocated.\n"
    "#                      Takes a snapshot of the main buffer.\n"
    "# echo 2 > snapshot : Clears snapshot buffer (but does not allocate or free)\n"
    "#                      (Doesn't have to be '2' works with any number that\n"
    "#                       is not a '0' or '1')\n"
)


class TraceOutput:
    """Makes text of records.

    Args:
        trace: whose records.
        kernel: for symbols.
        print_record: an event's text from its number and bytes; None: no such event.
    """

    def __init__(
        self, trace: TraceArray, kernel: RunningKernel, print_record: Callable[[int, bytes], str | None]
    ) -> None:
        self._trace = trace
        self._kernel = kernel
        self._print_record = print_record

    # Whole files

    def text(self, cpu: int | None = None) -> bytes:
        """The ``trace`` file, of all CPUs or of one."""
        return self._file(_of(self._trace.buffers, cpu))

    def snapshot(self) -> bytes:
        """The ``snapshot`` file (``print_snapshot_help`` while there is nothing in it)."""
        buffers = self._trace.snapshot or []
        if any(map(len, buffers)):
            return self._file(buffers)
        state = "freed" if self._trace.snapshot is None else "allocated"
        return f"# tracer: nop\n#\n#\n# * Snapshot is {state} *\n#\n{_SNAPSHOT_HELP}".encode()

    def _file(self, buffers: Sequence[RingBuffer]) -> bytes:
        options = self._trace.options
        # Where nothing was overwritten, Linux does not say where each CPU's records begin.
        annotate = "annotate" in options and any(buffer.overrun for buffer in buffers)
        started: set[int] = set()
        lines = ["# tracer: nop\n#\n", self._header(buffers) if "context-info" in options else ""]
        for entry in heapq.merge(*(buffer.entries() for buffer in buffers), key=lambda entry: entry.ns):
            if annotate and entry.cpu not in started:
                if started:
                    lines.append(f"##### CPU {entry.cpu} buffer started ####\n")
                started.add(entry.cpu)
            lines.append(self.line(entry))
        return "".join(lines).encode("latin-1")

    def _header(self, buffers: Sequence[RingBuffer]) -> str:
        """``print_func_help_header_irq`` and, without irq-info, ``print_func_help_header``."""
        entries = sum(map(len, buffers))
        written = entries + sum(buffer.overrun for buffer in buffers)
        online = sum(cpu.online for cpu in self._kernel.machine.cpus)
        head = f"# entries-in-buffer/entries-written: {entries}/{written}   #P:{online}\n#\n"
        tgid = "record-tgid" in self._trace.options
        if "irq-info" not in self._trace.options:
            return (
                f"{head}#           TASK-PID    {'   TGID   ' if tgid else ''} CPU#     TIMESTAMP  FUNCTION\n"
                f"#              | |      {'     |    ' if tgid else ''}   |         |         |\n"
            )
        room = " " * (12 if tgid else 2)
        for words in _LEGEND:
            head += f"#                            {room}{words}\n"
        head += f"#           TASK-PID  {'     TGID   ' if tgid else '  '} CPU#  |||||  TIMESTAMP  FUNCTION\n"
        return head + f"#              | |    {'       |    ' if tgid else '  '}   |   |||||     |         |\n"

    # Taking records out

    def is_empty(self, cpu: int | None = None) -> bool:
        """``trace_empty``."""
        return not any(map(len, _of(self._trace.buffers, cpu)))

    def take_line(self, cpu: int | None = None) -> bytes | None:
        """Take the oldest record out, as ``trace_pipe`` does; its line, or None if there is none."""
        buffers = _of(self._trace.buffers, cpu)
        waiting = [(ns, buffer.cpu) for buffer in buffers if (ns := buffer.oldest_ns()) is not None]
        if not waiting:
            return None
        entry = self._trace.buffers[min(waiting)[1]].take()
        assert entry is not None
        return self.line(entry).encode("latin-1")

    # One record

    def line(self, entry: Entry) -> str:
        """One record with its newline; before it, how many were lost (``print_trace_line``)."""
        event, flags, preempt_count, pid = _HEAD.unpack_from(entry.data)
        options = self._trace.options
        lost = f"CPU:{entry.cpu} [LOST {entry.lost} EVENTS]\n" if entry.lost else ""
        if event == TRACE_PRINT and "printk-msg-only" in options and "trace_printk" in options:
            return lost + self._body(event, entry.data).partition(": ")[2]
        if "context-info" not in options:
            return lost + self._body(event, entry.data)
        tgid = self._trace.tasks.tgids.get(pid, 0)
        group = "" if "record-tgid" not in options else f"({tgid:7}) " if tgid else "(-------) "
        context = f"{_lat_fmt(flags, preempt_count)}" if "irq-info" in options else ""
        seconds, micros = divmod((entry.ns + 500) // 1000, 1_000_000)
        return (
            f"{lost}{self.comm(pid):>16}-{pid:<7} {group}[{entry.cpu:03}] {context} {seconds:5}.{micros:06}: "
            f"{self._body(event, entry.data)}"
        )

    def comm(self, pid: int) -> str:
        """``trace_find_cmdline``."""
        return "<idle>" if pid == 0 else self._trace.tasks.comms.get(pid, "<...>")

    def _body(self, event: int, data: bytes) -> str:
        if event == TRACE_STACK:
            callers = struct.unpack_from(f"<{(len(data) - _STACK_AT) // 8}Q", data, _STACK_AT)
            return "<stack trace>\n" + "".join(f" => {self.symbol(caller)}\n" for caller in callers)
        if event == TRACE_PRINT:
            # The function that writes the record is the host's: its name has no address.
            return f"tracing_mark_write: {data[_PRINT_AT:].split(bytes(1))[0].decode('latin-1')}"
        text = self._print_record(event, data)
        return f"Unknown type {event}\n" if text is None else f"{text}\n"

    def symbol(self, address: int) -> str:
        """``seq_print_ip_sym``: what code made by the host is in has no name here."""
        options, symbols = self._trace.options, self._kernel.kallsyms
        place = symbols.lookup_size_offset(address)
        if place is None or (place[0].module or "").startswith(_NO_MODULE):
            text = f"0x{address:08x}"
        else:
            text = symbols.sprint_symbol(address) if "sym-offset" in options else place[0].name
        return f"{text} <{address:016x}>" if "sym-addr" in options else text


def _of(buffers: list[RingBuffer], cpu: int | None) -> list[RingBuffer]:
    return buffers if cpu is None else [buffers[cpu]]


def _lat_fmt(flags: int, preempt_count: int) -> str:
    """``trace_print_lat_fmt``: the five letters of the context."""
    resched = flags & (_NEED_RESCHED | _PREEMPT_RESCHED)
    need = {0: ".", _NEED_RESCHED: "n", _PREEMPT_RESCHED: "p"}.get(resched, "N")
    off = {0: ".", _IRQS_OFF: "d", _BH_OFF: "b"}.get(flags & (_IRQS_OFF | _BH_OFF), "D")
    nmi, hardirq, softirq = flags & _NMI, flags & _HARDIRQ, flags & _SOFTIRQ
    where = ("Z" if hardirq else "z") if nmi else ("H" if softirq else "h") if hardirq else "s" if softirq else "."
    depths = [f"{digit:x}" if digit else "." for digit in (preempt_count & 0xF, preempt_count >> 4)]
    return f"{off}{need}{where}{depths[0]}{depths[1]}"
