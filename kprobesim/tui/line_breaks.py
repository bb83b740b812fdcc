"""Where a line of text may be broken: at spaces, between Chinese characters, and behind the slashes of a long path.

Rich breaks at spaces only, and Textual with it, so that a Chinese paragraph with a few English words in it comes out
ragged. `install` gives both of them the rule of this file.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import rich._wrap
from rich.cells import cell_len

__all__ = ["install", "words"]

# A line may break after a wide character, but not before one of these.
_CLOSING = "，。、；：？！）》】”’…"
_OPENING = "（《【“‘"
_LONG: Final = 24
"""A word of so many characters may be broken behind a slash: it is a path."""
_LEAST: Final = 16
"""So many of them stay together."""


def words(text: str) -> Iterator[tuple[int, int, str]]:
    """Pieces of text that may stand on different lines, spaces behind them included.

    Returns:
        of each piece its start, its end and itself.
    """
    start = 0
    for end in range(1, len(text)):
        if _may_break(text[end - 1], text[end]):
            yield from _pieces(text, start, end)
            start = end
    if text:
        yield from _pieces(text, start, len(text))


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int, str]]:
    if end - start >= _LONG:
        for at in range(start + _LEAST, end - 1):
            if text[at - 1] == "/":
                yield start, at, text[start:at]
                start = at
    yield start, end, text[start:end]


@lru_cache(1 << 14)
def _may_break(before: str, here: str) -> bool:
    if here.isspace() or here in _CLOSING or before in _OPENING:
        return False
    if here == "%" and before.isalnum():
        # Behind a number; the % in front of a register begins a word.
        return False
    return before.isspace() or cell_len(here) > 1 or cell_len(before) > 1


def install() -> None:
    """Let Rich and Textual break lines by this rule, everywhere in the process."""
    rich._wrap.words = words
