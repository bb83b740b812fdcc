"""Loads and stores on the stack: which bytes hold what, and what a spilled register brings back.

Follows Linux kernel/bpf/verifier.c: check_stack_read_fixed_off, check_stack_write_fixed_off and their neighbours.
"""

from typing import TYPE_CHECKING

from kprobesim.bpf.isa import Class, Mode
from kprobesim.bpf.verifier.env import BPF_MAX_VAR_OFF, MAX_BPF_STACK
from kprobesim.bpf.verifier.liveness import mark_place_read
from kprobesim.bpf.verifier.precision import mark_chain_precision
from kprobesim.bpf.verifier.reg import Reg, known_reg, s64
from kprobesim.bpf.verifier.reg_type import NOT_INIT, PTR_TO_STACK, SCALAR_VALUE, SPILLABLE, base_type
from kprobesim.bpf.verifier.state import (
    BPF_REG_FP,
    SLOT0,
    STACK_INVALID,
    STACK_MISC,
    STACK_SPILL,
    STACK_ZERO,
    WRITTEN,
    Frame,
    is_spilled,
    scrub,
)
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = [
    "check_stack_access_within_bounds",
    "check_stack_read_fixed",
    "check_stack_write",
    "load_stack_bytes",
    "stack_frame",
    "stack_range",
]


def stack_frame(env: "Env", reg: Reg) -> Frame:
    """The frame whose stack a pointer leads to."""
    return env.state.frames[reg.frameno]


def stack_range(reg: Reg, off: int, size: int) -> tuple[int, int]:
    """Lowest and one past highest offset that an access may touch."""
    if reg.var_off.is_const:
        low = s64(reg.var_off.value) + off
        return low, low + size
    return reg.smin + off, reg.smax + off + size


def check_stack_access_within_bounds(
    env: "Env", regno: int, off: int, size: int, write: bool, helper: bool = False
) -> None:
    """Whatever may be touched must lie in the 512 bytes below the frame's top; the frame grows to hold it.

    Args:
        env: the verifier.
        regno: the pointer.
        off: fixed offset from it.
        size: bytes.
        write: whether bytes that were never touched will do.
        helper: whether a helper does it.
    """
    reg = env.frame.values[regno]
    frame = stack_frame(env, reg)
    what = " indirect access to" if helper else " write to" if write else " read from"
    if not reg.var_off.is_const and (reg.smax >= BPF_MAX_VAR_OFF or reg.smin <= -BPF_MAX_VAR_OFF):
        env.reject(Errno.EACCES, f"invalid unbounded variable-offset{what} stack R{regno}")
    low, high = stack_range(reg, off, size)
    lowest = -MAX_BPF_STACK if write or env.allow_uninit_stack else -frame.allocated_stack
    error = None
    if not lowest <= low <= -1:
        error = Errno.EACCES
    elif high > 0:
        error = Errno.EINVAL
    elif size < 0:
        error = Errno.EFAULT
    if error is not None:
        if reg.var_off.is_const:
            env.reject(error, f"invalid{what} stack R{regno} off={off} size={size}")
        env.reject(error, f"invalid variable-offset{what} stack R{regno} var_off={reg.var_off} size={size}")
    need = (-low + 7) // 8 * 8
    if need > frame.allocated_stack:
        frame.grow(need)
        sub = env.subprogs[frame.subprogno]
        sub.stack_depth = max(sub.stack_depth, need)


def _save_register(frame: Frame, spi: int, reg: Reg, size: int) -> None:
    """A slot takes over a register's value, or with fewer than 8 bytes a part of its bytes does."""
    place = SLOT0 + spi
    frame.values[place] = reg
    if size == 8:
        frame.live[place] |= WRITTEN
        frame.kinds[spi] = bytes([STACK_SPILL]) * 8
    else:
        frame.kinds[spi] = scrub(frame.kinds[spi], 8 - size)[: 8 - size] + bytes([STACK_SPILL]) * size


def _write_fixed(env: "Env", frame: Frame, off: int, size: int, value_regno: int) -> None:
    insn = env.insn
    slot = -off - 1
    spi = slot >> 3
    if not env.allow_ptr_leaks and is_spilled(frame.kinds[spi]) and size != 8:
        env.reject(Errno.EACCES, "attempt to corrupt spilled pointer on stack")
    current = env.frame
    reg = current.values[value_regno] if value_regno >= 0 else None
    by_imm = insn.code & 7 == Class.ST and insn.code & 0xE0 == Mode.MEM
    env.log.scratched_slots |= 1 << spi
    aligned = off % 8 == 0
    if reg is not None and aligned and env.bpf_capable and reg.is_bounded and not reg.is_null:
        if insn.dst != BPF_REG_FP:
            mark_chain_precision(env, value_regno)
        kept = current.values[value_regno]
        if kept.umax.bit_length() > 8 * size and kept.id:
            kept = kept.with_(id=0)
        _save_register(frame, spi, kept, size)
    elif reg is None and aligned and by_imm and insn.imm and env.bpf_capable:
        _save_register(frame, spi, known_reg(insn.imm), size)
    elif reg is not None and base_type(reg.type) in SPILLABLE:
        if size != 8:
            env.log.source_line(env.insn_idx, "; ")
            env.reject(Errno.EACCES, "invalid size of register spill")
        if frame is not current and reg.type == PTR_TO_STACK:
            env.reject(Errno.EINVAL, "cannot spill pointers to stack into stack frame of the caller")
        _save_register(frame, spi, reg, size)
    else:
        _write_misc(env, frame, slot, size, value_regno)


def _write_misc(env: "Env", frame: Frame, slot: int, size: int, value_regno: int) -> None:
    """Bytes that are not worth tracking but for being zero."""
    insn = env.insn
    spi = slot >> 3
    place = SLOT0 + spi
    if frame.values[place].type != NOT_INIT:
        frame.own(place).type = NOT_INIT
    if is_spilled(frame.kinds[spi]):
        frame.kinds[spi] = scrub(frame.kinds[spi])
    if size == 8:
        frame.live[place] |= WRITTEN
    kind = STACK_MISC
    if value_regno >= 0:
        zero = env.frame.values[value_regno].is_null
    else:
        zero = insn.code & 7 == Class.ST and insn.code & 0xE0 == Mode.MEM and insn.imm == 0
    if zero:
        mark_chain_precision(env, value_regno)
        kind = STACK_ZERO
    kinds = bytearray(frame.kinds[spi])
    for i in range(size):
        kinds[(slot - i) % 8] = kind
    frame.kinds[spi] = bytes(kinds)


def _write_var(env: "Env", frame: Frame, regno: int, off: int, size: int, value_regno: int) -> None:
    """A store to one of several places: none of them can be relied on afterwards."""
    current = env.frame
    low, high = stack_range(current.values[regno], off, size)
    writing_zero = value_regno >= 0 and current.values[value_regno].is_null
    zero_used = False
    for at in range(low, high):
        slot = -at - 1
        spi = slot >> 3
        kind = frame.kinds[spi][slot & 7]
        env.log.scratched_slots |= 1 << spi
        if not env.allow_ptr_leaks and kind not in (STACK_MISC, STACK_ZERO):
            where = f"insn {env.insn_idx}, ptr off: {at}"
            env.reject(Errno.EINVAL, f"spilled ptr in range of var-offset stack write; {where}", end="")
        if frame.values[SLOT0 + spi].type != NOT_INIT:
            frame.own(SLOT0 + spi).type = NOT_INIT
        new = STACK_MISC
        if writing_zero and kind == STACK_ZERO:
            new, zero_used = STACK_ZERO, True
        if kind == STACK_INVALID and not env.allow_uninit_stack:
            where = f"insn {env.insn_idx}, off: {at}"
            env.reject(Errno.EINVAL, f"uninit stack in range of var-offset write prohibited for !root; {where}", end="")
        frame.set_kind(slot, new)
    if zero_used:
        mark_chain_precision(env, value_regno)


def check_stack_write(env: "Env", regno: int, off: int, size: int, value_regno: int) -> None:
    """A store; ``value_regno`` is -1 for a constant or an unknown value."""
    reg = env.frame.values[regno]
    frame = stack_frame(env, reg)
    if reg.var_off.is_const:
        _write_fixed(env, frame, off + s64(reg.var_off.value), size, value_regno)
    else:
        _write_var(env, frame, regno, off, size, value_regno)


def load_stack_bytes(env: "Env", frame: Frame, low: int, high: int, dst_regno: int) -> None:
    """A register gets what the bytes ``low`` to ``high`` are: 0 if all are, else anything."""
    slots = [-at - 1 for at in range(low, high)]
    current = env.frame
    if all(frame.kinds[slot >> 3][slot & 7] == STACK_ZERO for slot in slots):
        reg = known_reg(0)
        # Whoever relies on the bytes being zero must not be pruned against one that merely wrote something.
        reg.precise = True
        current.values[dst_regno] = reg
    else:
        current.values[dst_regno] = env.unknown
    current.live[dst_regno] |= WRITTEN


def _require_bytes(env: "Env", kinds: bytes, off: int, size: int, good: tuple[int, ...]) -> None:
    slot = -off - 1
    for i in range(size):
        kind = kinds[(slot - i) % 8]
        if kind not in good and not (kind == STACK_INVALID and env.allow_uninit_stack):
            env.reject(Errno.EACCES, f"invalid read from stack off {off}+{i} size {size}")


def check_stack_read_fixed(env: "Env", frame: Frame, off: int, size: int, dst_regno: int) -> None:
    """A load at a known place; ``dst_regno`` is -1 where the value goes nowhere."""
    spi = (-off - 1) >> 3
    place = SLOT0 + spi
    kinds, reg = frame.kinds[spi], frame.values[place]
    current = env.frame
    if not is_spilled(kinds):
        _require_bytes(env, kinds, off, size, (STACK_MISC, STACK_ZERO))
        mark_place_read(env, frame, place)
        if dst_regno >= 0:
            load_stack_bytes(env, frame, off, off + size, dst_regno)
        return
    spill_size = 8 - len(kinds.rstrip(bytes([STACK_SPILL])))
    if size == 8 and spill_size == 8:
        if dst_regno >= 0:
            current.values[dst_regno] = reg
            current.live[dst_regno] |= WRITTEN
        elif not env.allow_ptr_leaks and reg.type != SCALAR_VALUE:
            env.reject(Errno.EACCES, f"leaking pointer from stack off {off}")
        mark_place_read(env, frame, place)
        return
    if reg.type != SCALAR_VALUE:
        env.log.source_line(env.insn_idx, "; ")
        env.reject(Errno.EACCES, "invalid size of register fill")
    mark_place_read(env, frame, place)
    if dst_regno < 0:
        return
    if off % 8 == 0 and size == spill_size:
        current.values[dst_regno] = reg
    else:
        _require_bytes(env, kinds, off, size, (STACK_SPILL, STACK_MISC))
        current.values[dst_regno] = env.unknown
    current.live[dst_regno] |= WRITTEN
