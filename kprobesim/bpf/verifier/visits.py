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

__all__ = ["FrameRecord", "PlaceRecord", "Recorder", "Visit"]


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
    _values: tuple[Reg, ...]
    _live: tuple[int, ...]
    _kinds: tuple[bytes, ...]

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
        for i, reg in enumerate(self._values[:SLOT0]):
            if reg.type != NOT_INIT:
                yield self._place(i, f"R{i}", reg_text(reg), b"")
        for i, kinds in enumerate(self._kinds):
            if any(kinds):
                place = SLOT0 + i
                yield self._place(place, f"fp{-8 * (i + 1)}", slot_text(self._values[place], kinds), kinds)

    def _place(self, place: int, name: str, text: str, kinds: bytes) -> PlaceRecord:
        live = self._live[place]
        read = "64" if live & READ64 else "32" if live & READ32 else ""
        return PlaceRecord(name, text, self._values[place], kinds, read, bool(live & WRITTEN))


@dataclass(slots=True)
class Visit:
    """One instruction on one path.

    Attributes:
        insn: its index.
        text: as the log prints it.
        path: number of the path; 0 is the first.
        before, after: the frames; ``after`` is None while the instruction is being checked or if it was refused.
        outcome: ``next`` for another instruction on this path, ``exit`` for its end, ``pruned`` where an equal state
            was seen before, ``rejected``.
        following: the next instruction of this path, or None.
        waiting: instruction at which another path waits because of this one, or None.
        message: what was refused.
    """

    insn: int
    text: str
    path: int
    before: tuple[FrameRecord, ...]
    after: tuple[FrameRecord, ...] | None = None
    outcome: str = "rejected"
    following: int | None = None
    waiting: int | None = None
    message: str = ""


class Recorder:
    """Collects visits.

    Args:
        limit: how many to keep; later ones are only counted.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.visits: list[Visit] = []
        self.dropped = 0
        self._waiting = 0
        self._current: Visit | None = None

    def _frames(self, env: "Env") -> tuple[FrameRecord, ...]:
        return tuple(FrameRecord.of(frame) for frame in env.state.frames)

    def before(self, env: "Env") -> None:
        """An instruction is about to be checked."""
        self._current = None
        if len(self.visits) >= self.limit:
            self.dropped += 1
            return
        self._waiting = len(env.stack)
        index = env.insn_idx
        self._current = Visit(index, env.text_of(index), env.state.path, self._frames(env))
        self.visits.append(self._current)

    def after(self, env: "Env", ended: bool) -> None:
        """It was found good."""
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
            self._current = None

    def rejected(self, message: str) -> None:
        """The instruction that was being checked was refused."""
        if self._current is not None:
            self._current.message = message
