"""One line about the class: for the teacher who follows, for a follower where the teacher is."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget

from kprobesim.tui import styles
from kprobesim.tui.cells import row

__all__ = ["ClassBar"]


class ClassBar(Widget):
    """A mark, a sentence, and what to do about it."""

    DEFAULT_CSS = """
    ClassBar { height: 1; background: $boost; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._text = ("", "")

    def tell(self, what: str, more: str = "") -> None:
        """Say something else.

        Args:
            what: begins with a mark, so that no colour is needed.
            more: said more quietly behind it.
        """
        self._text = (what, more)
        self.refresh()

    def render(self) -> Content:
        """The line, as wide as the screen."""
        what, more = self._text
        return row(self.size.width, (f" {what}", styles.STRONG), (f"   {more}", styles.DIM))
