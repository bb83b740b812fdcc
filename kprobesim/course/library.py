"""Which lessons and demos there are."""

from __future__ import annotations

import difflib
from importlib.resources import files
from pathlib import Path

from kprobesim.course.lesson import Lesson, read_lesson
from kprobesim.course.scenario import Scenario, read_scenario
from kprobesim.errors import BadInput

__all__ = ["find_demo", "find_lesson", "lessons_folder", "list_demos", "list_lessons"]


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
    return [read_lesson(path.parent) for path in sorted(lessons_folder().glob("*/lesson.toml"))]


def list_demos() -> list[Scenario]:
    """All demos by name.

    Raises:
        BadInput: a demo's description is damaged.
    """
    return [read_scenario(path.parent, path.name) for path in sorted(lessons_folder().glob("demos/*/demo.toml"))]


def find_lesson(name: str) -> Lesson:
    """A lesson by its folder's name, by its number, or by the path of a folder that is not part of the course.

    Raises:
        BadInput: there is none, or it is damaged.
    """
    if "/" in name or "\\" in name or name in (".", ".."):
        return read_lesson(Path(name))
    lessons = list_lessons()
    if name.isascii() and name.isdigit():
        matching = [lesson for lesson in lessons if lesson.id.partition("-")[0].lstrip("0") == name.lstrip("0")]
        if matching:
            return matching[0]
    for lesson in lessons:
        if lesson.id == name:
            return lesson
    raise _unknown(name, [lesson.id for lesson in lessons], "lesson")


def find_demo(name: str) -> Scenario:
    """A demo by its folder's name.

    Raises:
        BadInput: there is none.
    """
    demos = list_demos()
    for demo in demos:
        if demo.id == name:
            return demo
    raise _unknown(name, [demo.id for demo in demos], "demo")


def _unknown(name: str, known: list[str], what: str) -> BadInput:
    near = difflib.get_close_matches(name, known, 3, 0.4)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(known) or 'none'}."
    return BadInput(f"There is no {what} named {name[:64]!r}.", hint=hint)
