"""``kprobesim demo``."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator
from typing import Final

import click

from kprobesim.cli.options import lang_option
from kprobesim.course import find_demo
from kprobesim.i18n import default_language
from kprobesim.lab import Event, Lab

__all__ = ["command", "play_plain"]

_TOLD: Final = (
    "input", "text.poke", "kprobe.", "rethook.", "ftrace.", "fprobe.", "bpf.", "map.", "trace.printk", "console",
    "task.exec", "panic", "filter.", "seccomp.", "socket.",
)  # fmt: skip

_OVER: Final = ("kprobe.resume", "kprobe.debug", "kprobe.boost")


@click.command()
@click.argument("name", default="first-probe")
@click.option("--plain", is_flag=True, help="One sentence a line instead of the screen.")
@click.option("--json", "as_json", is_flag=True, help="One JSON event a line instead of the screen.")
@click.option("--speed", type=click.FloatRange(min=0.01, max=1000), help="Lines a second, for --plain and --json.")
@lang_option
def command(name: str, plain: bool, as_json: bool, speed: float | None) -> None:
    """Play the demo NAME: on the screen, as sentences, or as JSON events."""
    if plain and as_json:
        raise click.UsageError("--plain and --json exclude each other.")
    if speed is not None and math.isnan(speed):
        raise click.UsageError("--speed is a number of lines.")
    if as_json:
        lab = find_demo(name).open()
        for event in _played(lab):
            _tell(json.dumps(lab.event_json(event), ensure_ascii=False), speed)
    elif plain or not (sys.stdin.isatty() and sys.stdout.isatty()):
        play_plain(name, speed)
    else:
        from kprobesim.cli.screen import open_app

        open_app(find_demo(name))


def play_plain(name: str, speed: float | None = None) -> None:
    """Tell a demo in sentences, one event a line.

    Args:
        name: the demo.
        speed: lines a second; as fast as possible by default.

    Raises:
        BadInput: there is no such demo.
    """
    language = default_language()
    scenario = find_demo(name)
    lab = scenario.open()
    click.echo(scenario.title(language))
    for event in _played(lab):
        if event.kind.startswith(_TOLD) or (event.kind in ("trap", "gate") and event.fields["vector"] in (1, 3)):
            narration = lab.narrate(event, language)
            told = (" " if language == "en" else "").join(narration).rstrip()
            _tell(f"{event.ns / 1e6:10.3f} ms  cpu{event.cpu}  {told}", speed)


def _tell(line: str, speed: float | None) -> None:
    click.echo(line)
    if speed:
        time.sleep(1 / speed)


def _played(lab: Lab) -> Iterator[Event]:
    """The demo's events: from its beginning until the first hit is over and the function goes on."""
    for event in lab.events(lab.seq):
        yield event
        if event.kind in _OVER:
            return
