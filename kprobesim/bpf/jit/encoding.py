"""x86-64 machine code in pieces: prefixes, ModRM, displacements. Registers are BPF's numbers throughout.

The choices are those of Linux arch/x86/net/bpf_jit_comp.c, which are not always the shortest: a memory operand always
has a displacement, of one byte if it fits, so that r13 and rbp need no care as bases.
"""

from kprobesim.bpf.jit.errors import JitError
from kprobesim.bpf.jit.registers import REG2HEX

__all__ = [
    "NOPS",
    "byte",
    "dword",
    "emit_mov",
    "is_imm8",
    "memory_operand",
    "modrm",
    "op_digit",
    "op_reg_mem",
    "op_reg_reg",
    "rel32",
    "rex",
]

NOPS = {
    0: b"",
    1: b"\x90",
    2: b"\x66\x90",
    3: b"\x0f\x1f\x00",
    4: b"\x0f\x1f\x40\x00",
    5: b"\x0f\x1f\x44\x00\x00",
}
"""Length -> the one instruction of that length that does nothing: Linux's x86_nops."""


def is_imm8(value: int) -> bool:
    """Whether a signed byte holds it."""
    return -128 <= value <= 127


def byte(value: int) -> bytes:
    """The low byte."""
    return bytes((value & 0xFF,))


def dword(value: int) -> bytes:
    """The low four bytes."""
    return (value & 0xFFFF_FFFF).to_bytes(4, "little")


def rel32(displacement: int, what: str) -> bytes:
    """A branch's displacement; JitError if it is too far."""
    if not -(1 << 31) <= displacement < 1 << 31:
        raise JitError(f"the {what} is out of the reach of a 32-bit displacement.")
    return dword(displacement)


def rex(wide: bool, reg: int, rm: int, *, force: bool = False) -> bytes:
    """The REX prefix for a ModRM with these two registers; nothing if none is needed and none is forced."""
    prefix = 0x40 | wide << 3 | REG2HEX[reg] >> 3 << 2 | REG2HEX[rm] >> 3
    return bytes((prefix,)) if force or prefix != 0x40 else b""


def modrm(reg: int, rm: int) -> bytes:
    """ModRM of two registers."""
    return bytes((0xC0 | (REG2HEX[reg] & 7) << 3 | REG2HEX[rm] & 7,))


def memory_operand(field: int, base: int, off: int) -> bytes:
    """ModRM and displacement of ``off(base)``, with a 3-bit ``field`` as the other operand."""
    low = field << 3 | REG2HEX[base] & 7
    return bytes((0x40 | low, off & 0xFF)) if is_imm8(off) else bytes((0x80 | low,)) + dword(off)


def op_reg_reg(opcode: bytes, reg: int, rm: int, wide: bool) -> bytes:
    """An instruction on two registers; which one it changes is the opcode's business."""
    return rex(wide, reg, rm) + opcode + modrm(reg, rm)


def op_digit(opcode: int, digit: int, rm: int, wide: bool) -> bytes:
    """An instruction on one register, with the operation in ModRM's reg field."""
    return rex(wide, 0, rm) + bytes((opcode, 0xC0 | digit << 3 | REG2HEX[rm] & 7))


def op_reg_mem(opcode: bytes, reg: int, base: int, off: int, wide: bool, *, force_rex: bool = False) -> bytes:
    """An instruction on a register and ``off(base)``."""
    return rex(wide, reg, base, force=force_rex) + opcode + memory_operand(REG2HEX[reg] & 7, base, off)


def emit_mov(dst: int, src: int) -> bytes:
    """A 64-bit move; nothing from a register to itself."""
    return b"" if dst == src else op_reg_reg(b"\x89", src, dst, True)
