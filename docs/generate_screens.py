"""Draws the pictures of docs/screens: ``python docs/generate_screens.py``.

Each is the real application on a demo or a lesson of this checkout, keys pressed, and saved as SVG.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from html import unescape
from pathlib import Path
from typing import Final, NamedTuple

from rich.cells import cell_len

from kprobesim.course import Lesson, Scenario, find_demo, find_lesson
from kprobesim.i18n import LANGUAGES, Language
from kprobesim.tui import KprobesimApp
from kprobesim.tui.screens.lab import LabScreen
from kprobesim.tui.screens.what_if import WhatIfScreen

FOLDER: Final = Path(__file__).with_name("screens")
_SIZE: Final = (120, 36)
_WEB_FONTS: Final = re.compile(r"@font-face \{.*?\}", re.DOTALL)
_TEXT: Final = re.compile(r'textLength="([0-9.]+)"([^>]*>)([^<]*)<')


class Picture(NamedTuple):
    """One picture.

    Attributes:
        name: of its file.
        scenario: what to open.
        keys: what to press, one after the other, each when the one before has had its effect.
    """

    name: str
    scenario: Lesson | Scenario
    keys: tuple[str, ...]


def pictures() -> list[Picture]:
    """All pictures."""
    return [
        Picture("hit", find_demo("first-probe"), ("space", "right", "right", "right")),
        Picture("lesson", find_lesson("01-the-first-probe"), ()),
        Picture("verifier", find_demo("first-probe"), ("space", "8")),
        Picture("what-if", find_demo("first-probe"), ("space", "f12", *["down"] * 7, "enter")),
    ]


async def draw(picture: Picture, language: Language) -> str:
    """The picture as SVG, without fonts from the network.

    Args:
        picture: what to draw.
        language: of the screen.
    """
    app = KprobesimApp(picture.scenario, language)
    async with app.run_test(size=_SIZE) as pilot:
        await _settle(app)
        for key in picture.keys:
            await pilot.press(key)
            await _settle(app)
        await pilot.pause()
        return _TEXT.sub(_as_wide_as_its_cells, _WEB_FONTS.sub("", app.export_screenshot(title="kprobesim")))


def _as_wide_as_its_cells(found: re.Match[str]) -> str:
    """The library counts characters, and a Chinese one is two cells wide."""
    length, between, text = found.groups()
    plain = unescape(text)
    return f'textLength="{float(length) / len(plain) * cell_len(plain):.4g}"{between}{text}<'


async def _settle(app: KprobesimApp) -> None:
    """Wait until what was asked for is on the screen."""
    while True:
        await asyncio.sleep(0.05)
        screen = app.screen
        if isinstance(screen, LabScreen) and (screen.snapshot is None or screen.conductor.busy):
            continue
        if isinstance(screen, WhatIfScreen) and screen.view is None and screen.failure is None:
            continue
        return


def main() -> None:
    """Draw all of them, as somebody sees them who has no progress yet."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as data:
        os.environ["KPROBESIM_DATA"] = data
        for picture in pictures():
            for language in LANGUAGES:
                target = FOLDER / f"{picture.name}.{language}.svg"
                target.write_text(asyncio.run(draw(picture, language)), encoding="utf-8")


if __name__ == "__main__":
    main()
