"""All uprobe events of one kernel: defining and removing them, and what a hit does.

Follows Linux 6.1 kernel/trace/trace_uprobe.c and trace_dynevent.c.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from kprobesim.errors import LinuxError
from kprobesim.kprobes import KprobeManager, PtRegs
from kprobesim.linux_errno import Errno
from kprobesim.tracing.error_log import LoggedError
from kprobesim.tracing.probe_events.errors import PROBE_ERRORS, ProbeCommandError
from kprobesim.tracing.probe_events.fetch import store_trace_args
from kprobesim.tracing.trace_events import TraceEvents, readable
from kprobesim.tracing.uprobe_events.command import parse_uprobe_command
from kprobesim.tracing.uprobe_events.trace_uprobe import TraceUprobe, UprobeEvent

__all__ = ["UprobeEvents"]

_IP: Final = struct.Struct("<Q")
_FUNC_AND_IP: Final = struct.Struct("<2Q")


class UprobeEvents:
    """The list behind ``uprobe_events``.

    Args:
        manager: where the probes are registered.
        events: the list that the events are in, and the trace that they write to.

    Attributes:
        probes: all probes, in the order in which they were defined.
    """

    def __init__(self, manager: KprobeManager, events: TraceEvents) -> None:
        self._kernel = manager.kernel
        self._machine = manager.kernel.machine
        self._uprobes = manager.uprobes
        self._events = events
        self._clear_trace = False
        self.probes: list[TraceUprobe] = []

    # Commands

    def run_command(self, command: str) -> None:
        """Run one line written to ``uprobe_events`` (``create_or_delete_trace_uprobe``).

        Args:
            command: the line, without newline and comment.

        Raises:
            LinuxError: what the write returns; an entry in the log has been made where Linux makes one.
        """
        words = command.split()
        if not words:
            return
        if command[0] == "-":
            self.release(words)
            return
        try:
            self._create(words)
        except ProbeCommandError as error:
            message = PROBE_ERRORS[error.code]
            self._events.errors.add(
                LoggedError(self._machine.ns, "trace_uprobe", message, " ".join(words), error.caret(words))
            )
            raise

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
            self._events.add(event, dynamic=True)
        else:
            self._check_append(probe, event)
        probe.event = event
        event.probes.append(probe)
        self.probes.append(probe)
        self._machine.emit("event.define", event=event.full_name, id=event.id, command=readable(probe.show()))

    def _check_append(self, probe: TraceUprobe, event: UprobeEvent) -> None:
        """``append_trace_uprobe``: a further probe must fit the event."""
        if event.is_return != probe.definition.is_return:
            raise ProbeCommandError("DIFF_PROBE_TYPE", 0, errno=Errno.EEXIST)
        old, new = event.args, probe.args
        pairs = list(zip(new, old, strict=False))
        differs = next(
            (n for n, (a, b) in enumerate(pairs, 1) if (a.type, a.count, a.name) != (b.type, b.count, b.name)), 0
        )
        if len(old) != len(new):
            differs = len(pairs) + 1
        if differs:
            raise ProbeCommandError("DIFF_ARG_TYPE", differs + 1, errno=Errno.EEXIST)
        if any(probe.is_same(other) for other in event.probes):
            raise ProbeCommandError("SAME_PROBE", 0, errno=Errno.EEXIST)

    def release(self, words: list[str]) -> None:
        """Delete what a command names (``dyn_event_release``).

        Raises:
            LinuxError: EINVAL, no name; ENOENT, no such event; EBUSY, it is enabled.
        """
        name = words[0].partition(":")[2]
        group, slash, event = name.partition("/")
        if not slash:
            group, event = "", name
        if not words[0].startswith("-:") or (not slash and not event):
            raise LinuxError(Errno.EINVAL, "A deletion is written -:NAME.")
        found = False
        for probe in list(self.probes):
            where = probe.definition
            if event in ("", where.event) and (not slash or group == where.group) and probe.match(words[1:]):
                found = True
                self._unregister(probe)
        self._reset_if_needed()
        if not found:
            raise LinuxError(Errno.ENOENT, f"There is no event {name}.")

    def release_all(self) -> None:
        """Delete all events, or none (``dyn_events_release_all``).

        Raises:
            LinuxError: EBUSY, one is enabled.
        """
        if any(probe.event is not None and probe.event.is_registered for probe in self.probes):
            raise LinuxError(Errno.EBUSY, "An event is enabled.", hint="Write 0 to its enable file first.")
        for probe in list(self.probes):
            self._unregister(probe)
        self._reset_if_needed()

    def _unregister(self, probe: TraceUprobe) -> None:
        event = probe.event
        assert event is not None
        if len(event.probes) == 1:
            if event.is_registered:
                raise LinuxError(Errno.EBUSY, f"The event {event.name} is in use.", hint="Write 0 to its enable file.")
            self._events.remove(event)
            self._clear_trace |= event.was_enabled
        probe.disable(self._uprobes)
        event.probes.remove(probe)
        self.probes.remove(probe)
        self._machine.emit("event.remove", event=event.full_name, command=readable(probe.show()))

    def _reset_if_needed(self) -> None:
        if self._clear_trace:
            self._clear_trace = False
            self._events.trace.reset()

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

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory; the events themselves are in `TraceEvents`."""
        return tuple((probe, probe.save()) for probe in self.probes), self._clear_trace

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        probes, self._clear_trace = state
        for probe, saved in probes:
            probe.restore(saved)
        self.probes = [probe for probe, _ in probes]


def _context(preempt_count: int) -> tuple[int, int]:
    """``tracing_gen_ctx_dec`` in a task with interrupts on.

    It takes off one preempt level, which the handler of a uprobe has never added: with a count of zero all bits of the
    flags are borrowed from, and the letters are ``DNZff``.
    """
    context = min(preempt_count & 0xFF, 0xF) - 1 & 0xFFFF_FFFF
    return context >> 16 & 0xFF, context & 0xFF
