"""How many terminal cells a text takes: a Chinese character takes two, an accent none."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import groupby

__all__ = ["cells", "fit", "printable", "runs", "wrap"]


def _width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf", "Cc"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def printable(text: str) -> str:
    """A text without control characters and halves of surrogate pairs: it moves no cursor, and XML can hold it."""
    return "".join(character if character.isprintable() else "�" for character in text)


def cells(text: str) -> int:
    """The width of a text."""
    return sum(map(_width, text))


def runs(text: str) -> Iterator[tuple[str, int]]:
    """Stretches of characters that are equally wide, each with the width of the whole stretch.

    An arrow or an ellipsis may be wider in the viewer's font than a letter is, and would push letters in its stretch
    aside. A character without a width of its own stays with the one before it.
    """
    kinds: list[tuple[tuple[int, bool], str]] = []
    for character in text:
        width = _width(character)
        kinds.append(((width, character.isascii()) if width or not kinds else kinds[-1][0], character))
    for _, group in groupby(kinds, key=lambda item: item[0]):
        run = "".join(character for _, character in group)
        yield run, cells(run)


def fit(text: str, width: int) -> str:
    """A text cut with an ellipsis, or padded on the right, to exactly so many cells."""
    if cells(text) > width:
        text = _prefix(text, width - 1) + "…"
    return text + " " * (width - cells(text))


def _prefix(text: str, width: int) -> str:
    """As much of the beginning as fits; marks without a width stay with their letter."""
    used = 0
    for number, character in enumerate(text):
        used += _width(character)
        if used > width:
            return text[:number]
    return text


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most so many cells, broken at blanks and beside wide characters; at least one line."""
    lines: list[str] = []
    line = word = ""
    for character in f"{text} ":
        wide = _width(character) == 2
        if not wide and character != " ":
            word += character
            continue
        line, word = _put(lines, line, word, width), ""
        if wide:
            line = _put(lines, line, character, width)
        elif line and cells(line) < width:
            line += " "
    if line.strip() or not lines:
        lines.append(line.rstrip())
    return lines


def _put(lines: list[str], line: str, word: str, width: int) -> str:
    """Append a word to a line, or begin another; words longer than a line are cut."""
    if cells(line) + cells(word) <= width:
        return line + word
    if line.strip():
        lines.append(line.rstrip())
    while cells(word) > width:
        head = _prefix(word, width)
        lines.append(head)
        word = word[len(head) :]
    return word
