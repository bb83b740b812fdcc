"""Reading files that strangers wrote: every key is known, every size has a limit, nothing leads out of the folder.

Whatever is wrong becomes one sentence with the file, the line where that can be told, and the key.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

from kprobesim.errors import BadInput
from kprobesim.i18n import LANGUAGES

__all__ = ["ID", "Strict", "read_text", "read_toml"]

_MAX_FILE: Final = 256 * 1024
_MAX_TEXT: Final = 8_000
_MAX_LIST: Final = 64
_MAX_NUMBER: Final = 1 << 64
ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_DAMAGED = (ValueError, RecursionError)


def read_text(folder: Path, name: str) -> str:
    """The text of a file of a lesson's folder.

    Args:
        folder: the lesson's.
        name: a bare file name.

    Raises:
        BadInput: it is not there, not a plain file of that folder, too large, or not UTF-8.
    """
    path = folder / name
    if not name or Path(name).name != name or "\\" in name or "\0" in name:
        raise BadInput(f"{folder}: {name!r} is not the name of a file of the same folder.")
    try:
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            raise BadInput(f"{path} leads out of the lesson's folder.")
        if not path.is_file():
            raise BadInput(f"{path} cannot be read: there is no such file.")
        with path.open("rb") as opened:
            data = opened.read(_MAX_FILE + 1)
        if len(data) > _MAX_FILE:
            raise BadInput(f"{path} is larger than {_MAX_FILE:,} bytes.")
        return data.decode().replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8 text.") from None
    except (OSError, RuntimeError) as error:
        raise BadInput(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None


def read_toml(folder: Path, name: str) -> Strict:
    """A TOML file of a lesson's folder.

    Raises:
        BadInput: it cannot be read, or is not TOML.
    """
    source = read_text(folder, name)
    try:
        return Strict(tomllib.loads(source), folder / name, source)
    except _DAMAGED as error:
        raise BadInput(f"{folder / name} is not valid TOML: {error}.") from None


class Strict:
    """A table whose keys are taken out one by one; `done` complains about those that nobody asked for.

    Args:
        table: what TOML gave.
        path: the file.
        source: its text, to find lines in.
        where: the table's place in the file, for example ``task 2, goal 1``; empty for the whole file.
    """

    def __init__(self, table: Mapping[str, Any], path: Path, source: str, where: str = "") -> None:
        self._table = table
        self._path = path
        self._source = source
        self._where = where
        self._asked: list[str] = []

    def __contains__(self, key: str) -> bool:
        return key in self._table

    @property
    def folder(self) -> Path:
        """The folder that the file is in."""
        return self._path.parent

    def done(self) -> None:
        """All keys of this table have been asked for.

        Raises:
            BadInput: it has others.
        """
        for key in self._table:
            if key not in self._asked:
                self.refuse(f"{_short(key)} is not a key of this table.", key, hint=f"Allowed: {self._allowed()}.")

    def refuse(self, what: str, key: str = "", *, hint: str = "") -> NoReturn:
        """Complain.

        Args:
            what: one sentence.
            key: the key it is about, to tell the line.
            hint: what to try.

        Raises:
            BadInput: always.
        """
        line = self._line(key)
        place = f"{self._path}{f':{line}' if line else ''}{f', {self._where}' if self._where else ''}"
        raise BadInput(f"{place}: {what}", hint=hint)

    def text(self, key: str, default: str | None = None, *, limit: int = _MAX_TEXT) -> str:
        """A text; without a default it must be there."""
        value = self._take(key, default)
        if not isinstance(value, str):
            self.refuse(f"{key} must be text.", key)
        if len(value) > limit:
            self.refuse(f"{key} is longer than {limit:,} characters.", key)
        return value

    def choice(self, key: str, allowed: Iterable[str], default: str | None = None) -> str:
        """One of some words."""
        value = self.text(key, default)
        words = list(allowed)
        if value not in words:
            self.refuse(f"{key} cannot be {_short(value)}.", key, hint=f"Allowed: {', '.join(words)}.")
        return value

    def name(self, key: str) -> str:
        """A name as tasks and predictions have: small letters, digits and hyphens."""
        value = self.text(key)
        if not ID.fullmatch(value):
            self.refuse(f"{key} must be small letters, digits and hyphens, not {_short(value)}.", key)
        return value

    def number(self, key: str, default: int | None = None, *, least: int = 0, most: int = _MAX_NUMBER) -> int:
        """A whole number within limits."""
        value = self._take(key, default)
        if not isinstance(value, int) or isinstance(value, bool):
            self.refuse(f"{key} must be a whole number.", key)
        if not least <= value <= most:
            self.refuse(f"{key} must be {least} to {most}.", key)
        return value

    def switch(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            self.refuse(f"{key} must be true or false.", key)
        return value

    def any(self, key: str) -> Any:
        """Whatever stands there; None if nothing does."""
        return self._take(key, False) if key in self._table else self._note(key)

    def texts(self, key: str, *, most: int = _MAX_LIST) -> tuple[str, ...]:
        """A list of texts; empty if it is not there."""
        values = self._take(key, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            self.refuse(f"{key} must be a list of texts.", key)
        if len(values) > most or any(len(value) > _MAX_TEXT for value in values):
            self.refuse(f"{key} is too long: at most {most} texts of {_MAX_TEXT:,} characters.", key)
        return tuple(values)

    def by_language(self, key: str, *, needed: bool = True) -> Mapping[str, str]:
        """A text in every language of the course; empty if it is not there and need not be."""
        if not needed and key not in self._table:
            self._note(key)
            return {}
        table = self.table(key)
        texts: dict[str, str] = {language: table.text(language) for language in LANGUAGES}
        table.done()
        for language, text in texts.items():
            if not text.strip():
                self.refuse(f"{key}.{language} is empty.", key)
        return texts

    def table(self, key: str) -> Strict:
        """A table; an empty one if it is not there."""
        value = self._take(key, {})
        if not isinstance(value, dict):
            self.refuse(f"{key} must be a table.", key)
        return Strict(value, self._path, self._source, f"{self._where}{', ' if self._where else ''}{key}")

    def tables(self, key: str, *, most: int = _MAX_LIST) -> list[Strict]:
        """A list of tables; empty if it is not there."""
        values = self._take(key, [])
        if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
            self.refuse(f"{key} must be a list of tables, written [[...]].", key)
        if len(values) > most:
            self.refuse(f"there are more than {most} of {key}.", key)
        before = f"{self._where}, " if self._where else ""
        return [
            Strict(value, self._path, self._source, f"{before}{key} {number}") for number, value in enumerate(values, 1)
        ]

    def parsed(self, key: str, default: str, parse: Callable[[str], Any]) -> Any:
        """A text that has a grammar of its own.

        Args:
            key: which.
            default: taken if it is not there.
            parse: raises BadInput without a place, which is added here.
        """
        try:
            return parse(self.text(key, default, limit=_MAX_FILE))
        except BadInput as error:
            self.refuse(f"{key}: {error.message}", key, hint=error.hint)

    def _note(self, key: str) -> None:
        self._asked.append(key)

    def _take(self, key: str, default: Any) -> Any:
        self._note(key)
        if key not in self._table and default is None:
            self.refuse(f"{key} is missing.")
        return self._table.get(key, default)

    def _allowed(self) -> str:
        return ", ".join(dict.fromkeys(self._asked))

    def _line(self, key: str) -> int:
        """The only line on which a key stands; 0 if there are several, as TOML's reader keeps no places."""
        if not key:
            return 0
        pattern = re.compile(rf"""(^\s*|[\[.{{,]\s*)["']?{re.escape(key)}["']?\s*([=.\]])""")
        lines = [number for number, line in enumerate(self._source.splitlines(), 1) if pattern.search(line)]
        return lines[0] if len(lines) == 1 else 0


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
