"""The instruction set: opcode fields, one instruction, and the 8-byte records that programs are made of.

::

    byte 0     byte 1            bytes 2-3     bytes 4-7
    code       src:4 | dst:4     off (s16)     imm (s32)        little-endian
                                                                                 low 3 bits of code: the class
    class LD, LDX, ST, STX:        mode:3 | size:2 | class:3
    class ALU, ALU64, JMP, JMP32:  op:4 | source:1 | class:3

Follows RFC 9669 sections 3 to 5 and Linux include/uapi/linux/bpf.h. Names are Linux's without the ``BPF_`` prefix
where a class or an enum already says so.
"""

import struct
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

__all__ = [
    "ALU_OPS",
    "ATOMIC_OPS",
    "BPF_CALL_ARGS",
    "BPF_FETCH",
    "BPF_NOSPEC",
    "BPF_TAIL_CALL",
    "INTERNAL_OPCODES",
    "JMP_OPS",
    "LDDW",
    "MASK32",
    "MASK64",
    "MAX_REG",
    "SIZE_BYTES",
    "SIZE_NAMES",
    "Class",
    "Insn",
    "Level",
    "Mode",
    "Op",
    "Pseudo",
    "Size",
    "decode",
    "encode",
    "is_lddw",
    "lddw",
    "lddw_value",
]

MASK64 = (1 << 64) - 1
MASK32 = (1 << 32) - 1
MAX_REG = 10
"""R10, the frame pointer, is the last register a program may name; 11 (AX) is the kernel's own."""


class Level(IntEnum):
    """Which instructions exist. Linux 6.1 is V3; V4 arrived with Linux 6.6 and clang 18."""

    V1 = 1
    V2 = 2
    V3 = 3
    V4 = 4


class Class(IntEnum):
    """``code & 7``."""

    LD = 0
    LDX = 1
    ST = 2
    STX = 3
    ALU = 4
    JMP = 5
    JMP32 = 6
    ALU64 = 7


class Size(IntEnum):
    """``code & 0x18`` of a load or store."""

    W = 0x00
    H = 0x08
    B = 0x10
    DW = 0x18


class Mode(IntEnum):
    """``code & 0xe0`` of a load or store. PROBE_MEM is the kernel's own and shares its number with ABS."""

    IMM = 0x00
    ABS = 0x20
    IND = 0x40
    MEM = 0x60
    MEMSX = 0x80
    ATOMIC = 0xC0
    PROBE_MEM = 0x20


class Op(IntEnum):
    """``code & 0xf0`` of arithmetic; the jumps' own meanings of the same bits are in JMP_OPS."""

    ADD = 0x00
    SUB = 0x10
    MUL = 0x20
    DIV = 0x30
    OR = 0x40
    AND = 0x50
    LSH = 0x60
    RSH = 0x70
    NEG = 0x80
    MOD = 0x90
    XOR = 0xA0
    MOV = 0xB0
    ARSH = 0xC0
    END = 0xD0


class Pseudo(IntEnum):
    """What ``src`` of an LDDW says about its 64-bit value (RFC 9669 section 5.4)."""

    VALUE = 0
    MAP_FD = 1
    MAP_VALUE = 2
    BTF_ID = 3
    FUNC = 4
    MAP_IDX = 5
    MAP_IDX_VALUE = 6


# op >> 4 -> the sign that the kernel prints; None where no instruction has these bits
ALU_OPS = ("+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "neg", "%=", "^=", "=", "s>>=", "endian", None, None)
JMP_OPS = ("jmp", "==", ">", ">=", "&", "!=", "s>", "s>=", "call", "exit", "<", "<=", "s<", "s<=", None, None)
SIZE_BYTES = {Size.B: 1, Size.H: 2, Size.W: 4, Size.DW: 8}
SIZE_NAMES = {Size.B: "u8", Size.H: "u16", Size.W: "u32", Size.DW: "u64"}

BPF_FETCH = 0x01
ATOMIC_OPS = {
    0x00: "add",
    0x01: "fetch_add",
    0x40: "or",
    0x41: "fetch_or",
    0x50: "and",
    0x51: "fetch_and",
    0xA0: "xor",
    0xA1: "fetch_xor",
    0xE1: "xchg",
    0xF1: "cmpxchg",
}
"""imm of an atomic -> its name."""

LDDW = 0x18

# Opcodes that only the kernel writes, seen in dumps of translated programs; a loaded program that has one is refused.
BPF_TAIL_CALL = 0xF5
BPF_CALL_ARGS = 0xE5
BPF_NOSPEC = 0xC2
INTERNAL_OPCODES = {
    BPF_TAIL_CALL: "TAIL_CALL",
    BPF_CALL_ARGS: "CALL_ARGS",
    BPF_NOSPEC: "NOSPEC",
    0x31: "PROBE_MEM u8",
    0x29: "PROBE_MEM u16",
    0x21: "PROBE_MEM u32",
    0x39: "PROBE_MEM u64",
}

_RECORD = struct.Struct("<BBhi")


class Insn(NamedTuple):
    """One 8-byte record: ``code`` 0..255, ``dst`` and ``src`` 0..15, ``off`` signed 16 bits, ``imm`` signed 32 bits.

    A 64-bit load takes two: the second holds the high half in ``imm`` and zeros elsewhere.
    """

    code: int
    dst: int = 0
    src: int = 0
    off: int = 0
    imm: int = 0

    @property
    def cls(self) -> Class:
        """The instruction's class."""
        return Class(self.code & 0x07)

    @property
    def op(self) -> int:
        """Operation bits of arithmetic and jumps."""
        return self.code & 0xF0

    @property
    def by_reg(self) -> bool:
        """Whether the source bit says register (``BPF_X``) rather than immediate (``BPF_K``)."""
        return bool(self.code & 0x08)

    @property
    def mode(self) -> int:
        """Mode bits of loads and stores."""
        return self.code & 0xE0

    @property
    def size(self) -> Size:
        """Size bits of loads and stores."""
        return Size(self.code & 0x18)

    def encode(self) -> bytes:
        """Eight bytes, little-endian; struct.error if a field does not fit."""
        return _RECORD.pack(self.code, self.src << 4 | self.dst, self.off, self.imm)

    @classmethod
    def decode(cls, record: bytes) -> "Insn":
        """The instruction in ``record``, 8 bytes; every pattern of bits is one, valid or not."""
        code, registers, off, imm = _RECORD.unpack(record)
        return cls(code, registers & 0x0F, registers >> 4, off, imm)


def encode(insns: Iterable[Insn]) -> bytes:
    """The program as bytes, 8 for each instruction."""
    return b"".join(insn.encode() for insn in insns)


def decode(program: bytes) -> tuple[Insn, ...]:
    """The instructions of a program; ValueError if its length is not a multiple of 8."""
    if len(program) % 8:
        raise ValueError(f"a BPF program is made of 8-byte instructions, but this one has {len(program)} bytes")
    return tuple(
        Insn(code, registers & 0x0F, registers >> 4, off, imm)
        for code, registers, off, imm in _RECORD.iter_unpack(program)
    )


def is_lddw(insn: Insn) -> bool:
    """Whether this is the first of the two slots of a 64-bit load."""
    return insn.code == LDDW


def _signed32(value: int) -> int:
    value &= MASK32
    return value - (value >> 31 << 32)


def lddw(dst: int, value: int, src: int = 0) -> tuple[Insn, Insn]:
    """The two slots that load ``value`` (64 bits) into register ``dst``; ``src`` is one of Pseudo."""
    return Insn(LDDW, dst, src, 0, _signed32(value)), Insn(0, 0, 0, 0, _signed32(value >> 32))


def lddw_value(insns: Sequence[Insn], index: int) -> int:
    """The unsigned 64-bit value of the LDDW whose first slot is ``insns[index]``."""
    high = insns[index + 1].imm if index + 1 < len(insns) else 0
    return (high & MASK32) << 32 | insns[index].imm & MASK32
