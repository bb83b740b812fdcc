"""What a screen shows of a lesson: one record, made on the lab's thread after each motion, in all languages."""

from __future__ import annotations

from dataclasses import dataclass

from kprobesim.course import Cue, Step
from kprobesim.i18n import Language
from kprobesim.tui.lessons.words import Asked

__all__ = ["LessonText", "LessonView"]


@dataclass(frozen=True, slots=True)
class LessonText:
    """A lesson's words in one language.

    Attributes:
        pages: what may be read by now, Markdown.
        task: what to do now, or what to say at the end.
        goals: of the last check: met, what is asked for, why not yet.
        told: the hint, praise or answer asked for last.
        asked: the question that waits, or None.
        looks: what there is to see in the panel of each cue, or empty.
    """

    pages: tuple[str, ...]
    task: str
    goals: tuple[tuple[bool, str, str], ...]
    told: str
    asked: Asked | None
    looks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LessonView:
    """Where a learner is.

    Attributes:
        texts: by language.
        done, total: tasks.
        number: of the task at hand, from 1.
        over: no task is left.
        exploring: nothing counts until the learner comes back.
        notice: what went wrong with the progress file.
        praised: the task before was done by the last motion, and what is told is why that was it.
        by_hand: the task may be done, but the machine has to run aside to find out: only the learner asks for that.
        means: actions of the screen that the task needs besides the motions, the one that comes next first.
        begun: one of them was used since the task before was done.
        page: index of the page on which the text goes on behind the last task that is done.
        pages: how many there are, those not to be read yet too.
        steps: that the text lists, in order.
        listed: so many of them may be read by now.
        made: how many of them were made.
        astray: 1 where the machine is further on than the last of those and not where the next one leads, -1 where it
            is further back, otherwise 0.
        cues: panels that the text brings up, in order.
    """

    texts: dict[Language, LessonText]
    done: int
    total: int
    number: int
    over: bool
    exploring: bool
    notice: str
    praised: bool
    by_hand: bool
    means: tuple[str, ...]
    begun: bool
    page: int
    pages: int
    steps: tuple[Step, ...]
    listed: int
    made: int
    astray: int
    cues: tuple[Cue, ...]
