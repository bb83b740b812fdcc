"""What a terminal too small for any layout shows instead."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from kprobesim.i18n import Language
from kprobesim.tui.wording import say

__all__ = ["HEIGHT", "WIDTH", "TooSmall"]

WIDTH = 60
HEIGHT = 20


class TooSmall(Static):
    """Hidden; a `SizedScreen` shows it, and nothing else, where there is no room."""

    DEFAULT_CSS = """
    TooSmall { display: none; width: 1fr; height: 1fr; content-align: center middle; text-align: center; }
    """

    def tell(self, width: int, height: int, language: Language) -> None:
        """Say how large the terminal is and how large it must be."""
        text = say(language, "too_small", width=width, height=height, least_width=WIDTH, least_height=HEIGHT)
        self.update(Content(text))
