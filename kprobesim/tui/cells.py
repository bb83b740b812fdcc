"""Text of an exact width in terminal cells: a Chinese character takes two of them."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from rich.cells import cell_len, set_cell_size
from textual.content import Content, Span

from kprobesim.tui.line_breaks import words

__all__ = ["Part", "fit", "fit_right", "row", "wrap"]

Part = str | tuple[str, str]

_ROWS_KEPT: Final = 4096
_ON_ONE_LINE: Final = str.maketrans("\t\n\v\f\r", "     ")


def fit(text: str, width: int) -> str:
    """Text padded on the right or cut with an ellipsis, ``width`` cells wide."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, max(width - 1, 0)) + "…" if width > 0 else ""


def fit_right(text: str, width: int) -> str:
    """The same, padded on the left."""
    return " " * max(width - cell_len(text), 0) + text if cell_len(text) <= width else fit(text, width)


@lru_cache(_ROWS_KEPT)
def row(width: int, *parts: Part, style: str = "") -> Content:
    """One line of a panel, exactly ``width`` cells wide.

    Most lines are as they were a step before, and then this is the same object: who draws it can see at once that
    nothing has changed.

    Args:
        width: in cells.
        parts: strings and (string, style) pairs.
        style: of the whole line, below those of its parts.
    """
    spans: list[Span] = []
    text = ""
    for part in parts:
        if isinstance(part, str):
            text += part
            continue
        start = len(text)
        text += part[0]
        if part[1] and part[0]:
            spans.append(Span(start, len(text), part[1]))
    line = Content(text.translate(_ON_ONE_LINE), spans)
    if line.cell_length != width:
        line = line.truncate(width, ellipsis=True, pad=True)
    return line.stylize_before(style) if style else line


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` cells, broken at spaces and between Chinese characters.

    Args:
        text: one paragraph.
        width: in cells.
    """
    lines: list[str] = []
    line = ""
    for _, _, word in words(text):
        if cell_len(line) + cell_len(word.rstrip()) > width and line:
            lines.append(line.rstrip())
            line = ""
        while cell_len(word.rstrip()) > width:
            head = set_cell_size(word, width).rstrip()
            lines.append(head)
            word = word[len(head) :]
        line += word if line else word.lstrip()
    return [*lines, line.rstrip()] if line.strip() or not lines else lines
