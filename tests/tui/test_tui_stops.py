"""Long runs, errors and interrupts: always a sentence, never a traceback, never a frozen screen."""

import threading
import time
from collections.abc import Callable
from functools import partial

import pytest

from kprobesim.errors import BadInput, GuestError
from kprobesim.i18n import LANGUAGES, Language
from kprobesim.kprobes import FixUp
from kprobesim.lab import Lab
from kprobesim.tui import KprobesimApp, worker
from kprobesim.tui.motions import Interrupt, Outcome
from tests.tui.rig import (
    PATIENCE,
    SMALL,
    Demo,
    lab_app,
    lab_screen,
    now,
    open_plain,
    press,
    screen_text,
    settle,
    wait_until,
)


def endless(lab: Lab, interrupt: Interrupt) -> Outcome:
    """A run that goes nowhere."""
    while not interrupt():
        time.sleep(0.005)
    return Outcome()


@pytest.mark.parametrize("key", ["escape", "ctrl+c"])
async def test_a_long_run_says_so_and_can_be_stopped(key: str) -> None:
    async with lab_app() as pilot:
        screen = lab_screen(pilot)
        screen.move(endless)
        screen.move(endless)
        await wait_until(pilot, lambda: "Esc stops" in screen_text(pilot))
        await press(pilot, key)
        assert "Stopped as you asked." in screen_text(pilot)
        assert "← → step" in screen_text(pilot)
        assert pilot.app.is_running


async def test_a_real_run_stops_where_it_is_and_goes_on_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_LIMIT", 1)
    async with lab_app() as pilot:
        before = now(pilot).moment
        await press(pilot, "space")
        assert now(pilot).moment >= before
        monkeypatch.setattr(worker, "_LIMIT", 2_000_000_000)
        await press(pilot, "space")
        assert now(pilot).moment > before


async def test_a_run_that_arrives_nowhere_ends_with_a_kind_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_LIMIT", 0)
    async with lab_app() as pilot:
        lab_screen(pilot).move(endless)
        await settle(pilot)
        assert "without arriving anywhere" in screen_text(pilot)


async def test_an_error_is_a_sentence_with_a_hint_and_the_lab_goes_on() -> None:
    def refuse(lab: Lab, interrupt: Interrupt) -> Outcome:
        raise BadInput("There is no such thing.", hint="Try another one.")

    async with lab_app() as pilot:
        lab_screen(pilot).move(refuse)
        await settle(pilot)
        text = screen_text(pilot)
        assert "✗ There is no such thing." in text
        assert "Try another one." in text
        await press(pilot, "right")
        assert "There is no such thing." not in screen_text(pilot)


def poked(symbol: str, data: bytes) -> Lab:
    """A lab whose memory was changed, and in which cat is about to run."""
    lab = open_plain()
    lab.run()
    lab.kprobe("vfs_read")
    lab.poke(lab.kernel.symbol(symbol), data)
    lab.type("cat /etc/motd")
    return lab


def open_doomed() -> Lab:
    """A lab whose next return from a slot ends in a panic."""
    lab = Lab.open("toyix", optimization=False, without=[FixUp.RESUME_IP])
    lab.run()
    lab.kprobe("vfs_read")
    lab.type("cat /etc/motd")
    return lab


DEAD: dict[Language, tuple[str, str]] = {
    "en": ("The machine has stopped for good", "But one can go back: ← a step, Backspace a hit."),
    "zh": ("机器停住了，无法继续", "仍可后退：← 退一步，Backspace 退到上次命中。"),
}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("opener", "said"),
    [(open_doomed, "panic"), (partial(poked, "idt_table", bytes(4096)), "Triple fault")],
    ids=["panic", "triple fault"],
)
async def test_when_the_machine_dies_that_is_said_with_the_way_back_and_the_way_back_works(
    opener: Callable[[], Lab], said: str, language: Language
) -> None:
    async with lab_app(SMALL, Demo(opener), language) as pilot:
        before = now(pilot).moment
        await press(pilot, "space", "space")
        dead, text = now(pilot).moment, screen_text(pilot)
        assert before < dead and DEAD[language][0] in text and DEAD[language][1] in text
        assert isinstance(lab_screen(pilot).failure, GuestError)
        assert said in str(lab_screen(pilot).failure)
        await press(pilot, "right")
        assert now(pilot).moment == dead and DEAD[language][0] in screen_text(pilot)
        await press(pilot, "left")
        assert now(pilot).moment < dead and lab_screen(pilot).failure is None
        assert DEAD[language][0] not in screen_text(pilot)
        await press(pilot, "right", "right")
        assert now(pilot).moment == dead, "the same death"


async def test_a_run_that_passes_an_oops_says_so() -> None:
    async with lab_app(SMALL, Demo(partial(poked, "vfs_open", b"\x0f\x0b"))) as pilot:
        await press(pilot, "space")
        assert "invalid opcode: 0000 [#1]. See the console, 0." in " ".join(
            screen_text(pilot).replace("│", " ").split()
        )
        await press(pilot, "0")
        assert "Call Trace:" in screen_text(pilot) or "invalid opcode" in screen_text(pilot)


async def test_a_mistake_of_the_program_itself_is_a_sentence_too() -> None:
    def stumble(lab: Lab, interrupt: Interrupt) -> Outcome:
        raise ZeroDivisionError("by zero")

    async with lab_app() as pilot:
        lab_screen(pilot).move(stumble)
        await settle(pilot)
        assert "ZeroDivisionError" in screen_text(pilot)
        assert "Traceback" not in screen_text(pilot)


async def test_a_scenario_that_cannot_be_opened_says_why() -> None:
    def missing() -> Lab:
        return Lab.open("no-such-kernel")

    async with lab_app(demo=Demo(missing)) as pilot:
        assert "no-such-kernel" in screen_text(pilot)
        await press(pilot, "right", "space", "f3")
        assert pilot.app.is_running


@pytest.mark.parametrize("key", ["ctrl+c", "q", "ctrl+q"])
async def test_the_app_ends_at_once_when_nothing_runs(key: str) -> None:
    async with lab_app(demo=Demo(open_plain)) as pilot:
        await pilot.press(key)
        await pilot.pause()
        assert not pilot.app.is_running


async def test_leaving_while_a_motion_runs_ends_the_motion() -> None:
    ended = threading.Event()

    def run(lab: Lab, interrupt: Interrupt) -> Outcome:
        outcome = endless(lab, interrupt)
        ended.set()
        return outcome

    async with lab_app() as pilot:
        lab_screen(pilot).move(run)
        await pilot.pause()
        assert not ended.is_set()
        await pilot.press("q")
    assert ended.wait(PATIENCE)


async def test_leaving_while_the_lab_is_still_being_opened_is_clean() -> None:
    app = KprobesimApp(Demo(), "en")
    async with app.run_test() as pilot:
        await pilot.press("ctrl+c")
    assert app.return_code == 0
