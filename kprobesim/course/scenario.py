"""A prepared experiment: which kernel, which program on which probe, which command."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kprobesim.errors import BadInput, KprobesimError
from kprobesim.i18n import Language
from kprobesim.lab import Lab, Stop

__all__ = ["Scenario", "read_scenario"]

_FORMAT: Final = 1
_LIMIT: Final = 200_000_000
_MAX_TEXT: Final = 1 << 20


@dataclass(frozen=True)
class Scenario:
    """One lesson or demo, as its folder describes it.

    Attributes:
        id: name of its folder.
        folder: where it is.
        titles, summaries: by language.
        minutes: how long it takes a learner.
        kernel, profile, cpus, seed, optimization: the machine, as for `Lab.open`.
        program: file of a BPF program in the folder, or empty.
        probe: where the program is attached, or empty.
        command: typed at the console afterwards, or empty.
    """

    id: str
    folder: Path
    titles: Mapping[str, str]
    summaries: Mapping[str, str]
    minutes: int
    kernel: str
    profile: str
    cpus: int
    seed: int
    optimization: bool
    program: str
    probe: str
    command: str

    def title(self, language: Language) -> str:
        """What it is called."""
        return self.titles.get(language) or self.titles["en"]

    def summary(self, language: Language) -> str:
        """What it is about, one sentence."""
        return self.summaries.get(language) or self.summaries["en"]

    def text(self, language: Language) -> str:
        """What the learner reads, as Markdown; empty if it has none."""
        for candidate in (language, "en"):
            path = self.folder / f"{candidate}.md"
            if path.is_file():
                return _read_text(path)
        return ""

    def open(self) -> Lab:
        """Boot the machine, do what the scenario says, and come back to the moment before it was done.

        What follows is then known: it can be stepped through, searched and jumped to.

        Raises:
            KprobesimError: the scenario does not fit the kernel.
        """
        lab = Lab.open(
            self.kernel, profile=self.profile, cpus=self.cpus, seed=self.seed, optimization=self.optimization
        )
        self._run_to_rest(lab)
        beginning = lab.moment.insn
        if self.program:
            name = Path(self.program).stem
            lab.load_program(_read_text(self.folder / self.program), name)
            if self.probe:
                lab.attach(name, self.probe)
        elif self.probe:
            lab.kprobe(self.probe)
        if self.command:
            lab.type(self.command)
            self._run_to_rest(lab)
        lab.start = beginning
        lab.seek(beginning)
        return lab

    def _run_to_rest(self, lab: Lab) -> None:
        stop = lab.run(instructions=_LIMIT)
        if stop is Stop.LIMIT:
            raise KprobesimError(f"{self.id}: the kernel was still busy after {_LIMIT:,} instructions.")


def read_scenario(folder: Path, file_name: str) -> Scenario:
    """Read a scenario's description.

    Args:
        folder: its folder.
        file_name: ``lesson.toml`` or ``demo.toml``.

    Raises:
        BadInput: the file is missing, damaged, or says something that makes no sense.
    """
    path = folder / file_name
    try:
        table = tomllib.loads(_read_text(path))
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path} is not valid TOML: {error}.") from None
    if table.get("format_version") != _FORMAT:
        raise BadInput(f"{path}: format_version is not {_FORMAT}.", hint="It was made for another version.")
    setup = _table(path, table, "setup")
    return Scenario(
        id=folder.name,
        folder=folder,
        titles=_by_language(path, table, "title"),
        summaries=_by_language(path, table, "summary"),
        minutes=_number(path, table, "minutes", 10),
        kernel=_kernel(path, setup),
        profile=_text(path, setup, "profile", "bare"),
        cpus=_number(path, setup, "cpus", 1),
        seed=_number(path, setup, "seed", 0),
        optimization=_switch(path, setup, "optimization", True),
        program=_file_name(path, setup),
        probe=_text(path, setup, "probe", ""),
        command=_text(path, setup, "command", ""),
    )


def _read_text(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_TEXT:
            raise BadInput(f"{path} is larger than {_MAX_TEXT:,} bytes.")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8 text.") from None


def _kernel(path: Path, setup: Mapping[str, Any]) -> str:
    name = _text(path, setup, "kernel", "toyix")
    if not name.isidentifier():
        raise BadInput(f"{path}: kernel must be the name of an image that ships, not {name!r}.")
    return name


def _file_name(path: Path, setup: Mapping[str, Any]) -> str:
    name = _text(path, setup, "program", "")
    if name and Path(name).name != name:
        raise BadInput(f"{path}: program must be a file of the same folder, not {name!r}.")
    return name


def _table(path: Path, table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise BadInput(f"{path}: {key} must be a table.")
    return value


def _text(path: Path, table: Mapping[str, Any], key: str, default: str) -> str:
    value = table.get(key, default)
    if not isinstance(value, str):
        raise BadInput(f"{path}: {key} must be text.")
    return value


def _number(path: Path, table: Mapping[str, Any], key: str, default: int) -> int:
    value = table.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadInput(f"{path}: {key} must be a whole number.")
    return value


def _switch(path: Path, table: Mapping[str, Any], key: str, default: bool) -> bool:
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise BadInput(f"{path}: {key} must be true or false.")
    return value


def _by_language(path: Path, table: Mapping[str, Any], key: str) -> Mapping[str, str]:
    value = _table(path, table, key)
    if not isinstance(value.get("en"), str):
        raise BadInput(f"{path}: {key}.en is missing.")
    return {language: text for language, text in value.items() if isinstance(text, str)}
