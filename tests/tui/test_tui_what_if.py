"""The what-if screen: asking, waiting, cancelling, and moving through two lives side by side."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from rich.cells import cell_len
from textual.widgets import Input, OptionList

from kprobesim.i18n import Language
from kprobesim.lab import Lab
from kprobesim.tui.actions import WHAT_IF_ACTIONS
from kprobesim.tui.panels.events import EventsPanel
from kprobesim.tui.screens.help import HelpScreen
from kprobesim.tui.screens.lab import LabScreen
from kprobesim.tui.screens.what_if import WhatIfScreen
from kprobesim.tui.screens.what_if_form import WhatIfForm
from kprobesim.tui.twins import TwinView
from tests.tui.rig import (
    LARGE,
    SMALL,
    Demo,
    Run,
    front,
    lab_app,
    lab_screen,
    now,
    open_hit,
    press,
    screen_lines,
    screen_text,
    wait_until,
)


def open_lived() -> Lab:
    """A lab at the first hit, whose life is known to its end."""
    lab = open_hit()
    lab.run()
    lab.seek(next(event for event in lab.events() if event.kind == "kprobe.hit"))
    return lab


def twins(pilot: Run) -> WhatIfScreen:
    screen = pilot.app.screen
    assert isinstance(screen, WhatIfScreen)
    return screen


def shown(pilot: Run) -> TwinView:
    view = twins(pilot).view
    assert view is not None
    return view


async def ask(pilot: Run, offer: str, value: str = "", at: str = "") -> None:
    """Fill in the form, and send it."""
    await press(pilot, "f12")
    assert front(pilot) is WhatIfForm
    listed = pilot.app.screen.query_one(OptionList)
    place = next(number for number, option in enumerate(listed.options) if offer in str(option.prompt))
    listed.highlighted = place
    await pilot.pause()
    await press(pilot, "enter")
    if value:
        pilot.app.screen.query_one("#value", Input).value = value
        pilot.app.screen.query_one("#at", Input).value = at
        await press(pilot, "enter")


async def arrived(pilot: Run) -> None:
    await wait_until(pilot, lambda: isinstance(pilot.app.screen, WhatIfScreen))
    screen = twins(pilot)
    await wait_until(pilot, lambda: screen.view is not None or screen.failure is not None)


async def do(pilot: Run, *keys: str) -> TwinView:
    """Press keys on the what-if screen, and wait for both machines."""
    for key in keys:
        await press(pilot, key)
        await wait_until(pilot, lambda: not twins(pilot).twin.busy)
    return shown(pilot)


@asynccontextmanager
async def forked(
    size: tuple[int, int] = LARGE, language: Language = "en", offer: str = "from the slot"
) -> AsyncIterator[Run]:
    """The what-if screen, where the lives part."""
    async with lab_app(size, Demo(open_lived), language) as pilot:
        await ask(pilot, offer)
        await arrived(pilot)
        yield pilot


def kinds(view: TwinView) -> list[str]:
    return [side.event.kind if side.event is not None else "" for side in view.sides]


async def test_both_lives_stand_at_the_first_event_that_differs_and_it_is_marked_in_both() -> None:
    async with forked() as pilot:
        view = shown(pilot)
        assert kinds(view) == ["kprobe.resume", "kprobe.resume"]
        text = " ".join(screen_text(pilot).split())
        assert sum(line.count("≠") for line in screen_lines(pilot)[:-2]) == 2
        for expected in (
            "What if, behind the slot's int3, RIP were not taken back",
            "events alike, and part there",
            "With the change the machine cannot go on",
            "As it was",
            "Changed",
            "ip → vfs_read+0x1",
            "ip → kprobe_insn_page+0x2",
            "what differs here ─ registers: 0, stretches of memory: 1",
        ):
            assert expected in text, expected


async def test_the_same_keys_step_both_and_enter_and_f12_go_to_the_parting_and_the_fork() -> None:
    async with forked() as pilot:
        parting = shown(pilot)
        ahead = await do(pilot, "right")
        assert all(one.moment > two.moment for one, two in zip(ahead.sides, parting.sides, strict=True))
        assert ahead.registers, "the two CPUs go on at different places"
        back = await do(pilot, "left")
        assert all(one.moment < two.moment for one, two in zip(back.sides, ahead.sides, strict=True))
        fine = await do(pilot, "down", "down", "right")
        assert [side.moment.insn - before.moment.insn for side, before in zip(fine.sides, back.sides, strict=True)] in (
            [0, 0],
            [1, 1],
        )
        begin = await do(pilot, "home")
        assert [side.seq for side in begin.sides] < [side.seq for side in parting.sides]
        assert kinds(await do(pilot, "enter")) == kinds(parting)
        end = await do(pilot, "end")
        assert end.sides[0].total != end.sides[1].total
        fork = await do(pilot, "f12")
        assert fork.sides[0].moment == fork.sides[1].moment


async def test_space_and_backspace_go_from_hit_to_hit_in_both() -> None:
    async with forked(offer="Profile history") as pilot:
        assert kinds(await do(pilot, "home", "space")) == ["kprobe.hit", "kprobe.hit"]
        assert kinds(await do(pilot, "space", "backspace")) == ["kprobe.hit", "kprobe.hit"]


async def test_a_register_can_be_changed_at_an_event_of_the_past() -> None:
    async with lab_app(LARGE, Demo(open_lived)) as pilot:
        hit = now(pilot).seq
        await press(pilot, "end")
        await ask(pilot, "register", "rdx=3", str(hit + 20))
        await arrived(pilot)
        view = await do(pilot, "f12")
        (difference,) = [item for item in view.registers if item.name == "rdx"]
        assert difference.right == 3
        assert "rdx" in screen_text(pilot)


async def test_a_byte_that_makes_no_difference_says_so() -> None:
    async with lab_app(LARGE, Demo(open_lived)) as pilot:
        await ask(pilot, "bytes in memory", "vfs_read+0x0=cc")
        await arrived(pilot)
        assert "Nothing differs" in screen_text(pilot)
        assert "both lives are the same" in screen_text(pilot)


async def test_the_form_offers_what_the_cursor_is_on_and_says_what_it_cannot_read() -> None:
    async with lab_app(LARGE, Demo(open_lived)) as pilot:
        await press(pilot, "2", "shift+down", "f12")
        assert pilot.app.screen.query_one("#value", Input).value.startswith("rip=")
        await press(pilot, "enter")
        pilot.app.screen.query_one("#value", Input).value = "rip=soon"
        await press(pilot, "enter")
        assert "is not NAME=VALUE" in screen_text(pilot)
        pilot.app.screen.query_one("#value", Input).value = "rip=0"
        pilot.app.screen.query_one("#at", Input).value = "tomorrow"
        await press(pilot, "enter")
        assert "is not a place" in screen_text(pilot)
        await press(pilot, "escape")
        assert front(pilot) is LabScreen


async def test_a_place_that_the_kernel_does_not_have_is_a_sentence_in_the_lab_and_the_form_remembers_it() -> None:
    async with lab_app(LARGE, Demo(open_lived)) as pilot:
        await ask(pilot, "bytes in memory", "vfs_raed=90")
        await wait_until(pilot, lambda: lab_screen(pilot).failure is not None)
        assert "no symbol vfs_raed" in screen_text(pilot)
        await press(pilot, "f12")
        assert pilot.app.screen.query_one("#value", Input).value == "vfs_raed=90"


async def test_esc_cancels_while_the_lives_are_lived_and_leaves_when_they_are_over() -> None:
    async with lab_app(LARGE, Demo(open_lived)) as pilot:
        before = now(pilot).moment
        await ask(pilot, "from the slot")
        await wait_until(pilot, lambda: isinstance(pilot.app.screen, WhatIfScreen))
        worker = twins(pilot).twin
        await press(pilot, "escape")
        assert front(pilot) is LabScreen
        await wait_until(pilot, lambda: not worker._thread.is_alive())
        await ask(pilot, "from the slot")
        await arrived(pilot)
        await press(pilot, "escape")
        assert front(pilot) is LabScreen
        assert now(pilot).moment == before


async def test_the_lab_can_be_taken_to_where_the_life_as_it_was_stands() -> None:
    async with forked() as pilot:
        place = shown(pilot).sides[0].moment
        await press(pilot, "ctrl+g")
        assert front(pilot) is LabScreen
        await wait_until(pilot, lambda: now(pilot).moment == place)


async def test_a_click_on_an_event_takes_only_that_life_there() -> None:
    async with forked() as pilot:
        right = pilot.app.screen.query(EventsPanel).last()
        before = shown(pilot)
        await pilot.click(right, offset=(8, 1))
        await wait_until(pilot, lambda: not twins(pilot).twin.busy and shown(pilot) is not before)
        after = shown(pilot)
        assert after.sides[0].moment == before.sides[0].moment
        assert after.sides[1].moment < before.sides[1].moment


@pytest.mark.parametrize("size", [LARGE, SMALL, (200, 50), (60, 20)])
async def test_at_every_size_all_lines_are_whole_and_both_languages_are_spoken(size: tuple[int, int]) -> None:
    async with forked(size) as pilot:
        await do(pilot, "right")
        assert {cell_len(line) for line in screen_lines(pilot)} == {size[0]}
        assert "As it was" in screen_text(pilot) and "Changed" in screen_text(pilot)
        await press(pilot, "f3")
        assert {cell_len(line) for line in screen_lines(pilot)} == {size[0]}
        assert "改动后" in screen_text(pilot)


async def test_on_a_small_screen_place_of_each_life_is_whole_and_its_sentence_says_what_changed() -> None:
    async with forked(SMALL) as pilot:
        lines = screen_lines(pilot)
        where = next(line for line in lines if "As it was" in line)
        assert where.count("kprobe_int3_handler+0x9") == 2 and "…" not in where
        told = lines[next(y for y, line in enumerate(lines) if "What happened" in line) + 1 :][:4]
        assert "belongs to" in told[0] and "vfs_read+0x1" in told[2] + told[3]


async def test_the_form_says_which_fields_a_change_does_not_need_and_keeps_what_was_typed() -> None:
    async with lab_app(SMALL, Demo(open_lived)) as pilot:
        await press(pilot, "f12")
        pilot.app.screen.query_one("#at", Input).value = "24.6ms"
        assert "not needed" not in screen_text(pilot) and "Esc closes" in screen_text(pilot)
        await press(pilot, "down", "down")
        assert screen_text(pilot).count("not needed for this") == 2
        await press(pilot, "up")
        assert "not needed" not in screen_text(pilot)
        assert pilot.app.screen.query_one("#at", Input).value == "24.6ms"


async def test_every_action_can_be_asked_for_and_help_lists_them() -> None:
    async with forked() as pilot:
        for action in WHAT_IF_ACTIONS:
            if action.id in ("stop", "leave", "take"):
                continue
            twins(pilot).action_perform(action.id)
            await wait_until(pilot, lambda: not twins(pilot).twin.busy)
            assert twins(pilot).failure is None, action.id
        await press(pilot, "f1")
        assert front(pilot) is HelpScreen
        await pilot.pause(0.1)
        text = screen_text(pilot)
        assert "Two lives of one machine" in text
        assert "To the fork" in text


async def test_a_life_with_a_handler_in_python_cannot_be_told_and_the_lab_says_why() -> None:
    def open_handled() -> Lab:
        lab = open_lived()
        lab.kprobe("vfs_write", pre_handler=lambda probe, regs: 0)
        return lab

    async with lab_app(LARGE, Demo(open_handled)) as pilot:
        await ask(pilot, "from the slot")
        await wait_until(pilot, lambda: lab_screen(pilot).failure is not None)
        assert "'register_kprobe vfs_write', cannot be recorded" in screen_text(pilot)
