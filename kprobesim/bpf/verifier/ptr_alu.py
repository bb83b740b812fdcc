"""Adding to pointers and subtracting from them.

A constant moves a pointer's fixed offset, anything else its variable one; what else one might do to a pointer is
refused. Follows Linux kernel/bpf/verifier.c: adjust_ptr_min_max_vals.
"""

from typing import TYPE_CHECKING

from kprobesim.bpf.isa import ALU_OPS, Class, Insn, Op
from kprobesim.bpf.verifier.bounds import reg_bounds_sync
from kprobesim.bpf.verifier.env import BPF_MAX_VAR_OFF
from kprobesim.bpf.verifier.reg import S64_MAX, S64_MIN, U64_MAX, Reg, s32, s64
from kprobesim.bpf.verifier.reg_type import (
    CONST_PTR_TO_MAP,
    PTR_MAYBE_NULL,
    PTR_TO_FLOW_KEYS,
    PTR_TO_PACKET_END,
    PTR_TO_STACK,
    SK_POINTERS,
    base_type,
    reg_type_str,
    type_is_pkt_pointer,
)
from kprobesim.bpf.verifier.sanitize import Window, sanitize_check_bounds, sanitize_needed, sanitize_ptr_alu
from kprobesim.bpf.verifier.tnum import tnum_add, tnum_sub
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["adjust_ptr_min_max_vals"]


def _check_sane_offset(env: "Env", reg: Reg, kind: int) -> None:
    """Offsets that could overflow later are refused now (Linux's check_reg_sane_offset)."""
    name = reg_type_str(kind)
    value = s64(reg.var_off.value)
    if reg.var_off.is_const and not -BPF_MAX_VAR_OFF < value < BPF_MAX_VAR_OFF:
        env.reject(Errno.EINVAL, f"math between {name} pointer and {value} is not allowed")
    if not -BPF_MAX_VAR_OFF < reg.off < BPF_MAX_VAR_OFF:
        env.reject(Errno.EINVAL, f"{name} pointer offset {reg.off} is not allowed")
    if reg.smin == S64_MIN:
        message = f"math between {name} pointer and register with unbounded min value is not allowed"
        env.reject(Errno.EINVAL, message)
    if not -BPF_MAX_VAR_OFF < reg.smin < BPF_MAX_VAR_OFF:
        env.reject(Errno.EINVAL, f"value {reg.smin} makes {name} pointer be out of bounds")


def _check_prohibited(env: "Env", insn: Insn, ptr: Reg, off: Reg) -> None:
    name = reg_type_str(ptr.type)
    if ptr.type & PTR_MAYBE_NULL:
        env.reject(Errno.EACCES, f"R{insn.dst} pointer arithmetic on {name} prohibited, null-check it first")
    base = base_type(ptr.type)
    known = off.var_off.is_const
    if base == PTR_TO_FLOW_KEYS and known:
        return
    if base in (PTR_TO_FLOW_KEYS, CONST_PTR_TO_MAP) and known and off.smin == 0 and insn.op == Op.ADD:
        return
    if base in (PTR_TO_FLOW_KEYS, CONST_PTR_TO_MAP, PTR_TO_PACKET_END) or base in SK_POINTERS:
        env.reject(Errno.EACCES, f"R{insn.dst} pointer arithmetic on {name} prohibited")


def _ranges(dst: Reg, low: int, high: int, ulow: int, uhigh: int) -> None:
    if S64_MIN <= low <= S64_MAX and S64_MIN <= high <= S64_MAX:
        dst.smin, dst.smax = low, high
    else:
        dst.smin, dst.smax = S64_MIN, S64_MAX
    dst.umin, dst.umax = ulow, uhigh


def _add(env: "Env", ptr: Reg, off: Reg, dst: Reg) -> None:
    moved = ptr.off + off.smin
    if off.var_off.is_const and moved == s32(moved):
        dst.off = moved
        return
    ulow, uhigh = ptr.umin + off.umin, ptr.umax + off.umax
    if ulow > U64_MAX or uhigh > U64_MAX:
        ulow, uhigh = 0, U64_MAX
    _ranges(dst, ptr.smin + off.smin, ptr.smax + off.smax, ulow, uhigh)
    dst.var_off = tnum_add(ptr.var_off, off.var_off)
    if type_is_pkt_pointer(ptr.type):
        dst.id = env.new_id()
        dst.extent = 0


def _sub(env: "Env", ptr: Reg, off: Reg, dst: Reg) -> None:
    moved = ptr.off - off.smin
    if off.var_off.is_const and moved == s32(moved):
        dst.off = moved
        return
    ulow, uhigh = ptr.umin - off.umax, ptr.umax - off.umin & U64_MAX
    if ulow < 0:
        ulow, uhigh = 0, U64_MAX
    _ranges(dst, ptr.smin - off.smax, ptr.smax - off.smin, ulow, uhigh)
    dst.var_off = tnum_sub(ptr.var_off, off.var_off)
    if type_is_pkt_pointer(ptr.type):
        dst.id = env.new_id()
        if off.smin < 0:
            dst.extent = 0


def adjust_ptr_min_max_vals(env: "Env", insn: Insn, ptr_regno: int, off: Reg) -> None:
    """``dst = ptr op off``, where the pointer may be either operand.

    Args:
        env: the verifier.
        insn: the instruction.
        ptr_regno: which register is the pointer.
        off: the other operand.
    """
    frame = env.frame
    ptr = frame.values[ptr_regno]
    ptr_is_dst = ptr_regno == insn.dst
    op = insn.op
    known = off.var_off.is_const
    if (known and (off.smin != off.smax or off.umin != off.umax)) or off.smin > off.smax or off.umin > off.umax:
        frame.values[insn.dst] = env.unknown
        return
    if insn.cls is not Class.ALU64:
        if op == Op.SUB and env.allow_ptr_leaks:
            frame.values[insn.dst] = env.unknown
            return
        env.reject(Errno.EACCES, f"R{insn.dst} 32-bit pointer arithmetic prohibited")
    _check_prohibited(env, insn, ptr, off)
    if not ptr_is_dst:
        # The whole register is taken over, liveness included.
        frame.copy_place(insn.dst, frame, ptr_regno)
    _check_sane_offset(env, off, ptr.type)
    _check_sane_offset(env, ptr, ptr.type)
    dst = frame.own(insn.dst)
    dst.set_unbounded32()
    window = Window()
    if sanitize_needed(op):
        sanitize_ptr_alu(env, insn, ptr, off, ptr_is_dst, window, commit=False)
        # A speculative path may wait with this value now.
        dst = frame.own(insn.dst)
    if op == Op.ADD:
        _add(env, ptr, off, dst)
    elif op == Op.SUB:
        if not ptr_is_dst:
            env.reject(Errno.EACCES, f"R{insn.dst} tried to subtract pointer from scalar")
        if ptr.type == PTR_TO_STACK:
            env.reject(Errno.EACCES, f"R{insn.dst} subtraction from stack pointer prohibited")
        _sub(env, ptr, off, dst)
    elif op in (Op.AND, Op.OR, Op.XOR):
        env.reject(Errno.EACCES, f"R{insn.dst} bitwise operator {ALU_OPS[op >> 4]} on pointer prohibited")
    else:
        env.reject(Errno.EACCES, f"R{insn.dst} pointer arithmetic with {ALU_OPS[op >> 4]} operator prohibited")
    _check_sane_offset(env, dst, ptr.type)
    reg_bounds_sync(dst)
    sanitize_check_bounds(env, insn, dst)
    if sanitize_needed(op):
        sanitize_ptr_alu(env, insn, dst, off, True, window, commit=True)
