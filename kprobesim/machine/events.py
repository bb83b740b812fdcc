"""The one stream of typed events, and the moments they happen at.

A `Moment` is a place on the machine's clock that can be returned to: after so many retired instructions, after so many
events of the instruction under way, after so many steps inside the last of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, NoReturn, overload

from kprobesim.errors import EventLogFull

__all__ = ["RECORD_SIZE", "Event", "EventKind", "EventLog", "Field", "Moment", "StopAtMoment", "event_json"]

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


# An event as it is kept: instruction, vCPU, kind, fields, nanoseconds of idling so far.
EventRecord = tuple[int, int, str, dict[str, Any], int]
RECORD_SIZE: Final = 5
_INSN, _KIND, _FIELDS = 0, 2, 3


class EventLog(Sequence[Event]):
    """All events so far, also those ahead of a machine that was taken back.

    While the machine replays its past the log already holds what it emits; only at the end does it grow. An event's
    ``seq`` is its index. `Event` objects are made when somebody looks: ten events make a hit, and hardly any is ever
    looked at. They are kept as one flat list, as objects of their own would be visited again and again by Python's
    collector of cycles, which took a tenth of the time of a hit.

    Args:
        ns_per_insn: virtual nanoseconds an instruction takes.
        capacity: events it holds at most; one takes about 300 bytes.

    Attributes:
        cells: the events as they are kept, each as the `RECORD_SIZE` parts of an `EventRecord`; only the machine adds.
        full: how many cells there may be.
    """

    def __init__(self, ns_per_insn: int, capacity: int = 1_000_000) -> None:
        self.full = capacity * RECORD_SIZE
        self.cells: list[Any] = []
        self._ns_per_insn = ns_per_insn

    @property
    def capacity(self) -> int:
        """Events it holds at most."""
        return self.full // RECORD_SIZE

    @capacity.setter
    def capacity(self, events: int) -> None:
        self.full = events * RECORD_SIZE

    def __len__(self) -> int:
        return len(self.cells) // RECORD_SIZE

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        numbers = range(len(self))[index]
        if isinstance(numbers, int):
            return self._event(numbers)
        return [self._event(number) for number in numbers]

    def __iter__(self) -> Iterator[Event]:
        last, number = -1, 0
        for seq in range(len(self)):
            insn = self.cells[seq * RECORD_SIZE + _INSN]
            last, number = insn, number + 1 if insn == last else 1
            yield self._event(seq, number)

    def _event(self, seq: int, number: int = 0) -> Event:
        insn, cpu, kind, fields, idle_ns = self.record(seq)
        moment = Moment(insn, number or self.count_at(insn, seq + 1))
        return Event(seq, insn * self._ns_per_insn + idle_ns, cpu, kind, moment, fields)

    def count_at(self, insn: int, end: int) -> int:
        """How many of the first ``end`` events happened last, at an instruction: 0 if the last one was at another."""
        first = end
        while first and self.cells[(first - 1) * RECORD_SIZE + _INSN] == insn:
            first -= 1
        return end - first

    def record(self, seq: int) -> EventRecord:
        """An event as it is kept."""
        insn, cpu, kind, fields, idle_ns = self.cells[seq * RECORD_SIZE : (seq + 1) * RECORD_SIZE]
        return insn, cpu, kind, fields, idle_ns

    def kind(self, seq: int) -> str:
        """The kind of an event."""
        kind: str = self.cells[seq * RECORD_SIZE + _KIND]
        return kind

    def fields(self, seq: int) -> dict[str, Any]:
        """The fields of an event: the same object whenever it is asked for, and another one for any other event."""
        fields: dict[str, Any] = self.cells[seq * RECORD_SIZE + _FIELDS]
        return fields

    def first_at(self, insn: int) -> int:
        """Position of the first event that happened after so many retired instructions or later."""
        return bisect_left(range(len(self)), insn, key=lambda seq: self.cells[seq * RECORD_SIZE + _INSN])

    def refuse(self) -> NoReturn:
        """There is no room for another event.

        Raises:
            EventLogFull: always.
        """
        raise EventLogFull(
            f"The event log is full: it holds {self.capacity:,} events.",
            hint="Start anew, or probe something that happens less often.",
        )

    def truncate(self, length: int) -> list[Any]:
        """Forget every event from position ``length`` on, and return what was kept of them."""
        forgotten = self.cells[length * RECORD_SIZE :]
        del self.cells[length * RECORD_SIZE :]
        return forgotten

    def extend(self, cells: Iterable[Any]) -> None:
        """Put back what `truncate` returned."""
        self.cells.extend(cells)

    def between(self, start: int, stop: int) -> list[Event]:
        """Events with ``start <= seq < stop``."""
        return self[start:stop]

    def kinds_before(self, seq: int, kinds: Iterable[str]) -> Iterator[Event]:
        """Events before position ``seq`` of the given kinds, newest first."""
        wanted = frozenset(kinds)
        for position in range(min(seq, len(self)) - 1, -1, -1):
            if self.kind(position) in wanted:
                yield self._event(position)
