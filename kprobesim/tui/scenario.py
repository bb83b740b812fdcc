"""What the app can open: a lesson, a demo, or anything else that ends in a `Lab`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from kprobesim.i18n import Language

if TYPE_CHECKING:
    from kprobesim.lab import Lab

__all__ = ["Offer", "Scenario"]


class Scenario(Protocol):
    """One entry of the start screen."""

    def title(self, language: Language) -> str:
        """A few words, without a full stop."""
        ...

    def summary(self, language: Language) -> str:
        """What it is about, one sentence."""
        ...

    def text(self, language: Language) -> str:
        """What to read beside the lab, Markdown; empty if there is nothing."""
        ...

    def open(self) -> Lab:
        """A new lab, at the moment where the scenario begins. Called off the screen's thread.

        Raises:
            KprobesimError: it cannot be opened.
        """
        ...


Offer: TypeAlias = Callable[[], Sequence[Scenario]]
"""What there is to open; asked for when somebody is to choose, as reading all descriptions takes a while."""
