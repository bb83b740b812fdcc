"""All events of one kernel: their numbers, switches, filters, and the way of a record into the trace.

Follows Linux 6.1 kernel/trace/trace_events.c (__ftrace_event_enable_disable), trace_events_filter.c
(apply_event_filter) and trace.c (trace_event_buffer_reserve, trace_event_buffer_commit).
"""

from __future__ import annotations

from typing import Any, Final

from kprobesim.kprobes import PtRegs, RunningKernel
from kprobesim.tracing.ctype import SPACES
from kprobesim.tracing.error_log import ErrorLog, LoggedError
from kprobesim.tracing.event_filter import FILTER_ERRORS, EventFilter, FilterError, parse_filter
from kprobesim.tracing.trace_array import TraceArray
from kprobesim.tracing.trace_event import COMMON_FIELDS, TraceEvent
from kprobesim.tracing.trace_output import TraceOutput
from kprobesim.tracing.triggers import Trigger

__all__ = ["TraceEvents", "readable"]

# The numbers below belong to the tracing core's own records (enum trace_type), those below the second to what is there
# at boot: a kernel of a distribution has some 1450 events then.
_FIRST_ID: Final = 20
_FIRST_DYNAMIC_ID: Final = 1472


class TraceEvents:
    """The events, and the one trace that they write to.

    Args:
        kernel: whose.

    Attributes:
        events: by group and name, in the order in which they were made.
        trace: where records go.
        output: the trace as text.
        errors: what ``error_log`` reads.
    """

    def __init__(self, kernel: RunningKernel) -> None:
        self._kernel = kernel
        self._machine = kernel.machine
        self.events: dict[tuple[str, str], TraceEvent] = {}
        self.errors: Final = ErrorLog()
        self.trace: Final = TraceArray(kernel)
        self.output: Final = TraceOutput(self.trace, kernel, self._print_record)
        self._by_id: dict[int, TraceEvent] = {}
        self._next_id = _FIRST_ID
        self._next_dynamic_id = _FIRST_DYNAMIC_ID

    # The list

    def add(self, event: TraceEvent, *, dynamic: bool = False) -> None:
        """Add an event and give it its number (``register_trace_event``).

        Args:
            event: of a name that is not taken.
            dynamic: it was made by a command, and did not come with the kernel.
        """
        if event.id == 0 and dynamic:
            event.id = self._next_dynamic_id
            self._next_dynamic_id += 1
        elif event.id == 0:
            event.id = self._next_id
            self._next_id += 1
        self.events[event.group, event.name] = self._by_id[event.id] = event

    def remove(self, event: TraceEvent) -> None:
        """Take an event that nobody uses off the list. One with triggers is in use."""
        del self.events[event.group, event.name], self._by_id[event.id]

    def find(self, group: str, name: str) -> TraceEvent | None:
        """The event of this name (``find_event_file``)."""
        return self.events.get((group, name))

    # Switching on and off

    def enable(self, event: TraceEvent, on: bool) -> None:
        """Write to an ``enable`` file.

        Raises:
            LinuxError: the event's source could not be switched on.
        """
        self.trace.update_buffers()
        self._enable_disable(event, on, soft=False)

    def soft_enable(self, event: TraceEvent, on: bool) -> None:
        """A trigger that may switch this event comes or goes: its source is on, its records are dropped meanwhile."""
        self._enable_disable(event, on, soft=True)

    def _enable_disable(self, event: TraceEvent, on: bool, *, soft: bool) -> None:
        """``__ftrace_event_enable_disable``."""
        if on:
            if not soft and event.soft_disabled:
                event.soft_disabled = False
                self._machine.emit("event.enable", event=event.full_name)
            elif soft:
                event.soft_mode += 1
                if event.soft_mode > 1:
                    return
            if not event.enabled:
                event.soft_disabled |= soft
                try:
                    self._switch(event, True)
                except BaseException:
                    event.soft_mode -= soft
                    event.soft_disabled = False
                    raise
                event.was_enabled = True
            return
        if soft:
            event.soft_mode -= 1
            if event.soft_mode > 0:
                return
            switch_off = event.soft_disabled
        else:
            switch_off = not event.soft_mode
        if switch_off and event.enabled:
            self._switch(event, False)
        elif not soft and event.enabled and not event.soft_disabled:
            self._machine.emit("event.disable", event=event.full_name)
        event.soft_disabled = event.soft_mode > 0

    def _switch(self, event: TraceEvent, on: bool) -> None:
        if not event.perf_users:
            if on:
                event.register()
            else:
                event.unregister()
        event.enabled = on
        self._machine.emit("event.enable" if on else "event.disable", event=event.full_name)

    def use(self, event: TraceEvent) -> None:
        """A program or a perf event hangs on the event: its source is on from now (``TRACE_REG_PERF_REGISTER``).

        Raises:
            LinuxError: it cannot be.
        """
        if not event.is_registered:
            event.register()
        event.perf_users += 1

    def drop(self, event: TraceEvent) -> None:
        """The reverse of `use`."""
        event.perf_users -= 1
        if not event.is_registered:
            event.unregister()

    # Filters and triggers

    def set_filter(self, event: TraceEvent, text: str) -> None:
        """Write to a ``filter`` file (``apply_event_filter``, TFS-18).

        Raises:
            FilterError: the expression makes no sense; the file then shows why.
        """
        text = text.rstrip(SPACES)
        if text.lstrip(SPACES) == "0":
            event.filter = None
            return
        try:
            event.filter = self.parse_filter(event, text)
        except FilterError as error:
            self._set_wrong_filter(event, text, error)
            raise

    def set_system_filter(self, group: str, text: str) -> None:
        """Write to a group's ``filter`` file (``process_system_preds``).

        Each event takes what it can; one that has not these fields shows that, and its records are all kept. The write
        succeeds.
        """
        text = text.rstrip(SPACES)
        for event in [event for event in self.events.values() if event.group == group]:
            if text.lstrip(SPACES) == "0":
                event.filter = None
                continue
            try:
                event.filter = self.parse_filter(event, text)
            except FilterError as error:
                self._set_wrong_filter(event, text, FilterError("BAD_SUBSYS_FILTER", 0, error.errno))

    def _set_wrong_filter(self, event: TraceEvent, text: str, error: FilterError) -> None:
        """``append_filter_err``."""
        event.filter = EventFilter(error.shown(text), None)
        code, column = (error.code, error.position) if error.code else ("ERRNO", 0)
        self.errors.add(LoggedError(self._machine.ns, "event filter parse error", FILTER_ERRORS[code], text, column))

    def parse_filter(self, event: TraceEvent, text: str) -> EventFilter:
        """Make a filter for an event's records.

        Raises:
            FilterError: the expression makes no sense.
        """
        return parse_filter(text, (*event.fields, *COMMON_FIELDS))

    # On a hit

    def wants(self, event: TraceEvent, cpu: int) -> bool:
        """Whether a hit must make a record; triggers that need none go off here.

        Asked by an event's source on each hit, first (``trace_trigger_soft_disabled``, ``trace_event_buffer_reserve``).
        """
        if not event.enabled:
            return False
        if event.triggers or event.soft_disabled:
            if event.trigger_cond:
                return True
            for trigger in event.triggers:
                if not trigger.paused:
                    self._fire(event, trigger, cpu, None, None)
            if event.soft_disabled:
                return False
        return self.trace.tracing_on

    def commit(self, event: TraceEvent, cpu: int, record: bytes, regs: PtRegs | None = None) -> bool:
        """Write a record, if the event's filter keeps it; triggers that look at the record go off here.

        Args:
            event: whose record; `wants` has said yes.
            cpu: whose buffer.
            record: `TraceArray.head` and what follows it.
            regs: what was interrupted, for stack traces.

        Returns:
            Whether it is in the trace.
        """
        after = [t for t in event.triggers if self._waits(event, t, cpu, record, regs)] if event.trigger_cond else ()
        written = self._write(event, cpu, record, regs)
        for trigger in after:
            self._fire(event, trigger, cpu, regs, record)
        return written

    def _waits(self, event: TraceEvent, trigger: Trigger, cpu: int, record: bytes, regs: PtRegs | None) -> bool:
        """``event_triggers_call`` for one trigger: it goes off, unless it waits until the record is written."""
        if trigger.paused:
            return False
        if trigger.filter is not None and not trigger.filter.matches(record, cpu, self._kernel.current(cpu).name):
            return False
        if trigger.is_post:
            return True
        self._fire(event, trigger, cpu, regs, record)
        return False

    def _fire(self, event: TraceEvent, trigger: Trigger, cpu: int, regs: PtRegs | None, record: bytes | None) -> None:
        if trigger.fire(cpu, regs, record):
            self.tell("trigger.fire", event, trigger)

    def tell(self, kind: str, event: TraceEvent, trigger: Trigger) -> None:
        """Emit an event of the machine about a trigger."""
        self._machine.emit(kind, event=event.full_name, trigger=readable(trigger.show()))

    def _write(self, event: TraceEvent, cpu: int, record: bytes, regs: PtRegs | None) -> bool:
        if event.soft_disabled or not self.trace.tracing_on:
            return False
        if event.filter is not None and not event.filter.matches(record, cpu, self._kernel.current(cpu).name):
            return False
        if not self.trace.write(cpu, record):
            return False
        if "stacktrace" in self.trace.options:
            self.trace.write_stack(cpu, (record[2], record[3]), regs)
        text = event.print_record(record)
        self._machine.emit("trace.entry", event=event.full_name, text=readable(text))
        return True

    def _print_record(self, number: int, record: bytes) -> str | None:
        event = self._by_id.get(number)
        return None if event is None else event.print_record(record)

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory."""
        events = tuple((event, event.save()) for event in self.events.values())
        return events, self._next_id, self._next_dynamic_id, self.errors.entries, self.trace.save()

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        events, self._next_id, self._next_dynamic_id, self.errors.entries, trace = state
        self.events, self._by_id = {}, {}
        for event, saved in events:
            event.restore(saved)
            self.events[event.group, event.name] = self._by_id[event.id] = event
        self.trace.restore(trace)


def readable(text: str) -> str:
    """A line for people: what was one letter for each byte becomes UTF-8 again."""
    return text.rstrip("\n").encode("latin-1", "replace").decode(errors="replace")
