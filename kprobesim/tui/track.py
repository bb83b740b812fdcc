"""The known life of a lab as a line: where hits, program runs, map writes and switches are.

Places on the line are counted in events and not in time: a machine that waits for a second would otherwise leave one
cell for everything that happened before.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kprobesim.lab import Lab

__all__ = ["Track", "TrackMaker"]

_MARKS: Final = {
    "kprobe.hit": "hit", "kprobe.opt_hit": "hit", "kprobe.miss": "hit", "rethook.handler": "hit",
    "fprobe.entry": "hit", "fprobe.exit": "hit", "bpf.enter": "bpf", "map.update": "map", "map.delete": "map",
    "sched.switch": "switch",
}  # fmt: skip
_ORDER: Final = ("hit", "map", "bpf", "switch")
"""Where several share a cell, the first of these is shown."""


@dataclass(frozen=True, slots=True)
class Track:
    """The marks of one life.

    Attributes:
        first, last: positions in the stream of the experiment's first event and one past the last known.
        marks: by kind, the positions in order; longer than `counts` says if the life has gone on meanwhile.
        counts: by kind, how many of the positions belong to this life.
    """

    first: int
    last: int
    marks: dict[str, list[int]]
    counts: dict[str, int]

    def kind_between(self, start: int, stop: int) -> str:
        """The most telling kind of mark between two positions, or empty."""
        for kind in _ORDER:
            positions, count = self.marks[kind], self.counts[kind]
            place = bisect_left(positions, start, 0, count)
            if place < count and positions[place] < stop:
                return kind
        return ""


class TrackMaker:
    """Keeps up with a growing stream, so that each look costs no more than what is new."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._seen = 0
        self._newest: object = None
        self._marks: dict[str, list[int]] = {kind: [] for kind in _ORDER}

    def track(self, lab: Lab) -> Track:
        """The marks of a lab's known life."""
        log = lab.machine.log
        if self._seen and (self._seen > len(log) or log.fields(self._seen - 1) is not self._newest):
            # Another future has begun.
            self._begin()
        for seq in range(self._seen, len(log)):
            kind = _MARKS.get(log.kind(seq))
            if kind is not None:
                self._marks[kind].append(seq)
        self._seen = len(log)
        self._newest = log.fields(len(log) - 1) if log else None
        return Track(
            log.first_at(lab.start), len(log), self._marks, {kind: len(found) for kind, found in self._marks.items()}
        )
