"""docs/lesson-reference.md is what the code declares, and the guides' examples are right."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from kprobesim.course.actions import VERBS, parse_actions
from kprobesim.course.goals import GOAL_KINDS
from kprobesim.course.readings import READINGS, check_reading
from kprobesim.course.replay import BLOCKS
from tests.scripts import load_script

DOCS = Path(__file__).resolve().parents[2] / "docs"

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="docs/ is only in a checkout")


def section(title: str) -> list[str]:
    """The lines of a section's text block."""
    text = (DOCS / "lesson-reference.md").read_text(encoding="utf-8").split(f"## {title}\n", 1)[1]
    return text.split("```text\n", 1)[1].split("```", 1)[0].splitlines()


def test_the_page_is_up_to_date() -> None:
    stored = (DOCS / "lesson-reference.md").read_text(encoding="utf-8")
    assert stored == load_script(DOCS / "generate_lesson_reference.py").page(), (
        "run: python docs/generate_lesson_reference.py"
    )


def test_every_goal_reading_action_and_block_is_in_it() -> None:
    text = (DOCS / "lesson-reference.md").read_text(encoding="utf-8")
    for name in GOAL_KINDS:
        assert f"### `{name}`" in text
    assert {line.split()[0] for line in section("Actions")} | {"back"} == set(VERBS)
    assert {line.split()[0] for line in section("Readings")} | {"half", "long", "word"} == set(READINGS)
    assert {line.split()[0] for line in section("Blocks that are played") if line[0] != " "} == set(BLOCKS)


@pytest.mark.parametrize("line", section("Actions") if DOCS.is_dir() else [])
def test_each_action_can_be_written_as_it_stands_there(line: str) -> None:
    action = line[:27].strip()
    assert parse_actions(f"{action}\nexit\nend" if action.startswith("program") else action)


@pytest.mark.parametrize("line", section("Readings") if DOCS.is_dir() else [])
def test_each_reading_can_be_written_as_it_stands_there(line: str) -> None:
    assert check_reading(line[:23].strip())


@pytest.mark.parametrize("page", ["lesson-authors.md", "lesson-authors.zh-CN.md"])
def test_the_guides_examples_are_toml(page: str) -> None:
    blocks = (DOCS / page).read_text(encoding="utf-8").split("```toml\n")[1:]
    tables = [tomllib.loads(block.split("```", 1)[0]) for block in blocks]
    assert len(tables) == 5
    assert any("start" in table for table in tables)
