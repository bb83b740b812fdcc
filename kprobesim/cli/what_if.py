"""``kprobesim what-if``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import click

from kprobesim.cli.diff import side_table
from kprobesim.cli.options import lang_option
from kprobesim.errors import BadInput
from kprobesim.i18n import Texts, default_language
from kprobesim.kprobes import FixUp
from kprobesim.lab import Moment, Profile
from kprobesim.lab.change import Change, FixUpOff, ProfileChange, read_bytes, read_register
from kprobesim.lab.recording import Recording, capture, load_recording
from kprobesim.lab.whatif import WhatIf, what_if

__all__ = ["command"]

_TEXTS: Final = Texts("kprobesim.lab.recording.texts")


@click.command()
@click.argument("source")
@click.option("--without", type=click.Choice([fixup.value for fixup in FixUp]), help="Leave out this step.")
@click.option("--profile", help="Another profile: distro, bare, server or history.")
@click.option("--byte", "byte", metavar="PLACE=HEX", help="Other bytes at symbol+offset or an address.")
@click.option("--register", "register", metavar="NAME=VALUE", help="Another value in a register.")
@click.option("--at", "at", type=click.IntRange(0), help="Event at which a byte or register changes; the start.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of sentences.")
@lang_option
def command(
    source: str,
    without: str | None,
    profile: str | None,
    byte: str | None,
    register: str | None,
    at: int | None,
    as_json: bool,
) -> None:
    """Live SOURCE, a recording's file or a demo's name, twice: the second time with one thing changed."""
    if sum(option is not None for option in (without, profile, byte, register)) != 1:
        raise click.UsageError("Change one thing: --without, --profile, --byte or --register.")
    if at is not None and (without is not None or profile is not None):
        raise click.UsageError(
            "A profile and a step of the kprobe core are others from power-on; --at is for the rest."
        )
    recording = _recording(source)
    moment = None
    if byte is not None or register is not None:
        moment = _moment(recording, at)
    tried = what_if(recording, _change(recording, without, profile, byte, register), moment)
    tried.go_to_parting()
    if as_json:
        click.echo(json.dumps(_plain(tried), ensure_ascii=False))
        return
    language = default_language()
    for line in tried.tell(language):
        click.echo(line)
    if tried.parting is not None:
        headings = [_TEXTS.get(language, f"diff.{key}") or key for key in ("registers", "memory", "more")]
        for line in side_table(tried.before, tried.after, *headings):
            click.echo(line)


def _recording(source: str) -> Recording:
    from kprobesim.course import find_demo, list_demos

    if source in [demo.id for demo in list_demos()]:
        return capture(find_demo(source).open())
    path = Path(source)
    if not path.exists():
        raise BadInput(f"{source} is neither a recording nor a demo.", hint="kprobesim demo --list names the demos.")
    return load_recording(path)


def _moment(recording: Recording, at: int | None) -> Moment:
    from kprobesim.lab.recording import replay

    if at is None:
        return Moment(recording.start)
    if at >= recording.events:
        raise BadInput(f"There is no event {at:,}; the recording has {recording.events:,}.")
    return replay(recording).events(at, at + 1)[0].moment


def _change(
    recording: Recording, without: str | None, profile: str | None, byte: str | None, register: str | None
) -> Change:
    if without is not None:
        return FixUpOff(FixUp(without))
    if profile is not None:
        return ProfileChange(Profile.parse(profile))
    if byte is not None:
        return read_bytes(byte, lambda place: _address(recording, place))
    assert register is not None
    return read_register(register)


def _address(recording: Recording, place: str) -> int:
    from kprobesim.lab import Lab

    return Lab.open(recording.kernel, profile=recording.profile, boot=False).address_of(place)


def _plain(tried: WhatIf) -> dict[str, object]:
    parting = tried.parting
    return {
        "change": tried.tell("en")[0],
        "same": parting is None,
        "common": None if parting is None else parting.common,
        "before": parting and parting.left and tried.before.event_json(parting.left),
        "after": parting and parting.right and tried.after.event_json(parting.right),
        "fields": [] if parting is None else list(parting.fields),
        "path": tried.path,
        "ended": {"before": tried.ended[0], "after": tried.ended[1]},
    }
