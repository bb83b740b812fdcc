"""Lesson 1 is walked as one does who knows nothing: by what the line "Now" says, and by nothing else."""

from __future__ import annotations

import re

import pytest

from kprobesim.course import find_lesson
from kprobesim.i18n import Language
from kprobesim.tui import KprobesimApp, presses
from tests.tui.rig import LARGE, SMALL, Run, lab_screen, now, opened, press, screen_text

MOST_KEYS = 45
KEYS = (("hold", "left"), ("PgDn", "pagedown"), ("→", "right"), ("←", "left"), ("Space", "space"), ("1 2", "2"))
SENTENCE = {"en": r"Now: (.*?)\s*│", "zh": r"现在：(.*?)\s*│"}


def current(pilot: Run, language: Language) -> str:
    found = re.search(SENTENCE[language], screen_text(pilot))
    assert found is not None, screen_text(pilot)
    return found[1].replace("按住", "hold")


async def settled(pilot: Run) -> str:
    """The screen once the text is laid out, which takes some turns after a page was turned."""
    before = ""
    while before != (text := screen_text(pilot)):
        before = text
        for _ in range(5):
            await pilot.pause()
    return text


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("size", [LARGE, SMALL])
async def test_the_next_key_always_stands_on_the_screen_and_few_are_enough(
    size: tuple[int, int], language: Language
) -> None:
    async with KprobesimApp(find_lesson("01-the-first-probe"), language).run_test(size=size) as pilot:
        await opened(pilot)
        pressed, held, seen = 0, False, [await settled(pilot)]
        while not re.search("F10|q", told := current(pilot, language)):
            key = next(key for word, key in KEYS if word in told)
            still = held and "hold" in told
            held = "hold" in told
            pressed += not still
            assert pressed <= MOST_KEYS, told
            await press(pilot, key)
            seen.append(await settled(pilot))
        lesson = lab_screen(pilot).lesson
        assert lesson is not None
        assert lesson.over and lesson.done == lesson.total
        byte = {"en": "cc (was 55)", "zh": "cc（原 55）"}[language]
        assert any(byte in screen for screen in seen)
        assert any(re.search(r"0x0 +55 +push %rbp", screen) for screen in seen[-8:])
        assert not any("native_safe_halt+0x2  IF" in screen for screen in seen)


async def test_a_held_key_stops_where_the_task_is_met_and_the_next_press_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with KprobesimApp(find_lesson("01-the-first-probe"), "en").run_test(size=LARGE) as pilot:
        await opened(pilot)
        await settled(pilot)
        while "hold" not in (told := current(pilot, "en")):
            await press(pilot, next(key for word, key in KEYS if word in told))
            await settled(pilot)
        monkeypatch.setattr(presses, "_RELEASED", 600.0)
        await pilot.press(*["left"] * 60)
        await press(pilot)
        assert "55 again" in await settled(pilot)
        stopped = now(pilot).moment
        monkeypatch.setattr(presses, "_RELEASED", 0.0)
        await press(pilot, "left")
        assert now(pilot).moment < stopped
