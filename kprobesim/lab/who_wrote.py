"""Who set this? The last write to some bytes of memory, or to a register, before the present moment.

Nothing is recorded while the machine runs. The past is run again from a checkpoint, a window at a time and the latest
one first, this time with an eye on the place. An instruction of the guest that writes is found whatever it writes; what
the host writes (an exception's frame, a patched byte, a map's element) is found by the change that it makes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kprobesim.errors import BadInput
from kprobesim.machine import PAGE_SIZE, Event, MemoryFault, Moment, noting_writes

if TYPE_CHECKING:
    from kprobesim.lab.lab import Lab

__all__ = ["Writer", "last_register_write", "last_write"]

_FIRST_WINDOW: Final = 20_000
_WINDOW_GROWTH: Final = 8
_LARGEST_WINDOW: Final = 4_000_000
_FIRST_STEPS: Final = 200
_LINEAR: Final = 64

Interrupt = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Writer:
    """Who set a place.

    Attributes:
        moment: for an instruction, the clean state before it; for the host, right after the event it wrote with.
        event: the event, where the host wrote.
        old, new: the place's value before and after.
    """

    moment: Moment
    event: Event | None
    old: int
    new: int


def last_write(lab: Lab, address: int, size: int, interrupt: Interrupt = lambda: False) -> Writer | None:
    """Go to the last write to memory before the present moment.

    Args:
        lab: goes to the writer's moment; stays where it is if there is none, or if it is interrupted.
        address: virtual, kernel or the running process's.
        size: bytes, 1 to 8, within one page.
        interrupt: asked between windows of the search; when it is true the search ends.

    Returns:
        The writer; None if nobody wrote there since the experiment began.

    Raises:
        BadInput: there is no memory at the address, or the size cannot be.
    """
    if not 1 <= size <= 8 or address % PAGE_SIZE + size > PAGE_SIZE:
        raise BadInput(f"A place in memory is 1 to 8 bytes within one page, not {size} at {address:#x}.")
    try:
        physical = lab.machine.ram.translate(lab.machine.root, address)
    except MemoryFault:
        raise BadInput(f"There is no memory at {address:#x}.") from None

    def value() -> int:
        return int.from_bytes(lab.machine.ram.read(physical, size), "little")

    def last_in(first: int, last: int) -> int | None:
        with noting_writes(lab.machine, physical, size) as found:
            lab.timeline.run(last)
        return found[-1] if found else None

    return _search(lab, value, last_in, interrupt, _FIRST_WINDOW)


def last_register_write(lab: Lab, name: str, interrupt: Interrupt = lambda: False) -> Writer | None:
    """Go to the last change of a register of the current vCPU before the present moment.

    Args:
        lab: goes to the moment before that change; stays where it is if there is none, or if it is interrupted.
        name: as in `Look.registers`.
        interrupt: asked now and then; when it is true the search ends.

    Returns:
        The writer; None if the register has had its value since the experiment began.

    Raises:
        BadInput: there is no such register.
    """
    cpu = lab.cpu
    if name not in lab.registers(cpu):
        raise BadInput(f"There is no register {name!r}.")

    def value() -> int:
        return lab.registers(cpu)[name]

    def last_in(first: int, last: int) -> int | None:
        found, before = None, value()
        for number in range(first, last):
            lab.timeline.run(number + 1)
            if lab.moment.insn != number + 1 or (number % 256 == 0 and interrupt()):
                break
            if (now := value()) != before:
                found, before = number, now
        return found

    return _search(lab, value, last_in, interrupt, _FIRST_STEPS)


def _search(
    lab: Lab,
    value: Callable[[], int],
    last_in: Callable[[int, int], int | None],
    interrupt: Interrupt,
    window: int,
) -> Writer | None:
    """Look through one window after the other, from the present back to the start.

    Args:
        lab: the machine.
        value: what stands in the place now.
        last_in: from the clean state before its first argument runs to that before its second, and returns the number
            of the last instruction on the way that wrote.
        interrupt: when it is true the search ends.
        window: instructions in the first of them.
    """
    origin, frozen = lab.moment, lab.machine.frozen is not None
    present, last = value(), origin.insn
    try:
        found = _before(lab, value, last_in, interrupt, window, present, last)
    except BaseException:
        _return(lab, origin, frozen)
        raise
    if found is None:
        _return(lab, origin, frozen)
        return None
    lab.timeline.seek(found.moment)
    return found


def _return(lab: Lab, origin: Moment, frozen: bool) -> None:
    if frozen or not origin.event:
        lab.timeline.seek(origin)
    else:
        # The clean state behind the events of an input, at the end of what is known.
        lab.timeline.seek_end()


def _before(
    lab: Lab,
    value: Callable[[], int],
    last_in: Callable[[int, int], int | None],
    interrupt: Interrupt,
    window: int,
    present: int,
    last: int,
) -> Writer | None:
    origin = lab.moment
    end = origin
    while not interrupt():
        first = max(last - window, lab.start)
        lab.timeline.seek(Moment(first))
        before = value()
        writer = last_in(first, last)
        if interrupt():
            return None
        after = Moment(first) if writer is None else Moment(writer + 1)
        if writer is not None:
            lab.timeline.seek(after)
        if (before if writer is None else value()) != present:
            return _by_host(lab, value, after, end, present)
        if writer is not None:
            lab.timeline.seek(Moment(writer))
            return Writer(Moment(writer), None, value(), present)
        if first == lab.start:
            return None
        last, end, window = first, Moment(first), min(window * _WINDOW_GROWTH, _LARGEST_WINDOW)
    return None


def _by_host(lab: Lab, value: Callable[[], int], first: Moment, last: Moment, present: int) -> Writer | None:
    """The event with which the host gave the place its value, between two moments where it did so."""
    events = list(_between(lab, first, last))

    def differs(index: int) -> bool:
        lab.timeline.seek(events[index].moment if index >= 0 else first)
        return value() != present

    low, high = -1, len(events)
    for index in range(len(events) - 1, max(len(events) - _LINEAR, 0) - 1, -1):
        if differs(index):
            low = index
            break
        high = index
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if differs(middle) else (low, middle)
    if high == len(events):
        # It changed after the last event: in the wake of it, as when an interpreted program writes to its stack.
        high = max(len(events) - 1, 0)
    if not events:
        return None
    differs(low)
    old = value()
    return Writer(events[high].moment, events[high], old, present)


def _between(lab: Lab, first: Moment, last: Moment) -> Iterator[Event]:
    """Events after one moment and up to another, the latter included."""
    log = lab.machine.log
    position = bisect_left(log, first, key=lambda event: event.moment)
    while position < len(log) and log[position].moment <= last:
        yield log[position]
        position += 1
