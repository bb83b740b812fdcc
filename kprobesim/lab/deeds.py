"""What was done to a machine from outside, as data beside the function that does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Deed"]


@dataclass(frozen=True, eq=False, slots=True)
class Deed:
    """One input of a `Lab`: called, it is done.

    Attributes:
        apply: does it; must do the same each time.
        kind: what sort of input it is, for example ``type``; empty if it cannot be told as data.
        data: its arguments, as JSON has them.
        resting: all CPUs waited when it was done. On a machine of another kind that is the place to do it again, where
            the number of instructions is another.
        made: what it brought into being: a probe or an attachment.
        of: what it takes away again.
    """

    apply: Callable[[], object]
    kind: str
    data: Mapping[str, Any]
    resting: bool
    made: object = None
    of: object = None

    def __call__(self) -> None:
        """Do it."""
        self.apply()
