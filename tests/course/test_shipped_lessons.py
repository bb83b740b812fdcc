"""Every lesson that ships: its start fails, its solution passes, both languages tell the same, and it is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from kprobesim.course import LessonSession, lessons_folder, list_lessons, read_lesson
from kprobesim.course.grade import grade_answer
from kprobesim.course.lint import lint_texts
from kprobesim.course.replay import play_solutions, play_text
from kprobesim.i18n import LANGUAGES

FOLDERS = sorted(path.parent for path in lessons_folder().glob("*/lesson.toml"))
lessons = pytest.mark.parametrize("path", FOLDERS, ids=[path.name for path in FOLDERS])


@lessons
def test_both_languages_are_complete_and_tell_the_same(path: Path) -> None:
    assert list(lint_texts(read_lesson(path))) == []


@lessons
def test_no_task_is_met_at_the_start_and_each_is_met_by_its_solution(path: Path) -> None:
    lesson = read_lesson(path)
    session = LessonSession.open(lesson)
    assert not session.check("en").met
    assert list(play_solutions(lesson)) == []


@lessons
def test_what_the_text_quotes_is_what_the_machine_shows(path: Path) -> None:
    assert list(play_text(read_lesson(path), "en")) == []


@lessons
def test_every_sentence_of_a_goal_can_be_said_in_each_language(path: Path) -> None:
    lesson = read_lesson(path)
    session = LessonSession.open(lesson)
    for language in LANGUAGES:
        for task in lesson.tasks:
            assert all(goal.text and "{" not in goal.text for goal in session.report(task, language).goals)


def test_an_answer_made_of_the_solutions_passes() -> None:
    lesson = read_lesson(lessons_folder() / "01-the-first-probe")
    grade = grade_answer(lesson, [action for task in lesson.tasks for action in task.solution], "en")
    assert grade.passed and not grade.failure


def test_prerequisites_are_lessons_that_come_before() -> None:
    names = [lesson.id for lesson in list_lessons()]
    for number, lesson in enumerate(list_lessons()):
        assert set(lesson.prerequisites) <= set(names[:number])


def test_the_plan_names_every_lesson_once_in_both_languages() -> None:
    for page in ("README.md", "README.zh-CN.md"):
        text = (lessons_folder() / page).read_text(encoding="utf-8")
        for folder in FOLDERS:
            assert text.count(f"`{folder.name}`") == 1
