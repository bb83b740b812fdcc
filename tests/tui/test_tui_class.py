"""A teacher's app and a follower's app, each with a machine of its own, joined by the network."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from rich.cells import cell_len
from textual.pilot import Pilot

from kprobesim.classroom import Leader, Link, read_link, say
from kprobesim.i18n import LANGUAGES, Language
from kprobesim.lab import Lab, Moment
from kprobesim.tui.class_apps import FollowingApp, LeadingApp
from kprobesim.tui.screens.follow import FollowScreen, WaitingScreen
from kprobesim.tui.screens.help import HelpScreen
from kprobesim.tui.screens.start import StartScreen
from tests.tui.rig import (
    COUNT_READS,
    LARGE,
    SMALL,
    Demo,
    front,
    lab_app,
    lab_screen,
    now,
    press,
    screen_text,
    wait_until,
)

Class = tuple[Pilot[None], Pilot[None], Leader]


def open_lesson() -> Lab:
    """A lab with a hit in its known future."""
    lab = Lab.open("toyix", optimization=False)
    lab.run()
    lab.start = lab.moment.insn
    lab.load_program(COUNT_READS, "by_pid")
    lab.attach("by_pid", "vfs_read")
    lab.type("cat /etc/motd")
    lab.run()
    lab.seek(lab.start)
    return lab


@asynccontextmanager
async def leading(demo: Demo | None = None) -> AsyncIterator[tuple[Pilot[None], Leader, Link]]:
    leader = Leader(pulse=0.2)
    await leader.start("127.0.0.1", 0)
    link = leader.link("127.0.0.1")
    try:
        async with LeadingApp(leader, link, demo or Demo(open_lesson), "en").run_test(size=LARGE) as teacher:
            await wait_until(teacher, lambda: lab_screen(teacher).snapshot is not None)
            yield teacher, leader, read_link(link)
    finally:
        await leader.stop()


@asynccontextmanager
async def class_of_one(size: tuple[int, int] = LARGE) -> AsyncIterator[Class]:
    async with leading() as (teacher, leader, link), FollowingApp(link, "en").run_test(size=size) as follower:
        await opened(follower)
        yield teacher, follower, leader


async def opened(follower: Pilot[None]) -> None:
    """Wait until the follower sees a lab."""
    await wait_until(follower, lambda: front(follower) is FollowScreen and lab_screen(follower).snapshot is not None)


async def together(teacher: Pilot[None], follower: Pilot[None]) -> None:
    """Wait until the follower stands where the teacher does."""
    await wait_until(follower, lambda: now(follower).moment == now(teacher).moment)


async def test_where_the_teacher_goes_the_follower_goes_forwards_and_backwards() -> None:
    async with class_of_one() as (teacher, follower, _):
        await together(teacher, follower)
        await press(teacher, "space", "right", "right")
        await together(teacher, follower)
        assert now(follower).phase == now(teacher).phase
        assert now(follower).registers == now(teacher).registers
        await press(teacher, "left", "backspace")
        await together(teacher, follower)


async def test_who_moves_explores_and_may_come_back() -> None:
    async with class_of_one() as (teacher, follower, leader):
        await press(teacher, "space")
        await together(teacher, follower)
        await press(follower, "right")
        mine = now(follower).moment
        assert mine > now(teacher).moment
        assert "on your own" in screen_text(follower)
        await wait_until(teacher, lambda: "followers: 1, on their own: 1" in screen_text(teacher))
        await press(teacher, "space")
        await wait_until(follower, lambda: follower.app.screen._heard.moment == now(teacher).moment)  # type: ignore[attr-defined]
        assert now(follower).moment == mine, "the teacher no longer moves this screen"
        await press(follower, "ctrl+g")
        await together(teacher, follower)
        assert "with the teacher" in screen_text(follower)
        await wait_until(teacher, lambda: leader.crowd == (1, 0))


async def test_what_the_teacher_types_reaches_the_follower_as_another_life() -> None:
    async with class_of_one() as (teacher, follower, _):
        await press(teacher, "end")
        printed = now(teacher).console
        await press(teacher, "f9", *"echo so", "enter")
        await wait_until(teacher, lambda: now(teacher).console != printed)
        await opened(follower)
        await together(teacher, follower)
        assert now(follower).console == now(teacher).console


async def test_who_explores_keeps_the_lab_until_coming_back_to_the_teachers_new_one() -> None:
    async with class_of_one() as (teacher, follower, _):
        await press(follower, "4", "down", "right")
        mine = follower.app.screen
        await press(teacher, "end", "f9", *"ls", "enter")
        assert isinstance(mine, FollowScreen)
        grain = mine.grain
        await wait_until(follower, lambda: mine._heard.name != mine.recording)
        assert follower.app.screen is mine
        await press(follower, "ctrl+g")
        await wait_until(follower, lambda: follower.app.screen is not mine and front(follower) is FollowScreen)
        await opened(follower)
        await together(teacher, follower)
        await wait_until(follower, lambda: lab_screen(follower).selected == "stack")
        assert lab_screen(follower).grain is grain


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("state", ["lost", "over", "apart", "exploring"])
def test_what_is_said_of_the_teacher_and_the_way_back_fit_a_small_screen(state: str, language: Language) -> None:
    told = f" ○ {say(language, state)}   {say(language, 'rejoin', press='Ctrl+G')}"
    assert cell_len(told) <= SMALL[0]


async def test_a_follower_may_ask_for_plain_marks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KPROBESIM_ASCII", "1")
    async with class_of_one(SMALL) as (_, follower, _):
        assert "<- -> step" in screen_text(follower).splitlines()[-1]


async def test_a_follower_is_not_offered_a_list_to_go_back_to_but_the_way_out() -> None:
    async with class_of_one(SMALL) as (_, follower, _):
        foot = screen_text(follower).splitlines()[-1]
        assert "q quit" in foot and "F10" not in foot


async def test_looking_closer_is_not_leaving() -> None:
    async with class_of_one() as (teacher, follower, _):
        await press(follower, "tab", "f5", "f3", "f1")
        assert front(follower) is HelpScreen
        await press(follower, "escape", "8")
        screen = lab_screen(follower)
        assert isinstance(screen, FollowScreen) and screen.following
        await press(teacher, "space")
        await together(teacher, follower)


async def test_when_the_teacher_ends_the_lab_stays() -> None:
    async with class_of_one() as (_, follower, leader):
        await leader.stop()
        await wait_until(follower, lambda: "has ended; you may go on alone" in screen_text(follower))
        before = now(follower).moment
        await press(follower, "right")
        assert now(follower).moment > before


async def test_the_teacher_may_go_from_one_lab_to_the_next() -> None:
    leader = Leader(pulse=0.2)
    await leader.start("127.0.0.1", 0)
    link = leader.link("127.0.0.1")
    try:
        offered = [Demo(open_lesson), Demo(open_lesson)]
        leads, follows = LeadingApp(leader, link, None, "en", lambda: offered), FollowingApp(read_link(link), "en")
        async with leads.run_test(size=LARGE) as teacher, follows.run_test(size=LARGE) as follower:
            await wait_until(follower, lambda: "Nothing has been opened yet" in screen_text(follower))
            assert front(teacher) is StartScreen
            await teacher.press("enter")
            await opened(follower)
    finally:
        await leader.stop()


@pytest.mark.parametrize("key", ["a-wrong-key"])
async def test_who_is_not_let_in_is_told_why(key: str) -> None:
    async with leading() as (_, _, link), FollowingApp(link._replace(key=key), "en").run_test(size=SMALL) as follower:
        await wait_until(follower, lambda: "does not know this key" in screen_text(follower))
        assert front(follower) is WaitingScreen


async def test_on_a_small_screen_and_in_chinese_the_class_has_its_line() -> None:
    async with class_of_one(SMALL) as (_, follower, _):
        await press(follower, "f3")
        assert "跟随老师" in screen_text(follower)
        await press(follower, "right")
        assert "Ctrl+G 回到老师那里" in screen_text(follower)


async def test_without_a_teacher_the_key_says_so() -> None:
    async with lab_app() as pilot:
        before = now(pilot).moment
        await press(pilot, "ctrl+g")
        assert now(pilot).moment == before >= Moment(0)
        assert "no teacher" in screen_text(pilot)
