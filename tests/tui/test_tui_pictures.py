"""One picture of each screen in each language: whoever changes how a screen looks sees all of it in the commit.

``KPROBESIM_RENEW_PICTURES=1 python -m pytest tests/tui/test_tui_pictures.py`` draws them anew. They show the kernel
*tiny*, whose code seldom changes.
"""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kprobesim.i18n import LANGUAGES, Language
from kprobesim.lab import Lab
from kprobesim.tui import KprobesimApp
from kprobesim.tui.screens.files import FilesScreen
from kprobesim.tui.screens.lab import LabScreen
from kprobesim.tui.screens.start import StartScreen
from kprobesim.tui.screens.what_if import WhatIfScreen
from tests.tui.rig import COUNT_READS, LARGE, SMALL, Demo, Run, lab_app, press, screen_lines, wait_until

PICTURES = Path(__file__).with_name("pictures")
RENEW = bool(os.environ.get("KPROBESIM_RENEW_PICTURES"))

Way = Callable[[Run], Awaitable[None]]


def open_tiny() -> Lab:
    """A lab on the smallest kernel, at the first hit; all that follows is known."""
    lab = Lab.open("tiny", optimization=False)
    lab.load_program(COUNT_READS, "by_pid")
    lab.attach("by_pid", "tiny_add")
    lab.run()
    lab.seek(next(event for event in lab.events() if event.kind == "kprobe.hit"))
    return lab


async def nothing(pilot: Run) -> None:
    """The lab as it opens."""


async def what_if_form(pilot: Run) -> None:
    await press(pilot, "f12")


async def what_if(pilot: Run) -> None:
    await press(pilot, "f12", *["down"] * 7, "enter")
    await wait_until(pilot, lambda: isinstance(pilot.app.screen, WhatIfScreen))
    screen = pilot.app.screen
    assert isinstance(screen, WhatIfScreen)
    await wait_until(pilot, lambda: screen.view is not None or screen.failure is not None)


async def program(pilot: Run) -> None:
    await press(pilot, "insert")


async def files(pilot: Run) -> None:
    await press(pilot, "ctrl+f")
    screen = pilot.app.screen
    assert isinstance(screen, FilesScreen)
    await wait_until(pilot, lambda: screen.view is not None)


async def presenter(pilot: Run) -> None:
    await press(pilot, "ctrl+l")


async def verifier(pilot: Run) -> None:
    await press(pilot, "8")


async def help_(pilot: Run) -> None:
    await press(pilot, "3", "f1")
    await pilot.pause(0.1)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("name", "size", "way"),
    [
        ("lab", LARGE, nothing),
        ("lab-small", SMALL, nothing),
        ("verifier", SMALL, verifier),
        ("what-if-form", SMALL, what_if_form),
        ("what-if", LARGE, what_if),
        ("program", SMALL, program),
        ("files", SMALL, files),
        ("presenter", SMALL, presenter),
        ("help", SMALL, help_),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_screen_looks_as_in_its_picture(name: str, size: tuple[int, int], way: Way, language: Language) -> None:
    async with lab_app(size, Demo(open_tiny), language) as pilot:
        assert isinstance(pilot.app.screen, LabScreen)
        await way(pilot)
        await pilot.pause()
        compare(pilot, name, language)


@pytest.mark.parametrize("language", LANGUAGES)
async def test_the_start_screen_looks_as_in_its_picture(language: Language) -> None:
    demos = [Demo(open_tiny, text="Ten calls of one function."), Demo(open_tiny, title=("Another one", "另一个"))]
    app = KprobesimApp(None, language, scenarios=lambda: demos)
    async with app.run_test(size=SMALL) as pilot:
        await wait_until(pilot, lambda: isinstance(app.screen, StartScreen))
        compare(pilot, "start", language)


def compare(pilot: Run, name: str, language: Language) -> None:
    """Hold the screen against its picture, or draw that anew."""
    lines = [line.rstrip() for line in screen_lines(pilot)]
    picture = PICTURES / f"{name}.{language}.txt"
    if RENEW:
        PICTURES.mkdir(exist_ok=True)
        picture.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert lines == picture.read_text(encoding="utf-8").splitlines()
