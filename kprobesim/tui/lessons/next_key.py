"""The one key that a learner presses next: worked out from where they are, never written by an author."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kprobesim.course.trail import HELD, KEYS, WRITTEN
from kprobesim.i18n import Language
from kprobesim.lab import Grain
from kprobesim.tui.key_names import KEY_NAMES
from kprobesim.tui.lessons.view import LessonView
from kprobesim.tui.lessons.words import answer_keys
from kprobesim.tui.motions import GRAINS
from kprobesim.tui.wording import say

__all__ = ["Reading", "next_key", "step_to_make"]

_STEPS: Final = {False: "step_forward", True: "step_back"}
"""The action that a step of a text is, by whether it goes back."""
_ACTIONS: Final = {"→": _STEPS[False], "←": _STEPS[True], "Space": "next_hit", "Enter": "go_to", ":": "command"}
"""What the keys do that a text lists."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the lesson's text stands on the screen.

    Attributes:
        page: index of the page.
        shown: the text is in sight.
        more: the page goes on below.
        listed: the block that lists the next step is in sight, or above.
        gave_way: the text was left for a panel that the page asks for.
        hidden: the panel that the page asks for and that only a key brings in front, or empty.
        look: what the page says there is to see in a panel that is in sight, or empty.
        grain: of one step.
        has_list: there is a list of lessons to go back to.
    """

    page: int
    shown: bool
    more: bool
    listed: bool
    gave_way: bool
    hidden: str
    look: str
    grain: Grain
    has_list: bool


def next_key(view: LessonView, language: Language, how: Reading) -> str:
    """What to press now, and what that is for; a few words.

    Args:
        view: where the learner is.
        language: of the words.
        how: how the text stands on the screen.
    """
    last = len(view.texts[language].pages) - 1
    if view.exploring:
        return say(language, "now.return")
    step = _step(view, language, how)
    if step and view.steps[view.made].page < how.page:
        return step
    if not how.shown:
        if how.gave_way:
            return say(language, "now.look_back" if how.look else "now.back_to_text", look=how.look)
        if view.begun and not view.praised and not step and view.texts[language].asked is None:
            # The task was begun in a dialog, and needs more than one line.
            return _task(view, language, how)
        return step or say(language, "now.show_text")
    if step and how.listed:
        return step
    if how.more:
        return _behind_a_look(language, "now.read_on", "" if step else how.look)
    asked = view.texts[language].asked
    if how.page == last and asked is not None and asked.prediction:
        return say(language, "now.choose", keys=answer_keys(len(asked.options)))
    if step:
        return step
    if how.hidden:
        return say(language, "now.look", panel=say(language, f"panel.{how.hidden}.title"))
    if how.page < last:
        return _behind_a_look(language, "now.next_page", how.look)
    return _task(view, language, how)


def _behind_a_look(language: Language, key: str, look: str) -> str:
    told = say(language, key)
    return say(language, "now.look_then", look=look, then=told) if look else told


def step_to_make(view: LessonView, page: int) -> bool:
    """Whether a step that is listed on a page, or before it, was not made yet."""
    return view.made < view.listed and view.steps[view.made].page <= page


def _step(view: LessonView, language: Language, how: Reading) -> str:
    """The next listed step that was not made; empty if the pages up to this one list none."""
    if not step_to_make(view, how.page):
        return ""
    step = view.steps[view.made]
    press, _, written = step.key.partition(" ")
    same = [number for number, one in enumerate(view.steps[: view.listed]) if one.page == step.page]
    values = {
        "press": KEY_NAMES[_ACTIONS[press.rstrip("…")]],
        "number": view.made - same[0] + 1,
        "total": len(same),
        "page": step.page + 1,
    }
    if press in WRITTEN:
        values["written"] = written
        return say(language, "now.write" if step.page == how.page else "now.write_before", **values)
    grain, back = KEYS[step.key]
    if grain is not Grain.HIT and how.grain is not grain:
        action = "finer" if GRAINS.index(how.grain) < GRAINS.index(grain) else "coarser"
        return say(language, "now.grain", press=KEY_NAMES[action], grain=say(language, f"one.{grain.value}"))
    if step.key in HELD:
        return say(language, "now.hold", press=KEY_NAMES[_STEPS[back]])
    if view.astray == (-1 if back else 1):
        return say(language, "now.too_far", press=KEY_NAMES[_STEPS[not back]])
    return say(language, "now.step" if step.page == how.page else "now.step_before", **values)


def _task(view: LessonView, language: Language, how: Reading) -> str:
    """At the end of what may be read: what the task needs."""
    if view.over:
        return say(language, "now.list" if how.has_list else "now.leave")
    asked = view.texts[language].asked
    if asked is not None:
        return (
            say(language, "now.choose", keys=answer_keys(len(asked.options)))
            if asked.options
            else say(language, "now.answer")
        )
    if view.by_hand:
        return say(language, "now.check")
    means = view.means[0] if view.means else "move"
    return say(language, f"now.{means}", number=view.number)
