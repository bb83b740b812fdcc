"""Grading an answer file: actions, one a line, checked task by task, and the report in the forms that graders read."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from kprobesim.course.actions import Action, parse_actions
from kprobesim.course.lesson import Lesson
from kprobesim.course.progress import ProgressStore
from kprobesim.course.reports import TaskReport
from kprobesim.course.session import LessonSession
from kprobesim.error_texts import in_language
from kprobesim.errors import BadInput, KprobesimError
from kprobesim.i18n import Language

__all__ = ["Grade", "github_result", "grade_answer", "grade_json", "grade_progress", "junit_xml", "read_answer"]

_MAX_FILE: Final = 256 * 1024


@dataclass(frozen=True)
class Grade:
    """How an answer did.

    Attributes:
        lesson: its id.
        title: in the language asked for.
        tasks: how each stood when its part of the answer was over.
        titles: what each asked for.
        failure: what ended the replay, one sentence; empty if nothing did.
    """

    lesson: str
    title: str
    tasks: tuple[TaskReport, ...]
    titles: tuple[str, ...]
    failure: str

    @property
    def passed(self) -> bool:
        """Every task is met."""
        return all(task.met for task in self.tasks)


def read_answer(path: Path) -> tuple[Action, ...]:
    """An answer file.

    Args:
        path: lines of actions. After each one the present task is checked, and the next one is at hand if it is met.

    Raises:
        BadInput: it cannot be read, or a line is no action.
    """
    try:
        with path.open("rb") as opened:
            data = opened.read(_MAX_FILE + 1)
        if len(data) > _MAX_FILE:
            raise BadInput(f"{path} is larger than {_MAX_FILE:,} bytes.")
        text = data.decode()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8 text.") from None
    try:
        return parse_actions(text)
    except BadInput as error:
        raise BadInput(f"{path}: {error.message}", hint=error.hint) from None


def grade_answer(lesson: Lesson, actions: Sequence[Action], language: Language) -> Grade:
    """Play an answer from the lesson's start. After each action the present task is checked.

    Args:
        lesson: which.
        actions: what to do.
        language: of the sentences.

    Raises:
        KprobesimError: the lesson itself cannot be opened.
    """
    session = LessonSession.open(lesson)
    reports: dict[str, TaskReport] = {}
    failure = ""
    for action in actions:
        try:
            session.act(action)
        except KprobesimError as error:
            failure = f"'{action.line}': {in_language(error, language)}"
            break
        while (task := session.task) is not None:
            reports[task.id] = session.check(language)
            if not reports[task.id].met:
                break
    return _grade(session, reports, language, failure)


def grade_progress(lesson: Lesson, store: ProgressStore, language: Language) -> Grade:
    """What the learner's own progress says.

    Raises:
        KprobesimError: the lesson cannot be opened.
    """
    session = LessonSession.open(lesson, store)
    reports = {name: TaskReport(name, True, (), "") for name in session.progress.done}
    return _grade(session, reports, language, in_language(session.notice, language))


def _grade(session: LessonSession, reports: dict[str, TaskReport], language: Language, failure: str) -> Grade:
    lesson = session.lesson
    for task in lesson.tasks:
        if task.id not in reports:
            reports[task.id] = session.report(task, language) if task is session.task else _not_reached(task.id)
    tasks = tuple(reports[task.id] for task in lesson.tasks)
    titles = tuple(task.title(language) for task in lesson.tasks)
    return Grade(lesson.id, lesson.title(language), tasks, titles, failure)


def _not_reached(task: str) -> TaskReport:
    return TaskReport(task, False, (), "")


def grade_json(grade: Grade) -> dict[str, Any]:
    """A grade as one JSON object."""
    return {
        "lesson": grade.lesson,
        "passed": grade.passed,
        "met": sum(task.met for task in grade.tasks),
        "of": len(grade.tasks),
        "failure": grade.failure,
        "tasks": [
            {
                "id": task.task,
                "title": title,
                "met": task.met,
                "goals": [{"met": goal.met, "text": goal.text, "why": goal.why} for goal in task.goals],
            }
            for task, title in zip(grade.tasks, grade.titles, strict=True)
        ],
    }


def _message(task: TaskReport) -> str:
    return " ".join(f"{goal.text} {goal.why}" for goal in task.goals if not goal.met) or "not reached"


def junit_xml(grade: Grade) -> str:
    """A grade as JUnit XML: one test case a task."""
    failed = sum(not task.met for task in grade.tasks)
    suite = ElementTree.Element(
        "testsuite", name=grade.lesson, tests=str(len(grade.tasks)), failures=str(failed), errors="0", time="0"
    )
    for task, title in zip(grade.tasks, grade.titles, strict=True):
        case = ElementTree.SubElement(suite, "testcase", classname=grade.lesson, name=f"{task.task}: {title}", time="0")
        if not task.met:
            ElementTree.SubElement(case, "failure", message=_printable(_message(task)))
    if grade.failure:
        ElementTree.SubElement(suite, "system-err").text = _printable(grade.failure)
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def github_result(grade: Grade) -> str:
    """A grade for GitHub Classroom's reporter: base64 of the JSON that it reads from ``<STEP-ID>_RESULTS``.

    Each task is worth one point.
    """
    table = {
        "version": 3,
        "status": "pass" if grade.passed else "fail",
        "max_score": len(grade.tasks),
        "tests": [
            {
                "name": f"{task.task}: {title}",
                "status": "pass" if task.met else "fail",
                "score": int(task.met),
                "max_score": 1,
                "message": "" if task.met else _message(task),
                "test_code": f"kprobesim lesson check {grade.lesson}",
                "line_no": 0,
                "filename": "",
            }
            for task, title in zip(grade.tasks, grade.titles, strict=True)
        ],
    }
    return base64.b64encode(json.dumps(table, ensure_ascii=False).encode()).decode()


def _printable(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(mark if mark.isprintable() or mark in "\t\n" else "?" for mark in text)
