"""Forwards and backwards: checkpoints plus deterministic re-execution.

The past is never undone. To go back is to restore a checkpoint and to run again, exactly as before, to the moment asked
for. What came from outside is in the list of inputs, so that it is applied again at the same instruction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from kprobesim.errors import GuestError
from kprobesim.machine.checkpoints import Checkpoint, Checkpoints, Component
from kprobesim.machine.events import Moment
from kprobesim.machine.machine import Machine
from kprobesim.machine.stop import Stop
from kprobesim.machine.watching import watching

__all__ = ["Input", "Life", "Timeline"]

_SPACING: Final = 2_000_000
_STAGES: Final = (20_000, 3_000, 400)
"""Instructions before a place where somebody looks at which checkpoints are left: the next look is often close by."""
_LATER: Final = 1_000
_FOREVER: Final = 1 << 62


class Input(NamedTuple):
    """Something done to the machine from outside, between two instructions.

    Attributes:
        insn: instructions retired before it.
        text: what was done, for the event stream.
        apply: does it; must do the same each time.
    """

    insn: int
    text: str
    apply: Callable[[], None]


class Life(NamedTuple):
    """One life of a machine, and a place in it: enough to live it again on the same timeline.

    Attributes:
        inputs: all that came from outside, in order.
        applied: how many of them lay behind the machine.
        head: the furthest instruction count reached.
        events: how many events were known.
        moment: where the machine was.
        frozen: it was in the middle of an instruction or an input there.
    """

    inputs: tuple[Input, ...]
    applied: int
    head: int
    events: int
    moment: Moment
    frozen: bool


class Timeline:
    """The life of a machine, as far as it has been lived, and a place in it.

    Args:
        machine: freshly booted.
        components: whose state goes back and forth with the machine's.
        spacing: instructions between checkpoints.
    """

    def __init__(self, machine: Machine, components: Iterable[Component] = (), *, spacing: int = _SPACING) -> None:
        self.machine = machine
        self.inputs: list[Input] = []
        self._applied = 0
        self._spacing = spacing
        self._checkpoints = Checkpoints(machine, components)
        self._anchor: Checkpoint | None = None
        self._head = 0
        self._checkpoints.keep(self._checkpoints.take(0))
        self._last_checkpoint = machine.retired

    # Where we are

    @property
    def head(self) -> int:
        """The furthest instruction count ever reached."""
        return self._head

    @property
    def in_past(self) -> bool:
        """The machine has lived further than where it is now."""
        machine = self.machine
        return machine.retired < self._head or machine.seq < len(machine.log) or self._applied < len(self.inputs)

    # Doing something

    def input(self, text: str, apply: Callable[[], None]) -> None:
        """Do something to the machine now, and again whenever this moment is replayed.

        In the past this starts another future: what had come after is forgotten.

        Args:
            text: what is done, in a few words.
            apply: does it; must have the same effect each time. What it raises is passed on, and then all is as if
                it had not been tried, the future included.
        """
        self._leave_instruction()
        machine = self.machine
        here, applied = machine.retired, self._applied
        before = None if machine.suspended else self._checkpoints.take(self._applied)
        future = machine.log.truncate(machine.seq)
        step = Input(machine.retired, text, apply)
        try:
            self._apply(step)
        except BaseException:
            if before is not None:
                self._checkpoints.restore(before)
            else:
                self._restore(self._checkpoints.before(here, applied))
                self._advance(here)
                while self._applied < applied:
                    self._apply_next()
            machine.log.truncate(machine.seq)
            machine.log.extend(future)
            raise
        self._checkpoints.forget_after(machine.retired, self._applied)
        self._head = machine.retired
        self.inputs[self._applied :] = [step]
        self._applied += 1
        self._anchor = None

    def run(self, limit: int = _FOREVER, *, stop_kinds: Iterable[str] = (), stop_address: int | None = None) -> Stop:
        """Go forward until ``limit`` instructions are retired, or an event of ``stop_kinds``, or nothing more happens.

        From the past the known future is lived again, inputs included.

        Args:
            limit: value of the machine's ``retired`` to stop at.
            stop_kinds: freeze at the first event of these kinds.
            stop_address: stop before the instruction at this address; if the machine is there now, the next time.

        Raises:
            GuestError: the guest cannot go on.
        """
        kinds = frozenset(stop_kinds)
        if self.machine.frozen is not None and self.machine.failure is None:
            # Go on behind the event that we stopped at: up to it nothing may stop us again.
            place = self.machine.moment
            self._restore_before(place)
            self._approach(place.insn)
            if kinds and (stop := self._within(place, kinds)) is not None:
                return stop
        if stop_address is not None:
            here = self.machine.retired + 1
            stop = self._advance(min(here, limit), kinds)
            if stop is not Stop.LIMIT or here > limit:
                return stop
        with watching(self.machine, stop_address):
            return self._advance(limit, kinds)

    # Moving

    def seek(self, moment: Moment) -> None:
        """Go to a moment, forwards or backwards.

        With ``event`` and ``step`` zero that is the clean state before an instruction. A moment past the last one of
        its instruction means the clean state after it.

        Raises:
            GuestError: the guest cannot go on before that.
        """
        if self._is_at(moment):
            return
        machine = self.machine
        here = machine.moment
        if machine.frozen is not None or moment < here or (moment.insn == here.insn and moment.event and here.event):
            self._restore_before(moment)
        if moment.insn - machine.retired > _STAGES[0]:
            self._restore_ahead(moment)
        self._approach(moment.insn)
        if moment.event or moment.step:
            self._anchor_here()
            self._play_to(moment)

    def seek_end(self) -> None:
        """Go to the furthest state ever reached, ready to go on from there."""
        if not self.in_past and self.machine.frozen is None:
            return
        self._restore_before(Moment(self._head))
        self._advance(self._head)
        while self._applied < len(self.inputs):
            self._apply_next()

    def life(self) -> Life:
        """What has been lived so far, to come back to with `live` after something else was tried."""
        machine = self.machine
        return Life(
            tuple(self.inputs), self._applied, self._head, len(machine.log), machine.moment, machine.frozen is not None
        )

    def live(self, life: Life) -> None:
        """Go to where `life` was taken; what was done since then from outside is forgotten.

        Args:
            life: taken from this timeline.

        Raises:
            GuestError: the guest could not go on before that.
        """
        machine = self.machine
        shared = 0
        for mine, other in zip(self.inputs, life.inputs, strict=False):
            if mine is not other:
                break
            shared += 1
        parted = [step.insn for steps in (self.inputs, life.inputs) for step in steps[shared : shared + 1]]
        if parted:
            self._restore_before(Moment(min(parted)))
            self._advance(min(parted))
            while self._applied < shared:
                self._apply_next()
            machine.log.truncate(machine.seq)
            self._checkpoints.forget_after(machine.retired, self._applied)
            self._anchor = None
            self.inputs[shared:] = life.inputs[shared:]
            self._head = machine.retired
            self._advance(life.head)
            while self._applied < len(self.inputs):
                self._apply_next()
            if len(machine.log) < life.events:
                # The furthest place was in the middle of an instruction.
                self._advance(life.head + 1)
        if life.frozen:
            self.seek(life.moment)
            return
        self._restore_before(Moment(life.moment.insn))
        self._advance(life.moment.insn)
        while self._applied < life.applied:
            self._apply_next()

    def moments_of(self, insn: int) -> list[Moment]:
        """All moments of one instruction, fine steps included, in order; the machine is left where it was.

        Args:
            insn: at most the furthest instruction reached.
        """
        origin, was_frozen = self.machine.moment, self.machine.frozen is not None
        moments = [Moment(insn)]
        while True:
            last = moments[-1]
            try:
                self.seek(Moment(insn, last.event, last.step + 1))
            except GuestError:
                break
            if self.machine.moment.insn != insn or self.machine.frozen is None:
                break
            moments.append(self.machine.moment)
        if was_frozen or origin.event == 0:
            self.seek(origin)
        else:
            self.seek_end()
        return moments

    # The machinery

    def _is_at(self, moment: Moment) -> bool:
        machine = self.machine
        if machine.moment != moment:
            return False
        return machine.frozen is not None or moment.event == 0

    def _restore_before(self, moment: Moment) -> None:
        """Put the machine to a checkpoint from which ``moment`` can be reached."""
        anchor = self._anchor
        if anchor is not None and anchor.insn == moment.insn and not self._inputs_at(moment.insn, anchor.inputs):
            self._restore(anchor)
            return
        self._anchor = None
        self._restore(self._nearest(moment))

    def _restore_ahead(self, moment: Moment) -> None:
        """Jump to a checkpoint of the known future on the way to ``moment``, if there is one."""
        checkpoint = self._nearest(moment)
        if checkpoint.insn > self.machine.retired:
            self._restore(checkpoint)

    def _approach(self, insn: int) -> None:
        """Run to the clean state before an instruction, and leave checkpoints close before it."""
        for stage in _STAGES:
            if insn - self.machine.retired > 2 * stage:
                self._advance(insn - stage)
                if not self.machine.suspended:
                    self._checkpoints.keep_close(self._checkpoints.take(self._applied))
        self._advance(insn)

    def _anchor_here(self) -> None:
        """Keep the clean state before the instruction that is about to be played."""
        machine, anchor = self.machine, self._anchor
        if anchor is None or (anchor.insn, anchor.inputs) != (machine.retired, self._applied):
            self._anchor = None if machine.suspended else self._checkpoints.take(self._applied)

    def _nearest(self, moment: Moment) -> Checkpoint:
        first_at = next((i for i, step in enumerate(self.inputs) if step.insn >= moment.insn), len(self.inputs))
        return self._checkpoints.before(moment.insn, first_at)

    def _inputs_at(self, insn: int, applied: int) -> bool:
        return any(step.insn == insn for step in self.inputs[:applied])

    def _restore(self, checkpoint: Checkpoint) -> None:
        self._checkpoints.restore(checkpoint)
        self._applied = checkpoint.inputs
        self._last_checkpoint = self._checkpoints.last_kept(checkpoint.insn)

    def _advance(self, limit: int, kinds: frozenset[str] = frozenset()) -> Stop:
        """Run to the clean state before instruction ``limit``, applying recorded inputs on the way."""
        machine = self.machine
        while True:
            upcoming = self.inputs[self._applied].insn if self._applied < len(self.inputs) else _FOREVER
            if upcoming <= machine.retired and upcoming < limit:
                self._apply_next(kinds)
                if machine.frozen is not None:
                    return Stop.MOMENT
                continue
            goal = min(limit, upcoming, self._last_checkpoint + self._spacing)
            try:
                stop = machine.run(goal, stop_kinds=kinds)
            finally:
                self._head = max(self._head, machine.retired)
            if stop is not Stop.LIMIT or machine.retired >= limit:
                if stop is Stop.IDLE and upcoming < limit:
                    continue
                return stop
            if machine.retired < self._last_checkpoint + self._spacing:
                continue
            if machine.suspended:
                self._last_checkpoint += _LATER
            else:
                self._checkpoints.keep(self._checkpoints.take(self._applied))
                self._last_checkpoint = machine.retired

    def _apply_next(self, kinds: frozenset[str] = frozenset(), stop_at: Moment | None = None) -> None:
        step = self.inputs[self._applied]
        with self.machine.stopping_at(stop_at, kinds):
            self._apply(step)
            self._applied += 1

    def _apply(self, step: Input) -> None:
        self.machine.emit("input", text=step.text)
        step.apply()

    def _play_to(self, moment: Moment) -> None:
        """From the clean state before an instruction, freeze at one of its moments."""
        machine = self.machine
        while self._applied < len(self.inputs) and self.inputs[self._applied].insn == moment.insn:
            self._apply_next(stop_at=moment)
            if machine.frozen is not None:
                return
        machine.run(moment.insn + 1, stop_at=moment)
        self._head = max(self._head, machine.retired)

    def _within(self, place: Moment, kinds: frozenset[str]) -> Stop | None:
        """Freeze at the next event of ``kinds`` after ``place`` in the same instruction, if there is one."""
        moment = place
        while True:
            self.seek(Moment(place.insn, moment.event + 1))
            machine = self.machine
            if machine.frozen is None or machine.moment.insn != place.insn:
                return None
            moment = machine.moment
            if machine.log[machine.seq - 1].kind in kinds:
                return Stop.MOMENT

    def _leave_instruction(self) -> None:
        """From the middle of an instruction to the clean state after it."""
        machine = self.machine
        if machine.failure is not None:
            raise machine.failure
        if machine.frozen is not None:
            self.seek(Moment(machine.moment.insn + 1))
