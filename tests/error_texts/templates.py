"""A sentence with holes, and how it is written in the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

__all__ = ["Found", "Hole", "Template", "as_found", "has_words", "is_literal", "is_phrase", "is_wrapper"]

_FEWEST_LETTERS: Final = 5


class Hole(NamedTuple):
    """Where a value goes; ``nested``: it is a sentence, or part of one."""

    nested: bool


Template = tuple["str | Hole", ...]


@dataclass(frozen=True)
class Found:
    """One sentence.

    Attributes:
        key: as in the catalogue.
        nested: numbers of the holes that are sentences.
        place: ``path:line`` of the error.
    """

    key: str
    nested: frozenset[int]
    place: str


def is_literal(template: Template) -> bool:
    return all(isinstance(part, str) for part in template)


def is_phrase(template: Template) -> bool:
    """Not a name or a term, which stay as they are; and more than a word between values, which would fit anything."""
    text = "".join(part for part in template if isinstance(part, str))
    letters = sum(letter.isalpha() for letter in text)
    return " " in text and letters >= (1 if is_literal(template) else _FEWEST_LETTERS)


def has_words(template: Template) -> bool:
    return any(isinstance(part, str) and any(letter.isalpha() for letter in part) for part in template)


def is_wrapper(template: Template) -> bool:
    text = "".join(part for part in template if isinstance(part, str)).strip()
    return bool(text) and any(isinstance(part, Hole) and part.nested for part in template)


def as_found(template: Template, place: str) -> Found:
    text, number, nested = "", 0, set()
    after_hole = False
    for part in template:
        if isinstance(part, str):
            if part:
                text, after_hole = text + part.replace("{", "{{").replace("}", "}}"), False
        elif not after_hole:
            if part.nested:
                nested.add(number)
            text, number, after_hole = text + f"{{{number}}}", number + 1, True
        elif part.nested:
            nested.add(number - 1)
    return Found(text.strip(), frozenset(nested), place)
