"""The list behind ``kprobe_events`` or ``uprobe_events``, or of event probes: commands, appending to events, deleting.

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

    def run_command(self, command: str) -> None:
        """Run one line (``create_or_delete_trace_kprobe``, ``create_or_delete_trace_uprobe``).

        Args:
            command: the line, without newline and comment.

        Raises:
            LinuxError: what the write returns; an entry in the log has been made where Linux makes one.
        """
        words = split_words(command)
        if not words:
            return
        if command[0] == "-":
            self.release(words)
            return
        try:
            self._create(words)
        except ProbeCommandError as error:
            for code in filter(None, (error.before, error.code)):
                self._events.errors.add(
                    LoggedError(
                        self._machine.ns, self.SUBSYSTEM, PROBE_ERRORS[code], " ".join(words), error.caret(words)
                    )
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
        probe.order = self._events.next_order()
        self.probes.append(probe)
        self._machine.emit("event.define", event=event.full_name, id=event.id, command=readable(probe.show()))

    def release(self, words: list[str]) -> None:
        """Delete what a command names (``dyn_event_release``, TFS-05).

        Raises:
            LinuxError: EINVAL, no name; ENOENT, no such event; EBUSY, it is enabled.
        """
        found = self.matching(words)
        if not found:
            raise LinuxError(Errno.ENOENT, f"There is no event {words[0].partition(':')[2]}.")
        try:
            for probe in found:
                self.remove(probe)
        finally:
            self._events.reset_outdated()

    def matching(self, words: list[str]) -> list[P]:
        """The probes that a delete command names.

        Raises:
            LinuxError: EINVAL, no name.
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
        return [
            probe
            for probe in self.probes
            if event in ("", probe.definition.event)
            and (not slash or group == probe.definition.group)
            and probe.match(words[1:])
        ]

    def release_all(self) -> None:
        """Delete all events, or none (``dyn_events_release_all``, TFS-01).

        Raises:
            LinuxError: EBUSY, one is enabled.
        """
        if self.is_busy:
            raise LinuxError(Errno.EBUSY, "An event is enabled.", hint="Write 0 to its enable file first.")
        for probe in list(self.probes):
            self.remove(probe)
        self._events.reset_outdated()

    @property
    def is_busy(self) -> bool:
        """One of the events is enabled."""
        return any(probe.event is not None and probe.event.is_registered for probe in self.probes)

    def remove(self, probe: P) -> None:
        """Unregister a probe, with its event if that has no other.

        Raises:
            LinuxError: EBUSY, the event is in use.
        """
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
        self._take_away(probe)
        event.probes.remove(probe)
        self.probes.remove(probe)
        self._machine.emit("event.remove", event=event.full_name, command=readable(probe.show()))

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory; the events themselves are in `TraceEvents`."""
        return tuple((probe, probe.save()) for probe in self.probes)

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        for probe, saved in state:
            probe.restore(saved)
        self.probes = [probe for probe, _ in state]
