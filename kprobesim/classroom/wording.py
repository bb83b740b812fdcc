"""What is said about teacher and followers, in both languages."""

from __future__ import annotations

from typing import Any, Final

from kprobesim.i18n import Language, Texts

__all__ = ["TEXTS", "say"]

TEXTS: Final = Texts("kprobesim.classroom.texts")


def say(language: Language, key: str, **values: Any) -> str:
    """A text, filled in; the key itself where no language has it.

    Args:
        language: of the text.
        key: of the table ``class``.
        values: what ``{name}`` stands for.
    """
    return TEXTS.get(language, f"class.{key}", **values) or key
