"""``kprobesim diff``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import click

from kprobesim.cli.options import lang_option
from kprobesim.i18n import Language, Texts, default_language
from kprobesim.lab import Event, Lab
from kprobesim.lab.parting import Parting, first_difference, memory_side_by_side, side_by_side
from kprobesim.lab.recording import Recording, load_recording, replay

__all__ = ["command", "side_table"]

_TEXTS: Final = Texts("kprobesim.lab.recording.texts")
_SETTINGS: Final = ("kernel", "image", "profile", "cpus", "seed", "optimization", "without")
_ROWS: Final = 12


@click.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of sentences.")
@lang_option
def command(a: Path, b: Path, as_json: bool) -> None:
    """Where two recordings part: the first event that differs, and the two machines side by side.

    The exit status is 0 if they are the same life and 1 if not.
    """
    recordings = load_recording(a), load_recording(b)
    left, right = replay(recordings[0]), replay(recordings[1])
    parting = first_difference(left, right)
    if parting is not None:
        for lab, event in ((left, parting.left), (right, parting.right)):
            _go(lab, event)
    if as_json:
        click.echo(json.dumps(_plain(left, right, parting), ensure_ascii=False))
    else:
        _tell((a.name, b.name), recordings, (left, right), parting, default_language())
    if parting is not None:
        raise click.exceptions.Exit(1)


def _go(lab: Lab, event: Event | None) -> None:
    if event is None:
        lab.seek_end()
    else:
        lab.start = min(lab.start, event.moment.insn)
        lab.seek(event)


def _tell(
    names: tuple[str, str],
    recordings: tuple[Recording, Recording],
    labs: tuple[Lab, Lab],
    parting: Parting | None,
    language: Language,
) -> None:
    def say(key: str, **values: Any) -> str:
        return _TEXTS.get(language, f"diff.{key}", **values) or key

    if parting is None:
        click.echo(say("same", events=labs[0].event_count))
        return
    for what in _SETTINGS:
        values = [_setting(recording, what) for recording in recordings]
        if values[0] != values[1]:
            click.echo(say("settings", what=what, left=values[0], right=values[1]))
    click.echo(say("part", common=parting.common))
    for name, lab, event in zip(names, labs, (parting.left, parting.right), strict=True):
        told = _TEXTS.get(language, "whatif.nothing") if event is None else lab.narrate(event, language).what
        click.echo(say("left", name=name, told=told))
    for line in side_table(*labs, say("registers"), say("memory"), say("more")):
        click.echo(line)


def _setting(recording: Recording, what: str) -> str:
    value = getattr(recording, what)
    if what == "image":
        return str(value)[:12]
    if what == "without":
        return ",".join(sorted(fixup.value for fixup in value)) or "-"
    return str(getattr(value, "value", value))


def side_table(left: Lab, right: Lab, registers: str, memory: str, more: str) -> list[str]:
    """Registers and memory that differ, in two columns.

    Args:
        left, right: each at the moment where it stands.
        registers, memory, more: the headings, and what stands for rows that are left out.
    """
    lines = []
    if found := side_by_side(left, right):
        lines.append(registers)
        lines += [f"  cpu{item.cpu} {item.name:>7}  {item.left:#018x}  {item.right:#018x}" for item in found]
    if left.image.sha256 == right.image.sha256 and (stretches := memory_side_by_side(left, right, _ROWS + 1)):
        lines.append(memory)
        for place in stretches[:_ROWS]:
            ours, theirs = place.left[:16].hex(" "), place.right[:16].hex(" ")
            lines.append(f"  {place.place}\n    {ours}\n    {theirs}")
        if len(stretches) > _ROWS:
            lines.append(f"  {more}")
    return lines


def _plain(left: Lab, right: Lab, parting: Parting | None) -> dict[str, Any]:
    if parting is None:
        return {"same": True, "events": left.event_count}
    same_image = left.image.sha256 == right.image.sha256
    return {
        "same": False,
        "common": parting.common,
        "left": parting.left and left.event_json(parting.left),
        "right": parting.right and right.event_json(parting.right),
        "fields": list(parting.fields),
        "registers": [
            {"cpu": item.cpu, "name": item.name, "left": f"{item.left:#x}", "right": f"{item.right:#x}"}
            for item in side_by_side(left, right)
        ],
        "memory": [
            {
                "address": f"{place.address:#x}",
                "place": place.place,
                "left": place.left.hex(),
                "right": place.right.hex(),
            }
            for place in (memory_side_by_side(left, right) if same_image else ())
        ],
    }
