"""All probe events of programs: where their probes are registered, and what a hit does.

Follows Linux 6.1 kernel/trace/trace_uprobe.c.
"""

from __future__ import annotations

import struct
from typing import Final

from kprobesim.errors import LinuxError
from kprobesim.kprobes import KprobeManager, PtRegs
from kprobesim.linux_errno import Errno
from kprobesim.tracing.probe_events.errors import ProbeCommandError
from kprobesim.tracing.probe_events.event_list import ProbeEventList
from kprobesim.tracing.probe_events.fetch import store_trace_args
from kprobesim.tracing.trace_events import TraceEvents
from kprobesim.tracing.uprobe_events.command import parse_uprobe_command
from kprobesim.tracing.uprobe_events.trace_uprobe import TraceUprobe, UprobeEvent

__all__ = ["UprobeEvents"]

_IP: Final = struct.Struct("<Q")
_FUNC_AND_IP: Final = struct.Struct("<2Q")


class UprobeEvents(ProbeEventList[TraceUprobe]):
    """The list behind ``uprobe_events``.

    Args:
        manager, events: see `ProbeEventList`.
    """

    SUBSYSTEM = "trace_uprobe"

    def __init__(self, manager: KprobeManager, events: TraceEvents) -> None:
        super().__init__(manager, events)
        self._uprobes = manager.uprobes

    def _create(self, words: list[str]) -> None:
        """``__trace_uprobe_create`` and ``register_trace_uprobe``."""
        definition = parse_uprobe_command(words, self._uprobes.files, self._machine.current_cpu.number)
        probe = TraceUprobe(definition, self._kernel, self._dispatch)
        for other in self.probes:
            there = other.definition
            if (there.file.inode, there.offset) == (definition.file.inode, definition.offset) and (
                there.ref_ctr_offset != definition.ref_ctr_offset
            ):
                raise LinuxError(Errno.EINVAL, "Reference counter offset mismatch.")
        event = self._events.find(definition.group, definition.event)
        if not isinstance(event, UprobeEvent | None):
            raise ProbeCommandError("EVENT_EXIST", 0, errno=Errno.EEXIST)
        if event is None:
            event = UprobeEvent(definition.group, definition.event, definition.is_return, self._uprobes, self._kernel)
        else:
            self._check_append(probe, event)
        probe.event = event
        self._append(probe, event)

    def _take_away(self, probe: TraceUprobe) -> None:
        probe.disable(self._uprobes)

    # On a hit

    def _dispatch(self, probe: TraceUprobe, regs: PtRegs, func: int | None) -> None:
        """``uprobe_dispatcher`` and ``uretprobe_dispatcher``."""
        if func is None:
            probe.nhit += 1
        event, cpu, trace = probe.event, regs.cpu, self._events.trace
        if event is None or not self._events.wants(event, cpu):
            return
        place = _IP.pack(regs.ip) if func is None else _FUNC_AND_IP.pack(func, regs.ip)
        head = trace.head(event.id, _context(trace.preempt_count(cpu)), cpu) + place
        self._events.commit(event, cpu, store_trace_args(probe.fetchers, regs, head, probe.size))


def _context(preempt_count: int) -> tuple[int, int]:
    """``tracing_gen_ctx_dec`` in a task with interrupts on.

    It takes off one preempt level, which the handler of a uprobe has never added: with a count of zero all bits of the
    flags are borrowed from, and the letters are ``DNZff``.
    """
    context = min(preempt_count & 0xFF, 0xF) - 1 & 0xFFFF_FFFF
    return context >> 16 & 0xFF, context & 0xFF
