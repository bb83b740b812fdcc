"""The presenter's large letters: what they say, how large they are, and that nothing in them moves."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from kprobesim.i18n import LANGUAGES, Language
from kprobesim.tui import KprobesimApp
from kprobesim.tui.panels.face import Face, set_in, spelled, width_in
from kprobesim.tui.panels.spotlight import Spotlight
from tests.tui.rig import LARGE, SMALL, Demo, Run, lab_app, lab_screen, now, press, screen_lines, wait_until

ASSEMBLY = string.ascii_letters + string.digits + "%$()[],.:;+-_*=<>/!|?&^# "
BLOCKS = "█▀▄"


def in_light(pilot: Run) -> list[str]:
    """The lines of the large letters."""
    region = pilot.app.screen.query_one(Spotlight).region
    return screen_lines(pilot)[region.y : region.bottom]


def shows(pilot: Run, text: str) -> bool:
    """Whether a text stands there in letters of some size."""
    lines = in_light(pilot)
    wanted = [made for face in Face if (made := set_in(face, text, 1000, 5)) is not None]
    return any(
        all(row.rstrip() in line for row, line in zip(made, lines[top:], strict=False))
        for made in wanted
        for top in range(len(lines) - len(made) + 1)
    )


def test_every_letter_that_assembly_needs_is_there_and_five_pixels_high() -> None:
    assert spelled(ASSEMBLY) == ASSEMBLY.upper()
    for letter in spelled(ASSEMBLY).replace(" ", ""):
        rows = set_in(Face.TALL, letter, 10, 5)
        assert rows is not None and len(rows) == 5
        assert {len(row) for row in rows} == {width_in(Face.TALL, letter)}
        assert "█" in "".join(rows), letter


def test_no_two_letters_look_alike() -> None:
    seen = [set_in(Face.SMALL, letter, 10, 3) for letter in set(spelled(ASSEMBLY))]
    assert len(seen) == len(set(seen))


@given(st.text(ASSEMBLY, min_size=1, max_size=60), st.sampled_from(Face), st.integers(8, 120), st.integers(3, 20))
def test_what_is_set_fits(text: str, face: Face, width: int, lines: int) -> None:
    rows = set_in(face, text, width, lines)
    if rows is not None:
        assert len(rows) <= lines
        assert all(cell_len(row) <= width for row in rows)
        assert set("".join(rows)) <= {*BLOCKS, " "}


def test_a_long_text_goes_on_below_behind_a_comma_or_an_underscore() -> None:
    assert set_in(Face.SMALL, "kprobe_int3_handler", 60, 3) is None
    rows = set_in(Face.SMALL, "kprobe_int3_handler", 60, 7)
    assert rows is not None and len(rows) == 7 and rows[3] == ""


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("size", [LARGE, SMALL])
async def test_the_next_instruction_the_byte_and_what_changed_are_large(
    size: tuple[int, int], language: Language
) -> None:
    async with lab_app(size, language=language) as pilot:
        await press(pilot, "ctrl+l")
        assert shows(pilot, "kprobe_int3_handler") and shows(pilot, "CC ← 55")
        for _ in range(20):
            if now(pilot).code.name == "vfs_read" and not now(pilot).code.host:
                break
            await press(pilot, "right")
        await press(pilot, "down", "right")
        assert now(pilot).next_text.startswith("mov")
        assert shows(pilot, re.sub(r" +", " ", now(pilot).next_text))


async def test_while_a_program_runs_its_own_instruction_is_large() -> None:
    async with lab_app() as pilot:
        await press(pilot, "ctrl+l")
        while (event := now(pilot).event) is None or event.kind != "bpf.enter":
            await press(pilot, "right")
        assert in_light(pilot)[0].strip() == "Next in the BPF program by_pid, slot 0"
        assert shows(pilot, "call bpf_get_current_")


async def test_a_flag_that_changed_is_told_first() -> None:
    async with lab_app() as pilot:
        await press(pilot, "ctrl+l")
        while now(pilot).phase.value != "#BP":
            await press(pilot, "left")
        await press(pilot, "right")
        assert now(pilot).phase.value == "gate"
        assert any(line.strip() == "Changed" for line in in_light(pilot))
        assert shows(pilot, "IF=0") or shows(pilot, "IF=0  rsp")


async def test_nothing_moves_while_stepping() -> None:
    async with lab_app() as pilot:
        await press(pilot, "ctrl+l")
        places = set()
        for _ in range(12):
            places |= {number for number, line in enumerate(in_light(pilot)) if re.search(r"[a-z]{4}", line)}
            await press(pilot, "right")
        assert places == {0, 8, 15}


async def test_in_ascii_no_half_cells_are_drawn() -> None:
    app = KprobesimApp(Demo(), "en", ascii_only=True)
    async with app.run_test(size=SMALL) as pilot:
        await wait_until(pilot, lambda: len(app.screen_stack) > 1 and lab_screen(pilot).snapshot is not None)
        await press(pilot, "ctrl+l")
        lines = in_light(pilot)
        assert not {"▀", "▄"} & set("".join(lines))
        assert "█" in "".join(lines) or "#" in "".join(lines)
