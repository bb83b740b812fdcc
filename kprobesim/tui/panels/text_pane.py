"""The text of a lesson or demo, beside the lab."""

from __future__ import annotations

from typing import ClassVar, Final

from rich.cells import cell_len, set_cell_size
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Markdown

__all__ = ["TextPane", "folded"]

_FENCE: Final = "```"
_AROUND: Final = 2
"""Cells that the scroll bar takes."""
_LEAST: Final = 16
_INDENT: Final = "    "


class TextPane(VerticalScroll, inherit_bindings=False):
    """Markdown that scrolls by page keys and wheel; arrows and Space stay with the lab."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "page_up", show=False),
        Binding("pagedown", "page_down", show=False),
    ]

    DEFAULT_CSS = """
    TextPane { border: round $foreground 30%; padding: 0 1; &:focus { border: heavy $primary; } }
    TextPane Markdown { padding: 0; }
    TextPane MarkdownH1, TextPane MarkdownH2 { margin: 0 0 1 0; padding: 0; content-align: left middle; }
    TextPane MarkdownFence { margin: 0 0 1 0; & > Label { padding: 0; } }
    TextPane MarkdownBlockQuote { margin: 0 0 1 0; }
    TextPane MarkdownBlockQuote MarkdownOrderedList { margin: 0; }
    """

    _text = ""
    _width = 0

    def compose(self) -> ComposeResult:
        """One Markdown widget."""
        yield Markdown()

    def show(self, title: str, text: str) -> None:
        """Show another text; where only more of the same page is there, the reader stays at their line."""
        self.border_title = title
        if text != self._text:
            same_page = text.partition("\n")[0] == self._text.partition("\n")[0]
            self._text = text
            self._fill()
            if not same_page:
                self.scroll_home(animate=False)

    def on_resize(self, event: events.Resize) -> None:
        """In another width long lines of blocks are broken elsewhere; otherwise the reader stays at their line."""
        if event.size.width != self._width:
            self._width = event.size.width
            self._fill()

    def read_on(self, by: int) -> bool:
        """Scroll by a page.

        Args:
            by: 1 down, -1 up.

        Returns:
            False where the text ends, that way.
        """
        if (self.scroll_y >= self.max_scroll_y) if by > 0 else (self.scroll_y <= 0):
            return False
        # Two lines of the page before stay in sight.
        self.scroll_relative(y=by * max(self.content_size.height - 2, 1), animate=False)
        return True

    def _fill(self) -> None:
        self.query_one(Markdown).update(folded(self._text, max(self.size.width - _AROUND, _LEAST)))


def folded(text: str, width: int) -> str:
    """Markdown whose blocks of code have no line longer than a width: what is broken goes on indented.

    Args:
        text: Markdown.
        width: in terminal cells.
    """
    lines: list[str] = []
    inside = False
    for line in text.split("\n"):
        if line.lstrip("> ").startswith(_FENCE):
            inside = not inside
        lines += _broken(line, width) if inside and cell_len(line) > width else [line]
    return "\n".join(lines)


def _broken(line: str, width: int) -> list[str]:
    pieces: list[str] = []
    while cell_len(line) > width:
        head = set_cell_size(line, width).rstrip()
        # Two blanks part columns; a break there reads better than one inside a column.
        space = head.rfind("  " if "  " in head[len(_INDENT) :] else " ")
        if head[:space].strip():
            head = head[:space]
        pieces.append(head.rstrip())
        line = _INDENT + line[len(head) :].lstrip()
    return [*pieces, line]
