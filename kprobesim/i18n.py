"""Prose in English and Chinese, from tables that stand beside the code that speaks.

A table is a TOML file for each language; a text is found by its dotted key and filled in with ``str.format``. A key
that is missing in one language is a failure of the tests, not of the program: English stands in for it.
"""

from __future__ import annotations

import functools
import locale
import os
import tomllib
from importlib.resources import files
from typing import Any, Final, Literal

__all__ = ["LANGUAGES", "Language", "Texts", "default_language"]

Language = Literal["en", "zh"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")


def default_language() -> Language:
    """The language of the environment: Chinese for a Chinese locale, otherwise English."""
    for variable in ("KPROBESIM_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(variable):
            return "zh" if value.lower().startswith("zh") else "en"
    try:
        system = locale.getlocale()[0] or ""
    except ValueError:
        # What the C library takes for a locale is not always a name that Python knows: "UTF-8" on macOS.
        system = ""
    return "zh" if system.lower().startswith(("zh", "chinese")) else "en"


class Texts:
    """The texts of one package.

    Args:
        package: import path of the package that holds ``en.toml`` and ``zh.toml``.
    """

    def __init__(self, package: str) -> None:
        self._package = package

    def get(self, language: Language, key: str, /, **values: Any) -> str | None:
        """A text, filled in; None if no language has it.

        Args:
            language: preferred language.
            key: dotted path in the table.
            values: what ``{name}`` stands for.
        """
        for candidate in (language, "en"):
            template = self.keys(candidate).get(key)
            if template is not None:
                return template.format_map(values)
        return None

    def keys(self, language: str) -> dict[str, str]:
        """All texts of a language by dotted key."""
        return _load(self._package, language)


@functools.cache
def _load(package: str, language: str) -> dict[str, str]:
    table = tomllib.loads((files(package) / f"{language}.toml").read_text(encoding="utf-8"))
    return dict(_flatten(table, ""))


def _flatten(table: dict[str, Any], prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in table.items():
        if isinstance(value, dict):
            found += _flatten(value, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", str(value)))
    return found
