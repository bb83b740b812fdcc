"""Which lessons and demos there are."""

from __future__ import annotations

import difflib
from importlib.resources import files
from pathlib import Path
from typing import Final

from kprobesim.course.lesson import Lesson, read_lesson
from kprobesim.course.scenario import Scenario, read_scenario
from kprobesim.errors import BadInput

__all__ = ["find_demo", "find_lesson", "lessons_folder", "list_demos", "list_lessons"]

_LESSON: Final = "lesson.toml"
_DEMO: Final = "demo.toml"


def lessons_folder() -> Path:
    """The folder that holds a folder for each lesson, and ``demos`` with one for each demo."""
    package = Path(str(files("kprobesim")))
    shipped = package / "_data" / "lessons"
    return shipped if shipped.is_dir() else package.parent / "lessons"


def list_lessons() -> list[Lesson]:
    """All lessons in the order of the course.

    Raises:
        BadInput: a lesson's description is damaged.
    """
    return [read_lesson(folder) for folder in _lesson_folders()]


def list_demos() -> list[Scenario]:
    """All demos by name.

    Raises:
        BadInput: a demo's description is damaged.
    """
    return [read_scenario(folder, _DEMO) for folder in _demo_folders()]


def find_lesson(name: str) -> Lesson:
    """A lesson by its folder's name, by its number, or by the path of a folder that is not part of the course.

    Raises:
        BadInput: there is none, or it is damaged.
    """
    if "/" in name or "\\" in name or name in (".", ".."):
        return read_lesson(Path(name))
    folders = _lesson_folders()
    number = name.lstrip("0") if name.isascii() and name.isdigit() else None
    for folder in folders:
        if folder.name == name or folder.name.partition("-")[0].lstrip("0") == number:
            return read_lesson(folder)
    raise _unknown(f"There is no lesson named {name[:64]!r}.", name, folders)


def find_demo(name: str) -> Scenario:
    """A demo by its folder's name.

    Raises:
        BadInput: there is none, or it is damaged.
    """
    folders = _demo_folders()
    for folder in folders:
        if folder.name == name:
            return read_scenario(folder, _DEMO)
    raise _unknown(f"There is no demo named {name[:64]!r}.", name, folders)


def _lesson_folders() -> list[Path]:
    return [path.parent for path in sorted(lessons_folder().glob(f"*/{_LESSON}"))]


def _demo_folders() -> list[Path]:
    return [path.parent for path in sorted(lessons_folder().glob(f"demos/*/{_DEMO}"))]


def _unknown(message: str, name: str, folders: list[Path]) -> BadInput:
    known = [folder.name for folder in folders]
    near = difflib.get_close_matches(name, known, 3, 0.4)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(known) or 'none'}."
    return BadInput(message, hint=hint)
