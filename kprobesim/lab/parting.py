"""Where two lives part: the first event that differs, and the two machines side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

from kprobesim.lab.kinds import EVENT_KINDS
from kprobesim.lab.lab import Lab
from kprobesim.machine import PAGE_SIZE, Event

__all__ = [
    "MemoryDifference",
    "Parting",
    "RegisterDifference",
    "first_difference",
    "memory_side_by_side",
    "side_by_side",
]

_DIRECT_MAP: Final = 0xFFFF_8880_0000_0000
_SMALL: Final = 0xFFFF
_MOST_RANGES: Final = 64
_JOIN: Final = 8

Mark = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Parting:
    """Where two streams of events part.

    Attributes:
        common: how many events both have alike.
        left, right: the first that differ; None where a life has no more events.
        fields: names of the fields that differ, where the kinds are the same.
    """

    common: int
    left: Event | None
    right: Event | None
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RegisterDifference:
    """A register that differs: on which vCPU, its name, and the two values."""

    cpu: int
    name: str
    left: int
    right: int


@dataclass(frozen=True, slots=True)
class MemoryDifference:
    """A stretch of memory that differs.

    Attributes:
        physical: address of its first byte.
        address: the same in the kernel's own mapping, or in that of all memory.
        place: ``symbol+0xoffset``, or the address in hex.
        left, right: the bytes.
    """

    physical: int
    address: int
    place: str
    left: bytes
    right: bytes


def first_difference(
    left: Lab, right: Lab, *, start: tuple[int, int] = (0, 0), skip: Iterable[int] = ()
) -> Parting | None:
    """Compare two streams of events; None if they are alike.

    Times are not compared, as a life that took longer is not another one for that. On two different images addresses
    mean nothing either: there functions are compared by name, and small numbers.

    Args:
        left, right: two machines.
        start: the positions to begin at, in each.
        skip: positions in ``right`` that have no counterpart.
    """
    mark: Callable[[Lab, Event], Mark] = _exactly if left.image.sha256 == right.image.sha256 else _roughly
    passed = frozenset(skip)
    ours = iter(left.events(start[0]))
    theirs = (event for event in right.events(start[1]) if event.seq not in passed)
    for common, (one, other) in enumerate(zip_longest(ours, theirs)):
        if one is None or other is None:
            return Parting(common, one, other, ())
        if mark(left, one) != mark(right, other):
            return Parting(common, one, other, tuple(_differing(one, other)))
    return None


def side_by_side(left: Lab, right: Lab) -> tuple[RegisterDifference, ...]:
    """The registers that differ between two machines, each at the moment where it stands."""
    found = []
    for cpu in range(min(len(left.machine.cpus), len(right.machine.cpus))):
        ours, theirs = left.registers(cpu), right.registers(cpu)
        found += [
            RegisterDifference(cpu, name, ours[name], theirs[name]) for name in ours if ours[name] != theirs[name]
        ]
    return tuple(found)


def memory_side_by_side(left: Lab, right: Lab, most: int = _MOST_RANGES) -> tuple[MemoryDifference, ...]:
    """The stretches of memory that differ between two machines with the same image, lowest first.

    Args:
        left, right: each at the moment where it stands.
        most: how many at most.
    """
    found: list[MemoryDifference] = []
    for start, stop in _ranges(left, right):
        if len(found) == most:
            break
        address = _virtual(left, start)
        ours, theirs = (bytes(lab.machine.ram.bytes[start:stop]) for lab in (left, right))
        found.append(MemoryDifference(start, address, left.symbolize(address), ours, theirs))
    return tuple(found)


def _exactly(_: Lab, event: Event) -> Mark:
    return event.cpu, event.kind, event.fields


def _roughly(lab: Lab, event: Event) -> Mark:
    types = {field.name: field.type for field in EVENT_KINDS[event.kind].fields}
    told: list[tuple[str, object]] = []
    for name, value in event.fields.items():
        if types.get(name) == "address":
            place = lab.symbolize(value)
            told.append((name, place.partition("+")[0] if not place.startswith("0x") else ""))
        elif isinstance(value, str) or (isinstance(value, int) and value <= _SMALL):
            told.append((name, value))
    return event.kind, tuple(told)


def _differing(one: Event, other: Event) -> Iterator[str]:
    if one.kind != other.kind:
        return
    if one.cpu != other.cpu:
        yield "cpu"
    for name in one.fields:
        if one.fields[name] != other.fields.get(name):
            yield name


def _ranges(left: Lab, right: Lab) -> Iterator[tuple[int, int]]:
    """Stretches of differing bytes; those with fewer than `_JOIN` like bytes between them are one."""
    one, other = left.machine.ram.bytes, right.machine.ram.bytes
    begin = end = -1
    for page in range(0, min(len(one), len(other)), PAGE_SIZE):
        ours, theirs = one[page : page + PAGE_SIZE], other[page : page + PAGE_SIZE]
        if ours == theirs:
            continue
        for offset in range(PAGE_SIZE):
            if ours[offset] == theirs[offset]:
                continue
            at = page + offset
            if begin >= 0 and at - end > _JOIN:
                yield begin, end
                begin = at
            elif begin < 0:
                begin = at
            end = at + 1
    if begin >= 0:
        yield begin, end


def _virtual(lab: Lab, physical: int) -> int:
    for segment in lab.image.segments:
        if segment.physical <= physical < segment.physical + segment.memory_size:
            return segment.virtual + physical - segment.physical
    return _DIRECT_MAP + physical
