"""Stepping forwards and backwards at five grains.

Forward motions run the machine; a backward motion is the same search carried out from an earlier place. Every place is
reached by real execution, so that what goes forward and what comes back see the same states.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Final

from kprobesim.image import SourceLine
from kprobesim.machine import Event, Moment, Stop

if TYPE_CHECKING:
    from kprobesim.lab.lab import Lab

__all__ = ["Grain", "Motion"]

_NEAR: Final = 400
_LINE_LIMIT: Final = 200_000
_SLICE: Final = 4_000_000
_FOREVER: Final = 1 << 62
_HITS: Final = frozenset({"kprobe.hit", "kprobe.miss", "rethook.handler"})
_PT_REGS_READY: Final = ("exc_int3", "kprobe_int3_handler")

Interrupt = Callable[[], bool]


class Grain(Enum):
    """How far one step goes."""

    PHASE = "phase"
    INSTRUCTION = "instruction"
    LINE = "line"
    BPF = "bpf"
    HIT = "hit"


class Motion:
    """The motions of one lab.

    Args:
        lab: whose machine moves.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._timeline = lab.timeline
        self._machine = lab.machine
        self._interrupt: Interrupt | None = None
        self._forward: dict[Grain, Callable[[], bool]] = {
            Grain.PHASE: self._phase,
            Grain.INSTRUCTION: self._instruction,
            Grain.LINE: self._line,
            Grain.BPF: self._bpf,
            Grain.HIT: self._hit,
        }
        self._backward: dict[Grain, Callable[[], bool]] = {
            Grain.PHASE: self._phase_back,
            Grain.INSTRUCTION: self._instruction_back,
            Grain.LINE: self._line_back,
            Grain.BPF: self._bpf_back,
            Grain.HIT: self._hit_back,
        }

    def step(self, grain: Grain, *, back: bool = False, interrupt: Interrupt | None = None) -> bool:
        """One step; whether the machine is somewhere else now.

        A step forward that finds nothing to stop at ends where nothing more happens; a step back ends at the start.

        Args:
            grain: how far.
            back: backwards.
            interrupt: asked now and then; when it is true the step ends where it is.
        """
        before = self._machine.moment
        moves = self._backward if back else self._forward
        self._interrupt = interrupt
        try:
            moves[grain]()
        finally:
            self._interrupt = None
        return self._machine.moment != before

    def run(self, limit: int, kinds: frozenset[str], interrupt: Interrupt | None) -> Stop:
        """`Timeline.run`, in slices where somebody may want to interrupt it."""
        if interrupt is None:
            return self._timeline.run(limit, stop_kinds=kinds)
        while not interrupt():
            goal = min(limit, self._machine.moment.insn + _SLICE)
            stop = self._timeline.run(goal, stop_kinds=kinds)
            if stop is not Stop.LIMIT or goal >= limit:
                return stop
        return Stop.LIMIT

    def _interrupted(self, turn: int) -> bool:
        return turn % 256 == 255 and self._interrupt is not None and self._interrupt()

    # Forward

    def _until_event(self, kinds: frozenset[str] | None = None) -> bool:
        from kprobesim.lab.kinds import EVENT_KINDS

        return self.run(_FOREVER, kinds or frozenset(EVENT_KINDS), self._interrupt) is Stop.MOMENT

    def _instruction(self) -> bool:
        machine = self._machine
        moment = machine.moment
        if machine.frozen is not None:
            self._timeline.seek(Moment(moment.insn + 1))
        else:
            self._timeline.run(machine.retired + 1)
        return machine.moment != moment

    def _phase(self) -> bool:
        """The next event, or before it: pt_regs complete, the slot about to run, the function going on."""
        reached = self._pending_place()
        if reached is None:
            return self._until_event()
        for _ in range(_NEAR):
            before = self._machine.seq
            self._instruction()
            if reached(self._machine.registers()["rip"]):
                return True
            if self._machine.seq > before:
                # An event came first: go to it instead.
                self._timeline.seek(self._machine.log[before].moment)
                return True
        return True

    def _pending_place(self) -> Callable[[int], bool] | None:
        """What the last event leads to without an event of its own, if the machine has not been there yet."""
        machine = self._machine
        if machine.seq == 0:
            return None
        last = machine.log[machine.seq - 1]
        if last.cpu != machine.current_cpu.number:
            return None
        target: Callable[[int], bool]
        if last.kind == "kprobe.singlestep":
            slot = last.fields["slot"]
            target = lambda rip: rip == slot  # noqa: E731
        elif last.kind in ("kprobe.resume", "kprobe.emulate"):
            ip = last.fields["ip"]
            target = lambda rip: rip == ip  # noqa: E731
        elif last.kind == "gate" and last.fields["vector"] == 3:
            ready = {self._lab.kernel.symbol(name) for name in _PT_REGS_READY if self._lab.kernel.has_symbol(name)}
            target = lambda rip: rip in ready  # noqa: E731
        else:
            return None
        # Only from the event itself: a later place in its wake is past the synthetic stop, or will be at once.
        return target if machine.moment == last.moment else None

    def _line(self) -> bool:
        start = self._source()
        for turn in range(_LINE_LIMIT):
            if not self._instruction() or self._interrupted(turn):
                return False
            now = self._source()
            if now is not None and _differs(now, start):
                return True
        return False

    def _bpf(self) -> bool:
        machine, moment = self._machine, self._machine.moment
        if self._lab.bpf.running is None:
            return self._until_event(frozenset({"bpf.enter"}))
        self._timeline.seek(Moment(moment.insn, moment.event, moment.step + 1))
        return machine.moment != moment

    def _hit(self) -> bool:
        return self._until_event(_HITS)

    # Backward

    def _event_before(self, kinds: frozenset[str] | None = None) -> Event | None:
        """The newest event of some kinds that lies before the present moment."""
        machine = self._machine
        for seq in range(machine.seq - 1, -1, -1):
            event = machine.log[seq]
            if event.moment < machine.moment and (kinds is None or event.kind in kinds):
                return event
        return None

    def _to_start(self) -> bool:
        self._timeline.seek(Moment(self._lab.start))
        return False

    def _instruction_back(self) -> bool:
        moment = self._machine.moment
        if moment.insn <= self._lab.start and self._machine.frozen is None:
            return False
        inside = self._machine.frozen is not None or moment.event
        self._timeline.seek(Moment(moment.insn if inside else moment.insn - 1))
        return True

    def _phase_back(self) -> bool:
        here = self._machine.moment
        event = self._event_before()
        if event is None or event.moment.insn < self._lab.start:
            return self._to_start()
        best = event.moment
        self._timeline.seek(best)
        while self._phase() and self._machine.moment < here:
            best = self._machine.moment
        self._timeline.seek(best)
        return True

    def _line_back(self) -> bool:
        """Replay a window before the present step by step, and take the last line that begins in it."""
        here = self._machine.moment
        for window in (200, 4_000, 60_000):
            first = max(here.insn - window, self._lab.start)
            self._timeline.seek(Moment(first))
            beginnings: list[int] = []
            line: SourceLine | None = None
            while self._machine.moment < Moment(here.insn) and not self._interrupted(self._machine.moment.insn):
                now = self._source()
                if now is not None and _differs(now, line):
                    beginnings.append(self._machine.moment.insn)
                    line = now
                if not self._instruction():
                    break
            # The first beginning may be the middle of a line that began before the window.
            usable = beginnings if first == self._lab.start else beginnings[1:]
            if usable:
                self._timeline.seek(Moment(usable[-1]))
                return True
        self._timeline.seek(Moment(first))
        return True

    def _bpf_back(self) -> bool:
        here = self._machine.moment
        if self._lab.bpf.running is not None:
            moments = [moment for moment in self._timeline.moments_of(here.insn) if moment < here]
            started = self._event_before(frozenset({"bpf.enter", "bpf.exit"}))
            if started is not None and started.kind == "bpf.enter" and moments[-1] >= started.moment:
                self._timeline.seek(moments[-1])
                return True
        event = self._event_before(frozenset({"bpf.exit", "bpf.enter"}))
        if event is None:
            return self._to_start()
        self._timeline.seek(event.moment)
        return True

    def _hit_back(self) -> bool:
        event = self._event_before(_HITS)
        if event is None:
            return self._to_start()
        self._timeline.seek(event.moment)
        return True

    def _source(self) -> SourceLine | None:
        return self._lab.source_line(self._machine.registers()["rip"])


def _differs(one: SourceLine, other: SourceLine | None) -> bool:
    return other is None or (one.file, one.line) != (other.file, other.line)
