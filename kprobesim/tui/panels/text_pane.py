"""The text of a lesson or demo, beside the lab."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import ClassVar, Final

from rich.cells import cell_len, set_cell_size
from textual import events
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.message import Message
from textual.widgets import Markdown
from textual.widgets.markdown import MarkdownFence

from kprobesim.tui.key_names import KEY_NAMES
from kprobesim.tui.line_breaks import words

__all__ = ["TextPane", "folded", "with_refusals"]

_FENCE: Final = "```"
_AROUND: Final = 2
"""Cells that the scroll bar takes."""
_INSIDE: Final = re.compile(r"(?<=\w[/:])(?=\w)|(?<=\w)(?=\+0x)")
_TAB: Final = 4
_LEAST: Final = 16
_INDENT: Final = "    "
_REFUSED: Final = "```bpf rejected "


class TextPane(VerticalScroll, inherit_bindings=False):
    """Markdown that scrolls by page keys and wheel; arrows and Space stay with the lab."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pageup", "page_up", show=False),
        Binding("pagedown", "page_down", show=False),
    ]

    DEFAULT_CSS = """
    TextPane {
        border: round $foreground 30%; padding: 0 1;
        border-title-color: $foreground; border-subtitle-color: $foreground;
        &:focus { border: heavy $primary; }
    }
    TextPane Markdown { padding: 0; }
    TextPane MarkdownH1, TextPane MarkdownH2 { margin: 0 0 1 0; padding: 0; content-align: left middle; }
    TextPane MarkdownFence { margin: 0 0 1 0; & > Label { padding: 0; } }
    TextPane MarkdownBlockQuote { margin: 0 0 1 0; }
    TextPane MarkdownBlockQuote MarkdownOrderedList { margin: 0; }
    """

    _text = ""
    _width = 0
    _quote: int | None = None

    class Moved(Message):
        """Another part of the text is in sight, or there is more or less of it."""

    def compose(self) -> ComposeResult:
        """One Markdown widget."""
        yield Markdown()

    def show(self, title: str, text: str) -> None:
        """Show another text; where only more of the same page is there, the reader stays at their line."""
        if title != self.border_title:
            self.border_title = title
        text = KEY_NAMES.written(text)
        if text != self._text:
            same_page = text.partition("\n")[0] == self._text.partition("\n")[0]
            self._text = text
            self._fill()
            if not same_page:
                self.scroll_home(animate=False)

    def on_resize(self, event: events.Resize) -> None:
        """In another width long lines of blocks are broken elsewhere; otherwise the reader stays at their line.

        A pane that is hidden has no width, and keeps its lines for when it is back.
        """
        if self.size.width not in (0, self._width):
            self._fill()

    def on_show(self) -> None:
        """What is in sight could not be told while a panel stood in front."""
        self._tell_moved()

    def on_mount(self) -> None:
        """Whatever changes what is in sight is told."""
        self.watch(self, "virtual_size", self._tell_moved, init=False)
        self.watch(self, "scroll_y", self._tell_moved, init=False)

    def _tell_moved(self) -> None:
        self.call_after_refresh(self.post_message, self.Moved())

    async def _filled(self, update: AwaitComplete) -> None:
        await update
        self.call_after_refresh(self._settle)

    def _settle(self) -> None:
        """Another text is laid out."""
        quotes = self.query("MarkdownBlockQuote")
        if self._quote is not None and 0 <= self._quote < len(quotes):
            bottom = quotes[self._quote].virtual_region.bottom
            self.scroll_to(y=max(self.scroll_y, bottom - self._rows), animate=False)
        self._quote = None
        self.post_message(self.Moved())

    def keep_quote(self) -> None:
        """The text is about to grow in its last quotation: all of that shall be in sight then."""
        self._quote = len(self.query("MarkdownBlockQuote")) - 1

    @property
    def _rows(self) -> int:
        return max(self.scrollable_content_region.height, 1)

    @property
    def _bottom(self) -> int:
        """The row behind the last one that is not blank."""
        return max((block.virtual_region.bottom for block in self.query_one(Markdown).children), default=0)

    @property
    def goes_on(self) -> bool:
        """Whether there is text below what is in sight."""
        return self._bottom > self.scroll_y + self._rows

    def shows_block(self, number: int, kinds: Collection[str]) -> bool:
        """Whether the end of a block is in sight, or above.

        Args:
            number: of the block among those of these kinds, from 0.
            kinds: of blocks.
        """
        blocks = [block for block in self.query(MarkdownFence) if block.lexer in kinds]
        return number < len(blocks) and blocks[number].virtual_region.bottom <= self.scroll_y + self._rows

    def read_on(self, by: int) -> bool:
        """Scroll by a page, so that what comes begins with a whole paragraph.

        Args:
            by: 1 down, -1 up.

        Returns:
            False where the text ends, that way.
        """
        if not self.goes_on if by > 0 else self.scroll_y <= 0:
            return False
        top, rows = int(self.scroll_y), self._rows
        if by < 0:
            self.scroll_to(y=top - rows + 1, animate=False)
            return True
        cut = [block.virtual_region for block in self.query_one(Markdown).children]
        first = next(region for region in cut if region.bottom > top + rows)
        # A paragraph that is longer than the page is read with one line of the page before.
        self.scroll_to(y=first.y if first.y > top else top + rows - 1, animate=False)
        return True

    def _fill(self) -> None:
        # Behind a panel that stands in front the pane has no width; it will have the one of before again.
        self._width = self.size.width or self._width
        text = folded(with_refusals(self._text), max(self._width - _AROUND, _LEAST))
        self.call_later(self._filled, self.query_one(Markdown).update(text))


def folded(text: str, width: int) -> str:
    """Markdown whose blocks of code have no line longer than a width: what is broken goes on indented.

    Args:
        text: Markdown.
        width: in terminal cells.
    """
    text = text.expandtabs(_TAB)
    lines: list[str] = []
    inside = False
    for line in text.split("\n"):
        fence = line.lstrip("> ").startswith(_FENCE)
        inside ^= fence
        lines += _broken(line, width) if inside and not fence and cell_len(line) > width else [line]
    return "\n".join(lines)


def with_refusals(text: str) -> str:
    """Markdown in which the block of a refused program ends in the verifier's words, which stand behind its fence.

    Args:
        text: Markdown.
    """
    lines: list[str] = []
    words = ""
    for line in text.split("\n"):
        if line.startswith(_REFUSED):
            words = line.removeprefix(_REFUSED).strip()
        elif words and line.startswith(_FENCE):
            lines.append(f"✗ {words}")
            words = ""
        lines.append(line)
    return "\n".join(lines)


def _broken(line: str, width: int) -> list[str]:
    pieces: list[str] = []
    while cell_len(line) > width:
        ends = [end for _, end, _ in words(line) if line[:end].strip() and cell_len(line[:end].rstrip()) <= width]
        # Two blanks part columns; a break there reads better than one inside a column.
        columns = [end for end in ends if line[:end].endswith("  ")]
        end = (columns or ends or [_amid(set_cell_size(line, width).rstrip())])[-1]
        pieces.append(line[:end].rstrip())
        line = _INDENT + line[end:].lstrip()
    return [*pieces, line]


def _amid(head: str) -> int:
    """Where a word that has no room is broken: a path behind a slash, a trigger behind a colon, before an offset."""
    return max((found.start() for found in _INSIDE.finditer(head)), default=len(head))
