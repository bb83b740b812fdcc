"""The only place where a command loads the Textual application."""

from __future__ import annotations

import sys

from kprobesim.course import Lesson, Scenario
from kprobesim.course.free import FreeLab
from kprobesim.course.recorded import RecordedScenario
from kprobesim.errors import BadInput
from kprobesim.i18n import default_language

__all__ = ["open_app"]


def open_app(scenario: Lesson | Scenario | RecordedScenario | FreeLab | None) -> None:
    """Open the TUI on a scenario, or on the list of lessons.

    Args:
        scenario: a lesson, a demo, a recording or a free lab; None for the list.

    Raises:
        BadInput: there is no terminal to draw on.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise BadInput("The screen needs a terminal.", hint="Without one, kprobesim demo --plain tells a demo.")
    from kprobesim.course import list_demos, list_lessons
    from kprobesim.tui import run_app

    sys.exit(run_app(scenario, default_language(), scenarios=lambda: [*list_lessons(), *list_demos(), FreeLab()]))
