"""What the host does at a later instant of the machine's clock.

A piece of work is done between two instructions and takes the place of one: it has a number in the count of retired
instructions to itself. So it is clear on which side of it everything else lies, also while all CPUs wait.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from typing import NamedTuple

__all__ = ["DelayedWork", "Waiting", "Work"]

Work = Callable[[], None]


class _Entry(NamedTuple):
    due: int
    serial: int
    work: Work


Waiting = tuple[int, tuple[_Entry, ...]]


class DelayedWork:
    """The work that waits, in the order in which it will be done.

    What is scheduled must be a method of something whose own state goes back and forth with the machine.
    """

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._serial = 0

    @property
    def due(self) -> int | None:
        """When the next piece is due, in nanoseconds since power-on."""
        return self._entries[0].due if self._entries else None

    def add(self, due: int, work: Work) -> None:
        """Have something done; of two pieces for one instant the one added first comes first.

        Args:
            due: nanoseconds since power-on.
            work: called without arguments.
        """
        self._serial += 1
        insort(self._entries, _Entry(due, self._serial, work), key=lambda entry: entry[:2])

    def cancel(self, work: Work) -> None:
        """Forget a piece of work, however often it was added."""
        self._entries = [entry for entry in self._entries if entry.work != work]

    def pop(self) -> Work:
        """Take the next piece off the list."""
        return self._entries.pop(0).work

    def save(self) -> Waiting:
        """What waits."""
        return self._serial, tuple(self._entries)

    def restore(self, state: Waiting) -> None:
        """Go back to what `save` returned."""
        self._serial, entries = state
        self._entries = list(entries)
