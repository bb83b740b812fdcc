"""Letters as the kernel sorts them, which reads Latin-1: Linux lib/ctype.c. Python knows other blanks and digits."""

from __future__ import annotations

from typing import Final

__all__ = ["SPACES", "isdigit", "isspace", "words"]

SPACES: Final = " \t\n\v\f\r\xa0"
_BLANKS: Final = str.maketrans(SPACES, " " * len(SPACES))


def isspace(letter: str) -> bool:
    """Whether it is a blank; not for an empty text."""
    return letter != "" and letter in SPACES


def isdigit(letter: str) -> bool:
    """Whether it is one of the ten; not for an empty text."""
    return "0" <= letter <= "9"


def words(text: str) -> list[str]:
    """``argv_split``."""
    return [word for word in text.translate(_BLANKS).split(" ") if word]
