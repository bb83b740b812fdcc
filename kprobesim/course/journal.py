"""What a learner did to the machine, so that it can be done again: at the same instructions, on a new machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kprobesim.course.actions import INPUT_VERBS, Action, parse_action, parse_actions
from kprobesim.course.perform import Budget, perform
from kprobesim.course.progress import Progress
from kprobesim.errors import KprobesimError
from kprobesim.lab import Moment

if TYPE_CHECKING:
    from kprobesim.lab import Lab
    from kprobesim.machine import Input

__all__ = ["Journal"]


class Journal:
    """Which action made which input of a machine.

    Args:
        lab: the machine, at the lesson's start.
        folder: the lesson's, where actions find their files.

    Attributes:
        begin: the machine's life at the lesson's start.
        actions: the inputs that the learner made, and the actions that made them, by the input's identity.
    """

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.begin = lab.timeline.life()
        self.actions: dict[int, tuple[Input, Action]] = {}
        self._lab = lab
        self._folder = folder

    def do(self, action: Action, budget: Budget) -> str:
        """Do an action, and remember it if it did something to the machine; what failed did not.

        Args:
            action: see `kprobesim.course.perform`.
            budget: how long it may take.

        Returns:
            What the console printed meanwhile.

        Raises:
            KprobesimError: it cannot be done, or takes too long.
        """
        return self._do(action, action, budget)

    def record(self, progress: Progress) -> None:
        """Write into a progress what was done since the lesson's start, and where the machine is."""
        inputs, begun = self._lab.timeline.inputs, self.begin.inputs
        kept = 0
        while kept < min(len(inputs), len(begun)) and inputs[kept] is begun[kept]:
            kept += 1
        noted = [(step.insn, self.actions.get(id(step))) for step in inputs[kept:]]
        progress.lost = any(found is None for _, found in noted)
        progress.inputs = [(insn, str(found[1])) for insn, found in noted if found is not None]
        progress.kept = kept
        progress.head = self._lab.timeline.head
        progress.moment = tuple(self._lab.moment)

    def replay(self, progress: Progress) -> None:
        """Do again what a progress says, each thing at its instruction; then go where the machine stood.

        Raises:
            KprobesimError: that cannot be done; the machine is at the lesson's start again.
        """
        lab = self._lab
        try:
            if progress.lost:
                raise KprobesimError("Something was done to it that cannot be done again.")
            for number, (insn, text) in enumerate(progress.inputs):
                self._redo(insn, text, progress.kept + number)
            where = Moment(*progress.moment)
            lab.run(instructions=max(0, max(progress.head, where.insn) - lab.moment.insn), interrupt=Budget())
            if lab.moment != where:
                lab.seek(where)
        except KprobesimError:
            self.rewind()
            raise

    def rewind(self) -> None:
        """The machine is at the lesson's start, and nothing was done to it."""
        self._lab.timeline.live(self.begin)
        self.actions.clear()

    def _redo(self, insn: int, text: str, applied: int) -> None:
        """Do one thing again.

        Args:
            insn: at which instruction.
            text: the action.
            applied: how many inputs lay behind it.
        """
        action = next(iter(parse_actions(text)), None)
        if action is None or action.verb not in INPUT_VERBS:
            raise KprobesimError("What was done to it is damaged.")
        self._lab.run(instructions=max(0, insn - self._lab.moment.insn), interrupt=Budget())
        if self._lab.moment.insn != insn or self._lab.timeline.life().applied != applied:
            raise KprobesimError("It does not come to the same moment any more.")
        # Only the input itself; what it leads to is lived afterwards.
        typed = parse_action(f"type {action.words[0]}") if action.verb == "$" else action
        self._do(typed, action, Budget())

    def _do(self, action: Action, noted: Action, budget: Budget) -> str:
        before = self._last_input()
        try:
            return perform(self._lab, action, self._folder, budget)
        finally:
            made = self._last_input()
            if made is not None and made is not before:
                self.actions[id(made)] = made, noted

    def _last_input(self) -> Input | None:
        inputs = self._lab.timeline.inputs
        return inputs[-1] if inputs else None
