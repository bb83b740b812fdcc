"""The flow of a lesson: at each moment the screen shows what to look at, and which key comes next."""

from pathlib import Path

import pytest

from kprobesim.course import Lesson
from kprobesim.tui import KprobesimApp
from kprobesim.tui.lesson import LessonView
from kprobesim.tui.screens.lab import LabScreen
from tests.tui.playing import predict
from tests.tui.rig import LARGE, SMALL, Run, lab_screen, press, screen_text, wait_until
from tests.tui.walked import walked_lesson


@pytest.fixture(autouse=True)
def own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's real progress is touched."""
    monkeypatch.setenv("KPROBESIM_DATA", str(tmp_path / "data"))


@pytest.fixture
def lesson(tmp_path: Path) -> Lesson:
    return walked_lesson(tmp_path)


def view(pilot: Run) -> LessonView:
    lesson = lab_screen(pilot).lesson
    assert lesson is not None
    return lesson


async def opened(pilot: Run) -> None:
    await wait_until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
    await wait_until(pilot, lambda: lab_screen(pilot).lesson is not None)


async def to_the_hit(pilot: Run) -> None:
    """Up to the page's first step, with the prediction settled."""
    await press(pilot, "right", "right", "right", "c")
    await predict(pilot, 2)
    await press(pilot, "greater_than_sign")


async def test_steps_are_counted_as_they_are_made_and_taken_back(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        seen = [view(pilot).made]
        for key in ("right", "right", "left", "right", "right"):
            await press(pilot, key)
            seen.append(view(pilot).made)
        assert seen == [0, 1, 2, 1, 2, 3]


async def test_who_goes_too_far_is_astray_until_they_are_back(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await to_the_hit(pilot)
        await press(pilot, "right")
        assert (view(pilot).made, view(pilot).astray) == (3, 1)
        await press(pilot, "left", "space", "left")
        assert (view(pilot).made, view(pilot).astray) == (5, 0)
        await press(pilot, "right")
        assert view(pilot).made == 4


async def test_steps_made_are_known_again_after_leaving(lesson: Lesson) -> None:
    for made in (0, 2):
        async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
            await opened(pilot)
            assert view(pilot).made == made
            if not made:
                await press(pilot, "right", "right")


async def test_beside_the_text_the_panel_that_a_page_names_is_brought_up(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await to_the_hit(pilot)
        assert lab_screen(pilot).selected == "code"
        await press(pilot, "space", "left", "left")
        assert lab_screen(pilot).selected == "stack" and "Five words." in screen_text(pilot)
        assert "┏━ 4 stack" in screen_text(pilot)
        await press(pilot, "2")
        await press(pilot, "c")
        assert lab_screen(pilot).selected == "maps", "at the top of a page it comes with the page"


async def test_on_a_small_screen_the_panel_comes_in_front_when_the_steps_are_made(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=SMALL) as pilot:
        await opened(pilot)
        await to_the_hit(pilot)
        await press(pilot, "space", "left")
        assert "4 stack" not in screen_text(pilot)
        await press(pilot, "left")
        assert "4 stack" in screen_text(pilot) and "Page 2" not in screen_text(pilot)
        await press(pilot, "pagedown")
        assert "Page 2" in screen_text(pilot), "the text is back, and goes on"


async def test_a_brief_lesson_tells_what_and_a_key_tells_why(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=SMALL) as pilot:
        await opened(pilot)
        await press(pilot, "right", "right")
        assert "/ tells why" in screen_text(pilot) and "Why: " not in screen_text(pilot)
        await press(pilot, "slash")
        assert "Why: " in screen_text(pilot)
