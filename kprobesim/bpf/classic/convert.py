"""From classic BPF to eBPF, as the kernel does it before it runs or compiles a filter.

::

    A  r0    X  r7    M[k]  *(u32 *)(fp - 4 * (k + 1))
    r6 the context    r8, r9 the packet's linear bytes and their number    r2 scratch

Follows Linux net/core/filter.c: bpf_convert_filter and bpf_migrate_filter.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kprobesim.bpf.classic.check import refuse
from kprobesim.bpf.classic.extensions import (
    EXIT,
    REG_A,
    REG_CTX,
    REG_D,
    REG_FP,
    REG_H,
    REG_TMP,
    REG_X,
    convert_bpf_extensions,
    convert_bpf_ld_abs,
    jump_imm,
    ldx,
    mov64,
    xor32,
)
from kprobesim.bpf.classic.isa import BPF_MAXINSNS, BPF_X, Code, SockFilter, signed32
from kprobesim.bpf.isa import Class, Insn, Mode, Op, Size
from kprobesim.bpf.skb import layout as at

__all__ = ["Converted", "bpf_convert_filter"]

_LOADS = (Code.LD_W_ABS, Code.LD_H_ABS, Code.LD_B_ABS, Code.LD_W_IND, Code.LD_H_IND, Code.LD_B_IND)
_JEQ, _JGT, _JGE, _JNE, _JLT, _JLE = 0x10, 0x20, 0x30, 0x50, 0xA0, 0xB0
_OPPOSITE = {_JEQ: _JNE, _JGT: _JLE, _JGE: _JLT}
_MAX_PASSES = 2
_PROLOGUE = (xor32(REG_A, REG_A), xor32(REG_X, REG_X), mov64(REG_CTX, 1))
_PACKET_PROLOGUE = (
    ldx(Size.DW, REG_D, REG_CTX, at.SKB_DATA),
    ldx(Size.W, REG_H, REG_CTX, at.SKB_LEN),
    ldx(Size.W, REG_TMP, REG_CTX, at.SKB_DATA_LEN),
    Insn(Class.ALU | Op.SUB | BPF_X, REG_H, REG_TMP),
)
_MOV32_X = Insn(Class.ALU | Op.MOV | BPF_X, REG_X, REG_X)


@dataclass(frozen=True, slots=True)
class Converted:
    """A filter as eBPF.

    Attributes:
        insns: the program; its R1 is the context.
        starts: for each classic instruction, the slot where its eBPF begins; what is before the first is the prologue.
        stack_depth: bytes of stack that M[] takes.
        seen_ld_abs: whether it reads the packet, so that its prologue looks up where the packet is.
    """

    insns: tuple[Insn, ...]
    starts: tuple[int, ...]
    stack_depth: int
    seen_ld_abs: bool

    def slots(self, pc: int) -> range:
        """The slots that a classic instruction became; ``-1`` asks for the prologue."""
        ends = (*self.starts[1:], len(self.insns))
        return range(self.starts[0]) if pc < 0 else range(self.starts[pc], ends[pc])


def bpf_convert_filter(insns: Sequence[SockFilter]) -> Converted:
    """Convert a filter that bpf_check_classic, and seccomp_check_filter where it applies, have accepted.

    Raises:
        LoadError: EINVAL: the filter passes the checks but its eBPF has a jump too long for 16 bits.
    """
    if not 0 < len(insns) <= BPF_MAXINSNS:
        raise refuse(f"A filter has 1 to {BPF_MAXINSNS} instructions, this one has {len(insns)}.")
    plain = [_plain(insn) for insn in insns]
    reads = any(insn.code == Code.LDX_B_MSH or _reads_packet(insn) for insn in insns)
    prologue = _PROLOGUE + _PACKET_PROLOGUE if reads else _PROLOGUE
    places = [0] * len(insns)
    made: list[Insn] = []
    length = 0
    for _ in range(_MAX_PASSES):
        made = list(prologue)
        for pc, insn in enumerate(insns):
            places[pc] = len(made)
            # In the first pass a place ahead is still 0, and the distance to there is checked all the same.
            made += plain[pc] or _jumps(insn, pc, places)
        if len(made) == length:
            break
        length = len(made)
    depth = max((4 * insn.k + 4 for insn in insns if insn.code in (Code.ST, Code.STX)), default=0)
    return Converted(tuple(made), tuple(places), depth, reads)


def _reads_packet(insn: SockFilter) -> bool:
    return insn.code in _LOADS and convert_bpf_extensions(insn) is None


def _plain(insn: SockFilter) -> tuple[Insn, ...]:
    """An instruction whose eBPF does not depend on where anything is; nothing for jumps."""
    code, k = insn.code, signed32(insn.k)
    into = REG_A if insn.cls in (Class.LD, Class.ST) else REG_X
    if code in _LOADS:
        return convert_bpf_extensions(insn) or convert_bpf_ld_abs(insn)
    if insn.cls == Class.ALU:
        # The source field names X even where the operand is a constant.
        operation = Insn(code, REG_A, REG_X, 0, k)
        return (*_guard(), operation) if code in (Code.DIV_X, Code.MOD_X) else (operation,)
    if code == Code.LDX_B_MSH:
        return _header_length(insn)
    if code in (Code.RET_K, Code.RET_A):
        result = (Insn(Class.ALU | Op.MOV, REG_A, imm=k),) if code == Code.RET_K else ()
        return *result, EXIT
    if code in (Code.ST, Code.STX):
        return (Insn(Class.STX | Mode.MEM | Size.W, REG_FP, into, -4 * (insn.k + 1)),)
    if code in (Code.LD_MEM, Code.LDX_MEM):
        return (ldx(Size.W, into, REG_FP, -4 * (insn.k + 1)),)
    if code in (Code.LD_IMM, Code.LDX_IMM):
        return (Insn(Class.ALU | Op.MOV, into, imm=k),)
    if code in (Code.LD_W_LEN, Code.LDX_W_LEN):
        return (ldx(Size.W, into, REG_CTX, at.SKB_LEN),)
    if code == Code.LDX_W_ABS:
        return (ldx(Size.W, REG_A, REG_CTX, k),)
    if code in (Code.TAX, Code.TXA):
        return (mov64(REG_X, REG_A) if code == Code.TAX else mov64(REG_A, REG_X),)
    return ()


def _guard() -> tuple[Insn, ...]:
    """Division by X: a filter that divides by 0 returns 0."""
    return _MOV32_X, jump_imm(_JNE, REG_X, 0, 2), xor32(REG_A, REG_A), EXIT


def _header_length(insn: SockFilter) -> tuple[Insn, ...]:
    """``ldxb 4*([k]&0xf)``: A stands aside in X while the byte is loaded into A."""
    return (
        mov64(REG_X, REG_A),
        *convert_bpf_ld_abs(SockFilter(Code.LD_B_ABS, k=insn.k)),
        Insn(Class.ALU | Op.AND, REG_A, imm=0xF),
        Insn(Class.ALU | Op.LSH, REG_A, imm=2),
        mov64(REG_TMP, REG_X),
        mov64(REG_X, REG_A),
        mov64(REG_A, REG_TMP),
    )


def _jumps(insn: SockFilter, pc: int, places: Sequence[int]) -> tuple[Insn, ...]:
    """A jump as one or two: with one arm where the other is the next instruction, if there is a test for that."""
    if insn.code == Code.JA:
        return (Insn(Class.JMP, off=_distance(pc, insn.k, 0, places)),)
    before: tuple[Insn, ...] = ()
    op, k = insn.code & 0xF0, signed32(insn.k)
    test = Insn(Class.JMP | BPF_X, REG_A, REG_X, 0, k) if insn.by_x else Insn(Class.JMP, REG_A, 0, 0, k)
    if not insn.by_x and k < 0:
        # An eBPF jump would extend the constant's sign to 64 bits.
        before = (Insn(Class.ALU | Op.MOV, REG_TMP, imm=k),)
        test = Insn(Class.JMP | BPF_X, REG_A, REG_TMP)
    if insn.jf == 0 or (insn.jt == 0 and op in _OPPOSITE):
        arm, op = (insn.jt, op) if insn.jf == 0 else (insn.jf, _OPPOSITE[op])
        return *before, test._replace(code=test.code | op, off=_distance(pc, arm, len(before), places))
    taken = test._replace(code=test.code | op, off=_distance(pc, insn.jt, len(before), places))
    return *before, taken, Insn(Class.JMP, off=_distance(pc, insn.jf, len(before) + 1, places))


def _distance(pc: int, skipped: int, before: int, places: Sequence[int]) -> int:
    """How far it is to the instruction behind ``skipped`` others, from the jump that has ``before`` before it."""
    off = places[pc + 1 + skipped] - places[pc] - 1 - before
    if not -(1 << 15) <= off < 1 << 15:
        raise refuse("As eBPF its jump would be longer than 16 bits can say.", pc)
    return off
