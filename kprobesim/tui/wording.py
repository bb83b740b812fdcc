"""The words of the screens: one table for each language in `kprobesim.tui.texts`."""

from __future__ import annotations

from typing import Any, Final

from kprobesim.error_texts import in_language
from kprobesim.errors import KprobesimError
from kprobesim.i18n import Language, Texts
from kprobesim.tui.key_names import KEY_NAMES

__all__ = ["TEXTS", "knows", "say", "told_error"]

TEXTS: Final = Texts("kprobesim.tui.texts")


def say(language: Language, name: str, /, **values: Any) -> str:
    """A text, filled in; the key itself where no language has it, so that a gap is seen and not hidden.

    What it calls ``{key[...]}`` is a key of the keyboard, as `kprobesim.tui.key_names` knows it.

    Args:
        language: of the text.
        name: dotted path in the table.
        values: what ``{name}`` stands for.
    """
    text = TEXTS.get(language, name, key=KEY_NAMES, **values)
    return name if text is None else text


def knows(key: str) -> bool:
    """Whether there is such a text."""
    return key in TEXTS.keys("en")


def told_error(error: Exception, language: Language) -> tuple[str, str]:
    """What an error says, and what it advises behind that; no advice where the error says it in between."""
    text, hint = str(error), error.hint if isinstance(error, KprobesimError) else ""
    if not text.endswith(hint):
        hint = ""
    return in_language(text.removesuffix(hint).strip(), language), in_language(hint, language)
