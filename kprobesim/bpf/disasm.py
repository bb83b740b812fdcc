"""Instructions as the kernel prints them in the verifier's log and in dumps: ``(7b) *(u64 *)(r10 -16) = r0``.

``disassemble`` gives one record per instruction; ``listing`` prints them. The text depends on the ISA level as it does
on the kernel's version: Linux 6.1 (V3) prints opcode 06 as ``if w0 jmp 0x0 goto pc+0``, 6.6 (V4) as ``gotol pc+0``.
Follows Linux kernel/bpf/disasm.c:print_bpf_insn, with its texts for what it cannot print (``BUG_ldx_99``).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from kprobesim.bpf.helper_names import helper_text
from kprobesim.bpf.isa import (
    ALU_OPS,
    ATOMIC_OPS,
    BPF_FETCH,
    BPF_NOSPEC,
    JMP_OPS,
    LDDW,
    MASK32,
    SIZE_NAMES,
    Class,
    Insn,
    Level,
    Mode,
    Op,
    Pseudo,
    is_lddw,
    lddw_value,
)

__all__ = ["Imm64Text", "Line", "disassemble", "insn_text", "listing", "plain_imm64", "source_imm64"]

Imm64Text = Callable[[Insn, int], str]
"""Prints the operand of an LDDW: gets its first slot and its 64-bit value."""

_LABELLED = {
    Pseudo.MAP_FD: "map[fd:{0}]",
    Pseudo.MAP_VALUE: "map[fd:{0}][0]{1:+d}",
    Pseudo.BTF_ID: "btf[id:{0}][fd:{1}]",
    Pseudo.FUNC: "func[pc{0:+d}]",
    Pseudo.MAP_IDX: "map[idx:{0}]",
    Pseudo.MAP_IDX_VALUE: "map[idx:{0}][0]{1:+d}",
}


class Line(NamedTuple):
    """One instruction: the slot it starts at, its record, how many slots it has, and its text without ``(xx)``."""

    slot: int
    insn: Insn
    slots: int
    text: str

    def __str__(self) -> str:
        """The line as the kernel prints it, ``3: (07) r2 += -4``."""
        return f"{self.slot}: {_with_code(self.insn, self.text)}"


def _with_code(insn: Insn, text: str) -> str:
    return text if text.startswith("BUG_") else f"({insn.code:02x}) {text}"


def plain_imm64(insn: Insn, value: int) -> str:
    """The value in hex, which is all that the kernel's own printer says."""
    return f"{value:#x}"


def source_imm64(insn: Insn, value: int) -> str:
    """The value as the assembler reads it back: pseudo values by what they refer to, such as ``map[fd:3]``."""
    if insn.src not in _LABELLED:
        return f"{value:#x}"
    high = value >> 32
    return _LABELLED[Pseudo(insn.src)].format(insn.imm, high - (high >> 31 << 32))


def _alu(insn: Insn, level: Level) -> str:
    wide = insn.cls is Class.ALU64
    letter = "r" if wide else "w"
    dst = f"{letter}{insn.dst}"
    v4 = level >= Level.V4
    if insn.op == Op.END:
        if wide and not v4:
            return f"BUG_alu64_{insn.code:02x}"
        kind = "bswap" if wide else "be" if insn.by_reg else "le"
        return f"r{insn.dst} = {kind}{insn.imm} r{insn.dst}"
    if insn.op == Op.NEG:
        return f"{dst} = -{dst}"
    sign = ALU_OPS[insn.op >> 4] or "(null)"
    if v4 and insn.op in (Op.DIV, Op.MOD) and insn.off == 1:
        sign = f"s{sign}"
    operand = f"{letter}{insn.src}" if insn.by_reg else str(insn.imm)
    if v4 and insn.op == Op.MOV and insn.by_reg and insn.off:
        operand = f"(s{insn.off}){operand}"
    return f"{dst} {sign} {operand}"


def _place(insn: Insn, register: int) -> str:
    return f"({SIZE_NAMES[insn.size]} *)(r{register} {insn.off:+d})"


def _stx(insn: Insn) -> str:
    place = _place(insn, insn.dst)
    if insn.mode == Mode.MEM:
        return f"*{place} = r{insn.src}"
    name = ATOMIC_OPS.get(insn.imm)
    if insn.mode != Mode.ATOMIC or name is None:
        return f"BUG_{insn.code:02x}"
    if not insn.imm & BPF_FETCH:
        return f"lock *{place} {ALU_OPS[insn.imm >> 4]} r{insn.src}"
    family = "atomic64" if SIZE_NAMES[insn.size] == "u64" else "atomic"
    if name == "cmpxchg":
        return f"r0 = {family}_cmpxchg({place}, r0, r{insn.src})"
    return f"r{insn.src} = {family}_{name}({place}, r{insn.src})"


def _load(insn: Insn, level: Level) -> str:
    if insn.mode == Mode.MEMSX and level >= Level.V4:
        return f"r{insn.dst} = *{_place(insn, insn.src).replace('(u', '(s', 1)}"
    if insn.mode != Mode.MEM:
        return f"BUG_ldx_{insn.code:02x}"
    return f"r{insn.dst} = *{_place(insn, insn.src)}"


def _store(insn: Insn) -> str:
    if insn.code == BPF_NOSPEC:
        return "nospec"
    if insn.mode != Mode.MEM:
        return f"BUG_st_{insn.code:02x}"
    return f"*{_place(insn, insn.dst)} = {insn.imm}"


def _ld(insn: Insn, value: int, imm64: Imm64Text) -> str:
    if insn.code == LDDW:
        return f"r{insn.dst} = {imm64(insn, value)}"
    if insn.mode == Mode.ABS:
        return f"r0 = *({SIZE_NAMES[insn.size]} *)skb[{insn.imm}]"
    if insn.mode == Mode.IND:
        return f"r0 = *({SIZE_NAMES[insn.size]} *)skb[r{insn.src} + {insn.imm}]"
    return f"BUG_ld_{insn.code:02x}"


def _jump(insn: Insn, level: Level) -> str:
    if insn.op == 0x80:
        if insn.src == 1:
            return f"call pc{insn.imm:+d}"
        if insn.src:
            return f"call {'kernel-function' if insn.src == 2 else 'unknown'}#{insn.imm}"
        return f"call {helper_text(insn.imm)}"
    if insn.code == 0x05:
        return f"goto pc{insn.off:+d}"
    if insn.code == 0x95:
        return "exit"
    if insn.code == 0x06 and level >= Level.V4:
        return f"gotol pc{insn.imm:+d}"
    letter = "w" if insn.cls is Class.JMP32 else "r"
    operand = f"{letter}{insn.src}" if insn.by_reg else f"{insn.imm & MASK32:#x}"
    return f"if {letter}{insn.dst} {JMP_OPS[insn.op >> 4] or '(null)'} {operand} goto pc{insn.off:+d}"


def _bare(insn: Insn, value: int, level: Level, imm64: Imm64Text) -> str:
    cls = insn.cls
    if cls in (Class.ALU, Class.ALU64):
        return _alu(insn, level)
    if cls is Class.STX:
        return _stx(insn)
    if cls is Class.ST:
        return _store(insn)
    if cls is Class.LDX:
        return _load(insn, level)
    if cls is Class.LD:
        return _ld(insn, value, imm64)
    return _jump(insn, level)


def insn_text(
    insns: Sequence[Insn], index: int, level: Level = Level.V3, imm64: Imm64Text = plain_imm64, *, code: bool = True
) -> str:
    """The text of the instruction in slot ``index``, with ``(xx) `` before it unless ``code`` is false."""
    insn = insns[index]
    text = _bare(insn, lddw_value(insns, index) if is_lddw(insn) else 0, level, imm64)
    return _with_code(insn, text) if code else text


def disassemble(insns: Sequence[Insn], level: Level = Level.V3, imm64: Imm64Text = plain_imm64) -> Iterator[Line]:
    """One Line per instruction, in order; an LDDW's second slot gets none."""
    index = 0
    while index < len(insns):
        slots = 2 if is_lddw(insns[index]) and index + 1 < len(insns) else 1
        yield Line(index, insns[index], slots, insn_text(insns, index, level, imm64, code=False))
        index += slots


def listing(insns: Sequence[Insn], level: Level = Level.V3, imm64: Imm64Text = plain_imm64) -> str:
    """The whole program as text, one line per instruction: ``0: (b7) r0 = 0``."""
    return "".join(f"{line}\n" for line in disassemble(insns, level, imm64))
