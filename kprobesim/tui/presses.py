"""How the key of a motion is pressed: so many times, by a count that was typed before it, or held down."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from kprobesim.tui.motions import Motion, repeated, unless

__all__ = ["Presses"]

_DIGITS: Final = 5
_RELEASED = 0.5
"""Seconds without a press after which a key is no longer held; drawing does not count, as presses wait for it."""


class Presses:
    """On the screen's thread.

    Attributes:
        count: digits typed so far of how often the next motion is made; None where none is being typed.
    """

    def __init__(self) -> None:
        self.count: str | None = None
        self._last = self._drawn = self._since = -math.inf

    def begin_count(self) -> None:
        """Digits follow."""
        self.count = ""

    def forget_count(self) -> None:
        """None is being typed."""
        self.count = None

    def add_digit(self, digit: int) -> None:
        """One more digit of the count; what has too many is not made longer."""
        if len(self.count or "") < _DIGITS:
            self.count = f"{self.count or ''}{digit}"

    def press(self, motion: Motion) -> Motion:
        """A motion's key was pressed, now by the host's clock.

        Args:
            motion: that it stands for.

        Returns:
            The motion as often as the count says, which is used up by that.
        """
        count, self.count = int(self.count or 1), None
        now = time.monotonic()
        if now - max(self._last, self._drawn) > _RELEASED:
            self._since = now
        self._last = now
        return repeated(motion, count) if count > 1 else motion

    def let_go(self) -> None:
        """A key of another kind was pressed: whichever motion's key was held before is no longer."""
        self._last = self._drawn = -math.inf

    def drawn(self) -> None:
        """What a motion led to was drawn, now by the host's clock."""
        self._drawn = time.monotonic()

    def ended_by(self, motion: Motion, happened: Callable[[], float]) -> Motion:
        """A motion of a held key, not made once something has happened: nobody lets go of a key in time.

        Args:
            motion: of the key that was pressed last.
            happened: when that was last, in seconds of the host's clock; asked on the lab's thread.
        """
        since = self._since
        return unless(motion, lambda: happened() > since)
