"""The moments that a user marked."""

from __future__ import annotations

from kprobesim.lab import Moment
from kprobesim.tui.snapshot import Snapshot

__all__ = ["Bookmarks"]


class Bookmarks:
    """Marked moments, each with what was seen there."""

    def __init__(self) -> None:
        self._marked: dict[Moment, Snapshot] = {}

    def __len__(self) -> int:
        return len(self._marked)

    @property
    def in_order(self) -> list[Snapshot]:
        """What was seen at each, the earliest first."""
        return sorted(self._marked.values(), key=lambda marked: marked.moment)

    def toggle(self, now: Snapshot) -> bool:
        """Mark a moment, or take its mark away.

        Returns:
            Whether it is marked by now.
        """
        if self._marked.pop(now.moment, None) is not None:
            return False
        self._marked[now.moment] = now
        return True

    def beyond(self, now: Moment, by: int) -> Moment | None:
        """The next marked moment in time (1) or the one before (-1); None if there is none that way."""
        moments = sorted(self._marked)
        ahead = [moment for moment in moments if (moment > now if by > 0 else moment < now)]
        if not ahead:
            return None
        return ahead[0 if by > 0 else -1]
