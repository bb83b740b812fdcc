"""Long runs, errors and interrupts: always a sentence, never a traceback, never a frozen screen."""

import threading
import time

import pytest

from kprobesim.errors import BadInput
from kprobesim.lab import Lab
from kprobesim.tui import KprobesimApp, worker
from kprobesim.tui.motions import Interrupt, Outcome
from tests.tui.rig import PATIENCE, Demo, lab_app, lab_screen, now, open_plain, press, screen_text, settle, wait_until


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
