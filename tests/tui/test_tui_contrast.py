"""Every word on every screen, in every look, against what is behind it: at least 4.5:1 (WCAG 2.1, 1.4.3)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from textual.screen import ModalScreen
from textual.widgets import OptionList

from kprobesim.tui import KprobesimApp
from kprobesim.tui.screens.palette import ActionPalette
from kprobesim.tui.screens.start import StartScreen
from kprobesim.tui.themes import THEME_NAMES
from tests.tui.rig import LARGE, SMALL, Demo, Run, lab_app, opened, press, wait_until
from tests.tui.test_tui_pictures import Way, files, nothing, open_tiny, what_if
from tests.tui.walked import walked_lesson

LEAST = 4.5
TEXT = """\
# A heading

Prose with `code` and *stress*.

> A quotation.

```c
return size; /* a comment */
```

1. a list
"""
FRAMES = "─━╌┄═▔▁╶╴╺╸│┃╎║▏▎▕▊╷╵╭╮╰╯┌┐└┘┏┓┗┛├┤┬┴┼█▀▄▌▐▅▆▇▂▃▉"
"""Lines and blocks are no words: what they show is told by position and shape as well."""


def contrast(one: ColorTriplet, other: ColorTriplet) -> float:
    """The contrast of two colours, from 1 to 21."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: ColorTriplet) -> float:
    parts = [part / 255 for part in colour]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def words_shown(pilot: Run) -> Iterator[Segment]:
    """What stands on the screen in front, or in the dialog; what is behind a dialog is veiled on purpose."""
    screen = pilot.app.screen
    fields = screen.query("CommandInput, CommandList") if isinstance(screen, ActionPalette) else screen.children
    regions = [field.region for field in fields] if isinstance(screen, ModalScreen) else [screen.region]
    for y, strip in enumerate(screen._compositor.render_strips()):
        x = 0
        for segment in strip:
            if segment.text.strip(f" {FRAMES}") and any(region.contains(x, y) for region in regions):
                yield segment
            x += segment.cell_length


def too_faint(pilot: Run) -> list[str]:
    """Every word of the screen whose contrast is too low, with its colours."""
    found, seen = [], 0
    for segment in words_shown(pilot):
        style = segment.style
        assert style is not None and style.color is not None and style.bgcolor is not None and not style.dim
        word, behind = style.color.triplet, style.bgcolor.triplet
        assert word is not None and behind is not None
        seen += 1
        if contrast(word, behind) < LEAST:
            found.append(f"{segment.text.strip()!r}: {contrast(word, behind):.2f}, {word.hex} on {behind.hex}")
    assert seen, "there are words"
    return found


async def in_every_look(pilot: Run, what: str) -> None:
    """Go through all looks by their key, and read each."""
    for _ in THEME_NAMES:
        await pilot.pause(0.01)
        assert not too_faint(pilot), f"{what}, {pilot.app.theme}"
        await pilot.press("f4")
        await pilot.pause(0.01)


def test_the_formula_gives_the_figures_of_its_definition() -> None:
    black, white, grey = ColorTriplet(0, 0, 0), ColorTriplet(255, 255, 255), ColorTriplet(118, 118, 118)
    assert contrast(black, white) == 21
    assert contrast(white, white) == 1
    assert 4.5 < contrast(grey, white) < 4.6


def keys(*pressed: str) -> Way:
    """A way that is made of keys."""

    async def way(pilot: Run) -> None:
        await press(pilot, *pressed)

    return way


@pytest.mark.parametrize(
    ("what", "way"),
    [
        ("lab", nothing),
        ("changed registers", keys("right", "right")),
        ("BPF panel", keys("5", "f5")),
        ("verifier panel", keys("8", "f5")),
        ("maps and tasks", keys("9")),
        ("a refusal", keys("colon", "z", "enter")),
        ("go to, and what cannot be read", keys("enter", *"z q", "enter")),
        ("placeholder of go to", keys("enter")),
        ("console line", keys("f9")),
        ("what-if form", keys("f12")),
        ("fields that are not needed", keys("f12", "down", "down", "down")),
        ("program", keys("insert")),
        ("files", files),
        ("a file that is shown", keys("ctrl+f", "down", "down", "enter", "down")),
        ("what if", what_if),
        ("help", keys("1", "f1")),
        ("palette", keys("ctrl+p")),
        ("presenter", keys("ctrl+l")),
        ("presenter, a panel", keys("ctrl+l", "1")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_every_word_of_a_screen_can_be_read_in_every_look(what: str, way: Way) -> None:
    async with lab_app(LARGE, Demo(open_tiny, text=TEXT)) as pilot:
        await way(pilot)
        await pilot.pause(0.1)
        await in_every_look(pilot, what)


@pytest.mark.parametrize("offered", [2, 0], ids=["chosen and not chosen", "none: disabled"])
async def test_every_option_of_the_start_screen_can_be_read_in_every_look(offered: int) -> None:
    app = KprobesimApp(None, "en", scenarios=lambda: [Demo(open_tiny, text="Ten calls.")] * offered)
    async with app.run_test(size=SMALL) as pilot:
        await wait_until(pilot, lambda: isinstance(app.screen, StartScreen))
        options = app.screen.query_one(OptionList)
        options.focus()
        await in_every_look(pilot, "focused")
        options.blur()
        await in_every_look(pilot, "not focused")


@pytest.mark.parametrize("pressed", [("ctrl+t", "ctrl+e"), ("ctrl+x",), ("right", "right", "right", "ctrl+a")])
async def test_every_word_of_a_lesson_can_be_read_in_every_look(
    pressed: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KPROBESIM_DATA", str(tmp_path / "data"))
    app = KprobesimApp(walked_lesson(tmp_path), "en")
    async with app.run_test(size=LARGE) as pilot:
        await opened(pilot)
        await press(pilot, *pressed)
        await in_every_look(pilot, " ".join(pressed))
