"""Every motion's key moves the lab exactly as the lab itself moves when it is asked directly."""

import pytest

from kprobesim.lab import Grain, Lab
from tests.tui.rig import LARGE, SMALL, Demo, lab_app, lab_screen, now, open_hit, open_plain, press, screen_text, settle

GRAIN_KEYS: dict[Grain, tuple[str, ...]] = {
    Grain.HIT: ("up",),
    Grain.PHASE: (),
    Grain.LINE: ("down",),
    Grain.INSTRUCTION: ("down", "down"),
    Grain.BPF: ("down", "down", "down"),
}


@pytest.fixture
def twin() -> Lab:
    """A lab of the same kind, driven without any screen."""
    return open_hit()


@pytest.mark.parametrize("grain", list(Grain))
async def test_arrows_step_forwards_and_back_at_every_grain(grain: Grain, twin: Lab) -> None:
    async with lab_app() as pilot:
        await press(pilot, *GRAIN_KEYS[grain])
        assert lab_screen(pilot).grain is grain
        for _ in range(3):
            twin.step(grain)
            await press(pilot, "right")
            assert now(pilot).moment == twin.moment
        twin.step(grain, back=True)
        await press(pilot, "left")
        assert now(pilot).moment == twin.moment
        twin.step(grain, back=True)
        await press(pilot, "shift+right")
        assert now(pilot).moment == twin.moment


@pytest.mark.parametrize("size", [LARGE, SMALL])
async def test_space_runs_to_the_next_hit_and_backspace_to_the_one_before(size: tuple[int, int], twin: Lab) -> None:
    first = twin.moment
    async with lab_app(size) as pilot:
        twin.step(Grain.HIT)
        await press(pilot, "space")
        assert now(pilot).moment == twin.moment > first
        await press(pilot, "backspace")
        assert now(pilot).moment == first
        await press(pilot, "space", "shift+space")
        assert now(pilot).moment == first


async def test_keys_pressed_faster_than_the_lab_moves_are_all_obeyed(twin: Lab) -> None:
    async with lab_app() as pilot:
        twin.step(Grain.PHASE, count=6)
        await press(pilot, *["right"] * 6)
        assert now(pilot).moment == twin.moment


async def test_home_and_end_go_to_the_ends_of_the_known_life(twin: Lab) -> None:
    async with lab_app() as pilot:
        twin.seek(twin.start)
        await press(pilot, "home")
        assert now(pilot).moment == twin.moment
        assert "nothing lies before it" in screen_text(pilot)
        twin.seek_end()
        await press(pilot, "end")
        assert now(pilot).moment == twin.moment


@pytest.mark.parametrize("what", ["event", "instruction", "time"])
async def test_enter_asks_where_to_go(what: str, twin: Lab) -> None:
    middle, time = (twin.start + twin.moment.insn) // 2, twin.ns - 10_000
    if what == "instruction":
        typed = f"i{middle}"
        twin.seek(middle)
    elif what == "time":
        typed = f"{time / 1e6}ms"
        twin.seek_time(time)
    else:
        typed = str(twin.seq - 1)
        twin.seek(twin.events(twin.seq - 2)[0])
    async with lab_app() as pilot:
        await press(pilot, "enter", *typed, "enter")
        assert now(pilot).moment == twin.moment


async def test_a_place_that_cannot_be_read_is_refused_in_the_dialog() -> None:
    async with lab_app() as pilot:
        before = now(pilot).moment
        await press(pilot, "enter", "x", "enter")
        assert "Write an event number" in screen_text(pilot)
        await press(pilot, "escape")
        assert "Write an event number" not in screen_text(pilot)
        assert now(pilot).moment == before


async def test_a_place_never_reached_is_refused_in_a_sentence() -> None:
    async with lab_app() as pilot:
        before = now(pilot).moment
        await press(pilot, "enter", *"9999", "enter")
        assert "There is no event 9,999" in screen_text(pilot)
        await press(pilot, "enter", *"9s", "enter")
        assert "has not been at 9,000.000 ms" in screen_text(pilot)
        assert now(pilot).moment == before


async def test_a_click_on_an_event_goes_there() -> None:
    async with lab_app() as pilot:
        newest = now(pilot).seq
        # The newest event is marked in one of the five rows; the row above it is the event before.
        lines = screen_text(pilot).splitlines()
        row = next(y for y, line in enumerate(lines) if "▶" in line and "kprobe.hit" in line)
        await pilot.click(offset=(90, row - 1))
        await settle(pilot)
        assert now(pilot).seq == newest - 1
        assert now(pilot).at_event


async def test_the_wheel_over_the_events_looks_but_does_not_step() -> None:
    async with lab_app() as pilot:
        before, text = now(pilot).moment, screen_text(pilot)
        await pilot._post_mouse_events([_wheel()], widget="#recent")
        await pilot.pause()
        assert now(pilot).moment == before
        assert screen_text(pilot) != text


def _wheel() -> type:
    from textual.events import MouseScrollUp

    return MouseScrollUp


async def test_where_nothing_more_happens_a_sentence_says_so() -> None:
    async with lab_app(demo=Demo(open_plain)) as pilot:
        await press(pilot, "space")
        assert "No further hit" in screen_text(pilot)
        await press(pilot, "right")
        assert "Nothing more happens" in screen_text(pilot)
        await press(pilot, "down", "down", "down", "right")
        assert "No BPF program is loaded" in screen_text(pilot)
