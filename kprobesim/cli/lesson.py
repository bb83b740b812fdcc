"""``kprobesim lesson``."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from kprobesim.cli.options import lang_option
from kprobesim.course import LessonSession, default_store, find_lesson, list_lessons
from kprobesim.course.goals import TEXTS
from kprobesim.course.grade import (
    Grade,
    github_result,
    grade_answer,
    grade_json,
    grade_progress,
    junit_xml,
    read_answer,
)
from kprobesim.error_texts import in_language
from kprobesim.i18n import Language, default_language

__all__ = ["command"]


@click.group()
def command() -> None:
    """The lessons."""


@command.command("list")
@lang_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(as_json: bool) -> None:
    """List the lessons, and how far you are in each."""
    language = default_language()
    lessons = list_lessons()
    if not lessons:
        click.echo("No lessons came with this installation.", err=True)
    store = default_store()
    for lesson in lessons:
        progress, notice = store.load(lesson.id)
        if notice:
            click.echo(in_language(notice, language), err=True)
        done = sum(task.id in progress.done for task in lesson.tasks)
        state = "done" if done == len(lesson.tasks) else "begun" if progress.moment else "new"
        if as_json:
            row = {
                "id": lesson.id,
                "title": lesson.title(language),
                "minutes": lesson.minutes,
                "part": lesson.part,
                "tasks": len(lesson.tasks),
                "done": done,
                "state": state,
            }
            click.echo(json.dumps(row, ensure_ascii=False))
        else:
            told, title = TEXTS.get(language, f"state.{state}"), lesson.title(language)
            known = {"id": lesson.id, "title": title, "state": told, "done": done, "tasks": len(lesson.tasks)}
            click.echo(TEXTS.get(language, "state.listed", **known))
            click.echo(f"    {lesson.summary(language)}")


@command.command()
@click.argument("id")
@click.option("--plain", is_flag=True, help="Linear text and commands instead of the screen.")
@lang_option
def run(id: str, plain: bool) -> None:  # noqa: A002 - the argument's name on the command line
    """Open the lesson ID (its name, its number, or a folder) where you left it.

    Without a terminal, or with --plain, it is text: commands come from standard input, one a line; help lists them.
    """
    lesson = find_lesson(id)
    if plain or not (sys.stdin.isatty() and sys.stdout.isatty()):
        from kprobesim.cli.ctrl_c import typed_lines
        from kprobesim.cli.lesson_plain import PlainLesson

        PlainLesson(LessonSession.open(lesson, default_store()), default_language()).run(typed_lines())
    else:
        from kprobesim.cli.screen import open_app

        open_app(lesson)


@command.command()
@click.argument("id")
@click.option("--answer", type=click.Path(path_type=Path), help="Lines of actions to play from the lesson's start.")
@click.option("--json", "as_json", is_flag=True, help="The result as one JSON object.")
@click.option("--junit", type=click.Path(path_type=Path), help="Write JUnit XML to this file as well.")
@click.option("--github", is_flag=True, help="Print what GitHub Classroom's reporter reads, and set the step's result.")
@lang_option
def check(id: str, answer: Path | None, as_json: bool, junit: Path | None, github: bool) -> None:  # noqa: A002
    """Grade the lesson ID: an answer file, or your own progress.

    The exit status is 0 if every task is met, otherwise 1.
    """
    if as_json and github:
        raise click.UsageError("--json and --github exclude each other.")
    language = default_language()
    lesson = find_lesson(id)
    if answer is not None:
        grade = grade_answer(lesson, read_answer(answer), language)
    else:
        grade = grade_progress(lesson, default_store(), language)
    if junit is not None:
        junit.write_text(junit_xml(grade), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(grade_json(grade), ensure_ascii=False))
    elif github:
        _report_to_github(github_result(grade))
    else:
        _print(grade, language)
    sys.exit(0 if grade.passed else 1)


def _report_to_github(result: str) -> None:
    """The result on standard output and, inside of a GitHub workflow, as the step's output ``result``."""
    click.echo(result)
    if target := os.environ.get("GITHUB_OUTPUT"):
        with Path(target).open("a", encoding="utf-8") as opened:
            opened.write(f"result={result}\n")


def _print(grade: Grade, language: Language) -> None:
    click.echo(f"{grade.lesson}  {grade.title}")
    for task, title in zip(grade.tasks, grade.titles, strict=True):
        click.echo(f"  [{TEXTS.get(language, 'plain.met' if task.met else 'plain.not_yet')}] {task.task}: {title}")
        for goal in task.goals:
            if not goal.met:
                click.echo(f"      {goal.text} {goal.why}")
    if grade.failure:
        click.echo(grade.failure, err=True)


@command.command()
@click.argument("folder", type=click.Path(path_type=Path))
def new(folder: Path) -> None:
    """Write a small, complete lesson into the new FOLDER, to be changed from there."""
    from kprobesim.course.template import new_lesson

    new_lesson(folder)
    click.echo(f"{folder}: lesson.toml, en.md, zh.md. Try: kprobesim lesson lint {folder}")


@command.command()
@click.argument("folder", type=click.Path(path_type=Path))
def lint(folder: Path) -> None:
    """Play the lesson in FOLDER and tell what is wrong with it."""
    from kprobesim.course.lint import lint_lesson

    wrong = 0
    for sentence in lint_lesson(folder):
        click.echo(in_language(sentence, default_language()))
        wrong += 1
    if wrong:
        sys.exit(1)
    click.echo(f"{folder}: nothing to complain about.")
