"""The list behind ``kprobe_events`` or ``uprobe_events``: running commands, appending to events, deleting.

Follows Linux 6.1 kernel/trace/trace_dynevent.c and what trace_kprobe.c and trace_uprobe.c do alike.
"""

from __future__ import annotations

import abc
from typing import Any, ClassVar, Generic, TypeVar

from kprobesim.errors import LinuxError
from kprobesim.kprobes import KprobeManager
from kprobesim.linux_errno import Errno
from kprobesim.tracing.ctype import words as split_words
from kprobesim.tracing.error_log import LoggedError
from kprobesim.tracing.probe_events.errors import PROBE_ERRORS, ProbeCommandError
from kprobesim.tracing.probe_events.trace_probe import ProbeEvent, TraceProbe
from kprobesim.tracing.trace_events import TraceEvents, readable

__all__ = ["ProbeEventList"]

P = TypeVar("P", bound=TraceProbe)


class ProbeEventList(abc.ABC, Generic[P]):
    """The probes that the commands of one file define, and the events that they write. ``P`` is their sort.

    Args:
        manager: where the probes are registered.
        events: the list that the events are in, and the trace that they write to.

    Attributes:
        SUBSYSTEM: what its entries in ``error_log`` begin with.
        probes: all probes, in the order in which they were defined.
    """

    SUBSYSTEM: ClassVar[str]

    def __init__(self, manager: KprobeManager, events: TraceEvents) -> None:
        self._kernel = manager.kernel
        self._machine = manager.kernel.machine
        self._events = events
        self._clear_trace = False
        self.probes: list[P] = []

    # What the sorts differ in

    @abc.abstractmethod
    def _create(self, words: list[str]) -> None:
        """Define a probe, and its event unless that is there; both go through `_append`.

        Raises:
            ProbeCommandError: what is wrong with the command, for the log.
            LinuxError: what the write returns without an entry there.
        """

    @abc.abstractmethod
    def _take_away(self, probe: P) -> None:
        """Unregister a probe."""

    # Commands

    def run_command(self, command: str, *, delete: str = "-") -> None:
        """Run one line (``create_or_delete_trace_kprobe``, ``create_or_delete_trace_uprobe``).

        Args:
            command: the line, without newline and comment.
            delete: letters that a deletion begins with: ``-``, in ``dynamic_events`` also ``!``.

        Raises:
            LinuxError: what the write returns; an entry in the log has been made where Linux makes one.
        """
        words = split_words(command)
        if not words:
            return
        if command[0] in delete:
            self.release(words)
            return
        try:
            self._create(words)
        except ProbeCommandError as error:
            message = PROBE_ERRORS[error.code]
            self._events.errors.add(
                LoggedError(self._machine.ns, self.SUBSYSTEM, message, " ".join(words), error.caret(words))
            )
            raise

    def _check_append(self, probe: P, event: ProbeEvent[P]) -> None:
        """``append_trace_kprobe``, ``append_trace_uprobe``: a further probe must fit the event (TFS-04)."""
        if event.is_return != probe.definition.is_return:
            raise ProbeCommandError("DIFF_PROBE_TYPE", 0, errno=Errno.EEXIST)
        old, new = event.args, probe.args
        differs = min(len(old), len(new)) + 1 if len(old) != len(new) else 0
        if not differs:
            pairs = enumerate(zip(new, old, strict=True), 1)
            differs = next(
                (n for n, (a, b) in pairs if (a.type, a.count, a.name) != (b.type, b.count, b.name)),
                0,
            )
        if differs:
            raise ProbeCommandError("DIFF_ARG_TYPE", differs + 1, errno=Errno.EEXIST)
        if any(probe.is_same(other) for other in event.probes):
            raise ProbeCommandError("SAME_PROBE", 0, errno=Errno.EEXIST)

    def _append(self, probe: P, event: ProbeEvent[P]) -> None:
        """Put a probe on the list and on its event, and the event among the others if it is new."""
        if not event.probes:
            self._events.add(event, dynamic=True)
        event.probes.append(probe)
        self.probes.append(probe)
        self._machine.emit("event.define", event=event.full_name, id=event.id, command=readable(probe.show()))

    def release(self, words: list[str]) -> None:
        """Delete what a command names (``dyn_event_release``, TFS-05).

        Raises:
            LinuxError: EINVAL, no name; ENOENT, no such event; EBUSY, it is enabled.
        """
        head = words[0]
        if head[0] == "-" and head[1:2] != ":":
            raise LinuxError(Errno.EINVAL, "A deletion is written -:NAME.")
        _, colon, name = head.partition(":")
        group, slash, event = name.partition("/")
        if not slash:
            group, event = "", name
        if not colon or (not slash and not event):
            raise LinuxError(Errno.EINVAL, "A deletion is written -:NAME.")
        found = False
        try:
            for probe in list(self.probes):
                where = probe.definition
                if event not in ("", where.event) or (slash and group != where.group) or not probe.match(words[1:]):
                    continue
                found = True
                self._unregister(probe)
        finally:
            self._reset_if_needed()
        if not found:
            raise LinuxError(Errno.ENOENT, f"There is no event {name}.")

    def release_all(self) -> None:
        """Delete all events, or none (``dyn_events_release_all``, TFS-01).

        Raises:
            LinuxError: EBUSY, one is enabled.
        """
        if any(probe.event is not None and probe.event.is_registered for probe in self.probes):
            raise LinuxError(Errno.EBUSY, "An event is enabled.", hint="Write 0 to its enable file first.")
        for probe in list(self.probes):
            self._unregister(probe)
        self._reset_if_needed()

    def _unregister(self, probe: P) -> None:
        event = probe.event
        assert event is not None
        if len(event.probes) == 1:
            if event.is_registered:
                raise LinuxError(
                    Errno.EBUSY,
                    f"The event {event.name} is in use.",
                    hint="Write 0 to its enable file, and take off triggers and programs.",
                )
            self._events.remove(event)
            self._clear_trace |= event.was_enabled
        self._take_away(probe)
        event.probes.remove(probe)
        self.probes.remove(probe)
        self._machine.emit("event.remove", event=event.full_name, command=readable(probe.show()))

    def _reset_if_needed(self) -> None:
        """Records of an event that is gone could not be read any more: the trace is emptied (TFS-06)."""
        if self._clear_trace:
            self._clear_trace = False
            self._events.trace.reset()

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
