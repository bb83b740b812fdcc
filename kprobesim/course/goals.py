"""Goals: what a task asks for, read off the event stream and the state of the machine, never off the keys pressed.

Each kind is a class: ``read`` takes its keys out of the lesson's file, ``check`` looks at the machine and finds whether
it is met, with the values that tell why not. The sentences are in ``texts``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kprobesim.course.event_goals import AtGoal, ConsoleGoal, EventGoal, OrderGoal
from kprobesim.course.finding import Finding, GoalKind, View
from kprobesim.course.readings import Unmapped
from kprobesim.course.state_goals import AnswerGoal, FileGoal, KprobeGoal, MapGoal, MemoryGoal, ValueGoal
from kprobesim.course.strict import Strict
from kprobesim.error_texts import in_language
from kprobesim.errors import BadInput
from kprobesim.i18n import Language, Texts

__all__ = ["GOAL_KINDS", "TEXTS", "Goal", "read_goal"]

TEXTS: Final = Texts("kprobesim.course.texts")
_KINDS: Final[tuple[type[GoalKind], ...]] = (
    EventGoal, AtGoal, OrderGoal, MemoryGoal, ValueGoal, MapGoal, FileGoal, ConsoleGoal, KprobeGoal, AnswerGoal,
)  # fmt: skip
GOAL_KINDS: Final[dict[str, type[GoalKind]]] = {kind.name: kind for kind in _KINDS}


@dataclass(frozen=True)
class Goal:
    """A goal as a task has it.

    Attributes:
        says: the author's own words for it, by language, or empty.
        what: the goal itself.
    """

    says: Mapping[str, str]
    what: GoalKind

    def check(self, view: View) -> Finding:
        """Look; what cannot be read off the machine now is not met yet."""
        try:
            return self.what.check(view)
        except Unmapped as error:
            return Finding(False, {**self.what.asked(), "where": error.place}, "unmapped")
        except BadInput as error:
            return Finding(False, {**self.what.asked(), "message": str(error)}, "cannot")

    def text(self, language: Language, finding: Finding) -> str:
        """What is asked for, one sentence."""
        if own := self.says.get(language):
            return own
        return TEXTS.get(language, f"goal.{self.what.name}.what", **finding.values) or self.what.name

    def why(self, language: Language, finding: Finding) -> str:
        """Why it is not met, one sentence; empty if it is."""
        if finding.met:
            return ""
        if finding.key == "cannot":
            told = in_language(finding.values["message"], language)
            return TEXTS.get(language, "goal.cannot", message=told) or ""
        if finding.key == "unmapped":
            return TEXTS.get(language, "goal.unmapped", **finding.values) or ""
        return TEXTS.get(language, f"goal.{self.what.name}.{finding.key}", **finding.values) or ""


def read_goal(table: Strict) -> Goal:
    """One ``[[task.goal]]``.

    Raises:
        BadInput: it makes no sense.
    """
    kind = table.choice("kind", GOAL_KINDS)
    says = table.by_language("say", needed=False)
    what = GOAL_KINDS[kind].read(table)
    table.done()
    return Goal(says, what)
