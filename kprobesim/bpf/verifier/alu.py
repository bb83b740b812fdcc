"""Arithmetic instructions.

Follows Linux kernel/bpf/verifier.c: check_alu_op, adjust_reg_min_max_vals.
"""

from typing import TYPE_CHECKING

from kprobesim.bpf.isa import ALU_OPS, Class, Insn, Op
from kprobesim.bpf.verifier.bounds import reg_bounds_sync, zext_32_to_64
from kprobesim.bpf.verifier.precision import mark_chain_precision
from kprobesim.bpf.verifier.ptr_alu import adjust_ptr_min_max_vals
from kprobesim.bpf.verifier.reg import known_reg
from kprobesim.bpf.verifier.reg_type import SCALAR_VALUE
from kprobesim.bpf.verifier.sanitize import sanitize_needed, sanitize_val_alu
from kprobesim.bpf.verifier.scalar import adjust_scalar, is_tracked
from kprobesim.bpf.verifier.state import WRITTEN
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["check_alu_op"]

_SHIFTS = (Op.LSH, Op.RSH, Op.ARSH)


def _unary(env: "Env", insn: Insn) -> None:
    if insn.op == Op.NEG:
        if insn.by_reg or insn.src or insn.off or insn.imm:
            env.reject(Errno.EINVAL, "BPF_NEG uses reserved fields")
    elif insn.src or insn.off or insn.imm not in (16, 32, 64) or insn.cls is Class.ALU64:
        env.reject(Errno.EINVAL, "BPF_END uses reserved fields")
    env.check_src(insn.dst)
    if env.is_pointer_value(insn.dst):
        env.reject(Errno.EACCES, f"R{insn.dst} pointer arithmetic prohibited")
    env.check_dst(insn.dst)


def _mov(env: "Env", insn: Insn) -> None:
    wide = insn.code & 7 == Class.ALU64
    if not insn.code & 8:
        if insn.src or insn.off:
            env.reject(Errno.EINVAL, "BPF_MOV uses reserved fields")
        env.check_dst(insn.dst, mark=False)
        reg = known_reg(insn.imm if wide else insn.imm & 0xFFFFFFFF)
        reg.precise = not env.bpf_capable
        env.set_reg(insn.dst, reg)
        return
    if insn.imm or insn.off:
        env.reject(Errno.EINVAL, "BPF_MOV uses reserved fields")
    env.check_src(insn.src)
    env.check_dst(insn.dst, mark=False)
    frame = env.frame
    src = frame.values[insn.src]
    if wide:
        if src.type == SCALAR_VALUE and not src.id:
            src = frame.own(insn.src)
            src.id = env.new_id()
        frame.values[insn.dst] = src
        frame.live[insn.dst] |= WRITTEN
        return
    if env.is_pointer_value(insn.src):
        env.reject(Errno.EACCES, f"R{insn.src} partial copy of pointer")
    frame.values[insn.dst] = src if src.type == SCALAR_VALUE else env.unknown
    dst = frame.own(insn.dst)
    dst.id = 0
    zext_32_to_64(dst)
    reg_bounds_sync(dst)


def _adjust_reg_min_max_vals(env: "Env", insn: Insn) -> None:
    """A binary operation, by which operands are pointers."""
    frame = env.frame
    op = insn.op
    dst_is_ptr = frame.values[insn.dst].type != SCALAR_VALUE
    if not dst_is_ptr and frame.values[insn.dst].id:
        frame.own(insn.dst).id = 0
    if not insn.by_reg:
        off = known_reg(insn.imm)
        if dst_is_ptr:
            adjust_ptr_min_max_vals(env, insn, insn.dst, off)
            return
    elif frame.values[insn.src].type != SCALAR_VALUE:
        if dst_is_ptr:
            if op == Op.SUB and env.allow_ptr_leaks:
                frame.values[insn.dst] = env.unknown
                return
            env.reject(Errno.EACCES, f"R{insn.dst} pointer {ALU_OPS[op >> 4]} pointer prohibited")
        mark_chain_precision(env, insn.dst)
        adjust_ptr_min_max_vals(env, insn, insn.src, frame.values[insn.dst])
        return
    elif dst_is_ptr:
        mark_chain_precision(env, insn.src)
        adjust_ptr_min_max_vals(env, insn, insn.dst, frame.values[insn.src])
        return
    else:
        if frame.values[insn.dst].precise:
            mark_chain_precision(env, insn.src)
        off = frame.values[insn.src]
    bits = 64 if insn.code & 7 == Class.ALU64 else 32
    if sanitize_needed(op) and is_tracked(op, bits, off):
        sanitize_val_alu(env, insn)
    adjust_scalar(op, bits, frame.own(insn.dst), off, precise=not env.bpf_capable)


def check_alu_op(env: "Env", insn: Insn) -> None:
    """Check an arithmetic instruction and let it change its destination."""
    op = insn.code & 0xF0
    if op == Op.MOV:
        _mov(env, insn)
        return
    if op in (Op.NEG, Op.END):
        _unary(env, insn)
        return
    if op > Op.END:
        env.reject(Errno.EINVAL, f"invalid BPF_ALU opcode {op:x}")
    if insn.code & 8:
        if insn.imm or insn.off:
            env.reject(Errno.EINVAL, "BPF_ALU uses reserved fields")
        env.check_src(insn.src)
    elif insn.src or insn.off:
        env.reject(Errno.EINVAL, "BPF_ALU uses reserved fields")
    env.check_src(insn.dst)
    if not insn.code & 8:
        if op in (Op.MOD, Op.DIV) and insn.imm == 0:
            env.reject(Errno.EINVAL, "div by zero")
        if op in _SHIFTS and not 0 <= insn.imm < (64 if insn.code & 7 == Class.ALU64 else 32):
            env.reject(Errno.EINVAL, f"invalid shift {insn.imm}")
    env.check_dst(insn.dst, mark=False)
    _adjust_reg_min_max_vals(env, insn)
