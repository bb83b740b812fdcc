"""A lesson on the screen: reading, doing, checking, hints, predictions, exploring; nothing is lost on leaving."""

from pathlib import Path

import pytest

from kprobesim.course import Lesson, find_lesson
from kprobesim.tui import KprobesimApp
from kprobesim.tui.lesson import LessonView
from kprobesim.tui.screens.lab import LabScreen
from kprobesim.tui.screens.reply import ReplyScreen
from tests.tui.rig import (
    LARGE,
    SMALL,
    Demo,
    Run,
    front,
    lab_app,
    lab_screen,
    now,
    open_plain,
    press,
    screen_text,
    wait_until,
)

FIRST = "01-the-first-probe"


@pytest.fixture(autouse=True)
def own_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's real progress is touched."""
    monkeypatch.setenv("KPROBESIM_DATA", str(tmp_path))


@pytest.fixture
def lesson() -> Lesson:
    return find_lesson(FIRST)


def view(pilot: Run) -> LessonView:
    lesson = lab_screen(pilot).lesson
    assert lesson is not None
    return lesson


async def opened(pilot: Run) -> None:
    await wait_until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
    await wait_until(pilot, lambda: lab_screen(pilot).lesson is not None)


@pytest.mark.parametrize("size", [LARGE, SMALL])
async def test_a_lesson_begins_on_its_first_page_with_the_task_at_the_foot(
    size: tuple[int, int], lesson: Lesson
) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=size) as pilot:
        await opened(pilot)
        text = screen_text(pilot)
        assert f"Task 1 of {len(lesson.tasks)}" in text
        assert lesson.tasks[0].title("en") in text.replace("│", " ")
        assert "[Ctrl+E check]" in text
        if size == LARGE:
            assert "Page 1 of" in text
        await press(pilot, "f3")
        assert lesson.tasks[0].title("zh") in screen_text(pilot)


async def test_check_says_what_is_missing_then_the_deed_is_done_and_the_next_task_comes(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await press(pilot, "ctrl+e")
        assert view(pilot).done == 0
        assert view(pilot).texts["en"].goals[0][0] is False
        assert "Not yet" in screen_text(pilot)
        await press(pilot, "right", "right", "right", "c")
        assert view(pilot).done == 1
        assert "That is it: the task is done." in screen_text(pilot)
        assert "Task 2 of" in screen_text(pilot)


async def test_hints_come_in_stages_and_the_solution_after_them(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await press(pilot, "ctrl+t")
        assert lesson.tasks[0].hints[0]["en"][:30] in screen_text(pilot)
        assert f"Hint 1 of {len(lesson.tasks[0].hints)}" in screen_text(pilot)
        await press(pilot, "ctrl+o")
        assert "One way to do it:" in screen_text(pilot)


async def test_what_is_explored_does_not_count_and_coming_back_is_exact(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        here, known = now(pilot).moment, now(pilot).total
        await press(pilot, "ctrl+x", "right", "right", "right", "ctrl+e")
        assert view(pilot).exploring and view(pilot).done == 0
        assert "exploring: nothing counts" in screen_text(pilot)
        await press(pilot, "ctrl+x")
        assert not view(pilot).exploring
        assert (now(pilot).moment, now(pilot).total) == (here, known)


async def test_a_prediction_is_settled_in_a_dialog_before_the_machine_says(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        for _ in lesson.tasks:
            asked = view(pilot).texts["en"].asked
            if asked is not None and asked.prediction:
                break
            await press(pilot, "ctrl+n")
        assert asked is not None and asked.prediction
        await press(pilot, "ctrl+a")
        assert front(pilot) is ReplyScreen
        assert asked.options[0] in screen_text(pilot)
        await press(pilot, "2")
        assert front(pilot) is LabScreen
        assert lab_screen(pilot).selected == "code"
        after = view(pilot).texts["en"]
        assert after.asked is None or after.asked.prediction != asked.prediction
        assert "You were right" in after.told or "and not" in after.told


async def test_progress_is_there_again_after_leaving(lesson: Lesson) -> None:
    for done in (0, 1):
        async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
            await opened(pilot)
            assert view(pilot).done == done
            if not done:
                await press(pilot, "right", "right", "right", "ctrl+e")


async def test_a_command_of_the_lessons_can_be_given_to_any_lab() -> None:
    async with lab_app(demo=Demo(open_plain)) as pilot:
        await press(pilot, "colon", *"probe vfs_write", "enter")
        assert "Done: probe vfs_write" in screen_text(pilot)
        assert [probe.symbol for probe in now(pilot).kprobe.probes] == ["vfs_write"]
        await press(pilot, "colon", *"fly away", "enter")
        assert "That did not work" in screen_text(pilot)
        await press(pilot, "ctrl+e")
        assert "This is no lesson." in screen_text(pilot)


async def test_pages_are_turned_back_and_on(lesson: Lesson) -> None:
    async with KprobesimApp(lesson, "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await press(pilot, "greater_than_sign")
        assert "Page 2 of" in screen_text(pilot)
        await press(pilot, "less_than_sign")
        assert "Page 1 of" in screen_text(pilot)
