"""What the tests of the course share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kprobesim.course import LessonSession, ProgressStore, find_lesson, read_lesson
from kprobesim.course.template import new_lesson


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small lesson that is in order."""
    new_lesson(tmp_path / "small")
    return tmp_path / "small"


@pytest.fixture
def store(tmp_path: Path) -> ProgressStore:
    return ProgressStore(tmp_path / "progress")


@pytest.fixture(scope="module")
def opened() -> LessonSession:
    """The first probe, without anything being kept."""
    return LessonSession.open(find_lesson("01-the-first-probe"))


@pytest.fixture
def session(opened: LessonSession) -> Iterator[LessonSession]:
    """The first probe at its start."""
    opened.reset(everything=True)
    yield opened


@pytest.fixture
def small(folder: Path, store: ProgressStore) -> LessonSession:
    """The small lesson, kept in a store."""
    return LessonSession.open(read_lesson(folder), store)
