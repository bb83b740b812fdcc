"""A scenario, an app on a screen of some size, and the screen as text."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from textual.events import Key
from textual.pilot import Pilot

from kprobesim.i18n import Language
from kprobesim.image import LineTable
from kprobesim.lab import Lab
from kprobesim.tui import KprobesimApp
from kprobesim.tui.lessons.view import LessonView
from kprobesim.tui.screens.lab import LabScreen
from kprobesim.tui.screens.program import TEMPLATE
from kprobesim.tui.snapshot import Snapshot

COUNT_READS = TEMPLATE
LARGE = (120, 36)
SMALL = (80, 24)
PATIENCE = 60.0
_HOPS = 60
"""Turns of the event loop in which a key surely finds its way up through all widgets."""


@functools.cache
def _lines() -> LineTable:
    """The line table takes longer to read than the kernel to boot, and never changes."""
    return Lab.open("toyix", boot=False).lines


def open_plain() -> Lab:
    """A lab in which nothing is probed and nothing happens."""
    lab = Lab.open("toyix", optimization=False)
    lab.lines = _lines()
    return lab


def open_hit() -> Lab:
    """A lab at the first hit of a program on vfs_read."""
    lab = open_plain()
    lab.load_program(COUNT_READS, "by_pid")
    lab.attach("by_pid", "vfs_read")
    lab.type("cat /etc/motd")
    lab.run(until=["kprobe.hit"])
    return lab


class Demo:
    """A scenario for tests."""

    def __init__(
        self,
        opener: Callable[[], Lab] = open_hit,
        text: str = "",
        title: tuple[str, str] = ("Counting reads", "数 read"),
    ) -> None:
        self._opener = opener
        self._text = text
        self._title = title

    def title(self, language: Language) -> str:
        return self._title[language == "zh"]

    def summary(self, language: Language) -> str:
        return self.text(language)

    def text(self, language: Language) -> str:
        return self._text

    def open(self) -> Lab:
        return self._opener()


Run = Pilot[None]


@asynccontextmanager
async def lab_app(
    size: tuple[int, int] = LARGE, demo: Demo | None = None, language: Language = "en"
) -> AsyncIterator[Run]:
    """The app with one scenario open."""
    app = KprobesimApp(demo or Demo(), language)
    async with app.run_test(size=size) as pilot:
        await wait_until(pilot, lambda: isinstance(app.screen, LabScreen))
        screen = lab_screen(pilot)
        await wait_until(pilot, lambda: screen.snapshot is not None or screen.failure is not None)
        yield pilot


async def wait_until(pilot: Run, done: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end, "nothing came back in time"
        await asyncio.sleep(0.002)
    await pilot.pause()


async def press(pilot: Run, *keys: str) -> None:
    """Press keys and wait until what they started has come to its end."""
    for key in keys:
        # Pilot.press waits for an idle process after each key, which takes longer than the key does.
        pilot.app.post_message(Key(key, " " if key == "space" else key if len(key) == 1 else None))
        for _ in range(_HOPS):
            await asyncio.sleep(0)
    screen = lab_screen(pilot)
    end = time.monotonic() + PATIENCE
    while screen.conductor.busy:
        assert time.monotonic() < end, "nothing came back in time"
        await asyncio.sleep(0.002)
    await pilot.pause()


async def opened(pilot: Run) -> None:
    """Wait until a lesson is open."""
    await wait_until(pilot, lambda: isinstance(pilot.app.screen, LabScreen))
    await wait_until(pilot, lambda: lab_screen(pilot).lesson is not None)


def view(pilot: Run) -> LessonView:
    """Where the learner is."""
    lesson = lab_screen(pilot).lesson
    assert lesson is not None
    return lesson


async def settle(pilot: Run) -> None:
    """Wait until what a click or a call started has come to its end."""
    await pilot.pause()
    screen = lab_screen(pilot)
    await wait_until(pilot, lambda: not screen.conductor.busy)


def front(pilot: Run) -> type:
    """The kind of screen in front."""
    return type(pilot.app.screen)


def lab_screen(pilot: Run) -> LabScreen:
    for screen in pilot.app.screen_stack:
        if isinstance(screen, LabScreen):
            return screen
    raise AssertionError("no lab is open")


def now(pilot: Run) -> Snapshot:
    snapshot = lab_screen(pilot).snapshot
    assert snapshot is not None
    return snapshot


def screen_lines(pilot: Run) -> list[str]:
    """What stands on the screen, line by line."""
    # Textual has no public way to read the screen back; keep this the only place that knows.
    strips = pilot.app.screen._compositor.render_strips()
    return ["".join(segment.text for segment in strip) for strip in strips]


def screen_text(pilot: Run) -> str:
    """What stands on the screen, as one text."""
    return "\n".join(screen_lines(pilot))
