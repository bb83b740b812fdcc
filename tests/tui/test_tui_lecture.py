"""In front of a class: the large layout, playing by itself, questions, once more, and notes in a second terminal."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from rich.cells import cell_len

from kprobesim.cli.notes import Notes, folded
from kprobesim.course import find_demo
from kprobesim.course.podium import Podium, Position
from kprobesim.i18n import LANGUAGES, Language
from kprobesim.tui import KprobesimApp, lecture
from kprobesim.tui.screens.blank import BlankScreen
from kprobesim.tui.screens.lab import LabScreen
from tests.tui.rig import (
    LARGE,
    SMALL,
    Run,
    front,
    lab_app,
    lab_screen,
    now,
    press,
    screen_lines,
    screen_text,
    settle,
    wait_until,
)


@pytest.fixture(autouse=True)
def podium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Podium:
    """Positions are told to a folder of the test's own."""
    monkeypatch.setenv("KPROBESIM_DATA", str(tmp_path))
    return Podium(tmp_path / "presenting.json")


@asynccontextmanager
async def first_probe() -> AsyncIterator[Run]:
    """The demo that the documentation shows first, and steps that wait for nobody."""
    app = KprobesimApp(find_demo("first-probe"), "en")
    async with app.run_test(size=LARGE) as pilot:
        await wait_until(pilot, lambda: isinstance(app.screen, LabScreen))
        await wait_until(pilot, lambda: lab_screen(pilot).snapshot is not None)
        yield pilot


@pytest.mark.parametrize("size", [LARGE, SMALL, (200, 50), (60, 20)])
async def test_presenting_leaves_large_letters_and_the_narration_or_one_panel(
    size: tuple[int, int],
) -> None:
    async with lab_app(size) as pilot:
        theme = pilot.app.theme
        await press(pilot, "ctrl+l")
        assert pilot.app.theme == "projector"
        text = screen_text(pilot)
        assert "What happened" in text and "was 55" in text
        assert "1 code" not in text and "events" not in text and "kprobesim  toyix" not in text
        assert {cell_len(line) for line in screen_lines(pilot)} == {size[0]}
        await press(pilot, "4")
        assert "4 stack" in screen_text(pilot) and "1 code" not in screen_text(pilot)
        assert "Esc letters" in screen_lines(pilot)[-1]
        await press(pilot, "escape")
        assert "4 stack" not in screen_text(pilot) and "was 55" in screen_text(pilot)
        await press(pilot, "ctrl+l")
        assert pilot.app.theme == theme
        assert "What happened" in screen_text(pilot)


async def test_all_but_the_panel_in_the_light_is_dimmed() -> None:
    async with lab_app() as pilot:
        await press(pilot, "ctrl+l", "1")
        await pilot.pause()
        near = [panel for panel in pilot.app.screen.query(".-near") if panel.display and panel.region.width]
        assert near
        assert all(panel.styles.text_opacity < 1 for panel in near)
        assert pilot.app.screen.query_one("#code").styles.text_opacity == 1


async def test_it_plays_by_itself_up_to_a_question_and_the_same_key_shows_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lecture, "_DWELL", 0.01)
    async with first_probe() as pilot:
        screen = lab_screen(pilot)
        begun = now(pilot).seq
        await press(pilot, "ctrl+y")
        await wait_until(pilot, lambda: screen.lecture.question is not None)
        assert not screen.lecture.playing
        assert "Predict: One byte of the kernel is about to change" in screen_text(pilot)
        asked = now(pilot)
        assert asked.seq >= begun
        assert asked.event is None or asked.event.kind != "text.poke"
        await press(pilot, "ctrl+y")
        await wait_until(pilot, lambda: now(pilot).seq > asked.seq)
        await wait_until(pilot, lambda: screen.lecture.question is not None)
        assert "Which ip will it save?" in screen_text(pilot)
        await press(pilot, "left")
        assert screen.lecture.question is None, "going elsewhere leaves the question"


async def test_the_answer_is_told_with_the_event_that_gives_it() -> None:
    async with first_probe() as pilot:
        screen = lab_screen(pilot)
        await press(pilot, "ctrl+y")
        await wait_until(pilot, lambda: screen.lecture.question is not None or screen.outcome.key == "answer")
        if screen.lecture.question is not None:
            await press(pilot, "ctrl+y")
        await wait_until(pilot, lambda: screen.outcome.key == "answer")
        event = now(pilot).event
        assert event is not None and event.kind == "text.poke"
        assert "0xCC, int3: the only instruction of one byte" in screen_text(pilot)


async def test_plus_and_minus_change_the_speed_and_the_frame_says_it() -> None:
    async with lab_app() as pilot:
        await press(pilot, "ctrl+l", *["plus"] * 5)
        assert "paused, speed 8" in screen_text(pilot)
        await press(pilot, *["minus"] * 9)
        assert "paused, speed 0.25" in screen_text(pilot)


async def test_again_goes_back_one_step_and_forward_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lecture, "_DWELL", 2.0)
    async with lab_app() as pilot:
        await press(pilot, "right", "right")
        place = now(pilot).moment
        await press(pilot, "ctrl+u")
        await wait_until(pilot, lambda: now(pilot).moment < place)
        await wait_until(pilot, lambda: now(pilot).moment == place)
        await settle(pilot)


async def test_a_blank_screen_is_gone_with_the_next_key_which_does_nothing_else() -> None:
    async with lab_app() as pilot:
        place = now(pilot).moment
        await press(pilot, "ctrl+k")
        assert front(pilot) is BlankScreen
        assert screen_text(pilot).strip() == ""
        await press(pilot, "right")
        assert front(pilot) is LabScreen
        assert now(pilot).moment == place


async def test_the_position_is_told_while_a_demo_is_presented_and_taken_back_afterwards(podium: Podium) -> None:
    async with first_probe() as pilot:
        assert podium.read() is None
        await press(pilot, "ctrl+l", "space")
        assert podium.read() == Position("first-probe", now(pilot).seq)
        await press(pilot, "ctrl+l")
        assert podium.read() is None
        await press(pilot, "ctrl+l")
    assert podium.read() is None


def test_notes_follow_the_position_and_are_the_plan_where_there_is_none(podium: Podium) -> None:
    notes = Notes(find_demo("first-probe"), "en")
    plan = notes.page(podium)
    assert plan == tuple(notes.plan())
    assert sum(line.startswith("?") for line in plan) == 3
    podium.tell(Position("another", 4))
    assert notes.page(podium) == plan
    podium.tell(Position("first-probe", 40))
    page = "\n".join(notes.page(podium))
    assert "The class is at event 40 of" in page
    assert "Next comes:" in page
    assert page.count("?  Before event") == 1
    podium.tell(Position("first-probe", 1_000_000))
    assert "Next comes:" not in "\n".join(notes.page(podium))


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", [80, 60])
def test_notes_are_broken_between_words_and_no_line_is_too_long(width: int, language: Language) -> None:
    page = list(Notes(find_demo("first-probe"), language).at(75))
    lines = folded(page, width)
    assert all(cell_len(line) <= width for line in lines)
    words = [word for line in page for word in line.split()]
    if language == "en":
        assert [word for line in lines for word in line.split()] == words
    question = next(number for number, line in enumerate(lines) if line.startswith("?  "))
    assert lines[question + 1][:4].startswith("   ") and lines[question + 1][3] != " ", "it goes on where it began"


@pytest.mark.parametrize("text", ["", "[", "[]", '{"demo": 1, "seq": 2}', '{"demo": "a", "seq": -1}', "[" * 4000])
def test_a_damaged_position_is_none(podium: Podium, text: str) -> None:
    podium.path.write_text(text, encoding="utf-8")
    assert podium.read() is None
