"""The whole course, played on the screen: each task's solution by the keys that a learner would press."""

import pytest

from kprobesim.course import Lesson, find_lesson, lessons_folder
from kprobesim.i18n import LANGUAGES
from kprobesim.tui import KprobesimApp
from kprobesim.tui.screens.lab import LabScreen
from tests.tui.playing import act, predict
from tests.tui.rig import SMALL, Run, front, lab_screen, opened, press, screen_text, view

NAMES = sorted(path.parent.name for path in lessons_folder().glob("*/lesson.toml"))


@pytest.mark.parametrize("name", NAMES)
async def test_a_lessons_solutions_are_played_by_keys_and_each_task_is_done(name: str) -> None:
    lesson = find_lesson(name)
    language = LANGUAGES[NAMES.index(name) % len(LANGUAGES)]
    async with KprobesimApp(lesson, language).run_test(size=SMALL) as pilot:
        await opened(pilot)
        for number, task in enumerate(lesson.tasks):
            await predict(pilot)
            assert view(pilot).number == number + 1
            for action in task.solution:
                await act(pilot, action)
                assert front(pilot) is LabScreen, f"{task.id}: a dialog stays open after {action.line}"
                assert lab_screen(pilot).failure is None, f"{task.id}: {lab_screen(pilot).failure}"
            await press(pilot, "ctrl+e")
            texts = view(pilot).texts
            assert view(pilot).done == number + 1, f"{task.id}: {texts['en'].goals}"
        await predict(pilot)
        check_that_all_can_be_read(pilot, lesson)


def check_that_all_can_be_read(pilot: Run, lesson: Lesson) -> None:
    """At the end each language shows the whole text, the foot says so, and nobody is left with a question."""
    end = view(pilot)
    assert end.over and "■" * len(lesson.tasks) in screen_text(pilot)
    for language in LANGUAGES:
        assert len(end.texts[language].pages) == len(lesson.pages(language))
        assert end.texts[language].asked is None
