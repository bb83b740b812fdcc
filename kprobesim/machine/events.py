"""The one stream of typed events, and the moments they happen at.

A `Moment` is a place on the machine's clock that can be returned to: after so many retired instructions, after so many
events of the instruction under way, after so many steps inside the last of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from kprobesim.errors import EventLogFull

__all__ = ["Event", "EventKind", "EventLog", "Field", "Moment", "StopAtMoment", "event_json"]

FieldType = Literal["address", "number", "text", "bytes", "list"]


class Moment(NamedTuple):
    """A point in the life of the machine; moments are ordered as they happen.

    Attributes:
        insn: instructions retired by all vCPUs before this moment.
        event: events since that instruction count was reached; 0 is the clean state between two instructions.
        step: finer steps (BPF instructions) since that event.
    """

    insn: int
    event: int = 0
    step: int = 0


class Event(NamedTuple):
    """One thing that happened.

    Attributes:
        seq: position in the stream, from 0.
        ns: virtual nanoseconds since power-on.
        cpu: vCPU number.
        kind: one of the documented kinds, for example ``kprobe.hit``.
        moment: where to seek to in order to see the machine just after it.
        fields: the kind's fields by name.
    """

    seq: int
    ns: int
    cpu: int
    kind: str
    moment: Moment
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an event kind: its name, how it is written in JSON, and what it means."""

    name: str
    type: FieldType
    meaning: str


@dataclass(frozen=True, slots=True)
class EventKind:
    """A documented kind of event."""

    name: str
    meaning: str
    fields: tuple[Field, ...]


def event_json(event: Event, kinds: dict[str, EventKind]) -> dict[str, Any]:
    """An event as the JSON object of the command line contract.

    Addresses become ``"0x..."`` strings (JavaScript numbers cannot hold them), bytes become hex digits.

    Args:
        event: any event.
        kinds: the documented kinds by name; says which fields are addresses.
    """
    types = {field.name: field.type for field in kinds[event.kind].fields}
    plain: dict[str, Any] = {"seq": event.seq, "ns": event.ns, "cpu": event.cpu, "kind": event.kind}
    for name, value in event.fields.items():
        if isinstance(value, bytes):
            plain[name] = value.hex()
        elif types.get(name) == "address":
            plain[name] = f"{value:#x}"
        else:
            plain[name] = value
    return plain


class StopAtMoment(BaseException):
    """Unwinds the host's code that plays an instruction, leaving the machine frozen at the moment asked for."""


class EventLog(list[Event]):
    """All events so far, also those ahead of a machine that was taken back.

    While the machine replays its past the log already holds what it emits; only at the end does it grow. An event's
    ``seq`` is its index.

    Args:
        capacity: events it holds at most; one takes about half a kilobyte.
    """

    def __init__(self, capacity: int = 1_000_000) -> None:
        super().__init__()
        self.capacity = capacity
        self._append = super().append

    def add(self, event: Event) -> None:
        """Add the newest event; its ``seq`` must be the log's length.

        Raises:
            EventLogFull: there is no room for it.
        """
        if event[0] >= self.capacity:
            raise EventLogFull(
                f"The event log is full: it holds {self.capacity:,} events.",
                hint="Start anew, or probe something that happens less often.",
            )
        self._append(event)

    def truncate(self, length: int) -> list[Event]:
        """Forget every event from position ``length`` on, and return them."""
        forgotten = self[length:]
        del self[length:]
        return forgotten

    def between(self, start: int, stop: int) -> list[Event]:
        """Events with ``start <= seq < stop``."""
        return self[start:stop]

    def kinds_before(self, seq: int, kinds: Iterable[str]) -> Iterator[Event]:
        """Events before position ``seq`` of the given kinds, newest first."""
        wanted = frozenset(kinds)
        for position in range(min(seq, len(self)) - 1, -1, -1):
            if self[position].kind in wanted:
                yield self[position]
