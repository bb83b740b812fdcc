"""The trace: the buffers of all CPUs, and what ``trace`` and ``trace_pipe`` show of them.

Follows Linux 6.1 kernel/trace/trace.c and trace_output.c (trace_print_context, trace_print_lat_fmt).
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Callable
from typing import Any, Final

from kprobesim.kprobes import PtRegs, RunningKernel
from kprobesim.tracing.ring_buffer import Entry, RingBuffer

__all__ = ["NMI_MASK", "TraceArray", "int3_context", "thread_context"]

NMI_MASK: Final = 0xF0_0000
"""The bits of a preempt count that say that an NMI, or a breakpoint, is being handled."""

_BOOT_KB, _EXPANDED_KB = 7, 1408
_HEAD: Final = struct.Struct("<HBBi")
_IRQS_OFF, _NEED_RESCHED, _HARDIRQ, _PREEMPT_RESCHED, _NMI = 1, 4, 8, 0x20, 0x40
_IF: Final = 1 << 9
_LEGEND: Final = (
    "#                                _-----=> irqs-off/BH-disabled\n"
    "#                               / _----=> need-resched\n"
    "#                              | / _---=> hardirq/softirq\n"
    "#                              || / _--=> preempt-depth\n"
    "#                              ||| / _-=> migrate-disable\n"
    "#                              |||| /     delay\n"
    "#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION\n"
    "#              | |         |   |||||     |         |\n"
)


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


class TraceArray:
    """``struct trace_array``: the one trace there is.

    Args:
        kernel: whose.
        print_record: an event's text from its number and bytes; None: no such event.

    Attributes:
        tracing_on: records are written at all.
        on_write: called after each record, for those who wait.
    """

    def __init__(self, kernel: RunningKernel, print_record: Callable[[int, bytes], str | None]) -> None:
        self._machine = kernel.machine
        self._kernel = kernel
        self._print_record = print_record
        self.buffers = [RingBuffer(cpu.number, _BOOT_KB) for cpu in kernel.machine.cpus]
        self.tracing_on = True
        self.kilobytes, self.expanded = _BOOT_KB, False
        self.on_write: Callable[[int], None] = lambda cpu: None
        self._comms: dict[int, str] = {}
        self._preempt_counts: dict[int, int] = {}

    # Writing

    def update_buffers(self) -> None:
        """``tracing_update_buffers``: the first event that is enabled makes the small buffer of the boot a real one."""
        if not self.expanded:
            self.resize(_EXPANDED_KB)

    def resize(self, kilobytes: int) -> None:
        """Set the size of each CPU's buffer."""
        self.kilobytes, self.expanded = kilobytes, True
        for buffer in self.buffers:
            buffer.resize(kilobytes)

    def preempt_count(self, cpu: int) -> int:
        """``__preempt_count`` of a CPU; 0 where the kernel has none."""
        physical = self._preempt_counts.get(cpu)
        if physical is None:
            if not self._kernel.has_symbol("__preempt_count"):
                return 0
            physical = self._preempt_counts[cpu] = self._kernel.percpu_physical("__preempt_count", cpu)
        return int.from_bytes(self._machine.ram.read(physical, 4), "little")

    def head(self, event: int, context: tuple[int, int], cpu: int) -> bytes:
        """The common fields of a record, and its task's name noted."""
        task = self._kernel.current(cpu)
        self._comms[task.pid] = task.name
        return _HEAD.pack(event, context[0] & 0xFF, context[1], task.pid)

    def write(self, cpu: int, record: bytes) -> bool:
        """Write a record.

        Returns:
            False: it does not fit a page.
        """
        if not self.buffers[cpu].write(self._machine.ns, record):
            return False
        self.on_write(cpu)
        return True

    def reset(self) -> None:
        """Empty all buffers."""
        for buffer in self.buffers:
            buffer.reset()

    # Reading

    def text(self) -> bytes:
        """The ``trace`` file."""
        entries = sum(len(buffer) for buffer in self.buffers)
        written = entries + sum(buffer.overrun for buffer in self.buffers)
        online = sum(cpu.online for cpu in self._machine.cpus)
        head = f"# tracer: nop\n#\n# entries-in-buffer/entries-written: {entries}/{written}   #P:{online}\n#\n"
        started: set[int] = set()
        lines: list[str] = []
        merged = heapq.merge(*(buffer.entries() for buffer in self.buffers), key=lambda entry: entry.ns)
        for entry in merged:
            if entry.cpu not in started:
                if started:
                    lines.append(f"##### CPU {entry.cpu} buffer started ####\n")
                started.add(entry.cpu)
            lines.append(self.line(entry))
        return "".join([head, _LEGEND, *lines]).encode("latin-1")

    def take_line(self) -> bytes | None:
        """Take the oldest record out, as ``trace_pipe`` does; its line, or None if there is none."""
        waiting = [(ns, buffer.cpu) for buffer in self.buffers if (ns := buffer.oldest_ns()) is not None]
        if not waiting:
            return None
        entry = self.buffers[min(waiting)[1]].take()
        assert entry is not None
        return self.line(entry).encode("latin-1")

    def line(self, entry: Entry) -> str:
        """One line: task, CPU, flags, time, event (TFS-12)."""
        event, flags, preempt_count, pid = _HEAD.unpack_from(entry.data)
        comm = "<idle>" if pid == 0 else self._comms.get(pid, "<...>")
        seconds, micros = divmod((entry.ns + 500) // 1000, 1_000_000)
        text = self._print_record(event, entry.data)
        if text is None:
            text = f"Unknown type {event}"
        return (
            f"{comm:>16}-{pid:<7} [{entry.cpu:03}] {_lat_fmt(flags, preempt_count)} {seconds:5}.{micros:06}: {text}\n"
        )

    # Going back and forth in time

    def save(self) -> object:
        """All of its state."""
        return (
            tuple(buffer.save() for buffer in self.buffers),
            self.tracing_on,
            self.kilobytes,
            self.expanded,
            dict(self._comms),
        )

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        buffers, self.tracing_on, self.kilobytes, self.expanded, comms = state
        for buffer, saved in zip(self.buffers, buffers, strict=True):
            buffer.restore(saved)
        self._comms = dict(comms)


def _lat_fmt(flags: int, preempt_count: int) -> str:
    """``trace_print_lat_fmt``: the five letters of the context."""
    resched = flags & (_NEED_RESCHED | _PREEMPT_RESCHED)
    need = {0: ".", _NEED_RESCHED: "n", _PREEMPT_RESCHED: "p"}.get(resched, "N")
    nmi, hardirq = flags & _NMI, flags & _HARDIRQ
    where = "Z" if nmi and hardirq else "z" if nmi else "h" if hardirq else "."
    depths = [f"{digit:x}" if digit else "." for digit in (preempt_count & 0xF, preempt_count >> 4)]
    return f"{'d' if flags & _IRQS_OFF else '.'}{need}{where}{depths[0]}{depths[1]}"
