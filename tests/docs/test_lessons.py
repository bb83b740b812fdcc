"""What the lessons' texts quote is what a machine shows, and both languages tell the same."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from kprobesim.errors import BadInput
from kprobesim.i18n import LANGUAGES
from kprobesim.lab import Grain, Lab
from kprobesim.lab.kinds import EVENT_KINDS
from kprobesim.machine import Stop

LESSONS = Path(__file__).resolve().parents[2] / "lessons"
FOLDERS = sorted(path.parent for path in LESSONS.glob("*/lesson.toml"))
IF = 1 << 9

pytestmark = pytest.mark.skipif(not FOLDERS, reason="lessons/ is only in a checkout")


def head(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "lesson.toml").read_text(encoding="utf-8"))


def text(folder: Path, language: str) -> str:
    return (folder / f"{language}.md").read_text(encoding="utf-8")


def blocks(source: str, kind: str) -> list[str]:
    """Lines of all fenced blocks of a kind."""
    found = re.findall(rf"^```{kind}\n(.*?)^```$", source, re.MULTILINE | re.DOTALL)
    return [line for block in found for line in block.splitlines()]


def start(folder: Path) -> Lab:
    """A lab at the place where the lesson begins."""
    lesson = head(folder)
    setup = lesson["setup"]
    try:
        lab = Lab.open(lesson["kernel"], profile=lesson["profile"], cpus=lesson["cpus"])
    except BadInput as missing:
        pytest.skip(str(missing))
    lab.run()
    program = folder / setup["program"]
    lab.load_program(program.read_text(encoding="utf-8"), program.stem)
    lab.attach(program.stem, setup["probe"])
    lab.type(setup["command"])
    assert lab.run(until=setup["stop_kinds"]) is Stop.MOMENT
    return lab


@cache
def walked(folder: Path, presses: int) -> tuple[Lab, list[str]]:
    """The lab after so many steps, and what each of them shows, as lessons write it."""
    lab, seen = start(folder), []
    for _ in range(presses):
        lab.step(Grain.PHASE)
        registers = lab.registers()
        flag = int(bool(registers["rflags"] & IF))
        place = lab.symbolize(registers["rip"])
        seen.append(f"→  {lab.phase.value}  {place}  IF {flag}  {lab.kprobes().status}")
    return lab, seen


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_the_head_is_complete(folder: Path) -> None:
    lesson = head(folder)
    assert lesson["format_version"] == 1
    assert lesson["id"] == folder.name
    assert set(lesson["title"]) == set(lesson["summary"]) == set(LANGUAGES)
    assert lesson["minutes"] > 0
    assert set(lesson["setup"]["stop_kinds"]) <= EVENT_KINDS.keys()
    assert (folder / lesson["setup"]["program"]).is_file()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_both_languages_have_the_same_shape(folder: Path) -> None:
    english, chinese = text(folder, "en"), text(folder, "zh")
    for pattern in (r"^#+ ", r"^```(\w+)$", r"^- "):
        assert len(re.findall(pattern, english, re.MULTILINE)) == len(re.findall(pattern, chinese, re.MULTILINE)), (
            pattern
        )
    for kind in ("seen", "memory"):
        assert blocks(english, kind) == blocks(chinese, kind)
    assert set(re.findall(r"`([^`\n]+)`", english)) == set(re.findall(r"`([^`\n]+)`", chinese))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_each_key_shows_what_the_text_says(folder: Path) -> None:
    quoted = blocks(text(folder, "en"), "seen")
    assert walked(folder, len(quoted))[1] == quoted


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_quoted_memory_is_what_is_there(folder: Path) -> None:
    english = text(folder, "en")
    lab, _ = walked(folder, len(blocks(english, "seen")))
    quoted = blocks(english, "memory")
    assert quoted
    for line in quoted:
        place, _, digits = line.partition("  ")
        name, _, offset = place.partition("+")
        data = bytes.fromhex(digits)
        assert lab.read(lab.kernel.symbol(name) + int(offset, 16), len(data)) == data, line


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_quoted_functions_exist(folder: Path) -> None:
    lab, _ = walked(folder, len(blocks(text(folder, "en"), "seen")))
    for name in re.findall(r"`(\w+)\+0x[0-9a-f]+`", text(folder, "en")):
        assert lab.kernel.has_symbol(name), name


def test_the_first_probe_tells_the_hit_as_it_happens() -> None:
    folder = LESSONS / "01-the-first-probe"
    lab, _ = walked.__wrapped__(folder, len(blocks(text(folder, "en"), "seen")))
    probe = lab.kprobes().probes[0]
    assert lab.code(probe.address)[0].original.hex(" ") == "0f 1f 44 00 00"
    updates = [event for event in lab.events() if event.kind == "map.update"]
    assert lab.narrate(updates[0], "en").what == "counts has a new element: counts[3] = 1."
    lab.step(Grain.HIT)
    assert lab.last_event is not None
    assert lab.last_event.kind == "kprobe.hit"
    lab.run(until=["map.update"])
    assert lab.narrate(lab.last_event, "en").what == "counts[3] changed from 1 to 2."
    calls = [event.fields["name"] for event in lab.events(lab.seq - 4, lab.seq) if event.kind == "bpf.helper"]
    assert calls == ["bpf_get_current_pid_tgid", "bpf_map_lookup_elem"]
