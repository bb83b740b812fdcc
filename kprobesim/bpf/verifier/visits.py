"""A record of the walk, for a screen that goes through it: every visit of an instruction, with the state before and
after.

Recording costs time and memory, so it is done only when asked for and only up to a limit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from kprobesim.bpf.verifier.log import reg_text, slot_text, state_text
from kprobesim.bpf.verifier.reg import Reg
from kprobesim.bpf.verifier.reg_type import NOT_INIT
from kprobesim.bpf.verifier.state import READ32, READ64, SLOT0, WRITTEN, Frame, Reference

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["FrameRecord", "PathRecorder", "PlaceRecord", "Recorder", "Visit"]


class PlaceRecord(NamedTuple):
    """A register or a stack slot at one moment.

    Attributes:
        name: ``R1``, ``fp-8``.
        text: its value as the log shows it.
        reg: all that is known of it; not to be changed.
        kinds: of a stack slot, the kinds of its 8 bytes (STACK_*); empty for a register.
        read: ``""``, ``"32"`` or ``"64"``: which part was read since the last remembered state.
        written: whether it was written since.
    """

    name: str
    text: str
    reg: Reg
    kinds: bytes
    read: str
    written: bool


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """A function's registers and stack at one moment."""

    frameno: int
    subprogno: int
    callsite: int
    refs: tuple[Reference, ...]
    line: str
    values: tuple[Reg, ...]
    live: tuple[int, ...]
    kinds: tuple[bytes, ...]

    @classmethod
    def of(cls, frame: Frame) -> "FrameRecord":
        """What the frame is now."""
        return cls(
            frame.frameno,
            frame.subprogno,
            frame.callsite,
            frame.refs,
            state_text(frame).strip(),
            tuple(frame.values),
            tuple(frame.live),
            tuple(frame.kinds),
        )

    def places(self) -> Iterator[PlaceRecord]:
        """Registers that hold something, then stack slots in use."""
        for i, reg in enumerate(self.values[:SLOT0]):
            if reg.type != NOT_INIT:
                yield self._place(i, f"R{i}", reg_text(reg), b"")
        for i, kinds in enumerate(self.kinds):
            if any(kinds):
                place = SLOT0 + i
                yield self._place(place, f"fp{-8 * (i + 1)}", slot_text(self.values[place], kinds), kinds)

    def _place(self, place: int, name: str, text: str, kinds: bytes) -> PlaceRecord:
        live = self.live[place]
        read = "64" if live & READ64 else "32" if live & READ32 else ""
        return PlaceRecord(name, text, self.values[place], kinds, read, bool(live & WRITTEN))


@dataclass(slots=True)
class Visit:
    """One instruction on one path.

    Attributes:
        number: visits are counted from 0 in the order in which the verifier made them.
        parent: number of the visit before it on its path, also where the path branched off; None at the beginning.
        insn: its index.
        text: as the log prints it.
        path: number of the path; 0 is the first.
        before, after: the frames; ``after`` is None while the instruction is being checked or if it was refused.
        outcome: ``next`` for another instruction on this path, ``exit`` for its end, ``pruned`` where an equal state
            was seen before, ``rejected``.
        following: the next instruction of this path, or None.
        waiting: instruction at which another path waits because of this one, or None.
        message: what was refused.
        remembered: whether the state before it was kept for later paths to be compared with.
        pruned_at: for ``pruned``, number of the visit whose state was equal, if that is known.
    """

    number: int
    parent: int | None
    insn: int
    text: str
    path: int
    before: tuple[FrameRecord, ...]
    after: tuple[FrameRecord, ...] | None = None
    outcome: str = "rejected"
    following: int | None = None
    waiting: int | None = None
    message: str = ""
    remembered: bool = False
    pruned_at: int | None = None


class Recorder:
    """Collects visits.

    Args:
        limit: how many to keep; later ones are only counted.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.visits: list[Visit] = []
        self.dropped = 0
        self._count = 0
        self._path = 0
        self._waiting = 0
        self._pushed: list[int | None] = []
        self._current: Visit | None = None

    def _frames(self, env: "Env") -> tuple[FrameRecord, ...]:
        return tuple(FrameRecord.of(frame) for frame in env.state.frames)

    def before(self, env: "Env") -> None:
        """An instruction is about to be checked."""
        self._current = None
        number, parent = self._count, self._count - 1 if self._count else None
        self._count += 1
        if env.state.path != self._path:
            self._path = env.state.path
            parent = self._pushed.pop() if self._pushed else None
            self._branch_off(parent)
        self._waiting = len(env.stack)
        remembered = env.state.parent is not None and env.state.parent.visit < 0
        if remembered and env.state.parent is not None:
            env.state.parent.visit = number
        if not self._has_room():
            self.dropped += 1
            return
        index = env.insn_idx
        self._current = Visit(
            number, parent, index, env.text_of(index), env.state.path, self._frames(env), remembered=remembered
        )
        self.visits.append(self._current)

    def _has_room(self) -> bool:
        return len(self.visits) < self.limit

    def _branch_off(self, parent: int | None) -> None:
        """The walk goes on with the path that waits since the visit ``parent``."""

    def after(self, env: "Env", ended: bool) -> None:
        """It was found good."""
        self._pushed += [self._count - 1] * (len(env.stack) - len(self._pushed))
        visit = self._current
        if visit is None:
            return
        visit.after = self._frames(env)
        visit.outcome = "exit" if ended else "next"
        visit.following = None if ended else env.insn_idx
        if len(env.stack) > self._waiting:
            visit.waiting = env.stack[-1].insn_idx
        self._current = None

    def pruned(self, env: "Env") -> None:
        """The path ends because an equal state was seen to be safe."""
        self.before(env)
        if self._current is not None:
            self._current.outcome = "pruned"
            self._current.pruned_at = env.pruned_by.visit if env.pruned_by and env.pruned_by.visit >= 0 else None
            self._current = None

    def rejected(self, message: str) -> None:
        """The instruction that was being checked was refused."""
        if self._current is not None:
            self._current.message = message


class PathRecorder(Recorder):
    """Keeps the visits of the current path only: at the end, of the path that was refused.

    Paths branch off from the current one, so what branches off later never needs what a finished path left behind.

    Args:
        limit: how many to keep, the last ones.
    """

    def _has_room(self) -> bool:
        if len(self.visits) >= 2 * self.limit:
            self.dropped += self.limit
            del self.visits[: self.limit]
        return True

    def _branch_off(self, parent: int | None) -> None:
        while self.visits and (parent is None or self.visits[-1].number > parent):
            self.visits.pop()

    def finish(self) -> None:
        """No more visits will come."""
        surplus = len(self.visits) - self.limit
        if surplus > 0:
            self.dropped += surplus
            del self.visits[:surplus]
