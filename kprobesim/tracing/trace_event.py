"""What every event under ``events/`` is, whoever makes its records: the seam between events and their files.

Follows Linux 6.1 include/linux/trace_events.h: struct trace_event_call and struct trace_event_file. A new sort of event
is a subclass of `TraceEvent` that knows its fields, its text, and how it is switched on; its files, filters, triggers
and the way of a record into each trace are the same for all (`TraceEvents`).

On each hit an event's source asks `TraceEvents.wants`, makes a record of `TraceArray.head` and its fields, and hands it
to `TraceEvents.commit`.
"""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any, Final

from kprobesim.tracing.event_filter import EventFilter, FilterField

if TYPE_CHECKING:
    from kprobesim.tracing.trace_array import TraceArray
    from kprobesim.tracing.triggers import Trigger

__all__ = ["COMMON_FIELDS", "COMMON_SIZE", "EventFile", "TraceEvent"]

COMMON_FIELDS: Final = (
    FilterField("common_type", "unsigned short", 0, 2, False),
    FilterField("common_flags", "unsigned char", 2, 1, False),
    FilterField("common_preempt_count", "unsigned char", 3, 1, False),
    FilterField("common_pid", "int", 4, 4, True),
)
COMMON_SIZE: Final = 8


class EventFile:
    """An event as one trace has it (``struct trace_event_file``): a folder ``events/GROUP/NAME`` of that trace.

    Args:
        event: the event.
        trace: the trace that its records go to.

    Attributes:
        event, trace: as given.
        enabled: the event's source is switched on for this trace (``EVENT_FILE_FL_ENABLED``).
        was_enabled: it ever was.
        soft_mode: how many triggers may switch it on and off (``sm_ref``).
        soft_disabled: switched on, but only until a trigger says so its records are dropped.
        filter: which records are kept.
        triggers: what else happens on a hit, in the order in which they were set.
        trigger_cond: one of them needs a record to decide, or must wait for one.
    """

    def __init__(self, event: TraceEvent, trace: TraceArray) -> None:
        self.event: Final = event
        self.trace: Final = trace
        self.enabled = False
        self.was_enabled = False
        self.soft_mode = 0
        self.soft_disabled = False
        self.filter: EventFilter | None = None
        self.triggers: tuple[Trigger, ...] = ()
        self.trigger_cond = False

    @property
    def place(self) -> dict[str, str]:
        """How events of the machine name it; the trace only where it is an instance."""
        named = {"event": self.event.full_name}
        return {**named, "instance": self.trace.name} if self.trace.name else named

    def save(self) -> Any:
        """Its changeable state."""
        triggers = tuple((trigger, trigger.save()) for trigger in self.triggers)
        flags = self.enabled, self.was_enabled, self.soft_mode, self.soft_disabled, self.trigger_cond
        return flags, self.filter, triggers

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        flags, self.filter, triggers = state
        self.enabled, self.was_enabled, self.soft_mode, self.soft_disabled, self.trigger_cond = flags
        for trigger, saved in triggers:
            trigger.restore(saved)
        self.triggers = tuple(trigger for trigger, _ in triggers)


class TraceEvent(abc.ABC):
    """One event (``struct trace_event_call``).

    Args:
        group, name: its place.

    Attributes:
        id: the number in its records; given by `TraceEvents.add`.
        files: the event in each trace, first in the one that is not an instance; made by `TraceEvents`.
        perf_users: how many programs and perf events hang on it besides the traces.
    """

    def __init__(self, group: str, name: str) -> None:
        self.group = group
        self.name = name
        self.id = 0
        self.files: tuple[EventFile, ...] = ()
        self.perf_users = 0

    # What a sort of events must say

    @property
    @abc.abstractmethod
    def fields(self) -> tuple[FilterField, ...]:
        """The fields behind the common ones, in the order of the format file."""

    @abc.abstractmethod
    def print_fmt(self) -> str:
        """What stands behind ``print fmt: `` in the format file."""

    @abc.abstractmethod
    def print_record(self, record: bytes) -> str:
        """A record's text from the event's name on, without the newline at the end.

        Args:
            record: its bytes, the common fields first.
        """

    def register(self) -> None:  # noqa: B027 - an event that its source always offers has nothing to do here
        """``TRACE_REG_REGISTER``: switch the source on: the first user has come.

        Raises:
            LinuxError: it cannot be.
        """

    def register_for(self, file: EventFile) -> None:
        """The same, told which of the traces wants it.

        Raises:
            LinuxError: it cannot be.
        """
        self.register()

    def unregister(self) -> None:  # noqa: B027 - as above
        """``TRACE_REG_UNREGISTER``: switch the source off: the last user has gone."""

    @property
    def can_enable(self) -> bool:
        """Whether there is a source that can be switched; the tracing core's own records have none."""
        return True

    # What is the same for all

    @property
    def full_name(self) -> str:
        """``group:name``."""
        return f"{self.group}:{self.name}"

    @property
    def enabled(self) -> bool:
        """Its source is switched on for a trace."""
        return any(file.enabled for file in self.files)

    @property
    def was_enabled(self) -> bool:
        """It ever was."""
        return any(file.was_enabled for file in self.files)

    @property
    def is_registered(self) -> bool:
        """Somebody uses its source."""
        return self.perf_users > 0 or self.enabled

    def file(self, trace: TraceArray) -> EventFile:
        """The event as a trace has it."""
        return next(file for file in self.files if file.trace is trace)

    def save(self) -> Any:
        """Its changeable state; a subclass adds its own."""
        return self.id, self.perf_users, tuple((file, file.save()) for file in self.files)

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        self.id, self.perf_users, files = state
        for file, saved in files:
            file.restore(saved)
        self.files = tuple(file for file, _ in files)
