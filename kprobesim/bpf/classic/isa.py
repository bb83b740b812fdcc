"""The classic instruction set: opcode fields, one instruction, and the 8-byte records that filters are made of.

::

    bytes 0-1   byte 2   byte 3   bytes 4-7
    code        jt       jf       k (u32)        little-endian on x86

A machine of two registers of 32 bits, A and X, and 16 words M[]. Jumps go forward only: ``jt`` and ``jf`` count the
instructions to skip. Follows Linux include/uapi/linux/bpf_common.h and filter.h.
"""

import struct
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import NamedTuple

__all__ = [
    "BPF_MAXINSNS",
    "BPF_MEMWORDS",
    "BPF_X",
    "MASK32",
    "SKF_AD_OFF",
    "SKF_LL_OFF",
    "SKF_NET_OFF",
    "Ancillary",
    "Code",
    "SockFilter",
    "ancillary",
    "decode_filter",
    "encode_filter",
    "signed32",
]

MASK32 = (1 << 32) - 1
BPF_MAXINSNS = 4096
"""Longest filter, instructions."""
BPF_MEMWORDS = 16
"""Words in M[]."""

BPF_X = 0x08
"""The bit that says: the operand is X, not the instruction's constant."""

SKF_AD_OFF = -0x1000
"""Offsets from here on are no bytes of the packet but facts about it: see Ancillary."""
SKF_NET_OFF = -0x10_0000
"""Offsets from here on count from the network header."""
SKF_LL_OFF = -0x20_0000
"""Offsets from here on count from the link layer's header."""


class Code(IntEnum):
    """The opcodes that Linux takes, and two that it does not.

    RET_X is a word of the assembler that the checker refuses. LDX_W_ABS is what seccomp makes of LD_W_ABS: a word of
    struct seccomp_data, loaded into A.
    """

    LD_W_ABS = 0x20
    LD_H_ABS = 0x28
    LD_B_ABS = 0x30
    LD_W_IND = 0x40
    LD_H_IND = 0x48
    LD_B_IND = 0x50
    LD_W_LEN = 0x80
    LD_IMM = 0x00
    LD_MEM = 0x60
    LDX_W_LEN = 0x81
    LDX_B_MSH = 0xB1
    LDX_IMM = 0x01
    LDX_MEM = 0x61
    LDX_W_ABS = 0x21
    ST = 0x02
    STX = 0x03
    ADD_K = 0x04
    ADD_X = 0x0C
    SUB_K = 0x14
    SUB_X = 0x1C
    MUL_K = 0x24
    MUL_X = 0x2C
    DIV_K = 0x34
    DIV_X = 0x3C
    OR_K = 0x44
    OR_X = 0x4C
    AND_K = 0x54
    AND_X = 0x5C
    LSH_K = 0x64
    LSH_X = 0x6C
    RSH_K = 0x74
    RSH_X = 0x7C
    NEG = 0x84
    MOD_K = 0x94
    MOD_X = 0x9C
    XOR_K = 0xA4
    XOR_X = 0xAC
    JA = 0x05
    JEQ_K = 0x15
    JEQ_X = 0x1D
    JGT_K = 0x25
    JGT_X = 0x2D
    JGE_K = 0x35
    JGE_X = 0x3D
    JSET_K = 0x45
    JSET_X = 0x4D
    RET_K = 0x06
    RET_X = 0x0E
    RET_A = 0x16
    TAX = 0x07
    TXA = 0x87


class Ancillary(IntEnum):
    """What an absolute load at ``SKF_AD_OFF`` + this number gives, whatever its size."""

    PROTOCOL = 0
    PKTTYPE = 4
    IFINDEX = 8
    NLATTR = 12
    NLATTR_NEST = 16
    MARK = 20
    QUEUE = 24
    HATYPE = 28
    RXHASH = 32
    CPU = 36
    ALU_XOR_X = 40
    VLAN_TAG = 44
    VLAN_TAG_PRESENT = 48
    PAY_OFFSET = 52
    RANDOM = 56
    VLAN_TPID = 60


_RECORD = struct.Struct("<HBBI")


class SockFilter(NamedTuple):
    """One instruction, struct sock_filter: ``code`` 16 bits, ``jt`` and ``jf`` 8 bits, ``k`` unsigned 32 bits."""

    code: int
    jt: int = 0
    jf: int = 0
    k: int = 0

    @property
    def cls(self) -> int:
        """Instruction class, ``BPF_CLASS``: 0 ld, 1 ldx, 2 st, 3 stx, 4 alu, 5 jmp, 6 ret, 7 misc."""
        return self.code & 0x07

    @property
    def by_x(self) -> bool:
        """Whether arithmetic and jumps take X (``BPF_X``) rather than ``k``."""
        return bool(self.code & BPF_X)

    @property
    def conditional(self) -> bool:
        """Whether this is a jump with two targets."""
        return self.cls == 0x05 and self.code & 0xF0 != 0

    @property
    def width(self) -> int:
        """Bytes that a load from the packet reads."""
        return {0x00: 4, 0x08: 2, 0x10: 1}.get(self.code & 0x18, 8)

    def encode(self) -> bytes:
        """Eight bytes, little-endian; struct.error if a field does not fit."""
        return _RECORD.pack(*self)


def encode_filter(insns: Iterable[SockFilter]) -> bytes:
    """The filter as bytes, 8 for each instruction."""
    return b"".join(insn.encode() for insn in insns)


def decode_filter(program: bytes) -> tuple[SockFilter, ...]:
    """The instructions in ``program``, any pattern of bits; ValueError if its length is not a multiple of 8."""
    if len(program) % 8:
        raise ValueError(f"a classic filter is made of 8-byte instructions, but this one has {len(program)} bytes")
    return tuple(SockFilter(*record) for record in _RECORD.iter_unpack(program))


def signed32(value: int) -> int:
    """The low 32 bits as C's int."""
    return (value & MASK32 ^ 1 << 31) - (1 << 31)


_ANCILLARY = {(SKF_AD_OFF + fact) & MASK32: fact for fact in Ancillary}
_ABSOLUTE: Sequence[int] = (Code.LD_W_ABS, Code.LD_H_ABS, Code.LD_B_ABS)


def ancillary(insn: SockFilter) -> Ancillary | None:
    """Which fact about the packet this loads, or None if it is no such load (Linux filter.h:bpf_anc_helper)."""
    return _ANCILLARY.get(insn.k) if insn.code in _ABSOLUTE else None
