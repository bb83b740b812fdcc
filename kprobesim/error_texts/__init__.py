"""What errors say, in another language than that in which they are raised.

The rooms raise in English and know of no other language. Whoever shows an error calls `in_language`; it finds the
sentence again among the templates of ``zh/*.toml``, fills in the Chinese one, and leaves alone what it does not know.
Linux's own words have no template. Nothing is read before the first Chinese sentence is wanted.
"""

from __future__ import annotations

import functools
import tomllib
from importlib.resources import files
from typing import TYPE_CHECKING

from kprobesim.i18n import Language

if TYPE_CHECKING:
    from kprobesim.error_texts.catalogue import Catalogue

__all__ = ["entries", "in_language"]


def in_language(said: object, language: Language) -> str:
    """What an error says.

    Args:
        said: the error, or its text. Of several lines only the first is translated: the others quote something.
        language: wanted.
    """
    text = str(said)
    if language == "en" or not text:
        return text
    first, line_end, more = text.partition("\n")
    return _chinese().translate(first) + line_end + more


def entries(room: str) -> dict[str, str]:
    """The templates of one room, English to Chinese; raises FileNotFoundError for one that has none."""
    table = tomllib.loads((files(__name__) / "zh" / f"{room}.toml").read_text(encoding="utf-8"))
    return {english: str(chinese) for english, chinese in table.items()}


@functools.cache
def _chinese() -> Catalogue:
    """All templates, made ready once."""
    from kprobesim.error_texts.catalogue import Catalogue

    found: dict[str, str] = {}
    for file in (files(__name__) / "zh").iterdir():
        if file.name.endswith(".toml"):
            found.update(entries(file.name.removesuffix(".toml")))
    return Catalogue(found)
