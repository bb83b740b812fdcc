"""Which registers and stack slots are read before they are written: what a remembered state need not care about.

A read marks the place in all parent states up to the one that wrote it. Follows Linux kernel/bpf/verifier.c:
mark_reg_read, propagate_liveness, clean_live_states.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from kprobesim.bpf.isa import Class, Insn
from kprobesim.bpf.verifier.reg import Reg
from kprobesim.bpf.verifier.reg_type import SCALAR_VALUE, reg_type_str
from kprobesim.bpf.verifier.state import (
    BPF_REG_FP,
    DONE,
    READ,
    READ32,
    READ64,
    SLOT0,
    WRITTEN,
    Frame,
    Link,
    State,
)
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["clean_state", "is_reg64", "mark_place_read", "mark_reg_read", "propagate_liveness"]

_EMPTY = bytes(8)


def is_reg64(insn: Insn, reg: Reg | None, source: bool) -> bool:
    """Whether the instruction uses all 64 bits of a register that it reads (``source``) or writes."""
    code = insn.code
    cls = code & 7
    if cls == Class.ALU64:
        return True
    if cls == Class.ALU:
        return code & 0xF0 == 0xD0 and insn.imm == 64
    if cls == Class.JMP:
        return code & 0xF0 != 0x80 or (insn.src != 1 and source)
    if cls == Class.JMP32:
        return False
    if cls == Class.LDX:
        return source or code & 0x18 == 0x18
    if cls == Class.STX:
        return (source and reg is not None and reg.type != SCALAR_VALUE) or code & 0x18 == 0x18
    if cls == Class.LD:
        return source or code & 0xE0 == 0
    return True


def _resolve(parent: Frame | Link, place: int) -> tuple[Frame, int]:
    return (parent, place) if isinstance(parent, Frame) else parent


def mark_reg_read(env: "Env", frame: Frame, place: int, flag: int, first: Frame | None = None) -> None:
    """Mark the ancestors of a place as read, up to the one that wrote the value.

    Args:
        env: counts the longest walk.
        frame: with ``place``, what is read.
        place: see frame.
        flag: READ32 or READ64.
        first: when states are merged, the frame to begin with instead of the place's own parent.
    """
    parent = frame.parent[place]
    writes = first is None or parent is first
    if first is not None:
        parent = first
    steps = 0
    while parent is not None:
        if writes and frame.live[place] & WRITTEN:
            break
        upper, at = _resolve(parent, place)
        live = upper.live[at]
        if live & DONE:
            reg = upper.values[at]
            kind = reg_type_str(reg.type)
            env.reject(Errno.EFAULT, f"verifier BUG type {kind} var_off {reg.var_off.value} off {reg.off}")
        if live & READ == flag or live & READ64:
            break
        upper.live[at] = (live | flag) & ~READ32 if flag == READ64 else live | flag
        frame, place = upper, at
        parent = upper.parent[at]
        writes = True
        steps += 1
    if steps > env.longest_mark_read:
        env.longest_mark_read = steps


def mark_place_read(env: "Env", frame: Frame, place: int, flag: int = READ64) -> None:
    """A register or stack slot of the current state is read."""
    mark_reg_read(env, frame, place, flag)


def propagate_liveness(env: "Env", old: State, cur: State) -> None:
    """What an equal remembered state went on to read counts as read by ``cur`` and its ancestors too."""
    for depth, (state, parent) in enumerate(zip(old.frames, cur.frames, strict=True)):
        first = 6 if depth < old.curframe else 0
        for i in range(first, BPF_REG_FP):
            _propagate_place(env, state, parent, i)
        for i in range(SLOT0, SLOT0 + min(len(state.kinds), len(parent.kinds))):
            _propagate_place(env, state, parent, i)


def _propagate_place(env: "Env", state: Frame, parent: Frame, place: int) -> None:
    flag = state.live[place] & READ
    have = parent.live[place] & READ
    if flag and have not in (READ64, flag):
        mark_reg_read(env, state, place, flag, parent)


def clean_state(state: State, not_init: Callable[[], Reg]) -> None:
    """Forget what a state whose paths are all done turned out not to need; no more reads will come."""
    if state.frames[0].live[0] & DONE:
        return
    blank = not_init()
    for frame in state.frames:
        for i in range(BPF_REG_FP):
            if not frame.live[i] & READ:
                frame.values[i] = blank
            frame.live[i] |= DONE
        for i in range(len(frame.kinds)):
            if not frame.live[SLOT0 + i] & READ:
                frame.values[SLOT0 + i] = blank
                frame.kinds[i] = _EMPTY
            frame.live[SLOT0 + i] |= DONE
