"""What the app can open: a lesson, a demo, or anything else that ends in a `Lab`."""

from __future__ import annotations

import re
from typing import Protocol

from kprobesim.i18n import Language
from kprobesim.lab import Lab

__all__ = ["Scenario", "summary"]


class Scenario(Protocol):
    """One entry of the start screen."""

    def title(self, language: Language) -> str:
        """A few words, without a full stop."""
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


def summary(scenario: Scenario, language: Language) -> str:
    """The first line of prose in a scenario's text, without Markdown's marks, or nothing."""
    for line in scenario.text(language).splitlines():
        if line.strip() and line.lstrip()[0] not in "#>|-*`=":
            return re.sub(r"[*_`]", "", line).strip()
    return ""
