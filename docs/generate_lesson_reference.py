"""Writes docs/lesson-reference.md from what the code declares: ``python docs/generate_lesson_reference.py``."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Final

from kprobesim.course import PANELS, actions, readings, replay
from kprobesim.course.conditions import COMPARISONS
from kprobesim.course.goals import GOAL_KINDS

PAGE: Final = Path(__file__).with_name("lesson-reference.md")
_HEAD: Final = """\
# Lesson reference

Made by `docs/generate_lesson_reference.py`; do not edit. The guide: [lesson-authors.md](lesson-authors.md).

## Goals

A task has one or more `[[task.goal]]`. Each has `kind`, the keys of its kind, and, if the sentence made from them is
not good enough for a learner, `say.en` and `say.zh`.
"""


def page() -> str:
    """The whole text of the page."""
    pieces = [_HEAD]
    for kind in GOAL_KINDS.values():
        rows = "\n".join(f"| `{key}` | {meaning} |" for key, meaning in kind.keys.items())
        pieces.append(f"### `{kind.name}`\n\n{_first_line(kind.__doc__)}\n\n| key | meaning |\n|---|---|\n{rows}\n")
    comparisons = ", ".join(f"`{name}` ({mark})" for name, mark in COMPARISONS.items())
    pieces.append(
        "## Conditions\n\nA number or a text must be equal; a table compares: `{ ge = 1, lt = 10 }`. Comparisons: "
        f'{comparisons}.\nA text that names a place in the kernel (`"vfs_read+0x1"`) equals its address, bytes equal '
        "their hexadecimal digits.\n"
    )
    pieces.append(
        "## Marks in the text\n\n| mark | meaning |\n|---|---|\n"
        "| `<!-- task ID -->` | the place of a task; the text goes on behind it when the task is done |\n"
        "| `<!-- predict ID -->` | the place of a prediction; the text goes on behind it when it was answered |\n"
        f"| `<!-- show PANEL -->` | a panel to look at: {', '.join(f'`{name}`' for name in PANELS)} |\n"
    )
    pieces.append(f"## Readings\n\n```text\n{_indented(readings.__doc__)}```\n")
    pieces.append(f"## Actions\n\n```text\n{_indented(actions.__doc__)}```\n")
    pieces.append(f"## Blocks that are played\n\n```text\n{_table(replay.__doc__)}```\n")
    return "\n".join(pieces)


def _first_line(text: str | None) -> str:
    return (text or "").strip().splitlines()[0]


def _indented(text: str | None) -> str:
    """The block behind ``::`` of a docstring."""
    lines = (text or "").split("::\n", 1)[1].splitlines()
    return textwrap.dedent("\n".join(lines)).strip() + "\n"


def _table(text: str | None) -> str:
    """What stands between the rules of a docstring's table."""
    lines = (text or "").splitlines()
    first, last = (number for number, line in enumerate(lines) if line.startswith("==="))
    return "\n".join(lines[first + 1 : last]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
