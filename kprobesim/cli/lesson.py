"""``kprobesim lesson``."""

from __future__ import annotations

import json

import click

from kprobesim.cli.options import lang_option
from kprobesim.course import find_lesson, list_lessons
from kprobesim.i18n import default_language

__all__ = ["command"]


@click.group()
def command() -> None:
    """The lessons."""


@command.command("list")
@lang_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(as_json: bool) -> None:
    """List the lessons."""
    language = default_language()
    lessons = list_lessons()
    if not lessons:
        click.echo("No lessons came with this installation.", err=True)
    for lesson in lessons:
        if as_json:
            row = {"id": lesson.id, "title": lesson.title(language), "minutes": lesson.minutes}
            click.echo(json.dumps(row, ensure_ascii=False))
        else:
            click.echo(f"{lesson.id}  {lesson.title(language)}")
            click.echo(f"    {lesson.summary(language)}")


@command.command()
@click.argument("id")
@lang_option
def run(id: str) -> None:  # noqa: A002 - the argument's name on the command line
    """Open the lesson ID (its name, or its number)."""
    from kprobesim.cli.screen import open_app

    open_app(find_lesson(id))
