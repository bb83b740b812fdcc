"""Which lessons and demos there are."""

from __future__ import annotations

import difflib
from importlib.resources import files
from pathlib import Path

from kprobesim.course.scenario import Scenario, read_scenario
from kprobesim.errors import BadInput

__all__ = ["find_demo", "find_lesson", "lessons_folder", "list_demos", "list_lessons"]


def lessons_folder() -> Path:
    """The folder that holds a folder for each lesson, and ``demos`` with one for each demo."""
    package = Path(str(files("kprobesim")))
    shipped = package / "_data" / "lessons"
    return shipped if shipped.is_dir() else package.parent / "lessons"


def list_lessons() -> list[Scenario]:
    """All lessons in the order of the course.

    Raises:
        BadInput: a lesson's description is damaged.
    """
    return [read_scenario(path.parent, path.name) for path in sorted(lessons_folder().glob("*/lesson.toml"))]


def list_demos() -> list[Scenario]:
    """All demos by name.

    Raises:
        BadInput: a demo's description is damaged.
    """
    return [read_scenario(path.parent, path.name) for path in sorted(lessons_folder().glob("demos/*/demo.toml"))]


def find_lesson(name: str) -> Scenario:
    """A lesson by its folder's name, or by its number.

    Raises:
        BadInput: there is none.
    """
    lessons = list_lessons()
    if name.isdigit():
        matching = [lesson for lesson in lessons if lesson.id.partition("-")[0].lstrip("0") == name.lstrip("0")]
        if matching:
            return matching[0]
    return _find(name, lessons, "lesson")


def find_demo(name: str) -> Scenario:
    """A demo by its folder's name.

    Raises:
        BadInput: there is none.
    """
    return _find(name, list_demos(), "demo")


def _find(name: str, among: list[Scenario], what: str) -> Scenario:
    for scenario in among:
        if scenario.id == name:
            return scenario
    known = [scenario.id for scenario in among]
    near = difflib.get_close_matches(name, known, 3, 0.4)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(known) or 'none'}."
    raise BadInput(f"There is no {what} named {name!r}.", hint=hint)
