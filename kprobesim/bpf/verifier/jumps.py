"""Conditional jumps: decide, or let the other edge wait, and refine what both edges know.

Follows Linux kernel/bpf/verifier.c: check_cond_jmp_op, mark_ptr_or_null_regs, find_equal_scalars.
"""

from typing import TYPE_CHECKING

from kprobesim.bpf.isa import Class, Insn
from kprobesim.bpf.verifier.branches import FLIPPED, JEQ, JNE, combine_equal, is_branch_taken, reg_set_min_max
from kprobesim.bpf.verifier.packets import is_pkt_pointer_any, is_pkt_ptr_branch_taken, try_match_pkt_pointers
from kprobesim.bpf.verifier.precision import mark_chain_precision
from kprobesim.bpf.verifier.references import release_reference_state
from kprobesim.bpf.verifier.reg import U32_MAX, Reg
from kprobesim.bpf.verifier.reg_type import (
    CONST_PTR_TO_MAP,
    PTR_MAYBE_NULL,
    PTR_TO_MAP_VALUE,
    PTR_TO_SOCKET,
    PTR_TO_XDP_SOCK,
    SCALAR_VALUE,
    base_type,
)
from kprobesim.bpf.verifier.sanitize import sanitize_speculative_path
from kprobesim.bpf.verifier.state import Frame, State
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["check_cond_jmp_op", "mark_ptr_not_null"]

_JSLE = 0xD0


def mark_ptr_not_null(reg: Reg) -> None:
    """A pointer that might have been NULL is none."""
    if base_type(reg.type) != PTR_TO_MAP_VALUE or reg.map is None:
        reg.type &= ~PTR_MAYBE_NULL
        return
    inner = reg.map.inner
    if inner is not None:
        reg.type = CONST_PTR_TO_MAP
        reg.map = inner
        if inner.timer_off is not None:
            reg.extent = reg.id
    elif reg.map.type == "xskmap":
        reg.type = PTR_TO_XDP_SOCK
    elif reg.map.type in ("sockmap", "sockhash"):
        reg.type = PTR_TO_SOCKET
    else:
        reg.type = PTR_TO_MAP_VALUE


def _mark_ptr_or_null(state: State, regno: int, is_null: bool) -> None:
    """All copies of a pointer that was compared with NULL learn the outcome, spilled ones too."""
    chosen = state.frame.values[regno]
    number, ref = chosen.id, chosen.ref_obj_id
    if ref and ref == number and is_null:
        release_reference_state(state.frame, number)
    for frame, place in state.places():
        reg = frame.values[place]
        if not reg.type & PTR_MAYBE_NULL or reg.id != number or not number:
            continue
        if reg.smin or reg.smax or reg.var_off != (0, 0) or reg.off:
            continue
        reg = frame.own(place)
        if is_null:
            reg.type = SCALAR_VALUE
            reg.id = reg.ref_obj_id = 0
            continue
        mark_ptr_not_null(reg)
        locked = reg.type == PTR_TO_MAP_VALUE and reg.map is not None and reg.map.spin_lock_off is not None
        if not locked:
            reg.id = 0


def _find_equal_scalars(state: State, known: Reg) -> None:
    """All copies of a scalar learn what the jump told about one of them."""
    number = known.id
    for frame, place in state.places():
        reg = frame.values[place]
        if reg.id == number and reg.type == SCALAR_VALUE:
            frame.values[place] = known


def _predict(dst: Reg, src: Reg | None, insn: Insn, op: int, is_jmp32: bool) -> bool | None:
    if src is None:
        return is_branch_taken(dst, insn.imm, op, is_jmp32)
    if src.type == SCALAR_VALUE:
        mask = src.var_off.mask & U32_MAX if is_jmp32 else src.var_off.mask
        if not mask:
            return is_branch_taken(dst, src.var_off.value & (U32_MAX if is_jmp32 else -1), op, is_jmp32)
    if is_pkt_pointer_any(dst) and is_pkt_pointer_any(src) and not is_jmp32:
        return is_pkt_ptr_branch_taken(dst, src, op)
    return None


def _decided(env: "Env", insn: Insn, taken: bool) -> None:
    """Only one edge can be taken; for the other, unprivileged programs get a speculative path."""
    here = env.insn_idx
    if not env.bypass_spec_v1:
        other = here + 1 if taken else here + insn.off + 1
        if sanitize_speculative_path(env, insn, other, here) is None:
            env.reject_logged(Errno.EFAULT, "")
    if env.log.per_insn:
        env.log.insn_state(here, env.frame)
    if taken:
        env.insn_idx += insn.off


def _refine(env: "Env", other: State, insn: Insn, op: int, is_jmp32: bool) -> None:
    this = env.state
    here, there = this.frame, other.frame
    dst = here.values[insn.dst]
    if insn.by_reg:
        src = here.values[insn.src]
        if dst.type == SCALAR_VALUE and src.type == SCALAR_VALUE:
            _refine_both(_own_both(here, insn), _own_both(there, insn), insn, op)
            src = here.values[insn.src]
            if src.id:
                _find_equal_scalars(this, src)
                _find_equal_scalars(other, there.values[insn.src])
    elif dst.type == SCALAR_VALUE:
        reg_set_min_max(there.own(insn.dst), here.own(insn.dst), insn.imm, op, is_jmp32)
    dst = here.values[insn.dst]
    if dst.type == SCALAR_VALUE and dst.id:
        _find_equal_scalars(this, dst)
        _find_equal_scalars(other, there.values[insn.dst])


def _own_both(frame: Frame, insn: Insn) -> tuple[Reg, Reg]:
    """Both operands, free to change; one and the same if they are the same register."""
    dst = frame.own(insn.dst)
    return dst, dst if insn.src == insn.dst else frame.own(insn.src)


def _refine_both(this: tuple[Reg, Reg], other: tuple[Reg, Reg], insn: Insn, op: int) -> None:
    (dst, src), (other_dst, other_src) = this, other
    is_jmp32 = insn.code & 7 == Class.JMP32

    def constant(reg: Reg) -> bool:
        return reg.var_off.is_const or (is_jmp32 and not reg.var_off.mask & U32_MAX)

    if constant(src):
        reg_set_min_max(other_dst, dst, src.var_off.value, op, is_jmp32)
    elif constant(dst):
        flipped = FLIPPED.get(op)
        if flipped is not None:
            reg_set_min_max(other_src, src, dst.var_off.value, flipped, is_jmp32)
    elif not is_jmp32 and op == JEQ:
        combine_equal(other_src, other_dst)
    elif not is_jmp32 and op == JNE:
        combine_equal(src, dst)


def check_cond_jmp_op(env: "Env", insn: Insn) -> None:
    """Check a conditional jump and go on with its fall-through, unless it is known to be taken."""
    op = insn.code & 0xF0
    if op == 0x00 or op > _JSLE:
        env.reject(Errno.EINVAL, f"invalid BPF_JMP/JMP32 opcode {op:x}")
    env.check_src(insn.dst)
    frame = env.frame
    src = None
    if insn.code & 8:
        if insn.imm:
            env.reject(Errno.EINVAL, "BPF_JMP/JMP32 uses reserved fields")
        env.check_src(insn.src)
        src = frame.values[insn.src]
        both_packets = is_pkt_pointer_any(frame.values[insn.dst]) and is_pkt_pointer_any(src)
        if not both_packets and env.is_pointer_value(insn.src):
            env.reject(Errno.EACCES, f"R{insn.src} pointer comparison prohibited")
    elif insn.src:
        env.reject(Errno.EINVAL, "BPF_JMP/JMP32 uses reserved fields")
    is_jmp32 = insn.code & 7 == Class.JMP32
    taken = _predict(frame.values[insn.dst], src, insn, op, is_jmp32)
    if taken is not None:
        if frame.values[insn.dst].type == SCALAR_VALUE:
            mark_chain_precision(env, insn.dst)
        if src is not None and src.type == SCALAR_VALUE:
            mark_chain_precision(env, insn.src)
        _decided(env, insn, taken)
        return
    other = env.push_stack(env.insn_idx + insn.off + 1, env.insn_idx)
    if other is None:
        env.reject_logged(Errno.EFAULT, f"The sequence of {len(env.stack)} jumps is too complex.")
    _refine(env, other, insn, op, is_jmp32)
    dst = frame.values[insn.dst]
    if not insn.code & 8 and not is_jmp32 and insn.imm == 0 and op in (JEQ, JNE) and dst.type & PTR_MAYBE_NULL:
        _mark_ptr_or_null(env.state, insn.dst, op == JNE)
        _mark_ptr_or_null(other, insn.dst, op == JEQ)
    elif not try_match_pkt_pointers(insn, env.state, other) and env.is_pointer_value(insn.dst):
        env.reject(Errno.EACCES, f"R{insn.dst} pointer comparison prohibited")
    if env.log.per_insn:
        env.log.insn_state(env.insn_idx, frame)
