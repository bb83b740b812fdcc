"""Loads, stores and atomics: instruction in, x86 bytes out.

Follows Linux arch/x86/net/bpf_jit_comp.c: emit_ldx, emit_stx, emit_atomic and do_jit's cases of classes LDX, ST, STX.
"""

from collections.abc import Callable
from typing import NamedTuple

from kprobesim.bpf.isa import ATOMIC_OPS, BPF_FETCH, BPF_NOSPEC, SIZE_BYTES, Class, Insn, Mode, Op, Size
from kprobesim.bpf.jit.alu import emit_mov_imm32, emit_mov_reg, opcode_of
from kprobesim.bpf.jit.encoding import byte, dword, memory_operand, op_digit, op_reg_mem, op_reg_reg, rex
from kprobesim.bpf.jit.errors import JitError
from kprobesim.bpf.jit.registers import AUX_REG, BPF_REG_AX, REG2HEX, is_ereg_8l

__all__ = ["LOAD_EMITTERS", "PROBE_MEM_CODES", "ProbeLoad", "emit_ldx", "emit_probe_mem"]

_LOCK = b"\xf0"
_XADD, _XCHG, _CMPXCHG = b"\x0f\xc1", b"\x87", b"\x0f\xb1"
_LFENCE = b"\x0f\xae\xe8"
_JB, _JAE, _JMP, _JNE = 0x72, 0x73, 0xEB, 0x75
_LOADS = {Size.B: (b"\x0f\xb6", True), Size.H: (b"\x0f\xb7", True), Size.W: (b"\x8b", False), Size.DW: (b"\x8b", True)}
_PAGE = 4096

PROBE_MEM_CODES = frozenset(Class.LDX | Mode.PROBE_MEM | size for size in Size)
"""Loads through pointers that may be bad; the verifier makes them of ordinary ones."""


class ProbeLoad(NamedTuple):
    """A PROBE_MEM load: its bytes, and where in them the load itself begins; that one may fault."""

    code: bytes
    load_at: int


def emit_ldx(size: Size, dst: int, base: int, off: int) -> bytes:
    """``dst = *(size *)(base + off)``; the short ones are movzx into 64 bits."""
    opcode, wide = _LOADS[size]
    return op_reg_mem(opcode, dst, base, off, wide)


def _ldx(insn: Insn) -> bytes:
    return emit_ldx(insn.size, insn.dst, insn.src, insn.off)


def emit_probe_mem(insn: Insn, task_size_max: int) -> ProbeLoad:
    """A load that gives 0 for a bad address: user addresses are refused here, others fault into the exception table.

    One scratch register allows for one comparison at a time: the base alone against the end of user space (plus a
    page, plus the offset's size), then whether base + offset wraps around to a small address.
    """
    limit = task_size_max + _PAGE + abs(insn.off)
    load = emit_ldx(insn.size, insn.dst, insn.src, insn.off)
    zero = emit_mov_imm32(insn.dst, 0, sign_propagate=False)
    skip = bytes((_JMP, len(load)))
    sum_check = emit_mov_reg(AUX_REG, insn.src, True) + op_digit(0x81, 0, AUX_REG, True) + dword(insn.off)
    sum_check += bytes((_JAE, len(zero) + len(skip)))
    base_check = rex(True, 0, AUX_REG) + bytes((0xB8 + (REG2HEX[AUX_REG] & 7),)) + limit.to_bytes(8, "little")
    base_check += op_reg_reg(b"\x39", AUX_REG, insn.src, True) + bytes((_JB, len(sum_check)))
    before = base_check + sum_check + zero + skip
    return ProbeLoad(before + load, len(before))


def _stx(insn: Insn) -> bytes:
    size, src = insn.size, insn.src
    if size is Size.B:
        return op_reg_mem(b"\x88", src, insn.dst, insn.off, False, force_rex=is_ereg_8l(src))
    prefix = b"\x66" if size is Size.H else b""
    return prefix + op_reg_mem(b"\x89", src, insn.dst, insn.off, size is Size.DW)


def _st(insn: Insn) -> bytes:
    size = insn.size
    prefix = b"\x66" if size is Size.H else b""
    opcode = b"\xc6" if size is Size.B else b"\xc7"
    place = memory_operand(0, insn.dst, insn.off)
    # A 64-bit store has a 32-bit immediate too, which the processor sign-extends.
    immediate = dword(insn.imm)[: min(SIZE_BYTES[size], 4)]
    return prefix + rex(size is Size.DW, 0, insn.dst) + opcode + place + immediate


def _nospec(_: Insn) -> bytes:
    return _LFENCE


def _emit_atomic(opcode: bytes, reg: int, base: int, off: int, is64: bool) -> bytes:
    return _LOCK + op_reg_mem(opcode, reg, base, off, is64)


def _fetch_loop(insn: Insn) -> bytes:
    """Fetching AND, OR and XOR have no instruction of their own: compute in r11 and cmpxchg until nobody came between.

    cmpxchg needs rax, so R0 waits in r10, and stands there for whatever operand it is.
    """
    is64 = insn.size is Size.DW
    source = BPF_REG_AX if insn.src == 0 else insn.src
    base = BPF_REG_AX if insn.dst == 0 else insn.dst
    loop = emit_ldx(insn.size, 0, base, insn.off)
    loop += emit_mov_reg(AUX_REG, 0, is64)
    loop += op_reg_reg(opcode_of(insn.imm & 0xF0), source, AUX_REG, is64)
    loop += _emit_atomic(_CMPXCHG, AUX_REG, base, insn.off, is64)
    again = bytes((_JNE,)) + byte(-len(loop) - 2)
    kept = emit_mov_reg(BPF_REG_AX, 0, True)
    return kept + loop + again + emit_mov_reg(source, 0, is64) + emit_mov_reg(0, BPF_REG_AX, True)


def _atomic(insn: Insn) -> bytes:
    name = ATOMIC_OPS.get(insn.imm)
    if name is None:
        raise JitError(f"unknown atomic opcode {insn.imm & 0xFF:02x}.")
    if name == "xchg":
        opcode = _XCHG
    elif name == "cmpxchg":
        opcode = _CMPXCHG
    elif name == "fetch_add":
        opcode = _XADD
    elif insn.imm & BPF_FETCH:
        return _fetch_loop(insn)
    else:
        opcode = opcode_of(Op(insn.imm))
    return _emit_atomic(opcode, insn.src, insn.dst, insn.off, insn.size is Size.DW)


def _table() -> dict[int, Callable[[Insn], bytes]]:
    table: dict[int, Callable[[Insn], bytes]] = {BPF_NOSPEC: _nospec}
    for size in Size:
        table[Class.LDX | Mode.MEM | size] = _ldx
        table[Class.ST | Mode.MEM | size] = _st
        table[Class.STX | Mode.MEM | size] = _stx
    for size in (Size.W, Size.DW):
        table[Class.STX | Mode.ATOMIC | size] = _atomic
    return table


LOAD_EMITTERS = _table()
"""Opcode -> emitter, for loads, stores and atomics of ISA v1 to v3."""
