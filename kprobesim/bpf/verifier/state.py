"""Frames and states: what the verifier knows at one moment of one path.

A place is a register (index 0..10) or a stack slot of 8 bytes (index 11 and up: 11 is fp-8, 12 is fp-16). Each place
has a value (a shared Reg), a liveness, and a link to the same place in the parent state; stack slots have the kinds of
their 8 bytes as well. Follows ``struct bpf_func_state`` and ``struct bpf_verifier_state`` of Linux
include/linux/bpf_verifier.h.
"""

from typing import NamedTuple

from kprobesim.bpf.verifier.reg import Reg, zeroed_reg
from kprobesim.bpf.verifier.reg_type import PTR_TO_STACK
from kprobesim.bpf.verifier.tnum import ZERO, Tnum

__all__ = [
    "BPF_REG_FP",
    "DONE",
    "MAX_CALL_FRAMES",
    "READ",
    "READ32",
    "READ64",
    "SLOT0",
    "STACK_DYNPTR",
    "STACK_INVALID",
    "STACK_MISC",
    "STACK_SPILL",
    "STACK_ZERO",
    "WRITTEN",
    "Frame",
    "Link",
    "Reference",
    "State",
    "is_spilled",
    "scrub",
]

BPF_REG_FP = 10
SLOT0 = 11
"""Index of fp-8 among a frame's places."""
MAX_CALL_FRAMES = 8

READ32, READ64, WRITTEN, DONE = 1, 2, 4, 8
READ = READ32 | READ64

STACK_INVALID, STACK_SPILL, STACK_MISC, STACK_ZERO, STACK_DYNPTR = range(5)
_EMPTY = bytes(8)
_ZEROED = zeroed_reg()
_SCRUBBED = bytes([STACK_INVALID] + [STACK_MISC] * 255)


def is_spilled(kinds: bytes) -> bool:
    """Whether the slot's lowest byte belongs to a spilled register (Linux's is_spilled_reg)."""
    return kinds[7] == STACK_SPILL


def scrub(kinds: bytes, count: int = 8) -> bytes:
    """The first ``count`` kinds turned to MISC unless invalid (Linux's scrub_spilled_slot)."""
    return kinds[:count].translate(_SCRUBBED) + kinds[count:]


class Reference(NamedTuple):
    """A resource that the program holds: its id, where it was acquired, and the callback frame that did so or 0."""

    id: int
    insn_idx: int
    callback_ref: int


class Frame:
    """One function's registers and stack.

    Attributes:
        values, live, parent: by place.
        kinds: by stack slot, the kinds of its 8 bytes; byte 0 is the one at the highest address.
        callsite: instruction that called, -1 for the first function.
        frameno: depth of the call.
        subprogno: which function this is.
        refs: resources held.
        in_callback, in_async_callback: whether a helper called it, now or later.
        callback_range: what a callback may return.
        async_entry_cnt: how many asynchronous callbacks led here.
    """

    __slots__ = (
        "async_entry_cnt",
        "callback_range",
        "callsite",
        "frameno",
        "in_async_callback",
        "in_callback",
        "kinds",
        "live",
        "parent",
        "refs",
        "subprogno",
        "values",
    )

    values: list[Reg]
    live: list[int]
    parent: "list[Frame | Link | None]"
    kinds: list[bytes]
    callsite: int
    frameno: int
    subprogno: int
    refs: tuple[Reference, ...]
    in_callback: bool
    in_async_callback: bool
    callback_range: Tnum
    async_entry_cnt: int

    def __init__(self, not_init: Reg, callsite: int, frameno: int, subprogno: int) -> None:
        self.values = [not_init] * SLOT0
        fp = Reg(PTR_TO_STACK)
        fp.frameno = frameno
        fp.precise = not_init.precise
        self.values[BPF_REG_FP] = fp
        self.live = [0] * SLOT0
        self.parent = [None] * SLOT0
        self.kinds = []
        self.callsite = callsite
        self.frameno = frameno
        self.subprogno = subprogno
        self.refs = ()
        self.in_callback = self.in_async_callback = False
        self.callback_range = ZERO
        self.async_entry_cnt = 0

    def copy(self) -> "Frame":
        """A frame that can go its own way."""
        new = Frame.__new__(Frame)
        new.values = self.values[:]
        new.live = self.live[:]
        new.parent = self.parent[:]
        new.kinds = self.kinds[:]
        new.callsite = self.callsite
        new.frameno = self.frameno
        new.subprogno = self.subprogno
        new.refs = self.refs
        new.in_callback = self.in_callback
        new.in_async_callback = self.in_async_callback
        new.callback_range = self.callback_range
        new.async_entry_cnt = self.async_entry_cnt
        return new

    def own(self, place: int) -> Reg:
        """The value at ``place``, made this frame's own so that it may be changed."""
        reg = self.values[place] = self.values[place].copy()
        return reg

    def copy_place(self, place: int, source: "Frame", source_place: int) -> None:
        """Take over a place with its liveness and its parent, as C's assignment of the struct does."""
        self.values[place] = source.values[source_place]
        self.live[place] = source.live[source_place]
        parent = source.parent[source_place]
        if isinstance(parent, Frame) and place != source_place:
            parent = Link(parent, source_place)
        self.parent[place] = parent

    @property
    def allocated_stack(self) -> int:
        """Bytes of stack that the frame has so far."""
        return 8 * len(self.kinds)

    def grow(self, size: int) -> None:
        """Have at least ``size`` bytes of stack; ``size`` is a multiple of 8."""
        more = size // 8 - len(self.kinds)
        if more > 0:
            self.kinds += [_EMPTY] * more
            self.values += [_ZEROED] * more
            self.live += [0] * more
            self.parent += [None] * more

    def set_kind(self, slot: int, kind: int) -> None:
        """Set the kind of one byte; ``slot`` counts bytes down from the top of the stack."""
        kinds = bytearray(self.kinds[slot >> 3])
        kinds[slot & 7] = kind
        self.kinds[slot >> 3] = bytes(kinds)


class Link(NamedTuple):
    """A place in a frame of a parent state, where it is not the same place of that frame.

    Arguments of callbacks come from other registers. All other parents are given by the frame alone, which saves a
    record for each place of each remembered state.
    """

    frame: Frame
    place: int


class State:
    """One moment of one path.

    Attributes:
        frames: from the first function to the current one.
        parent: the remembered state that this path last passed.
        branches: how many paths from here are not done.
        insn_idx: for a remembered state, where it was remembered.
        first_insn_idx, last_insn_idx: first and last instruction of the stretch since ``parent``.
        jmp_history: jumps within that stretch, as pairs of target and source.
        active_spin_lock: id of the value whose lock is held, or 0.
        speculative: whether only a mispredicting CPU gets here.
        path: number of the path, for records of visits.
        visit: for a remembered state, number of the visit that it was remembered at; -1 while nobody has asked.
    """

    __slots__ = (
        "active_spin_lock",
        "branches",
        "first_insn_idx",
        "frames",
        "insn_idx",
        "jmp_history",
        "last_insn_idx",
        "parent",
        "path",
        "speculative",
        "visit",
    )

    frames: list[Frame]
    parent: "State | None"
    branches: int
    insn_idx: int
    first_insn_idx: int
    last_insn_idx: int
    jmp_history: list[tuple[int, int]]
    active_spin_lock: int
    speculative: bool
    path: int
    visit: int

    def __init__(self, frame: Frame) -> None:
        self.frames = [frame]
        self.parent = None
        self.branches = 1
        self.insn_idx = 0
        self.first_insn_idx = 0
        self.last_insn_idx = -1
        self.jmp_history = []
        self.active_spin_lock = 0
        self.speculative = False
        self.path = 0
        self.visit = -1

    def copy(self) -> "State":
        """A state that can go its own way (Linux's copy_verifier_state)."""
        new = State.__new__(State)
        new.frames = [frame.copy() for frame in self.frames]
        new.parent = self.parent
        new.branches = self.branches
        new.insn_idx = self.insn_idx
        new.first_insn_idx = self.first_insn_idx
        new.last_insn_idx = self.last_insn_idx
        new.jmp_history = self.jmp_history[:]
        new.active_spin_lock = self.active_spin_lock
        new.speculative = self.speculative
        new.path = self.path
        new.visit = -1
        return new

    @property
    def frame(self) -> Frame:
        """The current function's frame."""
        return self.frames[-1]

    @property
    def curframe(self) -> int:
        """Depth of the current function."""
        return len(self.frames) - 1

    def places(self) -> list[tuple[Frame, int]]:
        """All registers, and all stack slots whose bytes all belong to a spilled register, of all frames.

        Linux's bpf_for_each_reg_in_vstate, which looks at the kind of the byte at the highest address.
        """
        found: list[tuple[Frame, int]] = []
        for frame in self.frames:
            found += [(frame, place) for place in range(SLOT0)]
            found += [(frame, SLOT0 + i) for i, kinds in enumerate(frame.kinds) if kinds[0] == STACK_SPILL]
        return found
