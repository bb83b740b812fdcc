"""Two lives that were one, on a thread of their own, and what the what-if screen shows of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from textual.message import Message

from kprobesim.errors import KprobesimError
from kprobesim.i18n import LANGUAGES, Language
from kprobesim.image import LineTable
from kprobesim.lab import Event, Lab, Moment
from kprobesim.lab.change import Change
from kprobesim.lab.parting import MemoryDifference, RegisterDifference, memory_side_by_side, side_by_side
from kprobesim.lab.recording import Recording, capture
from kprobesim.lab.whatif import Stage, WhatIf, what_if
from kprobesim.tui.motions import Interrupt, Motion, Outcome, go_to_event
from kprobesim.tui.snapshot import Memory, Snapshot, observe
from kprobesim.tui.worker import Worker

__all__ = ["Living", "Plan", "Twin", "TwinView", "Twinned", "Twins", "Undone", "plan_of", "side_motion", "to_fork"]
__all__ += ["Side", "both", "to_parting"]

_MOST_MEMORY: Final = 24
_TELL_EVERY: Final = 0.1

Side = Literal[0, 1]
"""0: the life as it was, 1: the one with the change."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be lived twice.

    Attributes:
        recording: the life.
        change: what is different.
        moment: when, for a byte or a register.
        lines: the line table of the life's image, which takes longer to read than the kernel to boot.
    """

    recording: Recording
    change: Change
    moment: Moment
    lines: LineTable


def plan_of(change: Callable[[Lab], Change], moment: Callable[[Lab], Moment], take: Callable[[Plan], object]) -> Motion:
    """A motion that leaves the lab where it is and hands on all that is needed to live its life again.

    Args:
        change: finds the change; may ask the lab for addresses.
        moment: finds the moment.
        take: takes the plan, on the lab's thread.
    """

    def move(lab: Lab, interrupt: Interrupt) -> Outcome:
        take(Plan(capture(lab), change(lab), moment(lab), lab.lines))
        return Outcome()

    return move


@dataclass(frozen=True, slots=True)
class TwinView:
    """Both machines, each at a moment.

    Attributes:
        sides: as it was, and with the change.
        outcomes: how the last motion ended for each, or the error that it ended in.
        registers, memory: what differs between them now; memory is compared where both have the same image.
        story: the sentences about the two lives, by language.
        fork: how many events lie behind the change, in each life.
        parting: positions of the first events that differ; None where a life has no more, or nothing differs.
        differs: whether anything does.
    """

    sides: tuple[Snapshot, Snapshot]
    outcomes: tuple[Outcome | KprobesimError, Outcome | KprobesimError]
    registers: tuple[RegisterDifference, ...]
    memory: tuple[MemoryDifference, ...]
    story: dict[Language, tuple[str, ...]]
    fork: int
    parting: tuple[int | None, int | None]
    differs: bool


@dataclass
class Twins:
    """Both lives, on the thread that owns them.

    Attributes:
        tried: the lives and where they part.
        fork: how many events lie behind the change.
        outcomes: how the last motion ended for each.
        memories: what is kept from one look to the next.
    """

    tried: WhatIf
    fork: int
    outcomes: list[Outcome | KprobesimError] = field(default_factory=lambda: [Outcome(), Outcome()])
    memories: tuple[Memory, Memory] = field(default_factory=lambda: (Memory(), Memory()))

    @property
    def labs(self) -> tuple[Lab, Lab]:
        """As it was, and with the change."""
        return self.tried.before, self.tried.after

    def move(self, side: Side, motion: Motion, interrupt: Interrupt) -> None:
        """Move one of them; what it cannot do keeps the other one from nothing."""
        try:
            self.outcomes[side] = motion(self.labs[side], interrupt)
        except KprobesimError as error:
            self.outcomes[side] = error

    def look(self) -> TwinView:
        """Everything there is to show."""
        tried, (before, after) = self.tried, self.labs
        parting = tried.parting
        same_image = before.image.sha256 == after.image.sha256
        return TwinView(
            (observe(before, self.memories[0]), observe(after, self.memories[1])),
            (self.outcomes[0], self.outcomes[1]),
            side_by_side(before, after),
            memory_side_by_side(before, after, _MOST_MEMORY) if same_image else (),
            {language: tried.tell(language, events=False) for language in LANGUAGES},
            self.fork,
            (None, None) if parting is None else (_seq(parting.left), _seq(parting.right)),
            parting is not None,
        )


def _seq(event: Event | None) -> int | None:
    return None if event is None else event.seq


TwinMotion = Callable[[Twins, Interrupt], Outcome]


def both(motion: Motion) -> TwinMotion:
    """The same motion for both machines."""

    def move(twins: Twins, interrupt: Interrupt) -> Outcome:
        twins.move(0, motion, interrupt)
        if not interrupt():
            twins.move(1, motion, interrupt)
        return Outcome()

    return move


def side_motion(side: Side, seq: int) -> TwinMotion:
    """One of them to one of its events."""

    def move(twins: Twins, interrupt: Interrupt) -> Outcome:
        twins.move(side, go_to_event(seq), interrupt)
        return Outcome()

    return move


def to_parting(twins: Twins, interrupt: Interrupt) -> Outcome:
    """Both to behind the first events that differ."""
    key = "at_parting" if twins.tried.parting is not None else "no_parting"
    twins.tried.go_to_parting()
    twins.outcomes[:] = Outcome(key), Outcome(key)
    return Outcome()


def to_fork(twins: Twins, interrupt: Interrupt) -> Outcome:
    """Both to where the change is made."""
    twins.tried.go_to_fork()
    twins.outcomes[:] = Outcome("at_fork"), Outcome("changed")
    return Outcome()


class Twinned(Message):
    """Both lives have been lived, or a motion ended."""

    def __init__(self, view: TwinView, outcome: Outcome) -> None:
        super().__init__()
        self.view = view
        self.outcome = outcome


class Undone(Message):
    """It could not be done."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class Living(Message):
    """The lives are being lived: which of them is where."""

    def __init__(self, stage: Stage, insn: int) -> None:
        super().__init__()
        self.stage = stage
        self.insn = insn


class Twin(Worker[Twins]):
    """Lives a life twice, and moves both machines.

    Args:
        plan: what to live, and what is different.
        post: takes the messages.
    """

    def __init__(self, plan: Plan, post: Callable[[Message], object]) -> None:
        super().__init__(post)
        self.plan = plan
        self._told = 0.0

    def open(self, interrupt: Interrupt) -> Twins:
        """Live both lives; they stand where they part."""
        plan = self.plan
        tried = what_if(plan.recording, plan.change, plan.moment, interrupt=interrupt, progress=self._tell)
        twins = Twins(tried, sum(event.moment.insn < tried.fork.insn for event in tried.before.events()))
        for lab in twins.labs:
            if lab.image.sha256 == plan.recording.image:
                lab.lines = plan.lines
        to_parting(twins, interrupt)
        return twins

    def _tell(self, stage: Stage, insn: int) -> None:
        if time.monotonic() - self._told > _TELL_EVERY:
            self._told = time.monotonic()
            self._post(Living(stage, insn))

    def arrived(self, thing: Twins, outcome: Outcome) -> Message:
        """Both machines."""
        return Twinned(thing.look(), outcome)

    def failed(self, thing: Twins | None, error: Exception) -> Message:
        """The error."""
        return Undone(error)

    def retired(self, thing: Twins) -> int:
        """Instructions of both lives so far."""
        return sum(lab.moment.insn for lab in thing.labs)
