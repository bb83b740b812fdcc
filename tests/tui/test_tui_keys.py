"""The registry: the user's own keys, the page of keys, themes, plain marks."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from string import Formatter

import pytest
from rich.cells import cell_len
from textual.widgets import OptionList

from kprobesim.i18n import LANGUAGES, Language
from kprobesim.tui import KprobesimApp
from kprobesim.tui.actions import ACTIONS, LAB_ACTIONS
from kprobesim.tui.ascii_only import in_ascii
from kprobesim.tui.keymap import read_keymap
from kprobesim.tui.screens.help import HelpScreen
from kprobesim.tui.screens.lab import LabScreen
from kprobesim.tui.screens.start import StartScreen
from kprobesim.tui.themes import THEME_NAMES
from kprobesim.tui.wording import TEXTS
from tests.scripts import load_script
from tests.tui.rig import (
    LARGE,
    SMALL,
    Demo,
    Run,
    front,
    lab_app,
    lab_screen,
    now,
    opened,
    press,
    screen_lines,
    screen_text,
    settle,
    wait_until,
)
from tests.tui.walked import walked_lesson

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.skipif(not DOCS.is_dir(), reason="docs/ is only in a checkout")
def test_the_page_of_keys_is_what_the_registry_says() -> None:
    module = load_script(DOCS / "generate_keys.py")
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "run python docs/generate_keys.py"


async def test_a_users_keys_take_the_place_of_the_usual_ones_in_bindings_and_help(tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    file.write_text('[keys]\nstep_forward = ["v", "ctrl+v"]\n', encoding="utf-8")
    app = KprobesimApp(Demo(), "en", keymap=file)
    async with app.run_test(size=LARGE) as pilot:
        await wait_until(pilot, lambda: isinstance(app.screen, LabScreen) and lab_screen(pilot).snapshot is not None)
        before = now(pilot).moment
        await press(pilot, "right")
        assert now(pilot).moment == before
        await press(pilot, "v")
        assert now(pilot).moment > before
        await press(pilot, "f1")
        assert front(pilot) is HelpScreen
        assert "v  Ctrl+V" in screen_text(pilot)


OWN_KEYS = """\
[keys]
step_forward = "v"
step_back = ["u", "left"]
again = "ctrl+b"
next_hit = "f11"
read_on = "ctrl+j"
text = "f14"
check = "ctrl+w"
panel_code = "f15"
quit = "ctrl+z"
"""


@asynccontextmanager
async def own_keys(
    folder: Path, monkeypatch: pytest.MonkeyPatch, language: Language, size: tuple[int, int]
) -> AsyncIterator[Run]:
    """A lesson on the screen of somebody who has chosen other keys."""
    monkeypatch.setenv("KPROBESIM_DATA", str(folder / "data"))
    file = folder / "keys.toml"
    file.write_text(OWN_KEYS, encoding="utf-8")
    async with KprobesimApp(walked_lesson(folder), language, keymap=file).run_test(size=size) as pilot:
        await opened(pilot)
        yield pilot


def next_key_line(pilot: Run) -> str:
    """The line that names the one key to press now."""
    return next(line for line in screen_lines(pilot) if "Now: " in line or "现在：" in line)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_next_key_of_a_lesson_is_named_as_the_user_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: Language
) -> None:
    named = {
        "en": ("v (1 of 3)", "Ctrl+J", "F15 2", "F11 (1 of 3)", "u (2 of 3)"),
        "zh": ("v（1 / 3）", "Ctrl+J", "F15 2", "F11（1 / 3）", "u（2 / 3）"),
    }
    async with own_keys(tmp_path, monkeypatch, language, LARGE) as pilot:
        shown = []
        for key in ("v", "v", "v", "ctrl+j", "2", "ctrl+j", "f11", "u"):
            shown.append(next_key_line(pilot))
            await press(pilot, key)
        for words, line in zip(named[language], (shown[0], shown[3], shown[4], shown[6], shown[7]), strict=True):
            assert words in line, shown
        assert not any(usual in line for usual in ("→", "←", "Space", "PgDn") for line in shown)


async def test_foot_frame_and_buttons_name_the_users_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with own_keys(tmp_path, monkeypatch, "en", LARGE) as pilot:
        text = screen_text(pilot)
        for words in ("[Ctrl+W check]", "u v step", "F11 hit", "F14 text", "Ctrl+J read on", "Ctrl+Z quit"):
            assert words in text
        assert not any(usual in text for usual in ("PgDn", "Ctrl+E", "← →", "F2 "))


ANYWHERE = ("Enter", "Esc", "Shift+Space")
"""Keys of dialogs, which nobody can change, and the one that some terminals swallow."""
FIXED = ("program.keys", "what_if.keys")
"""Texts that name keys of a dialog only."""


@pytest.mark.parametrize("language", LANGUAGES)
def test_texts_name_keys_by_their_actions(language: Language) -> None:
    """So that a user's own keys are named."""
    written = re.compile(r"F\d+|Ctrl\+.|Shift\+\w+|\b(?:Space|Enter|Esc|Tab|Backspace|PgUp|PgDn|Insert|Home)\b|[→↑↓]")
    allowed = re.compile(r"\{old\} → \{new\}")
    for name, text in TEXTS.keys(language).items():
        found = set(written.findall(allowed.sub("", text))) - set(ANYWHERE)
        assert not found or name in FIXED, (name, found)


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_texts_name_keys_by_are_actions_or_keys_of_dialogs(language: Language) -> None:
    known = {action.id for actions in ACTIONS.values() for action in actions} | {"up", "down"}
    gaps = {field for text in TEXTS.keys(language).values() for _, field, _, _ in Formatter().parse(text) if field}
    names = {field.removeprefix("key[").removesuffix("]") for field in gaps if field.startswith("key[")}
    assert names and names <= known


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[keys]\nfly = "f"', "there is no action 'fly'"),
        ("[keys]\nstep_forward = 3", "must be a key or a list of keys"),
        ('[keys]\nstep_forward = "escape"', "escape is the key of stop"),
        ('[keys]\nstep_forward = "§§"', "must be a key"),
        ("keys = 1", "keys must be a table"),
        ("[keys", "cannot be read"),
        ("#" * (1 << 17), "larger than"),
    ],
)
def test_a_mistake_in_the_file_is_a_sentence_and_the_usual_keys_stay(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "keys.toml"
    file.write_text(text, encoding="utf-8")
    keymap = read_keymap(file)
    assert not keymap.keys
    assert len(keymap.complaints) == 1 and complaint in keymap.complaints[0]


def test_no_file_is_no_mistake(tmp_path: Path) -> None:
    assert read_keymap(tmp_path / "none.toml").complaints == ()


async def test_the_theme_key_goes_through_all_looks_and_nothing_moves() -> None:
    app = KprobesimApp(Demo(), "en")
    async with app.run_test(size=LARGE) as pilot:
        await wait_until(pilot, lambda: isinstance(app.screen, LabScreen) and lab_screen(pilot).snapshot is not None)
        text, seen = screen_text(pilot), [app.theme]
        for _ in THEME_NAMES:
            await press(pilot, "f4")
            assert screen_text(pilot) == text
            seen.append(app.theme)
        assert set(seen) == set(THEME_NAMES)
        assert seen[0] == seen[-1]


async def test_plain_marks_leave_no_letter_behind_ascii_and_keep_every_width() -> None:
    app = KprobesimApp(Demo(), "en", ascii_only=True)
    async with app.run_test(size=LARGE) as pilot:
        await wait_until(pilot, lambda: isinstance(app.screen, LabScreen) and lab_screen(pilot).snapshot is not None)
        text = screen_text(pilot)
        assert {letter for letter in in_ascii(text) if not letter.isascii()} <= {"·", "中", "文"}
        for line in text.splitlines():
            assert cell_len(in_ascii(line)) == cell_len(line)
        assert app.get_line_filters()[-1].enabled


def test_plain_marks_of_the_timeline_are_told_apart() -> None:
    marks = "●▪◆↔⚑▼"
    assert len(set(in_ascii(marks))) == len(marks)


async def test_plain_names_of_keys_are_told_apart() -> None:
    app = KprobesimApp(Demo(), "en", ascii_only=True)
    async with app.run_test(size=(160, 46)) as pilot:
        await wait_until(pilot, lambda: isinstance(app.screen, LabScreen) and lab_screen(pilot).snapshot is not None)
        foot = screen_text(pilot).splitlines()[-1]
        assert "<- -> step" in foot and "Up Dn" in foot and "Bksp back" in foot
        assert not {"←", "→", "↑", "↓", "⌫"} & set(foot)
        await press(pilot, "f1")
        assert "Shift+->" in screen_text(pilot)


@pytest.mark.parametrize("size", [LARGE, SMALL])
async def test_every_action_of_the_lab_can_be_asked_for_at_any_time_and_nothing_breaks(size: tuple[int, int]) -> None:
    async with lab_app(size) as pilot:
        for action in LAB_ACTIONS:
            if action.id == "leave":
                continue
            lab_screen(pilot).action_perform(action.id)
            await settle(pilot)
            if front(pilot) is not LabScreen:
                await press(pilot, "escape")
            assert front(pilot) is LabScreen, action.id
            assert lab_screen(pilot).failure is None, action.id


async def test_in_plain_marks_a_lesson_does_not_call_an_arrow_by_the_key_that_turns_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KPROBESIM_DATA", str(tmp_path / "data"))
    async with KprobesimApp(walked_lesson(tmp_path), "en", ascii_only=True).run_test(size=LARGE) as pilot:
        await opened(pilot)
        shown = in_ascii(screen_text(pilot))
        assert "Now: -> (1 of 3)" in shown and "->  input" in shown
        assert "___ Task 1 of 3" in shown, "no mark is left as it was"


async def test_the_foot_of_the_start_screen_fits_the_smallest_one_and_can_be_clicked() -> None:
    app = KprobesimApp(None, "en", scenarios=lambda: [Demo(), Demo()])
    async with app.run_test(size=(60, 20)) as pilot:
        await wait_until(pilot, lambda: isinstance(app.screen, StartScreen))
        foot = screen_lines(pilot)[-1]
        for words in ("↑ ↓ choose", "Enter open", "F1 help", "q quit"):
            assert words in foot
        options = app.screen.query_one(OptionList)
        await pilot.click("KeyLine", offset=(foot.index("choose"), 0))
        assert options.highlighted == 1
        await pilot.click("KeyLine", offset=(foot.index("help"), 0))
        assert front(pilot) is HelpScreen
        await pilot.press("escape")
        await pilot.click("KeyLine", offset=(foot.index("open"), 0))
        await wait_until(pilot, lambda: isinstance(app.screen, LabScreen))
