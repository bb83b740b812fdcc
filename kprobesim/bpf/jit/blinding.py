"""Constant blinding: what ``net.core.bpf_jit_harden`` does against programs whose constants are x86 code in disguise.

Every constant is loaded as ``constant ^ random`` into AX and un-xored there, so that no bytes of the program's choice
appear in executable memory. Follows Linux kernel/bpf/core.c: bpf_jit_blind_constants and bpf_jit_blind_insn; the second
slot of a 64-bit load is done together with the first.
"""

from collections.abc import Callable, Sequence

from kprobesim.bpf.isa import MASK32, Class, Insn, Mode, Op, Pseudo, Size, is_lddw
from kprobesim.bpf.jit.fixups import Patch, Rewritten, rewrite
from kprobesim.bpf.jit.registers import BPF_REG_AX

__all__ = ["blind_constants"]

_REG = 8
_BLINDED = frozenset({Op.ADD, Op.SUB, Op.AND, Op.OR, Op.XOR, Op.MUL, Op.MOV, Op.DIV, Op.MOD})
_STORES = frozenset(Class.ST | Mode.MEM | size for size in Size)
_NOT_CONDITIONAL = frozenset({0x00, 0x80, 0x90, 0xE0, 0xF0})


def blind_constants(insns: Sequence[Insn], random32: Callable[[], int]) -> Rewritten:
    """The program without its constants; it does the same.

    Args:
        insns: as ``do_misc_fixups`` leaves them.
        random32: gives 32 random bits; asked once or twice for each instruction with a constant.

    Raises:
        JitError: a jump that has become too long.
    """
    return rewrite(insns, lambda slot: _blind(insns, slot, random32))


def _signed32(value: int) -> int:
    value &= MASK32
    return value - (value >> 31 << 32)


def _into_ax(cls: Class, imm: int, random32: Callable[[], int]) -> tuple[Insn, Insn]:
    mask = random32()
    return (
        Insn(cls | Op.MOV, BPF_REG_AX, imm=_signed32(imm ^ mask)),
        Insn(cls | Op.XOR, BPF_REG_AX, imm=_signed32(mask)),
    )


def _blind(insns: Sequence[Insn], slot: int, random32: Callable[[], int]) -> Patch | None:
    insn = insns[slot]
    cls = insn.cls
    if BPF_REG_AX in (insn.dst, insn.src):
        return None
    if is_lddw(insn):
        return None if insn.src == Pseudo.FUNC else _load_imm64(insn, insns[slot + 1].imm, random32)
    if cls in (Class.ALU, Class.ALU64):
        if insn.by_reg or insn.op not in _BLINDED:
            return None
        if insn.op == Op.MOV and insn.imm == 0:
            return Patch((Insn(Class.ALU64 | Op.XOR | _REG, insn.dst, insn.dst),))
        by_ax = insn._replace(code=insn.code | _REG, src=BPF_REG_AX, imm=0)
        return Patch((*_into_ax(cls, insn.imm, random32), by_ax))
    if cls in (Class.JMP, Class.JMP32):
        if insn.by_reg or insn.op in _NOT_CONDITIONAL:
            return None
        by_ax = insn._replace(code=insn.code | _REG, src=BPF_REG_AX, imm=0)
        width = Class.ALU64 if cls is Class.JMP else Class.ALU
        return Patch((*_into_ax(width, insn.imm, random32), by_ax), 2)
    if insn.code in _STORES:
        by_ax = Insn(Class.STX | Mode.MEM | insn.size, insn.dst, BPF_REG_AX, insn.off)
        return Patch((*_into_ax(Class.ALU64, insn.imm, random32), by_ax))
    return None


def _load_imm64(insn: Insn, high: int, random32: Callable[[], int]) -> Patch:
    ax = BPF_REG_AX
    return Patch(
        (
            *_into_ax(Class.ALU64, high, random32),
            Insn(Class.ALU64 | Op.LSH, ax, imm=32),
            Insn(Class.ALU64 | Op.MOV | _REG, insn.dst, ax),
            *_into_ax(Class.ALU, insn.imm, random32),
            Insn(Class.ALU64 | Op.OR | _REG, insn.dst, ax),
        )
    )
