"""A sentence that was made of a template, found again.

A template is text with holes, ``{0} is not a register.``; one whose Chinese has ``{0:say}`` is filled with a sentence
or a part of one, which is translated as well. The search takes each literal part at its first place behind the one
before, as a shell's ``*`` does, so its time grows with the text and not with the ways to cut it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from string import Formatter
from typing import Final, NamedTuple

__all__ = ["Catalogue"]

_LONGEST: Final = 4_000
"""Longer texts stay English; characters."""
_MOST_TRIES: Final = 200
"""Searches for one text: its sentences one by one, and those inside of others."""
_MOST_SENTENCES: Final = 8
_ENDS: Final = (".", "?", "!")


class _Template(NamedTuple):
    """One entry.

    Attributes:
        parts: the literal text before, between and behind the holes.
        chinese: literal text and numbers of holes, in turn.
        nested: numbers of the holes that are sentences.
        wordless: nothing but punctuation says that it is this one.
    """

    parts: tuple[str, ...]
    chinese: tuple[str | int, ...]
    nested: frozenset[int]
    wordless: bool

    def fillings(self, text: str) -> list[str] | None:
        """What stands in the holes; None if the text is not made of this template."""
        first, *between, last = self.parts
        end = len(text) - len(last)
        at = len(first)
        if at > end or not text.startswith(first) or not text.endswith(last):
            return None
        found: list[str] = []
        for part in between:
            here = text.find(part, at, end)
            if here < 0:
                return None
            found.append(text[at:here])
            at = here + len(part)
        found.append(text[at:end])
        # A sentence that goes on behind a value at the end is another sentence.
        is_open = not last and len(found) - 1 not in self.nested and found[-1].endswith(_ENDS)
        return None if is_open or "" in found else found


class _Told(NamedTuple):
    """A translation.

    Attributes:
        chinese: the text.
        left: letters of what should be a sentence and stayed English, or was taken for a value.
        values: letters of the values.
    """

    chinese: str
    left: int
    values: int = 0

    def is_better(self, other: _Told | None) -> bool:
        """It leaves less, or takes less for values."""
        return other is None or (self.left, self.values) < (other.left, other.values)


class Catalogue:
    """All templates of a language.

    Args:
        entries: English template to the other one.
    """

    def __init__(self, entries: Mapping[str, str]) -> None:
        self._plain: dict[str, str] = {}
        self._templates: list[_Template] = []
        for english, chinese in entries.items():
            parts = _literals(english)
            if len(parts) == 1:
                self._plain[parts[0]] = _literals(chinese)[0]
            else:
                self._templates.append(_template(parts, chinese))
        # The one that says most first: "{0}: {1}" fits nearly everything.
        self._templates.sort(key=lambda template: -sum(map(len, template.parts)))

    def translate(self, text: str) -> str:
        """One or several sentences; as it is, if they are not known."""
        if len(text) > _LONGEST:
            return text
        found = _Search(self._plain, self._templates).told(text)
        return text if found is None else found.chinese


class _Search:
    """The work on one text; every piece of it is looked up once."""

    def __init__(self, plain: Mapping[str, str], templates: list[_Template]) -> None:
        self._plain = plain
        self._templates = templates
        self._tries = 0
        self._known: dict[str, _Told | None] = {}

    def told(self, text: str) -> _Told | None:
        """The best translation of a text of one or more sentences."""
        if text in self._known:
            return self._known[text]
        if self._tries >= _MOST_TRIES:
            return None
        self._tries += 1
        self._known[text] = None
        found = self._known[text] = self._look_up(text)
        return found

    def _look_up(self, text: str) -> _Told | None:
        exact = self._plain.get(text)
        if exact is not None:
            return _Told(exact, 0)
        best: _Told | None = None
        for template in self._templates:
            fillings = template.fillings(text)
            if fillings is None:
                continue
            made = self._filled(template, fillings)
            if made is not None and made.is_better(best):
                best = made
        for other in (self._several(text), self._part_with_full_stop(text)):
            if other is not None and other.is_better(best):
                best = other
        return best

    def _part_with_full_stop(self, text: str) -> _Told | None:
        """A part of a sentence that stands alone."""
        known = self.told(text[:-1]) if text.endswith(".") else None
        return None if known is None else known._replace(chinese=_join(known.chinese, "", "。"))

    def _several(self, text: str) -> _Told | None:
        """Sentences one after the other; one that is not known, as Linux's own, may be among them."""
        best: _Told | None = None
        at = 0
        for _ in range(_MOST_SENTENCES):
            at = min((place for end in _ENDS if (place := text.find(f"{end} ", at)) >= 0), default=-1) + 1
            if not at:
                break
            first, rest = self.told(text[:at]), self.told(text[at + 1 :])
            if first is None and rest is None:
                continue
            first = first or _Told(text[:at], at)
            rest = rest or _Told(text[at + 1 :], len(text) - at)
            text_of_both = _join(first.chinese, " ", rest.chinese)
            joined = _Told(text_of_both, first.left + rest.left, first.values + rest.values)
            if joined.is_better(best):
                best = joined
        return best

    def _filled(self, template: _Template, fillings: list[str]) -> _Told | None:
        values: list[str] = []
        left, plain, knows_one = 0, 0, False
        for number, filling in enumerate(fillings):
            if number not in template.nested:
                values.append(filling)
                plain += len(filling)
                left += len(filling) if any(f"{mark} " in filling for mark in (*_ENDS, ":")) else 0
                continue
            known = self.told(filling)
            values.append(filling if known is None else known.chinese)
            knows_one = knows_one or known is not None
            plain += known.values if known is not None else len(filling)
            left += known.left if known is not None else len(filling) if " " in filling else 0
        if template.wordless and not knows_one:
            return None
        made = ""
        for part in template.chinese:
            made = _join(made, "", part if isinstance(part, str) else values[part])
        return _Told(made, left, plain)


def _literals(template: str) -> tuple[str, ...]:
    parts, behind = [""], False
    for literal, name, _, _ in Formatter().parse(template):
        parts[-1] += literal
        behind = name is not None
        if behind:
            parts.append("")
    return tuple(parts)


def _template(parts: tuple[str, ...], chinese: str) -> _Template:
    filled: list[str | int] = []
    nested: set[int] = set()
    for literal, name, kind, _ in Formatter().parse(chinese):
        if literal:
            filled.append(literal)
        if name is not None:
            filled.append(int(name))
            if kind == "say":
                nested.add(int(name))
    wordless = not any(letter.isalpha() for part in parts for letter in part)
    return _Template(parts, tuple(filled), frozenset(nested), wordless)


def _is_wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in "WF"


def _join(left: str, between: str, right: str) -> str:
    """Put together: no blank between Chinese and Chinese, or at a mark of Chinese; and one full stop is enough."""
    if not left or not right:
        return left + right
    blank = bool(between) or left.endswith(" ") or right.startswith(" ")
    before, behind = left.rstrip(" "), right.lstrip(" ")
    if not before or not behind:
        return left + right
    if before[-1] == "。" and behind[0] == "。":
        return before + behind[1:]
    is_close = _is_wide(before[-1]) and _is_wide(behind[0])
    if blank and (is_close or before[-1] in "。：，？！（" or behind[0] in "。：，？！）"):
        return before + behind
    return left + between + right
