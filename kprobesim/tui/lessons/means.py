"""With which dialogs of the screen a task is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from kprobesim.course.actions import INPUT_VERBS, Action
from kprobesim.course.lesson import Task

__all__ = ["means", "way"]


def means(task: Task, used: Sequence[str]) -> tuple[str, ...]:
    """Which dialogs of the screen lead to a task's solution, in its order; arrows and Space are always at hand.

    Args:
        task: the task.
        used: those that the learner has used for it, one for each action; they come last.
    """
    ways = [name for name in map(way, task.solution) if name]
    left = Counter(used)
    open_ = []
    for name in ways:
        if left[name]:
            left[name] -= 1
        else:
            open_.append(name)
    return tuple(dict.fromkeys([*open_, *ways]))


def way(action: Action) -> str:
    """The dialog of the screen in which an action is written; empty if a key does it."""
    if action.verb in ("$", "type"):
        return "type_line"
    if action.verb == "program":
        return "write_program"
    return "command" if action.verb in INPUT_VERBS or (action.verb == "run" and action.words) else ""
