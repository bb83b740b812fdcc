"""All event probes of one kernel: defining and removing them, and what a record of the other event makes.

Follows Linux 6.1 kernel/trace/trace_eprobe.c.
"""

from __future__ import annotations

from kprobesim.linux_errno import Errno
from kprobesim.tracing.event_probes.command import parse_eprobe_command
from kprobesim.tracing.event_probes.trace_eprobe import EprobeEvent, SourceRecord, TraceEprobe
from kprobesim.tracing.probe_events.errors import ProbeCommandError
from kprobesim.tracing.probe_events.event_list import ProbeEventList
from kprobesim.tracing.probe_events.fetch import store_trace_args
from kprobesim.tracing.trace_event import EventFile

__all__ = ["EventProbes"]


class EventProbes(ProbeEventList[TraceEprobe]):
    """The event probes; their commands are lines of ``dynamic_events``."""

    SUBSYSTEM = "event_probe"

    def _create(self, words: list[str]) -> None:
        """``__trace_eprobe_create``: unlike other probes, each has an event of its own."""
        definition = parse_eprobe_command(words, self._events)
        probe = TraceEprobe(definition, self._kernel)
        if self._events.find(definition.group, definition.event) is not None:
            raise ProbeCommandError("EVENT_EXIST", 0, errno=Errno.EEXIST)
        probe.event = EprobeEvent(definition.group, definition.event, self._kernel, self._events, self._hit)
        self._append(probe, probe.event)

    def _take_away(self, probe: TraceEprobe) -> None:
        """Nothing: an event that is off does not listen."""

    def _hit(self, probe: TraceEprobe, file: EventFile, cpu: int, source: bytes) -> None:
        """``__eprobe_trace_func``: flags, preempt count and task are those of the record that it was made of."""
        if not self._events.file_wants(file, cpu):
            return
        probe.nhit += 1
        machine = self._machine
        head = file.trace.head(file.event.id, (source[2], source[3]), cpu)
        old = b"" if file.filter is not None else file.trace.buffers[cpu].old_bytes(len(head) + probe.size)
        hit = SourceRecord(machine.ram, self._kernel.root, cpu, source)
        self._events.commit_file(file, cpu, store_trace_args(probe.fetchers, hit, head, probe.size, old))
