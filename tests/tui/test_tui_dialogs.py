"""Dialogs: they change their language with everything else, and keep what was typed and chosen."""

from functools import partial

import pytest
from textual.widgets import Input, OptionList, TextArea

from kprobesim.course import find_lesson
from kprobesim.tui import KprobesimApp
from kprobesim.tui.screens.goto import GoToScreen
from kprobesim.tui.screens.lab import LabScreen
from kprobesim.tui.screens.palette import ActionPalette
from kprobesim.tui.screens.program import ProgramScreen
from kprobesim.tui.screens.reply import ReplyScreen
from kprobesim.tui.screens.what_if_form import WhatIfForm
from kprobesim.tui.wording import say
from tests.tui.rig import LARGE, SMALL, Run, lab_app, lab_screen, press, screen_text, wait_until


async def turn(pilot: Run) -> str:
    """The screen in the other language."""
    await press(pilot, "f3")
    await pilot.pause(0.1)
    return screen_text(pilot)


@pytest.mark.parametrize("size", [LARGE, SMALL])
@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("enter", "goto.title"),
        ("f9", "line.title"),
        ("colon", "command.title"),
        ("insert", "program.title"),
        ("f12", "what_if.question"),
        ("f1", "help.title"),
        ("ctrl+p", "palette.search"),
    ],
)
async def test_an_open_dialog_changes_its_language_there_and_back(key: str, text: str, size: tuple[int, int]) -> None:
    english, chinese = say("en", text)[:40], say("zh", text)[:20]
    async with lab_app(size) as pilot:
        await press(pilot, key)
        await pilot.pause(0.1)
        assert english in screen_text(pilot)
        shown = await turn(pilot)
        assert chinese in shown and english not in shown
        shown = await turn(pilot)
        assert english in shown and chinese not in shown


async def test_what_was_typed_stays_and_so_does_the_complaint() -> None:
    async with lab_app() as pilot:
        await press(pilot, "enter", *"no where", "enter")
        assert isinstance(pilot.app.screen, GoToScreen)
        assert say("zh", "goto.unreadable")[:10] in await turn(pilot)
        assert pilot.app.screen.query_one(Input).value == "no where"


def _stands(text: str, pilot: Run) -> bool:
    return text in screen_text(pilot)


async def test_what_is_searched_for_stays_and_is_still_found() -> None:
    async with lab_app() as pilot:
        await press(pilot, "ctrl+p")
        await pilot.pause(0.1)
        await press(pilot, *"theme")
        for language in ("zh", "en"):
            await turn(pilot)
            assert isinstance(pilot.app.screen, ActionPalette)
            assert pilot.app.screen.typed == "theme"
            title = say(language, "action.theme.title")
            await wait_until(pilot, partial(_stands, title, pilot))
        await press(pilot, "s")
        assert isinstance(pilot.app.screen, ActionPalette)
        assert pilot.app.screen.typed == "themes"


async def test_the_program_that_is_being_written_stays() -> None:
    async with lab_app() as pilot:
        await press(pilot, "insert", *"xyz")
        await turn(pilot)
        assert isinstance(pilot.app.screen, ProgramScreen)
        assert pilot.app.screen.query_one(TextArea).text.startswith("xyz.type kprobe")


async def test_what_was_chosen_in_the_what_if_form_stays() -> None:
    async with lab_app() as pilot:
        await press(pilot, "f12", "down", "tab", "end", "1")
        form = pilot.app.screen
        assert isinstance(form, WhatIfForm)
        value = form.query_one("#value", Input).value
        assert value.startswith("rax=") and value.endswith("1")
        await turn(pilot)
        assert form.query_one(OptionList).highlighted == 1
        assert form.query_one("#value", Input).value == value


async def test_a_question_and_its_options_change_too() -> None:
    app = KprobesimApp(find_lesson("01-the-first-probe"), "en")
    async with app.run_test(size=LARGE) as pilot:
        await wait_until(pilot, lambda: isinstance(app.screen, LabScreen) and app.screen.lesson is not None)
        for _ in range(20):
            lesson = lab_screen(pilot).lesson
            assert lesson is not None
            if lesson.texts["en"].asked is not None:
                break
            await press(pilot, "ctrl+n")
        assert lesson is not None
        asked = {language: text.asked for language, text in lesson.texts.items()}
        assert asked["en"] is not None and asked["zh"] is not None
        await press(pilot, "ctrl+a", "down", "down")
        assert isinstance(app.screen, ReplyScreen)
        place = app.screen.query_one(OptionList).highlighted
        assert asked["en"].options[0][:20] in screen_text(pilot)
        shown = await turn(pilot)
        assert asked["zh"].options[0][:10] in shown and asked["en"].options[0][:20] not in shown
        assert app.screen.query_one(OptionList).highlighted == place is not None
