"""The machine that a lesson or a demo begins with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kprobesim.course.actions import INPUT_VERBS, Action, parse_actions
from kprobesim.course.perform import Budget, perform
from kprobesim.course.strict import Strict

if TYPE_CHECKING:
    from kprobesim.lab import Lab

__all__ = ["Start", "read_start"]


@dataclass(frozen=True)
class Start:
    """A booted machine, and what was done to it.

    Attributes:
        kernel, profile, cpus, seed, optimization: as for `Lab.open`.
        actions: done once the machine waits for input.
        rewind: come back to the moment before the actions. What follows is then known: it can be stepped through,
            searched and jumped to.
    """

    kernel: str
    profile: str
    cpus: int
    seed: int
    optimization: bool
    actions: tuple[Action, ...]
    rewind: bool

    def open(self, folder: Path) -> Lab:
        """Boot the machine and bring it to the start.

        Args:
            folder: where the actions find their files.

        Raises:
            KprobesimError: it does not fit the kernel, or takes too long.
        """
        from kprobesim.lab import Lab

        budget = Budget()
        lab = Lab.open(
            self.kernel, profile=self.profile, cpus=self.cpus, seed=self.seed, optimization=self.optimization
        )
        lab.run(interrupt=budget)
        beginning = lab.moment.insn
        for action in self.actions:
            perform(lab, action, folder, budget)
        if self.rewind:
            lab.start = beginning
            lab.seek(beginning)
        else:
            lab.begin_here()
        return lab


def read_start(table: Strict) -> Start:
    """A ``[start]`` table.

    Raises:
        BadInput: it makes no sense.
    """
    kernel = table.text("kernel", "toyix", limit=64)
    if not kernel.isidentifier():
        table.refuse(f"kernel must be the name of an image that ships, not {kernel!r}.", "kernel")
    start = Start(
        kernel=kernel,
        profile=table.choice("profile", ("distro", "bare", "server", "history"), "bare"),
        cpus=table.number("cpus", 1, least=1, most=8),
        seed=table.number("seed", 0),
        optimization=table.switch("optimization", True),
        actions=table.parsed("do", "", parse_actions),
        rewind=table.switch("rewind", False),
    )
    for action in start.actions:
        if action.verb not in INPUT_VERBS and action.verb != "run":
            table.refuse(f"a start does something to the machine; {action.verb} does not.", "do")
    table.done()
    return start
