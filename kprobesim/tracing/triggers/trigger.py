"""What every trigger is: something besides a record that a hit sets off.

Follows Linux 6.1 kernel/trace/trace_events_trigger.c: struct event_command, struct event_trigger_data.
"""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any

from kprobesim.kprobes import PtRegs
from kprobesim.tracing.event_filter import EventFilter

if TYPE_CHECKING:
    from kprobesim.tracing.trace_event import EventFile

__all__ = ["Trigger"]


class Trigger(abc.ABC):
    """One trigger of one event.

    Args:
        count: how often it goes off at most; None: without limit.
        only_if: which records set it off; None: any.

    Attributes:
        count, filter: as given; the first goes down as it goes off.
        paused: it does not go off.
        kind: of one kind an event has one trigger only (``trigger_type``).
        is_post: it goes off once the record is written (``EVENT_CMD_FL_POST_TRIGGER``).
        needs_record: it looks at the record (``EVENT_CMD_FL_NEEDS_REC``).
    """

    kind = ""
    is_post = False
    needs_record = False

    def __init__(self, count: int | None = None, only_if: EventFilter | None = None) -> None:
        self.count = count
        self.filter = only_if
        self.paused = False

    @abc.abstractmethod
    def fire(self, cpu: int, regs: PtRegs | None, record: bytes | None = None) -> bool:
        """Do it.

        Args:
            cpu: where the hit was.
            regs: what was interrupted, if that is known.
            record: the event's record, if one was made.

        Returns:
            Whether anything came of it: the count may be used up, or things be so already.
        """

    @abc.abstractmethod
    def head(self) -> str:
        """The name, and what it is about: how its line of the ``trigger`` file begins."""

    def show(self) -> str:
        """Its line of the ``trigger`` file (``event_trigger_print``)."""
        count = ":unlimited" if self.count is None else f":count={self.count}"
        return self.head() + count + (f" if {self.filter.text}\n" if self.filter is not None else "\n")

    def same_place(self, other: Trigger) -> bool:
        """Whether an event has room for only one of the two."""
        return self.kind == other.kind

    @property
    def target(self) -> EventFile | None:
        """The other event that it switches, if it does that."""
        return None

    @property
    def is_conditional(self) -> bool:
        """It needs a record to decide, or must wait for one (``update_cond_flag``)."""
        return self.filter is not None or self.is_post or self.needs_record

    def take_one(self) -> bool:
        """Count one off; False if none was left."""
        if self.count == 0:
            return False
        if self.count is not None:
            self.count -= 1
        return True

    def save(self) -> Any:
        """Its changeable state."""
        return self.count, self.paused

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        self.count, self.paused = state
