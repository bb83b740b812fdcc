"""What a session tells: goals, tasks and revealed predictions as they stand."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["GoalReport", "Reveal", "TaskReport"]


@dataclass(frozen=True)
class GoalReport:
    """One goal, as it stands now.

    Attributes:
        met: it is.
        text: what it asks for, one sentence in the learner's language.
        why: why it is not met yet; empty if it is.
    """

    met: bool
    text: str
    why: str


@dataclass(frozen=True)
class TaskReport:
    """A task, as it stands now.

    Attributes:
        task: its id.
        met: all of its goals are.
        goals: one by one.
        praise: why that was it, if it is met and the lesson says so.
    """

    task: str
    met: bool
    goals: tuple[GoalReport, ...]
    praise: str


@dataclass(frozen=True)
class Reveal:
    """What the answer of a prediction is.

    Attributes:
        chosen: the learner's option, counted from 1; 0 if none was chosen.
        right: the right one.
        value: what the machine worked out, as text; empty if it did not.
        explain: why.
    """

    chosen: int
    right: int
    value: str
    explain: str
