"""All instructions that exist, as data: what each opcode's fields may hold and from which ISA level on.

The decode check and the property tests are driven by this table, and the assembler refuses what is not in it. One row
is one variant: an opcode with the values of ``src``, ``off`` and ``imm`` that tell it from its twins. Source: RFC 9669
sections 4, 5 and appendix A ("BPF Instructions" registry).
"""

from enum import Enum
from typing import NamedTuple

from kprobesim.bpf.isa import ATOMIC_OPS, Class, Insn, Level, Mode, Op, Pseudo, Size

__all__ = ["BY_CODE", "VARIANTS", "Form", "Variant", "find"]


class Form(Enum):
    """What an instruction's fields mean; the value names those that are free operands. All others must be fixed."""

    ALU_IMM = "dst imm"
    ALU_REG = "dst src"
    NEG = "dst "
    END = " dst"
    MOVSX = "dst src "
    JUMP_IMM = "dst off imm"
    JUMP_REG = "dst src off"
    JA = "off"
    GOTOL = "imm"
    CALL = "imm "
    CALL_LOCAL = " imm"
    CALL_KFUNC = "off imm"
    EXIT = ""
    LDX = "dst src off "
    ST = "dst off imm "
    STX = " dst src off"
    ATOMIC = "dst src off  "
    LDDW = "dst imm "
    LD_ABS = "imm  "
    LD_IND = "src imm"

    @property
    def operands(self) -> tuple[str, ...]:
        """Names of the fields that are operands."""
        return tuple(self.value.split())


class Variant(NamedTuple):
    """One instruction: fixed fields are numbers, operands are None, ``group`` is the RFC's conformance group."""

    code: int
    form: Form
    level: Level
    group: str
    dst: int | None
    src: int | None
    off: int | None
    imm: int | None

    def fits(self, insn: Insn) -> bool:
        """Whether every fixed field of ``insn`` has the value that this variant asks for."""
        return (
            insn.code == self.code
            and (self.dst is None or insn.dst == self.dst)
            and (self.src is None or insn.src == self.src)
            and (self.off is None or insn.off == self.off)
            and (self.imm is None or insn.imm == self.imm)
        )


def _row(code: int, form: Form, level: Level, group: str, *, src: int = 0, off: int = 0, imm: int = 0) -> Variant:
    free = form.operands
    return Variant(
        code,
        form,
        level,
        group,
        None if "dst" in free else 0,
        None if "src" in free else src,
        None if "off" in free else off,
        None if "imm" in free else imm,
    )


def _alu() -> list[Variant]:
    rows = []
    for cls, width in ((Class.ALU, 32), (Class.ALU64, 64)):
        for op in Op:
            group = f"divmul{width}" if op in (Op.MUL, Op.DIV, Op.MOD) else f"base{width}"
            if op is Op.NEG:
                rows.append(_row(cls | op, Form.NEG, Level.V1, group))
            elif op is not Op.END:
                for source, form in ((0, Form.ALU_IMM), (8, Form.ALU_REG)):
                    rows.append(_row(cls | op | source, form, Level.V1, group))
                    if op in (Op.DIV, Op.MOD):
                        rows.append(_row(cls | op | source, form, Level.V4, group, off=1))
        for bits in (8, 16) if width == 32 else (8, 16, 32):
            rows.append(_row(cls | Op.MOV | 8, Form.MOVSX, Level.V4, f"base{width}", off=bits))
    for code, level in ((0xD4, Level.V1), (0xDC, Level.V1), (0xD7, Level.V4)):
        for bits in (16, 32, 64):
            rows.append(_row(code, Form.END, level, "base64" if bits == 64 else "base32", imm=bits))
    return rows


def _jumps() -> list[Variant]:
    rows = [
        _row(0x05, Form.JA, Level.V1, "base32"),
        _row(0x06, Form.GOTOL, Level.V4, "base32"),
        _row(0x85, Form.CALL, Level.V1, "base32"),
        _row(0x85, Form.CALL_LOCAL, Level.V3, "base32", src=1),
        _row(0x85, Form.CALL_KFUNC, Level.V3, "base32", src=2),
        _row(0x95, Form.EXIT, Level.V1, "base32"),
    ]
    for op in (0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xA0, 0xB0, 0xC0, 0xD0):
        level = Level.V2 if op >= 0xA0 else Level.V1
        for source, form in ((0, Form.JUMP_IMM), (8, Form.JUMP_REG)):
            rows.append(_row(Class.JMP | op | source, form, level, "base64"))
            rows.append(_row(Class.JMP32 | op | source, form, Level.V3, "base32"))
    return rows


def _memory() -> list[Variant]:
    rows = [_row(0x18, Form.LDDW, Level.V1, "base64", src=src) for src in Pseudo]
    for size in Size:
        group = "base64" if size is Size.DW else "base32"
        rows.append(_row(Class.LDX | Mode.MEM | size, Form.LDX, Level.V1, group))
        rows.append(_row(Class.ST | Mode.MEM | size, Form.ST, Level.V1, group))
        rows.append(_row(Class.STX | Mode.MEM | size, Form.STX, Level.V1, group))
        if size is not Size.DW:
            rows.append(_row(Class.LDX | Mode.MEMSX | size, Form.LDX, Level.V4, group))
            rows.append(_row(Class.LD | Mode.ABS | size, Form.LD_ABS, Level.V1, "packet"))
            rows.append(_row(Class.LD | Mode.IND | size, Form.LD_IND, Level.V1, "packet"))
    for size, group in ((Size.W, "atomic32"), (Size.DW, "atomic64")):
        for imm in ATOMIC_OPS:
            rows.append(_row(Class.STX | Mode.ATOMIC | size, Form.ATOMIC, Level.V3, group, imm=imm))
    return rows


VARIANTS: tuple[Variant, ...] = tuple(sorted(_alu() + _jumps() + _memory(), key=lambda v: (v.code, v.level)))

BY_CODE: dict[int, tuple[Variant, ...]] = {
    code: tuple(v for v in VARIANTS if v.code == code) for code in {v.code for v in VARIANTS}
}


def find(insn: Insn, level: Level) -> Variant | None:
    """The variant that ``insn`` is at this level, or None if it is not an instruction there."""
    for variant in BY_CODE.get(insn.code, ()):
        if variant.level <= level and variant.fits(insn):
            return variant
    return None
