"""``kprobesim replay``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from kprobesim.cli.options import lang_option
from kprobesim.cli.telling import is_told, sentence, tell
from kprobesim.course.recorded import RecordedScenario
from kprobesim.i18n import default_language

__all__ = ["command"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--plain", is_flag=True, help="One sentence a line instead of the screen.")
@click.option("--json", "as_json", is_flag=True, help="One JSON event a line instead of the screen.")
@click.option("--speed", type=click.FloatRange(min=0.01, max=1000), help="Lines a second, for --plain and --json.")
@lang_option
def command(file: Path, plain: bool, as_json: bool, speed: float | None) -> None:
    """Live a recording again: on the screen, as sentences, or as JSON events."""
    if plain and as_json:
        raise click.UsageError("--plain and --json exclude each other.")
    scenario = RecordedScenario(file)
    if not (plain or as_json) and sys.stdin.isatty() and sys.stdout.isatty():
        from kprobesim.cli.screen import open_app

        return open_app(scenario)
    language = default_language()
    lab = scenario.open()
    if not as_json:
        click.echo(scenario.title(language))
    notes = {mark.moment: mark.note for mark in scenario.recording.bookmarks}
    for event in lab.events():
        if event.moment.insn < lab.start:
            continue
        if as_json:
            tell(json.dumps(lab.event_json(event), ensure_ascii=False), speed)
            continue
        if is_told(event):
            tell(sentence(lab, event, language), speed)
        if event.moment in notes:
            tell(f"      # {notes[event.moment]}", speed)
    return None
