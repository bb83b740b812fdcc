"""``kprobesim share``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from kprobesim.cli.options import lang_option
from kprobesim.course import Lesson, Scenario, find_demo, find_lesson, list_demos, list_lessons
from kprobesim.course.recorded import RecordedScenario
from kprobesim.errors import BadInput
from kprobesim.i18n import default_language

__all__ = ["command"]


@click.command()
@click.argument("what", required=False)
@click.option("--listen", default="127.0.0.1:8100", show_default=True, metavar="HOST:PORT", help="0.0.0.0 for a class.")
@click.option("--name", help="What followers call this computer, if that is something else.")
@click.option("--seats", default=200, show_default=True, type=click.IntRange(1, 2000), help="Followers at once.")
@lang_option
def command(what: str | None, listen: str, name: str | None, seats: int) -> None:
    """Open WHAT, and let others follow: a recording's file, a demo, a lesson; without it, the list.

    The first line of the screen is the command that followers type. KPROBESIM_KEY sets the key, for a link that stays.
    """
    from kprobesim.classroom.leader import Leader
    from kprobesim.classroom.link import names_of, new_key, read_address, read_link

    address = read_address(listen)
    key = os.environ.get("KPROBESIM_KEY") or new_key()
    called = name or names_of(address[0])[-1]
    read_link(f"{f'[{called}]' if ':' in called else called}/{key}")
    scenario = None if what is None else _find(what)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise BadInput("The screen needs a terminal.")
    from kprobesim.tui.class_apps import run_leading

    leader, language = Leader(key, seats=seats), default_language()
    sys.exit(run_leading(address, called, leader, scenario, language, lambda: [*list_lessons(), *list_demos()]))


def _find(what: str) -> Lesson | Scenario | RecordedScenario:
    if Path(what).is_file():
        recorded = RecordedScenario(Path(what))
        recorded.recording  # noqa: B018 - a damaged file is told before the screen opens
        return recorded
    try:
        return find_lesson(what)
    except BadInput:
        return find_demo(what)
