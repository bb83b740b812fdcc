"""``kprobesim demo``."""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any, Final

import click

from kprobesim.cli.options import lang_option
from kprobesim.cli.telling import is_told, sentence, tell
from kprobesim.course import Scenario, find_demo, list_demos
from kprobesim.course.scenario import Pause, Refusal, Scene
from kprobesim.i18n import Language, default_language
from kprobesim.lab import Event

if TYPE_CHECKING:
    from kprobesim.lab import Lab

__all__ = ["command", "play_plain"]

_MARGIN: Final = " " * 4


@click.command()
@click.argument("name", default="first-probe")
@click.option("--plain", is_flag=True, help="One sentence a line instead of the screen.")
@click.option("--json", "as_json", is_flag=True, help="One JSON event a line instead of the screen.")
@click.option("--speed", type=click.FloatRange(min=0.01, max=1000), help="Lines a second, for --plain and --json.")
@click.option("--no-pause", is_flag=True, help="Do not wait for a key at predictions.")
@click.option("--predictions", is_flag=True, help="With --json: predictions and refused programs as lines too.")
@click.option("--notes", is_flag=True, help="The speaker's notes, for a second terminal: they follow the presenter.")
@click.option("--list", "listed", is_flag=True, help="Name the demos.")
@lang_option
def command(
    name: str,
    plain: bool,
    as_json: bool,
    speed: float | None,
    no_pause: bool,
    predictions: bool,
    notes: bool,
    listed: bool,
) -> None:
    """Play the demo NAME: on the screen, as sentences, or as JSON events."""
    if plain and as_json:
        raise click.UsageError("--plain and --json exclude each other.")
    if speed is not None and math.isnan(speed):
        raise click.UsageError("--speed is a number of lines.")
    if listed:
        for demo in list_demos():
            click.echo(f"{demo.id:<22} {demo.title(default_language())}")
    elif notes:
        from kprobesim.cli.notes import show_notes

        show_notes(find_demo(name))
    elif as_json:
        _play_json(find_demo(name), speed, predictions)
    elif plain or not (sys.stdin.isatty() and sys.stdout.isatty()):
        play_plain(name, speed, wait=not no_pause and sys.stdin.isatty() and sys.stdout.isatty())
    else:
        from kprobesim.cli.screen import open_app

        open_app(find_demo(name))


def play_plain(name: str, speed: float | None = None, *, wait: bool = False) -> None:
    """Tell a demo in sentences, one event a line.

    Args:
        name: the demo.
        speed: lines a second; as fast as possible by default.
        wait: for Enter at each prediction, before its answer.

    Raises:
        BadInput: there is no such demo.
    """
    language = default_language()
    scenario = find_demo(name)
    lab = scenario.open()
    click.echo(scenario.title(language))
    for scene in scenario.scenes(lab):
        if isinstance(scene, Pause):
            _ask(scene, language, speed, wait)
        elif isinstance(scene, Refusal):
            _refuse(scene, language, speed)
        elif _is_told(scenario, scene):
            tell(sentence(lab, scene, language), speed)


def _is_told(scenario: Scenario, event: Event) -> bool:
    return event.kind.startswith(scenario.kinds) if scenario.kinds else is_told(event)


def _ask(pause: Pause, language: Language, speed: float | None, wait: bool) -> None:
    tell(f"  ?  {pause.question(language)}", speed)
    if wait:
        click.prompt("     ", default="", show_default=False, prompt_suffix="")
    tell(f"  !  {pause.answer(language)}", speed)


def _refuse(refusal: Refusal, language: Language, speed: float | None) -> None:
    tell(f"  {refusal.name}", speed)
    for line in (*refusal.source.splitlines(), "", *refusal.log.splitlines()):
        tell(f"{_MARGIN}{line}".rstrip(), speed)
    tell(f"  !  {refusal.remarks[language]}", speed)


def _play_json(scenario: Scenario, speed: float | None, predictions: bool) -> None:
    lab = scenario.open()
    for scene in scenario.scenes(lab):
        if predictions or isinstance(scene, Event):
            tell(json.dumps(_plain(lab, scene), ensure_ascii=False), speed)


def _plain(lab: Lab, scene: Scene) -> dict[str, Any]:
    if isinstance(scene, Event):
        return lab.event_json(scene)
    if isinstance(scene, Pause):
        return {"kind": "demo.prediction", "question": dict(scene.questions), "answer": dict(scene.answers)}
    return {"kind": "demo.refusal", "program": scene.name, "log": scene.log, "remark": dict(scene.remarks)}
