"""The text of a lesson or demo, beside the lab."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Markdown

__all__ = ["TextPane"]


class TextPane(VerticalScroll, inherit_bindings=False):
    """Markdown that scrolls by page keys and wheel; arrows and Space stay with the lab."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "page_up", show=False),
        Binding("pagedown", "page_down", show=False),
    ]

    DEFAULT_CSS = """
    TextPane { border: round $foreground 30%; padding: 0 1; &:focus { border: heavy $primary; } }
    TextPane Markdown { padding: 0; }
    """

    _text = ""

    def compose(self) -> ComposeResult:
        """One Markdown widget."""
        yield Markdown()

    def show(self, title: str, text: str) -> None:
        """Show another text."""
        self.border_title = title
        if text != self._text:
            self._text = text
            self.query_one(Markdown).update(text)
            self.scroll_home(animate=False)
