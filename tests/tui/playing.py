"""A learner's hands: the actions of a lesson's solution as keys of the screen."""

from __future__ import annotations

from kprobesim.course.actions import Action
from kprobesim.lab import Grain
from kprobesim.tui.motions import GRAINS
from kprobesim.tui.screens.lab import LabScreen
from tests.tui.rig import Run, front, lab_screen, press, settle, view, wait_until

_KEYS = {" ": "space"}
_ENDS = {"start": "home", "end": "end"}


async def ask(pilot: Run, key: str) -> None:
    """Press a key that opens a dialog, and wait until that takes keys."""
    await press(pilot, key)
    await wait_until(pilot, lambda: front(pilot) is not LabScreen and pilot.app.focused is not None)


async def write(pilot: Run, text: str) -> None:
    """Type a line into the dialog in front, and Enter."""
    await press(pilot, *(_KEYS.get(letter, letter) for letter in text), "enter")


async def choose_grain(pilot: Run, grain: Grain) -> None:
    """By the arrows."""
    for _ in GRAINS:
        there = GRAINS.index(lab_screen(pilot).grain)
        if there == GRAINS.index(grain):
            return
        await press(pilot, "down" if there < GRAINS.index(grain) else "up")


async def predict(pilot: Run, option: int = 1) -> None:
    """Settle each prediction that waits."""
    while (asked := view(pilot).texts["en"].asked) is not None and asked.prediction:
        await ask(pilot, "ctrl+a")
        await press(pilot, str(option))


async def act(pilot: Run, action: Action) -> None:
    """Do one action as a learner would."""
    match action.verb, action.words:
        case "answer", (_, answer):
            asked = view(pilot).texts["en"].asked
            await ask(pilot, "ctrl+a")
            # A digit chooses an option at once; a number is typed.
            await (press(pilot, answer) if asked is not None and asked.options else write(pilot, answer))
        case "predict", (_, option):
            await ask(pilot, "ctrl+a")
            await press(pilot, option)
        case (("step" | "back" as way), words):
            grains = [Grain(word) for word in words if not word.isdigit()]
            await choose_grain(pilot, grains[0] if grains else Grain.PHASE)
            counts = [word for word in words if word.isdigit()]
            await press(pilot, *(("asterisk", *counts[0]) if counts else ()), "right" if way == "step" else "left")
        case "seek", (("start" | "end") as end,):
            await press(pilot, _ENDS[end])
        case "seek", (event,):
            await ask(pilot, "enter")
            await write(pilot, str(int(event) + 1))
        case "run", ("to", place):
            await ask(pilot, "enter")
            await write(pilot, place)
        case "$", (line,):
            await ask(pilot, "f9")
            await write(pilot, line)
        case "program", _:
            desk = lab_screen(pilot).desk
            assert desk is not None
            lab_screen(pilot).move(desk.do(action.line, action.text))
            await settle(pilot)
        case _:
            await ask(pilot, "colon")
            await write(pilot, action.line)
