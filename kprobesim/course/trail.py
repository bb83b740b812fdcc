"""The steps that a lesson's text asks for, one after the other, and how many of them the learner has made.

A step is a line of a block `seen` or `events`: a key, and where it leads. What was made is told from where the machine
stands and never from the keys, so that going back takes a step back, and another way to the same place is as good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kprobesim.course.pages import Page, fenced_blocks
from kprobesim.lab import Grain, Moment

if TYPE_CHECKING:
    from kprobesim.lab import Lab

__all__ = ["HELD", "KEYS", "STEP_BLOCKS", "WRITTEN", "Cue", "Step", "Trail", "event_kind", "is_step", "standing"]

_IF: Final = 1 << 9
KEYS: Final = {
    "→": (Grain.PHASE, False), "←": (Grain.PHASE, True), "Space": (Grain.HIT, False),
    "→…": (Grain.PHASE, False), "←…": (Grain.PHASE, True),
    "→ instruction": (Grain.INSTRUCTION, False), "← instruction": (Grain.INSTRUCTION, True),
    "→ bpf": (Grain.BPF, False), "← bpf": (Grain.BPF, True),
}  # fmt: skip
"""How a key that a text names moves the machine: at which grain, and whether backwards."""
WRITTEN: Final = {"Enter": "run to ", ":": ""}
"""Keys behind which something is written, as in ``Enter vfs_read``, and what makes an action of that."""
HELD: Final = ("→…", "←…")
"""Keys to be held until the machine is where the step leads."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        page: index of the page on which it is listed.
        block: which of the page's blocks of steps lists it, from 0.
        tasks: so many tasks stand before it.
        key: of `KEYS`, or of `WRITTEN` with what is written.
        kind: of the block.
        wanted: where it leads, as the block writes it.
    """

    page: int
    block: int
    tasks: int
    key: str
    kind: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Cue:
    """A panel to bring up.

    Attributes:
        page: index of the page that asks for it.
        panel: its name.
        step: so many steps of the whole text stand before it.
        due: so many steps must be made before a screen with room for one thing only leaves the text for it.
    """

    page: int
    panel: str
    step: int
    due: int


class Trail:
    """A learner's way along a lesson's steps.

    Args:
        pages: the lesson's whole text.

    Attributes:
        steps: in their order.
        cues: in their order.
        made: how many steps were made.
        astray: 1 where the machine is further on than the step made last, and not where the next one leads; -1 where it
            is further back; otherwise 0.
    """

    def __init__(self, pages: Sequence[Page]) -> None:
        self.steps: tuple[Step, ...]
        self.cues: tuple[Cue, ...]
        self.steps, self.cues, self._listed = _read(pages)
        self.made = 0
        self.astray = 0
        self._places: list[tuple[int, Moment]] = []
        self._passed = 0

    def begin(self, made: int, at: Moment) -> None:
        """So many steps are made, and the next one begins here."""
        self.made, self.astray = min(made, len(self.steps)), 0
        self._places = [(self.made, at)]

    def follow(self, lab: Lab, passed: int) -> None:
        """The machine has come to rest somewhere.

        Args:
            lab: the machine.
            passed: so many tasks stand at or before the last one that is over. What is listed before the task before
                that one counts as made; what is listed between the two, as soon as the learner goes another way.
        """
        here = lab.moment
        least = self.before_task(passed - 1)
        before = self._places[-1][1]
        if self._comes_next(lab, before):
            self.made += 1
            self._places.append((self.made, here))
        elif not self._on_the_way(here < before) and any(
            place == here for made, place in self._places if made >= least
        ):
            while self._places[-1][1] != here:
                self._places.pop()
            self.made = self._places[-1][0]
        if self.made < least:
            self.begin(least, here)
        if passed > self._passed and self.made == self.before_task(passed) and here != self._places[-1][1]:
            # The task was done by other ways than steps: those that are listed behind it begin where it was done.
            self._places.append((self.made, here))
        self._passed = passed
        last = self._places[-1][1]
        self.astray = (here > last) - (here < last)
        if self.astray and self.made < self.before_task(passed):
            self.begin(self.before_task(passed), here)

    def listed(self, beginning: Sequence[Page]) -> int:
        """How many steps a beginning of the text lists.

        Args:
            beginning: of the lesson's whole text, cut between two parts of a page or behind a page.
        """
        return self._listed[sum(len(page.parts) for page in beginning)]

    def before_task(self, number: int) -> int:
        """How many steps are listed before a task.

        Args:
            number: of the task, from 1.
        """
        return sum(step.tasks < number for step in self.steps)

    def _on_the_way(self, back: bool) -> bool:
        """The next step is a key to be held that moves this way: what it comes by is not taken back."""
        return self.made < len(self.steps) and (key := self.steps[self.made].key) in HELD and KEYS[key][1] == back

    def _comes_next(self, lab: Lab, before: Moment) -> bool:
        if self.made == len(self.steps) or lab.moment == before:
            return False
        step = self.steps[self.made]
        back = step.key in KEYS and KEYS[step.key][1]
        if back != (lab.moment < before):
            return False
        return STEP_BLOCKS[step.kind](lab) == step.wanted


def is_step(key: str) -> bool:
    """Whether a line of a block may begin with this: a key, and what is written behind it."""
    word, _, rest = key.partition(" ")
    return key in KEYS or (word in WRITTEN and bool(rest))


def standing(lab: Lab) -> str:
    """Where the machine stands, as blocks `seen` write it: phase, place, interrupt flag, kprobe_status."""
    registers = lab.registers()
    place = "user" if registers["cs"] & 3 else lab.symbolize(registers["rip"])
    return f"{lab.phase_name}  {place}  IF {int(bool(registers['rflags'] & _IF))}  {lab.kprobes().status}"


def event_kind(lab: Lab) -> str:
    """The kind of the newest event, as blocks `events` write it."""
    event = lab.last_event
    return event.kind if event is not None else "-"


STEP_BLOCKS: Final = {"seen": standing, "events": event_kind}
"""The kinds of blocks that list steps, and what tells where one has led."""


def _read(pages: Sequence[Page]) -> tuple[tuple[Step, ...], tuple[Cue, ...], tuple[int, ...]]:
    """The steps, the cues, and how many steps stand before each part of the text and before its end."""
    steps: list[Step] = []
    cues: list[Cue] = []
    listed = [0]
    tasks = 0
    for number, page in enumerate(pages):
        first, block, shown = len(steps), 0, list[tuple[str, int]]()
        for part in page.parts:
            if part.kind == "task":
                tasks += 1
            elif part.kind == "show":
                shown.append((part.text, len(steps)))
            elif part.kind == "prose":
                for fenced in fenced_blocks(part.text):
                    if fenced.kind in STEP_BLOCKS:
                        for line in fenced.text.splitlines():
                            key, _, wanted = line.partition("  ")
                            if is_step(key):
                                steps.append(Step(number, block, tasks, key, fenced.kind, wanted))
                        block += 1
            listed.append(len(steps))
        cues += [Cue(number, panel, before, before if before > first else len(steps)) for panel, before in shown]
    return tuple(steps), tuple(cues), tuple(listed)
