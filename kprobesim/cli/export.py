"""``kprobesim export``."""

from __future__ import annotations

from pathlib import Path

import click

from kprobesim.cli.options import lang_option
from kprobesim.errors import BadInput
from kprobesim.i18n import Language, default_language
from kprobesim.lab import Lab
from kprobesim.lab.export import as_cast, as_page, as_svg, as_trace, frames_of
from kprobesim.lab.recording import Recording, load_recording, replay, write_whole

__all__ = ["command"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--to", "form", required=True, type=click.Choice(["cast", "html", "svg", "json"]))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file instead of standard output.")
@click.option(
    "--at", "at", type=click.IntRange(0), help="The event that the picture shows; the saved place by default."
)
@click.option("--seconds", default=1.5, show_default=True, type=click.FloatRange(0.05, 60), help="Per step of a cast.")
@click.option("--title", help="The file's name by default.")
@lang_option
def command(file: Path, form: str, output: Path | None, at: int | None, seconds: float, title: str | None) -> None:
    """Make of a recording a terminal cast, a web page that needs no network, a picture, or JSON."""
    if at is not None and form != "svg":
        raise click.UsageError("--at is for --to svg.")
    recording = load_recording(file)
    lab = replay(recording)
    text = _made(lab, recording, form, at, seconds, title or file.stem, default_language())
    if output is None:
        click.echo(text, nl=False)
    else:
        write_whole(output, text.encode(errors="replace"))


def _made(
    lab: Lab, recording: Recording, form: str, at: int | None, seconds: float, title: str, language: Language
) -> str:
    if form == "json":
        return as_trace(lab, recording)
    if form == "svg":
        return _picture(lab, recording, at, title, language)
    frames = frames_of(lab, recording.bookmarks)
    if form == "cast":
        return as_cast(frames, language, title, seconds=seconds)
    return as_page(frames, language, title)


def _picture(lab: Lab, recording: Recording, at: int | None, title: str, language: Language) -> str:
    seq = lab.seq - 1 if at is None else at
    frames = frames_of(lab, recording.bookmarks, only=seq)
    if not frames:
        raise BadInput(
            f"There is no event {seq:,} in the experiment, which has events {_first(lab):,} to {lab.event_count - 1:,}."
        )
    return as_svg(frames[0], language, title, number=seq + 1, count=lab.event_count)


def _first(lab: Lab) -> int:
    return next((event.seq for event in lab.events() if event.moment.insn >= lab.start), lab.event_count)
