"""For terminals and fonts without line drawing: every mark on the screen as a letter of ASCII, cell for cell."""

from __future__ import annotations

from typing import Final

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

__all__ = ["AsciiOnly", "in_ascii"]

_PAIRS: Final = {
    "─━╌┄═▔▁╶╴╺╸": "-", "│┃╎║▏▎▕▊╷╵": "|", "╭╮╰╯┌┐└┘┏┓┗┛├┤┬┴┼": "+", "▶▷►": ">", "▸": "*", "◀": "<", "←": "<", "→": ">",
    "↑": "^", "↓": "v", "●": "@", "○": "o", "◇": "#", "◆": "%", "■▪▉█▂▃▄▅▆▇": "#", "•·": ".", "▼": "v", "⚑": "!",
    "↔": "x", "≡": "=", "≠": "/", "✗×": "x", "…": "~", "✓": "+", "□": "_", "▲": "^", "“”": '"', "‘’": "'",
}  # fmt: skip
_TABLE: Final = {ord(letter): plain for letters, plain in _PAIRS.items() for letter in letters}


def in_ascii(text: str) -> str:
    """The same text with plain marks; Chinese stays, as it is content and not decoration."""
    return text.translate(_TABLE)


class AsciiOnly(LineFilter):
    """Changes each line on its way to the terminal."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments with plain marks."""
        return [Segment(in_ascii(text), style, control) for text, style, control in segments]
