"""All events of one kernel and the traces they write to: numbers, switches, filters, and the way of a record.

Follows Linux 6.1 kernel/trace/trace_events.c (__ftrace_event_enable_disable, event_trace_add_tracer),
trace_events_filter.c (apply_event_filter) and trace.c (trace_event_buffer_reserve, trace_event_buffer_commit,
trace_array_create).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kprobesim.errors import LinuxError
from kprobesim.kprobes import PtRegs, RunningKernel
from kprobesim.linux_errno import Errno
from kprobesim.tracing.ctype import SPACES
from kprobesim.tracing.error_log import LoggedError
from kprobesim.tracing.event_filter import FILTER_ERRORS, EventFilter, FilterError, parse_filter
from kprobesim.tracing.trace_array import TraceArray
from kprobesim.tracing.trace_event import COMMON_FIELDS, EventFile, TraceEvent
from kprobesim.tracing.trace_output import TraceOutput
from kprobesim.tracing.triggers import Trigger

__all__ = ["TraceEvents", "readable"]

# The numbers below belong to the tracing core's own records (enum trace_type), those below the second to what is there
# at boot: a kernel of a distribution has some 1450 events then.
_FIRST_ID: Final = 20
_FIRST_DYNAMIC_ID: Final = 1472


class TraceEvents:
    """The events, and the traces that they write to.

    Args:
        kernel: whose.

    Attributes:
        events: by group and name, in the order in which they were made.
        trace: the one that is always there (``global_trace``).
        instances: the others by name, in the order in which they were made.
        output: the first as text.
        errors: what its ``error_log`` reads.
    """

    def __init__(self, kernel: RunningKernel) -> None:
        self._kernel = kernel
        self._machine = kernel.machine
        self.events: dict[tuple[str, str], TraceEvent] = {}
        self.trace: Final = TraceArray(kernel)
        self.instances: dict[str, TraceArray] = {}
        self.errors: Final = self.trace.errors
        self.output: Final = self.output_of(self.trace)
        self._by_id: dict[int, TraceEvent] = {}
        self._next_id = _FIRST_ID
        self._next_dynamic_id = _FIRST_DYNAMIC_ID
        self._next_order = 0

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
        event.files = tuple(EventFile(event, trace) for trace in (self.trace, *self.instances.values()))
        self.events[event.group, event.name] = self._by_id[event.id] = event

    def remove(self, event: TraceEvent) -> None:
        """Take an event that nobody uses off the list (``probe_remove_event_call``). One with triggers is in use."""
        del self.events[event.group, event.name], self._by_id[event.id]
        for file in event.files:
            file.trace.is_outdated |= file.was_enabled

    def reset_outdated(self) -> None:
        """Records of an event that is gone could not be read any more: the traces that may hold some are emptied.

        Follows ``tracing_reset_all_online_cpus`` (TFS-06).
        """
        for trace in (self.trace, *self.instances.values()):
            if trace.is_outdated:
                trace.is_outdated = False
                trace.reset()

    def find(self, group: str, name: str) -> TraceEvent | None:
        """The event of this name (``find_event_file``)."""
        return self.events.get((group, name))

    def next_order(self) -> int:
        """A number for a probe that is being defined, larger than those of all before it."""
        self._next_order += 1
        return self._next_order

    def output_of(self, trace: TraceArray) -> TraceOutput:
        """A trace as text."""
        return TraceOutput(trace, self._kernel, self._print_record)

    # Instances

    def add_instance(self, name: str) -> TraceArray:
        """One more trace, with switches, filters and triggers of its own for every event (``trace_array_create``).

        Raises:
            LinuxError: EEXIST, there is one of this name.
        """
        if name in self.instances:
            raise LinuxError(Errno.EEXIST, f"There is an instance {name} already.")
        made = self.trace.make_instance(name)
        self.instances[name] = made
        for event in self.events.values():
            event.files = (*event.files, EventFile(event, made))
        self._machine.emit("trace.instance", instance=name)
        return made

    def remove_instance(self, name: str) -> None:
        """Its events are switched off, and its triggers and records are gone (``__remove_instance``).

        Raises:
            LinuxError: ENODEV, there is none of this name.
        """
        gone = self.instances.pop(name, None)
        if gone is None:
            raise LinuxError(Errno.ENODEV, f"There is no instance {name}.")
        for event in self.events.values():
            file = event.file(gone)
            if file.enabled:
                self._switch(file, False)
        for event in self.events.values():
            event.files = tuple(file for file in event.files if file.trace is not gone)
        self._machine.emit("trace.instance_remove", instance=name)

    # Switching on and off

    def enable(self, file: EventFile, on: bool) -> None:
        """Write to an ``enable`` file.

        Raises:
            LinuxError: the event's source could not be switched on.
        """
        self.trace.update_buffers()
        self._enable_disable(file, on, soft=False)

    def soft_enable(self, file: EventFile, on: bool) -> None:
        """A trigger that may switch this event comes or goes: its source is on, its records are dropped meanwhile."""
        self._enable_disable(file, on, soft=True)

    def _enable_disable(self, file: EventFile, on: bool, *, soft: bool) -> None:
        """``__ftrace_event_enable_disable``."""
        if on:
            if not soft and file.soft_disabled:
                file.soft_disabled = False
                self._machine.emit("event.enable", **file.place)
            elif soft:
                file.soft_mode += 1
                if file.soft_mode > 1:
                    return
            if not file.enabled:
                file.soft_disabled |= soft
                try:
                    self._switch(file, True)
                except BaseException:
                    file.soft_mode -= soft
                    file.soft_disabled = False
                    raise
                file.was_enabled = True
            return
        if soft:
            file.soft_mode -= 1
            if file.soft_mode > 0:
                return
            switch_off = file.soft_disabled
        else:
            switch_off = not file.soft_mode
        if switch_off and file.enabled:
            self._switch(file, False)
        elif not soft and file.enabled and not file.soft_disabled:
            self._machine.emit("event.disable", **file.place)
        file.soft_disabled = file.soft_mode > 0

    def _switch(self, file: EventFile, on: bool) -> None:
        event = file.event
        if not event.perf_users and not any(other.enabled for other in event.files if other is not file):
            if on:
                event.register_for(file)
            else:
                event.unregister()
        file.enabled = on
        self._machine.emit("event.enable" if on else "event.disable", **file.place)

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

    def set_filter(self, file: EventFile, text: str) -> None:
        """Write to a ``filter`` file (``apply_event_filter``, TFS-18).

        Raises:
            FilterError: the expression makes no sense; the file then shows why.
        """
        text = text.rstrip(SPACES)
        if text.lstrip(SPACES) == "0":
            file.filter = None
            return
        try:
            file.filter = self.parse_filter(file.event, text)
        except FilterError as error:
            self._set_wrong_filter(file, text, error)
            raise

    def set_system_filter(self, trace: TraceArray, group: str, text: str) -> None:
        """Write to a group's ``filter`` file (``process_system_preds``).

        Each event takes what it can; one that has not these fields shows that, and its records are all kept. The write
        succeeds.
        """
        text = text.rstrip(SPACES)
        for file in [event.file(trace) for event in self.events.values() if event.group == group]:
            if text.lstrip(SPACES) == "0":
                file.filter = None
                continue
            try:
                file.filter = self.parse_filter(file.event, text)
            except FilterError as error:
                self._set_wrong_filter(file, text, FilterError("BAD_SUBSYS_FILTER", 0, error.errno))

    def _set_wrong_filter(self, file: EventFile, text: str, error: FilterError) -> None:
        """``append_filter_err``."""
        file.filter = EventFilter(error.shown(text), None)
        self.log_filter_error(file.trace, text, error)

    def log_filter_error(self, trace: TraceArray, text: str, error: FilterError) -> None:
        """The entry of ``error_log`` about an expression that makes no sense."""
        code, column = (error.code, error.position) if error.code else ("ERRNO", 0)
        trace.errors.add(LoggedError(self._machine.ns, "event filter parse error", FILTER_ERRORS[code], text, column))

    def parse_filter(self, event: TraceEvent, text: str) -> EventFilter:
        """Make a filter for an event's records.

        Raises:
            FilterError: the expression makes no sense.
        """
        return parse_filter(text, (*event.fields, *COMMON_FIELDS))

    def add_trigger(self, file: EventFile, trigger: Trigger, *, first: bool = False) -> None:
        """Put a trigger behind those that are there, or before them; with one the event's source is on.

        Follows ``trace_event_trigger_enable_disable`` and ``update_cond_flag``.
        """
        is_only = not file.triggers
        file.triggers = (trigger, *file.triggers) if first else (*file.triggers, trigger)
        self._update_cond_flag(file)
        if is_only:
            self.soft_enable(file, True)

    def remove_trigger(self, file: EventFile, trigger: Trigger) -> None:
        """The reverse of `add_trigger`."""
        file.triggers = tuple(other for other in file.triggers if other is not trigger)
        self._update_cond_flag(file)
        if not file.triggers:
            self.soft_enable(file, False)

    def _update_cond_flag(self, file: EventFile) -> None:
        file.trigger_cond = any(trigger.is_conditional for trigger in file.triggers)

    # On a hit

    def wants(self, event: TraceEvent, cpu: int) -> bool:
        """Whether a hit must make a record; triggers that need none go off here.

        Asked by an event's source on each hit, first (``trace_trigger_soft_disabled``, ``trace_event_buffer_reserve``).
        """
        wanted = False
        for file in event.files:
            if file.enabled and self.file_wants(file, cpu):
                wanted = True
        return wanted

    def file_wants(self, file: EventFile, cpu: int) -> bool:
        """The same for one of the traces."""
        if file.triggers or file.soft_disabled:
            if file.trigger_cond:
                return True
            for trigger in file.triggers:
                if not trigger.paused:
                    self._fire(file, trigger, cpu, None, None)
            if file.soft_disabled:
                return False
        return file.trace.tracing_on

    def commit(self, event: TraceEvent, cpu: int, record: bytes, regs: PtRegs | None = None) -> None:
        """Write a record into each trace whose filter keeps it; triggers that look at the record go off here.

        Args:
            event: whose record; `wants` has said yes.
            cpu: whose buffer.
            record: `TraceArray.head` and what follows it.
            regs: what was interrupted, for stack traces.

        """
        self.commit_each(event, cpu, lambda file: record, regs)

    def commit_each(
        self, event: TraceEvent, cpu: int, make: Callable[[EventFile], bytes], regs: PtRegs | None = None
    ) -> None:
        """The same for an event whose records differ from trace to trace.

        Args:
            event, cpu, regs: as for `commit`.
            make: the record for one of the traces.
        """
        for file in event.files:
            if file.enabled:
                self.commit_file(file, cpu, make(file), regs)

    def commit_file(self, file: EventFile, cpu: int, record: bytes, regs: PtRegs | None = None) -> None:
        """The same as `commit` for one of the traces."""
        after = [t for t in file.triggers if self._waits(file, t, cpu, record, regs)] if file.trigger_cond else ()
        self._write(file, cpu, record, regs)
        for trigger in after:
            self._fire(file, trigger, cpu, regs, record)

    def _waits(self, file: EventFile, trigger: Trigger, cpu: int, record: bytes, regs: PtRegs | None) -> bool:
        """``event_triggers_call`` for one trigger: it goes off, unless it waits until the record is written."""
        if trigger.paused:
            return False
        if trigger.filter is not None and not trigger.filter.matches(record, cpu, self._kernel.current(cpu).name):
            return False
        if trigger.is_post:
            return True
        self._fire(file, trigger, cpu, regs, record)
        return False

    def _fire(self, file: EventFile, trigger: Trigger, cpu: int, regs: PtRegs | None, record: bytes | None) -> None:
        if trigger.fire(cpu, regs, record):
            self.tell("trigger.fire", file, trigger)

    def tell(self, kind: str, file: EventFile, trigger: Trigger) -> None:
        """Emit an event of the machine about a trigger."""
        self._machine.emit(kind, **file.place, trigger=readable(trigger.show()))

    def _write(self, file: EventFile, cpu: int, record: bytes, regs: PtRegs | None) -> None:
        trace = file.trace
        if file.soft_disabled or not trace.tracing_on:
            return
        if file.filter is not None and not file.filter.matches(record, cpu, self._kernel.current(cpu).name):
            return
        if not trace.write(cpu, record):
            return
        if "stacktrace" in trace.options:
            trace.write_stack(cpu, (record[2], record[3]), regs)
        self._machine.emit("trace.entry", **file.place, text=readable(file.event.print_record(record)))

    def _print_record(self, number: int, record: bytes) -> str | None:
        event = self._by_id.get(number)
        return None if event is None else event.print_record(record)

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory."""
        events = tuple((event, event.save()) for event in self.events.values())
        instances = tuple((name, trace, trace.save()) for name, trace in self.instances.items())
        numbers = self._next_id, self._next_dynamic_id, self._next_order
        return events, numbers, self.trace.save(), instances

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        events, (self._next_id, self._next_dynamic_id, self._next_order), trace, instances = state
        self.events, self._by_id = {}, {}
        for event, saved in events:
            event.restore(saved)
            self.events[event.group, event.name] = self._by_id[event.id] = event
        self.trace.restore(trace)
        self.instances = {name: instance for name, instance, _ in instances}
        for _, instance, saved in instances:
            instance.restore(saved)


def readable(text: str) -> str:
    """A line for people: what was one letter for each byte becomes UTF-8 again."""
    return text.rstrip("\n").encode("latin-1", "replace").decode(errors="replace")
