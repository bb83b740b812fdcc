"""``dynamic_events``: the probes of all sorts in one list. Linux 6.1 kernel/trace/trace_dynevent.c."""

from __future__ import annotations

from typing import Any

from kprobesim.errors import LinuxError
from kprobesim.linux_errno import Errno
from kprobesim.tracing.ctype import words as split_words
from kprobesim.tracing.probe_events.event_list import ProbeEventList
from kprobesim.tracing.trace_events import TraceEvents

__all__ = ["AllDynEvents"]


class AllDynEvents:
    """The list behind ``dynamic_events``.

    Args:
        events: all events.
        kprobes, uprobes, eprobes: the lists of each sort.
    """

    def __init__(
        self,
        events: TraceEvents,
        kprobes: ProbeEventList[Any],
        uprobes: ProbeEventList[Any],
        eprobes: ProbeEventList[Any],
    ) -> None:
        self._events = events
        self._kprobes, self._uprobes, self._eprobes = kprobes, uprobes, eprobes
        self._lists = (kprobes, uprobes, eprobes)

    def text(self) -> str:
        """The file: in the order of definition."""
        probes = [probe for each in self._lists for probe in each.probes]
        return "".join(probe.show() for probe in sorted(probes, key=lambda probe: probe.order))

    def run_command(self, command: str) -> None:
        """Run one line (``create_dyn_event``): a definition of any sort, or behind ``-`` or ``!`` a deletion.

        Raises:
            LinuxError: what the write returns; an entry in the log has been made where Linux makes one.
        """
        words = split_words(command)
        if not words:
            return
        if command[0] in "-!":
            self._release(words)
        elif words[0][0] == "e":
            self._eprobes.run_command(command)
        elif len(words) > 1 and "/" in words[1] and ":" in words[1]:
            self._uprobes.run_command(command)
        else:
            self._kprobes.run_command(command)

    def _release(self, words: list[str]) -> None:
        """``dyn_event_release`` for all sorts."""
        found = [(probe.order, each, probe) for each in self._lists for probe in each.matching(words)]
        if not found:
            raise LinuxError(Errno.ENOENT, f"There is no event {words[0].partition(':')[2]}.")
        try:
            for _, each, probe in sorted(found, key=lambda item: item[0]):
                each.remove(probe)
        finally:
            self._events.reset_outdated()

    def release_all(self) -> None:
        """Delete all events, or none (``dyn_events_release_all``).

        Raises:
            LinuxError: EBUSY, one is enabled.
        """
        if any(each.is_busy for each in self._lists):
            raise LinuxError(Errno.EBUSY, "An event is enabled.", hint="Write 0 to its enable file first.")
        for each in self._lists:
            each.release_all()
