"""Beyond Linux 6.1: the instructions of ISA v4, as Linux 6.6 emits them. 6.1 refuses programs that have them.

Follows Linux 6.6 arch/x86/net/bpf_jit_comp.c: emit_movsx_reg, emit_ldsx and do_jit's cases for signed division and for
byte swaps of class ALU64. ``gotol`` is a jump and stands with the other jumps: 6.1's stable releases emit it already.
"""

from collections.abc import Callable

from kprobesim.bpf.isa import Class, Insn, Mode, Op, Size
from kprobesim.bpf.jit.alu import divide, emit_bswap
from kprobesim.bpf.jit.encoding import modrm, op_reg_mem, op_reg_reg, rex
from kprobesim.bpf.jit.errors import JitError

__all__ = ["V4_EMITTERS", "v4_emitter"]

_CDQ, _CQO = b"\x99", b"\x48\x99"
_SIGN_EXTENDING = {8: b"\x0f\xbe", 16: b"\x0f\xbf", 32: b"\x63"}
_SIZES = {Size.B: 8, Size.H: 16, Size.W: 32}


def _movsx(insn: Insn) -> bytes:
    wide = insn.cls is Class.ALU64
    opcode = _SIGN_EXTENDING.get(insn.off)
    if opcode is None or (insn.off == 32 and not wide):
        raise JitError(f"there is no sign extension from {insn.off} bits.")
    if insn.off == 8 and not wide:
        # Always with a REX prefix, so that sil and dil are what their numbers mean.
        return rex(False, insn.dst, insn.src, force=True) + opcode + modrm(insn.dst, insn.src)
    return op_reg_reg(opcode, insn.dst, insn.src, wide)


def _signed_div_mod(insn: Insn) -> bytes:
    return divide(insn, _CQO if insn.cls is Class.ALU64 else _CDQ, 7)


def _ldsx(insn: Insn) -> bytes:
    return op_reg_mem(_SIGN_EXTENDING[_SIZES[insn.size]], insn.dst, insn.src, insn.off, True)


V4_EMITTERS: dict[int, Callable[[Insn], bytes]] = {
    Class.ALU64 | Op.END: emit_bswap,
    **{Class.LDX | Mode.MEMSX | size: _ldsx for size in _SIZES},
}
"""Opcode -> emitter, for opcodes that v3 does not have."""


def v4_emitter(insn: Insn) -> Callable[[Insn], bytes] | None:
    """The emitter of a v4 instruction, or None for one of v1 to v3; some are told apart by ``off`` alone."""
    if insn.off and insn.cls in (Class.ALU, Class.ALU64):
        if insn.op in (Op.DIV, Op.MOD):
            return _signed_div_mod
        if insn.op == Op.MOV and insn.by_reg:
            return _movsx
    return V4_EMITTERS.get(insn.code)
