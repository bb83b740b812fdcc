"""Finding one's way: cursor, run to it, who set this, bookmarks, counts, the timeline, the console."""

import pytest
from textual.events import MouseScrollDown, MouseScrollUp

from kprobesim.lab import Grain, Lab
from tests.tui.rig import (
    COUNT_READS,
    LARGE,
    SMALL,
    Demo,
    Run,
    lab_app,
    lab_screen,
    now,
    open_hit,
    open_plain,
    press,
    screen_lines,
    screen_text,
    settle,
)


@pytest.fixture
def twin() -> Lab:
    """A lab of the same kind, driven without any screen."""
    return open_hit()


async def test_a_count_makes_the_next_motion_so_often(twin: Lab) -> None:
    async with lab_app() as pilot:
        await press(pilot, "asterisk", "1", "2")
        assert "× 12 times" in screen_text(pilot)
        assert lab_screen(pilot).selected == "code"
        twin.step(Grain.PHASE, count=12)
        await press(pilot, "right")
        assert now(pilot).moment == twin.moment
        twin.step(Grain.PHASE, back=True)
        await press(pilot, "left")
        assert now(pilot).moment == twin.moment


async def test_escape_forgets_the_count(twin: Lab) -> None:
    async with lab_app() as pilot:
        await press(pilot, "x", "9", "escape", "right")
        twin.step(Grain.PHASE)
        assert now(pilot).moment == twin.moment


@pytest.mark.parametrize("size", [LARGE, SMALL])
async def test_the_cursor_runs_the_machine_to_an_instruction_and_back(size: tuple[int, int]) -> None:
    async with lab_app(size) as pilot:
        await press(pilot, "shift+down", "shift+down", "shift+down")
        target = lab_screen(pilot)._panel().cursor
        assert target is not None and target.kind == "code"
        await press(pilot, "f6")
        assert now(pilot).registers["rip"] == target.number
        there = now(pilot).moment
        await press(pilot, "right", "right", "right", "shift+f6")
        assert now(pilot).moment == there
        await press(pilot, "home", "shift+f6")
        assert "never at vfs_read+0x4" in screen_text(pilot)


async def test_a_second_click_on_a_row_of_code_runs_there() -> None:
    async with lab_app() as pilot:
        row = next(y for y, line in enumerate(screen_lines(pilot)) if "mov %rsp,%rbp" in line)
        await pilot.click(offset=(20, row))
        await pilot.click(offset=(20, row))
        await settle(pilot)
        assert now(pilot).place == "vfs_read+0x1"


async def test_who_set_this_goes_back_to_the_write_of_a_stack_word() -> None:
    async with lab_app() as pilot:
        await press(pilot, "4", "shift+down")
        target = lab_screen(pilot)._panel().cursor
        assert target is not None
        word = next(word for word in now(pilot).stack if word.address == target.number)
        before = now(pilot).moment
        await press(pilot, "f7")
        assert now(pilot).moment < before
        assert "is the last one that wrote to" in screen_text(pilot)
        assert f"→ {word.value:#x}" in screen_text(pilot).replace("\n", "")
        await press(pilot, "down", "down", "right")
        assert next(item for item in now(pilot).stack if item.address == target.number).value == word.value


async def test_who_set_this_finds_a_registers_last_change_and_a_patched_byte() -> None:
    async with lab_app() as pilot:
        await press(pilot, "2", "shift+down", "f7")
        assert "that wrote to rip" in screen_text(pilot)
        await press(pilot, "space")
        await press(pilot, "1", "shift+down", "shift+up")
        # The cursor begins at the probed instruction.
        await press(pilot, "w")
        event = now(pilot).event
        assert event is not None and event.kind == "text.poke"
        assert "The host" in screen_text(pilot)


async def test_without_a_cursor_a_sentence_says_how_to_get_one() -> None:
    async with lab_app() as pilot:
        await press(pilot, "f7")
        assert "Put the cursor on a row first" in screen_text(pilot)


async def test_who_set_this_finds_the_last_update_of_a_maps_element() -> None:
    async with lab_app() as pilot:
        await press(pilot, "space", "space")
        await press(pilot, "6", "shift+down")
        target = lab_screen(pilot)._panel().cursor
        assert target is not None and target.kind == "element"
        await press(pilot, "f7")
        event = now(pilot).event
        assert event is not None and event.kind == "map.update" and event.fields["key"] == target.key


async def test_bookmarks_are_visited_in_order_and_taken_away() -> None:
    async with lab_app() as pilot:
        first = now(pilot).moment
        await press(pilot, "f8", "right", "right", "right")
        second = now(pilot).moment
        await press(pilot, "m", "home")
        await press(pilot, "right_square_bracket")
        assert now(pilot).moment == first
        await press(pilot, "right_square_bracket")
        assert now(pilot).moment == second
        await press(pilot, "left_square_bracket")
        assert now(pilot).moment == first
        assert "⚑" in screen_lines(pilot)[-2].partition("hit")[0]
        await press(pilot, "f8", "left_square_bracket")
        assert "No bookmark lies that way" in screen_text(pilot)


async def test_a_click_on_the_timeline_goes_there_and_the_wheel_steps() -> None:
    async with lab_app() as pilot:
        here = now(pilot)
        await pilot.click("TimelineBar", offset=(1, 0))
        await settle(pilot)
        assert now(pilot).seq == here.track.first + 1
        before = now(pilot).moment
        await _wheel(pilot, back=False)
        assert now(pilot).moment > before
        await _wheel(pilot, back=True)
        assert now(pilot).moment <= before


async def _wheel(pilot: Run, *, back: bool) -> None:
    await pilot._post_mouse_events([MouseScrollUp if back else MouseScrollDown], widget="TimelineBar")
    await settle(pilot)


async def test_a_line_typed_at_the_console_runs_and_its_output_is_seen_and_taken_back() -> None:
    async with lab_app() as pilot:
        await press(pilot, "end", "f9", *"cat /etc/motd", "enter")
        assert lab_screen(pilot).selected == "console"
        assert "Typed: cat /etc/motd" in screen_text(pilot)
        console = now(pilot).console
        text = screen_text(pilot)
        assert text.index("▸$ cat /etc/motd") < text.index("▸This is toyix"), "the line stands before its output"
        await press(pilot, "home")
        assert len(now(pilot).console) < len(console)
        before = now(pilot).moment
        await press(pilot, "f9", "up")
        assert "cat /etc/motd" in screen_text(pilot)
        await press(pilot, "escape")
        assert now(pilot).moment == before


def _cells(text: str, word: str) -> list[str]:
    """What stands in a frame of the screen, where it has a word in it."""
    return [cell for line in text.splitlines() for cell in line.replace("┃", "│").split("│") if word in cell]


async def test_the_verifier_panel_walks_through_what_is_known() -> None:
    async with lab_app() as pilot:
        await press(pilot, "8")
        text = screen_text(pilot)
        assert "processed 14 insns" in text
        await press(pilot, "shift+down", "shift+down", "shift+down")
        text = screen_text(pilot)
        assert "where R0 comes from" in text


async def test_the_tasks_panel_shows_cpus_and_processes() -> None:
    async with lab_app() as pilot:
        await press(pilot, "9", "z")
        text = screen_text(pilot)
        assert "cpu0 ring 0" in text
        assert "9 tasks ─ CPUs: 1, tasks: 3 " in text
        assert any(cell.split()[:4] == ["1", "0", "R", "0"] for cell in _cells(text, "init"))


def open_jit() -> Lab:
    """In the middle of a compiled program."""
    lab = open_plain()
    lab.set_bpf_jit(1)
    lab.load_program(COUNT_READS, "by_pid")
    lab.attach("by_pid", "vfs_read")
    lab.type("cat /etc/motd")
    lab.run(until=["bpf.enter"])
    lab.step(Grain.BPF, count=5)
    return lab


async def test_a_compiled_program_shows_each_bpf_instruction_beside_its_machine_code() -> None:
    async with lab_app(demo=Demo(open_jit)) as pilot:
        await press(pilot, "5", "z")
        lines = screen_lines(pilot)
        shift = next(line for line in lines if "r0 >>= 32" in line)
        assert "48 c1 e8 20" in shift and "shr $0x20,%rax" in shift
        here = [line for line in lines if line.count("▶") == 2]
        assert len(here) == 1
        await press(pilot, "down", "down", "down", "right")
        assert [line for line in screen_lines(pilot) if line.count("▶") == 2] != here
        await press(pilot, "z")
        assert "1 code ─ bpf_prog_" in screen_text(pilot)
        assert "is not mapped" not in screen_text(pilot)
