"""What the lessons' texts quote is what a machine shows, and both languages tell the same."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from kprobesim.course import read_scenario
from kprobesim.i18n import LANGUAGES
from kprobesim.lab import Grain, Lab, Stop

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


def presses(source: str) -> list[tuple[str, str]]:
    """Every line that says what a key shows, in order: the kind of its block, and the line."""
    found = re.findall(r"^```(events|seen)\n(.*?)^```$", source, re.MULTILINE | re.DOTALL)
    return [(kind, line) for kind, block in found for line in block.splitlines()]


KEYS = {"→": (Grain.PHASE, False), "←": (Grain.PHASE, True), "Space": (Grain.HIT, False)}


@cache
def walked(folder: Path) -> tuple[Lab, list[tuple[str, str]]]:
    """The lab after all keys of a lesson, and what each of them shows, as lessons write it."""
    lab, seen = read_scenario(folder, "lesson.toml").open(), []
    for kind, line in presses(text(folder, "en")):
        key = line.split()[0]
        grain, back = KEYS[key]
        lab.step(grain, back=back)
        registers, event = lab.registers(), lab.last_event
        assert event is not None
        flag = int(bool(registers["rflags"] & IF))
        place = "user" if registers["cs"] & 3 else lab.symbolize(registers["rip"])
        shown = event.kind if kind == "events" else f"{lab.phase.value}  {place}  IF {flag}  {lab.kprobes().status}"
        seen.append((kind, f"{key}  {shown}"))
    return lab, seen


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_the_head_is_complete(folder: Path) -> None:
    lesson = head(folder)
    assert lesson["format_version"] == 1
    assert lesson["id"] == folder.name
    assert set(lesson["title"]) == set(lesson["summary"]) == set(LANGUAGES)
    assert lesson["minutes"] > 0
    assert (folder / lesson["setup"]["program"]).is_file()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_both_languages_have_the_same_shape(folder: Path) -> None:
    english, chinese = text(folder, "en"), text(folder, "zh")
    for pattern in (r"^#+ ", r"^```(\w+)$", r"^- "):
        assert len(re.findall(pattern, english, re.MULTILINE)) == len(re.findall(pattern, chinese, re.MULTILINE)), (
            pattern
        )
    for kind in ("events", "seen", "memory"):
        assert blocks(english, kind) == blocks(chinese, kind)
    assert set(re.findall(r"`([^`\n]+)`", english)) == set(re.findall(r"`([^`\n]+)`", chinese))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_each_key_shows_what_the_text_says(folder: Path) -> None:
    assert walked(folder)[1] == presses(text(folder, "en"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_quoted_memory_is_what_is_there(folder: Path) -> None:
    english = text(folder, "en")
    lab, _ = walked(folder)
    quoted = blocks(english, "memory")
    assert quoted
    for line in quoted:
        place, _, digits = line.partition("  ")
        name, _, offset = place.partition("+")
        data = bytes.fromhex(digits)
        assert lab.read(lab.kernel.symbol(name) + int(offset, 16), len(data)) == data, line


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_quoted_functions_exist(folder: Path) -> None:
    lab, _ = walked(folder)
    for name in re.findall(r"`(\w+)\+0x[0-9a-f]+`", text(folder, "en")):
        assert lab.kernel.has_symbol(name), name


def test_the_first_probe_tells_the_hit_as_it_happens() -> None:
    folder = LESSONS / "01-the-first-probe"
    lab, _ = walked.__wrapped__(folder)
    code = lab.code(lab.kprobes().probes[0].address)
    assert (code[0].original, code[0].text.split()) == (b"\x55", ["push", "%rbp"])
    assert code[1].memory.hex(" ") == "48 89 e5"
    lab.step(Grain.HIT)
    assert lab.last_event is not None
    assert lab.last_event.kind == "kprobe.hit"
    assert lab.run(until=["map.update"]) is Stop.MOMENT
    update = lab.last_event
    assert [int.from_bytes(update.fields[name], "little") for name in ("old", "new")] == [1, 2]
    calls = [event.fields["name"] for event in lab.events(lab.seq - 4, lab.seq) if event.kind == "bpf.helper"]
    assert calls == ["bpf_get_current_pid_tgid", "bpf_map_lookup_elem"]
