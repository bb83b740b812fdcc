"""What if one thing had been different: a past moment forked, both lives lived on, and where they part.

::

    tried = what_if(lab, FixUpOff(FixUp.RIP_RELATIVE))
    tried.parting.left, tried.parting.right    # the first events that differ
    tried.go_to_parting()                      # both machines there; side_by_side(tried.before, tried.after)
    tried.tell("en")                           # sentences

Both lives are new machines: the lab that is asked about stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from kprobesim.error_texts import in_language
from kprobesim.errors import BadInput, EventLogFull, GuestError
from kprobesim.i18n import Language, Texts
from kprobesim.lab.change import ByteChange, Change, FixUpOff, ProfileChange, RegisterChange
from kprobesim.lab.lab import Lab
from kprobesim.lab.parting import Parting, first_difference
from kprobesim.lab.recording import Player, Recording, capture
from kprobesim.machine import Event, Moment, Stop

__all__ = ["ByteChange", "Change", "FixUpOff", "ProfileChange", "RegisterChange", "Stage", "WhatIf", "what_if"]

_TEXTS: Final = Texts("kprobesim.lab.recording.texts")
_BUDGET: Final = 60_000_000
_SLICE: Final = 10_000_000

Interrupt = Callable[[], bool]


class Stage(Enum):
    """What `what_if` is busy with."""

    BEFORE = "before"
    AFTER = "after"
    COMPARE = "compare"


Progress = Callable[[Stage, int], None]


@dataclass
class WhatIf:
    """Two lives that were one.

    Attributes:
        change: what was made different.
        fork: the clean state at which it was; for a profile and a fix-up the beginning.
        before: the life as it was.
        after: the life with the change.
        ended: why each of them could not go on, or empty.
        parting: the first events that differ; None if there are none.
        path: number of the first instruction before which RIP differs, where both lives have the same image and it
            was found; None otherwise.
    """

    change: Change
    fork: Moment
    before: Lab
    after: Lab
    ended: tuple[str, str]
    parting: Parting | None
    path: int | None

    def go_to_parting(self) -> None:
        """Put each machine just behind its first event that the other has not; to its end where it has none."""
        if self.parting is None:
            return
        for lab, event in ((self.before, self.parting.left), (self.after, self.parting.right)):
            if event is None:
                lab.seek_end()
            else:
                lab.seek(event)

    def go_to_fork(self) -> None:
        """Put both machines to the fork: the change is the last thing that was done to the second one."""
        for lab in (self.before, self.after):
            timeline = lab.timeline
            insn = max(self.fork.insn, lab.start)
            applied = sum(step.insn <= insn for step in timeline.inputs)
            timeline.live(timeline.life()._replace(applied=applied, moment=Moment(insn), frozen=False))

    def tell(self, language: Language, *, events: bool = True) -> tuple[str, ...]:
        """The story in sentences: the change, where the lives part, and how each ended.

        Args:
            language: of the sentences.
            events: also what the first events that differ mean.
        """
        say = _Teller(self, language)
        lines = [say.change()]
        if self.parting is None:
            lines.append(say("same", events=self.before.event_count))
        else:
            lines.append(say("part", common=self.parting.common))
            if events:
                lines.append(say("was", told=say.event(self.before, self.parting.left)))
                lines.append(say("now", told=say.event(self.after, self.parting.right)))
            if self.parting.fields:
                lines.append(say("fields", names=", ".join(self.parting.fields)))
        if self.path is not None:
            lines.append(say("path", insn=self.path))
        for name, error in zip(("was_ended", "now_ended"), self.ended, strict=True):
            if error:
                lines.append(say(name, error=in_language(error, language)))
        return tuple(lines)


class _Teller:
    def __init__(self, tried: WhatIf, language: Language) -> None:
        self._tried, self._language = tried, language

    def __call__(self, key: str, **values: object) -> str:
        return _TEXTS.get(self._language, f"whatif.{key}", **values) or key

    def change(self) -> str:
        change, lab = self._tried.change, self._tried.before
        if isinstance(change, ByteChange):
            return self(
                "byte", place=lab.symbolize(change.address), bytes=change.data.hex(" "), insn=self._tried.fork.insn
            )
        if isinstance(change, RegisterChange):
            return self("register", register=change.register, value=change.value, insn=self._tried.fork.insn)
        if isinstance(change, ProfileChange):
            return self("profile", old=lab.profile.value, new=change.profile.value)
        return self(f"without_{change.fixup.value.replace('-', '_')}")

    def event(self, lab: Lab, event: Event | None) -> str:
        return self("nothing") if event is None else lab.narrate(event, self._language).what


def what_if(
    source: Lab | Recording,
    change: Change,
    at: Moment | None = None,
    *,
    interrupt: Interrupt = lambda: False,
    progress: Progress = lambda stage, insn: None,
) -> WhatIf:
    """Live a life twice, the second time with one thing changed.

    A byte or a register is changed in the clean state before the instruction of a moment, behind all inputs that were
    made there; what somebody did to the machine later is done again when the machine waits for it. A profile or a
    fix-up is another from power-on.

    Args:
        source: the life; a lab stays where it is.
        change: what is different.
        at: when, for a byte or a register; where the lab stands, or where the recording was saved, by default.
        interrupt: asked every few million instructions; when it is true both lives end there.
        progress: told, as often, what is being done and at which instruction that life is.

    Raises:
        BadInput: the change makes no sense at that moment.
        KprobesimError: it was interrupted before both lives had their inputs.
        MemoryFault: nothing is mapped where the byte should be.
    """
    recording = source if isinstance(source, Recording) else capture(source)
    whole = isinstance(change, ProfileChange | FixUpOff)
    fork = Moment(0 if whole else (at or recording.moment).insn)
    if not whole and not recording.start <= fork.insn <= recording.head:
        raise BadInput(
            f"Instruction {fork.insn:,} is not part of this life, which goes from {recording.start:,} to "
            f"{recording.head:,}."
        )
    told = _Told(interrupt, progress)
    was = Player(recording, interrupt=told)
    now = _changed_player(recording, change, told)
    skip: range | tuple[()] = ()
    begun = 0
    if not whole:
        told.begin(Stage.AFTER, now.lab)
        now.to(fork.insn)
        now.inputs_left(at=fork.insn)
        begun = now.lab.event_count
        _apply(now.lab, change)
        skip = range(begun, now.lab.event_count)
        now.changed, now.forked = True, fork.insn
    told.begin(Stage.BEFORE, was.lab)
    ended_before = _live(was, told)
    told.begin(Stage.AFTER, now.lab)
    ended = ended_before, _live(now, told)
    told.begin(Stage.COMPARE, now.lab)
    start = (_first_input(was.lab), _first_input(now.lab)) if whole else (begun, begun)
    if not whole:
        was.lab.start = now.lab.start = recording.start
    parting = first_difference(was.lab, now.lab, start=start, skip=skip)
    path = None if whole else _path(was.lab, now.lab, fork.insn, told)
    return WhatIf(change, fork, was.lab, now.lab, ended, parting, path)


class _Told:
    """Asks whether to go on, and tells each time how far things are."""

    def __init__(self, interrupt: Interrupt, progress: Progress) -> None:
        self._interrupt, self._progress = interrupt, progress
        self._stage = Stage.BEFORE
        self._lab: Lab | None = None

    def begin(self, stage: Stage, lab: Lab) -> None:
        self._stage, self._lab = stage, lab
        self()

    def __call__(self) -> bool:
        if self._lab is not None:
            self._progress(self._stage, self._lab.moment.insn)
        return self._interrupt()


def _changed_player(recording: Recording, change: Change, interrupt: Interrupt) -> Player:
    if isinstance(change, ProfileChange):
        if change.profile is recording.profile:
            raise BadInput(f"The profile is {change.profile.value} already.")
        return Player(recording, profile=change.profile, interrupt=interrupt)
    if isinstance(change, FixUpOff):
        return Player(recording, without=recording.without | {change.fixup}, interrupt=interrupt)
    return Player(recording, interrupt=interrupt)


def _apply(lab: Lab, change: Change) -> None:
    if isinstance(change, ByteChange):
        if not change.data:
            raise BadInput("No bytes were given.")
        lab.poke(change.address, change.data)
    elif isinstance(change, RegisterChange):
        lab.set_register(change.register, change.value, change.cpu)


def _live(player: Player, interrupt: Interrupt) -> str:
    """To the end of the inputs and on until the machine waits, or so long that it never will."""
    lab = player.lab
    try:
        if player.changed:
            player.inputs_left()
        else:
            player.to_end()
        goal = lab.moment.insn + _BUDGET
        while lab.run(instructions=_SLICE) is Stop.LIMIT and lab.moment.insn < goal and not interrupt():
            pass
    except (GuestError, EventLogFull) as error:
        return error.message
    return ""


def _first_input(lab: Lab) -> int:
    return next((event.seq for event in lab.events() if event.kind == "input"), lab.event_count)


def _path(was: Lab, now: Lab, fork: int, interrupt: Interrupt) -> int | None:
    """The first instruction before which RIP differs, by halving: paths that part and join again are not seen."""
    end = min(was.timeline.head, now.timeline.head)

    def parted(insn: int) -> bool:
        for lab in (was, now):
            lab.seek(Moment(insn))
        return was.registers()["rip"] != now.registers()["rip"]

    step = 1
    while fork + step < end and not parted(fork + step):
        if interrupt():
            return None
        step *= 2
    low, high = fork + step // 2, min(fork + step, end)
    if high <= fork or not parted(high):
        return None
    while high - low > 1:
        if interrupt():
            return None
        middle = (low + high) // 2
        low, high = (low, middle) if parted(middle) else (middle, high)
    return high
