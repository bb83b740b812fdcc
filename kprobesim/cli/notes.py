"""``kprobesim demo NAME --notes``: what a teacher reads in a second terminal while the class looks at the first."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

import click

from kprobesim.course import Scenario
from kprobesim.course.goals import TEXTS
from kprobesim.course.podium import Podium, default_podium
from kprobesim.i18n import Language, default_language
from kprobesim.lab import Event, Lab

__all__ = ["Notes", "folded", "show_notes"]

_LOOK_EVERY: Final = 0.3
_CLEAR: Final = "\x1b[2J\x1b[3J\x1b[H"
_MARGIN: Final = re.compile(r" *(?:[?!*-] +)?")
_LEAST: Final = 20


class Notes:
    """The notes of a demo.

    Args:
        scenario: the demo.
        language: of the notes.
    """

    def __init__(self, scenario: Scenario, language: Language) -> None:
        self._scenario, self._language = scenario, language
        self._lab: Lab = scenario.open()
        self._asked = scenario.asked(self._lab)

    def plan(self) -> Iterator[str]:
        """The whole demo: what to say, and every question with its answer."""
        yield from self._head()
        for seq, pause in self._asked:
            yield ""
            yield self._say("question", event=seq + 1, question=pause.question(self._language))
            yield self._say("answer", answer=pause.answer(self._language))

    def at(self, seq: int) -> Iterator[str]:
        """Where the class is, what comes next, and the next question with its answer.

        Args:
            seq: how many events lie behind the moment on the screen.
        """
        lab, language = self._lab, self._language
        seq = min(seq, lab.event_count)
        yield from self._head()
        yield ""
        yield self._say("here", event=seq, total=lab.event_count)
        if seq:
            yield f"  {self._what(lab.events(seq - 1, seq)[0])}"
        if seq < lab.event_count:
            yield self._say("next")
            yield f"  {self._what(lab.events(seq, seq + 1)[0])}"
        for answers, pause in self._asked:
            if answers >= seq:
                yield ""
                yield self._say("question", event=answers + 1, question=pause.question(language))
                yield self._say("answer", answer=pause.answer(language))
                return

    def page(self, podium: Podium) -> tuple[str, ...]:
        """What to read now: for where the presenting screen is, or the plan if it shows something else or nothing.

        Args:
            podium: where that screen tells its position.
        """
        position = podium.read()
        if position is None or position.demo != self._scenario.id:
            return tuple(self.plan())
        return tuple(self.at(position.seq))

    def _head(self) -> Iterator[str]:
        yield f"# {self._scenario.title(self._language)}"
        yield self._say("minutes", minutes=self._scenario.minutes)
        if text := self._scenario.text(self._language):
            yield ""
            yield text

    def _what(self, event: Event) -> str:
        return self._lab.narrate(event, self._language).what

    def _say(self, key: str, **values: Any) -> str:
        return TEXTS.get(self._language, f"notes.{key}", **values) or key


def folded(page: Iterable[str], width: int) -> list[str]:
    """Lines broken between words; what is broken goes on below where its words begin.

    Args:
        page: paragraphs and lines.
        width: in terminal cells.
    """
    from kprobesim.tui.cells import wrap

    lines = []
    for line in (line for paragraph in page for line in paragraph.split("\n")):
        margin = _MARGIN.match(line)
        mark = margin[0] if margin is not None else ""
        pieces = wrap(line[len(mark) :], max(width - len(mark), _LEAST))
        lines += [f"{mark if number == 0 else ' ' * len(mark)}{piece}" for number, piece in enumerate(pieces)]
    return lines


def show_notes(scenario: Scenario) -> None:
    """Print the notes; on a terminal, again whenever the class is somewhere else, until Ctrl-C.

    Args:
        scenario: the demo.
    """
    notes = Notes(scenario, default_language())
    if not sys.stdout.isatty():
        click.echo("\n".join(notes.plan()))
        return
    podium = default_podium()
    shown: list[str] = []
    while True:
        page = folded(notes.page(podium), shutil.get_terminal_size().columns)
        if page != shown:
            shown = page
            click.echo(_CLEAR + "\n".join(page))
        time.sleep(_LOOK_EVERY)
