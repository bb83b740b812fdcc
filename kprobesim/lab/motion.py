"""Stepping forwards and backwards at five grains.

Each grain has its places to stop at, which are a matter of the machine's life alone and not of how one got there. A
step forward goes to the next of them, a step back to the one before. All of them are reached by real execution, so that
what goes forward and what comes back see the same states.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Final

from kprobesim.lab.kinds import EVENT_KINDS
from kprobesim.machine import Event, Moment, Stop

if TYPE_CHECKING:
    from kprobesim.image import SourceLine
    from kprobesim.lab.lab import Lab

__all__ = ["Grain", "Motion"]

_NEAR: Final = 400
_LINE_LIMIT: Final = 200_000
_WINDOWS: Final = (40, 400, 4_000, 60_000, 1_000_000)
_SLICE: Final = 4_000_000
_FAR: Final = 1_000_000_000
_USER_END: Final = 1 << 47
_ALL: Final = frozenset(EVENT_KINDS)
_HITS: Final = frozenset(
    {"kprobe.hit", "kprobe.opt_hit", "kprobe.miss", "rethook.handler", "fprobe.entry", "fprobe.exit"}
)
_BPF_BEGIN: Final = frozenset({"bpf.enter", "bpf.skip"})
_BPF_END: Final = frozenset({"bpf.exit", "bpf.fault", "bpf.skip"})
_KERNEL_ENTRY: Final = frozenset({"trap", "syscall"})
_PT_REGS_READY: Final = ("exc_int3", "kprobe_int3_handler", "exc_debug")

Interrupt = Callable[[], bool]


class Grain(Enum):
    """How far one step goes.

    ``PHASE``: the next event, or what the last event leads to without one: pt_regs complete, the slot about to run, the
    function going on. ``INSTRUCTION``: one x86 instruction. ``LINE``: the next beginning of a line of the kernel's
    source. ``BPF``: one BPF instruction or helper call; between runs, the next run of a program. ``HIT``: the next hit
    of a probe.
    """

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
        self._forward: dict[Grain, Callable[[], object]] = {
            Grain.PHASE: self._phase,
            Grain.INSTRUCTION: self._instruction,
            Grain.LINE: self._line,
            Grain.BPF: self._bpf,
            Grain.HIT: self._hit,
        }
        self._backward: dict[Grain, Callable[[], object]] = {
            Grain.PHASE: self._phase_back,
            Grain.INSTRUCTION: self._instruction_back,
            Grain.LINE: self._line_back,
            Grain.BPF: self._bpf_back,
            Grain.HIT: self._hit_back,
        }

    def step(self, grain: Grain, *, back: bool = False, interrupt: Interrupt | None = None) -> bool:
        """One step; whether the machine is somewhere else now.

        A step forward that finds nothing to stop at ends where nothing more happens, or after some virtual seconds; a
        step back ends at the start.

        Args:
            grain: how far.
            back: backwards.
            interrupt: asked now and then; when it is true the step ends where it is.
        """
        before = self._machine.moment, self._machine.frozen is None
        moves = self._backward if back else self._forward
        self._interrupt = interrupt
        try:
            moves[grain]()
        finally:
            self._interrupt = None
        return (self._machine.moment, self._machine.frozen is None) != before

    def run(self, limit: int, kinds: frozenset[str], interrupt: Interrupt | None, address: int | None = None) -> Stop:
        """`Timeline.run`, in slices where somebody may want to interrupt it."""
        if interrupt is None:
            return self._timeline.run(limit, stop_kinds=kinds, stop_address=address)
        while not interrupt():
            goal = min(limit, self._machine.moment.insn + _SLICE)
            stop = self._timeline.run(goal, stop_kinds=kinds, stop_address=address)
            if stop is not Stop.LIMIT or goal >= limit:
                return stop
        return Stop.LIMIT

    def _interrupted(self, turn: int) -> bool:
        return turn % 256 == 255 and self._interrupt is not None and self._interrupt()

    # Every event, and the places between them that have a name

    def _until_event(self, kinds: frozenset[str] = _ALL) -> bool:
        return self.run(self._machine.moment.insn + _FAR, kinds, self._interrupt) is Stop.MOMENT

    def _event_before(self, kinds: frozenset[str] = _ALL) -> Event | None:
        """The newest event of some kinds that lies before the present moment, but not before the start."""
        machine = self._machine
        here = machine.moment
        if machine.frozen is None and here.event:
            # Inputs were applied after the clean state: their events lie behind us, the last one included.
            here = Moment(here.insn, here.event + 1)
        for event in machine.log.kinds_before(machine.seq, kinds):
            if event.moment <= self._lab.beginning:
                return None
            if event.moment < here:
                return event
        return None

    def _to_event_before(self, kinds: frozenset[str]) -> None:
        event = self._event_before(kinds)
        self._timeline.seek(self._lab.beginning if event is None else event.moment)

    def _phase(self) -> bool:
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
        # Only from the event itself: a later place in its wake is past the synthetic stop, or will be at once.
        if last.cpu != machine.current_cpu.number or machine.moment != last.moment:
            return None
        if last.kind in ("kprobe.singlestep", "kprobe.boost", "kprobe.step_tf"):
            places = {last.fields["slot"]}
        elif last.kind in ("kprobe.resume", "kprobe.emulate", "kprobe.detour", "kprobe.debug"):
            places = {last.fields["ip"]}
        elif last.kind == "kprobe.pre_handler" and self._overridden(last):
            places = {self._lab.kernel.symbol("just_return_func")}
        elif last.kind == "gate" and last.fields["vector"] in (1, 3):
            kernel = self._lab.kernel
            places = {kernel.symbol(name) for name in _PT_REGS_READY if kernel.has_symbol(name)}
        else:
            return None
        return places.__contains__

    def _overridden(self, handled: Event) -> bool:
        """A program of this hit has said what the probed function returns."""
        log = self._machine.log
        for seq in range(handled.seq - 1, -1, -1):
            event = log[seq]
            if event.cpu == handled.cpu and event.kind in ("kprobe.hit", "bpf.override"):
                return event.kind == "bpf.override"
        return False

    def _phase_back(self) -> None:
        here = self._machine.moment
        event = self._event_before()
        if event is None:
            self._timeline.seek(self._lab.beginning)
            return
        self._timeline.seek(event.moment)
        # No event lies between that one and here, at most a place in its wake.
        if self._pending_place() is None or (self._phase() and self._machine.moment < here):
            return
        self._timeline.seek(event.moment)

    # x86 instructions: every clean state between two of them

    def _instruction(self) -> bool:
        machine = self._machine
        moment = machine.moment
        if machine.frozen is not None:
            self._timeline.seek(Moment(moment.insn + 1))
        else:
            self._timeline.run(machine.retired + 1)
        return machine.moment != moment

    def _instruction_back(self) -> None:
        moment = self._machine.moment
        inside = self._machine.frozen is not None or moment.event
        target = moment.insn if inside else moment.insn - 1
        if target >= self._lab.start:
            self._timeline.seek(max(Moment(target), self._lab.beginning))

    # Lines: every instruction of the kernel whose line is not that of the instruction before it

    def _line(self) -> None:
        before = self._source()
        for turn in range(_LINE_LIMIT):
            if not self._to_kernel(self._machine.moment.insn + _FAR) or not self._instruction():
                return
            now = self._source()
            if (now is not None and now != before) or self._interrupted(turn):
                return
            before = now

    def _line_back(self) -> None:
        """Replay a window before the present step by step, and take the last line that begins in it."""
        here = self._machine.moment
        start = self._lab.start
        for window in _WINDOWS:
            first = max(here.insn - window, start)
            found = self._last_line_between(first, here)
            if found is not None or first == start:
                self._timeline.seek(max(Moment(start if found is None else found), self._lab.beginning))
                return
        self._timeline.seek(Moment(first))

    def _last_line_between(self, first: int, here: Moment) -> int | None:
        """The last instruction after ``first`` and before ``here`` at which a line begins."""
        self._timeline.seek(Moment(first))
        found, before = None, self._source()
        turn = 0
        while self._to_kernel(here.insn) and self._machine.moment < here and not self._interrupted(turn):
            if not self._instruction() or self._machine.moment >= here:
                break
            now = self._source()
            if now is not None and now != before:
                found = self._machine.moment.insn
            before, turn = now, turn + 1
        return found

    def _to_kernel(self, limit: int) -> bool:
        """From user code, which has no lines, to where it enters the kernel; false if it does not do so."""
        if self._machine.registers()["rip"] >= _USER_END:
            return True
        return self.run(limit, _KERNEL_ENTRY, self._interrupt) is Stop.MOMENT

    def _source(self) -> tuple[str, int] | None:
        line: SourceLine | None = self._lab.source_line(self._machine.registers()["rip"])
        return None if line is None else (line.file, line.line)

    # BPF: every moment from a program's start to its end

    def _bpf(self) -> None:
        if self._code_slot() is not None:
            self._next_in_code()
        elif self._in_program():
            moment = self._machine.moment
            self._timeline.seek(Moment(moment.insn, moment.event, moment.step + 1))
        else:
            self._until_event(_BPF_BEGIN)

    def _in_program(self) -> bool:
        last = self._lab.last_event
        return self._lab.bpf.running is not None and last is not None and last.kind not in _BPF_END

    def _code_slot(self) -> int | None:
        """The program's instruction that the CPU is at, in machine code; -1 in a prologue or a helper."""
        running = self._lab.bpf.running
        if running is None or running.jited is None:
            return None
        slot = running.jited.slot_at(self._machine.registers()["rip"])
        return -1 if slot is None else slot

    def _next_in_code(self) -> None:
        """To the first x86 instruction of another BPF instruction, or to the end of the program."""
        cpu, before = self._machine.current_cpu, self._code_slot()
        for turn in range(_LINE_LIMIT):
            if not self._instruction() or self._interrupted(turn):
                return
            now = self._code_slot()
            if self._machine.current_cpu is cpu and now != -1 and now != before:
                return

    def _bpf_back(self) -> None:
        here = self._machine.moment
        event = self._event_before(_BPF_BEGIN | _BPF_END)
        if event is None or event.kind in _BPF_END:
            self._to_event_before(_BPF_END)
        elif "jited" in event.fields:
            best = event.moment
            self._timeline.seek(best)
            while self._code_slot() is not None:
                self._next_in_code()
                if self._machine.moment >= here:
                    break
                best = self._machine.moment
            self._timeline.seek(best)
        elif here.step:
            self._timeline.seek(Moment(here.insn, here.event, here.step - 1))
        else:
            self._to_last_step(here)

    def _to_last_step(self, here: Moment) -> None:
        """Go to the last BPF instruction of the event before ``here``, which lies in the same run."""
        event = here.event - 1

        def reaches(step: int) -> bool:
            self._timeline.seek(Moment(here.insn, event, step))
            return self._machine.moment < here

        beyond = 1
        while reaches(beyond):
            beyond *= 2
        known = beyond // 2
        while beyond - known > 1:
            middle = (known + beyond) // 2
            known, beyond = (middle, beyond) if reaches(middle) else (known, middle)
        self._timeline.seek(Moment(here.insn, event, known))

    # Hits

    def _hit(self) -> None:
        self._until_event(_HITS)

    def _hit_back(self) -> None:
        self._to_event_before(_HITS)
