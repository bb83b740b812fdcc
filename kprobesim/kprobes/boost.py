"""Which instructions may run at another address and just go on from there.

Follows Linux 6.1 arch/x86/kernel/kprobes/core.c:can_boost and its table twobyte_is_boostable.
"""

from __future__ import annotations

from typing import Final

from kprobesim.image import Instruction, OpcodeMap

__all__ = ["can_boost"]


def _opcodes(ranges: str) -> frozenset[int]:
    """``"40-42 50"`` as the numbers in it, in hex."""
    found: set[int] = set()
    for part in ranges.split():
        first, _, last = part.partition("-")
        found |= set(range(int(first, 16), int(last or first, 16) + 1))
    return frozenset(found)


_TWO_BYTE_BOOSTABLE: Final = _opcodes(
    "02 03 06 08 09 1f 20-23 31 40-4f 60-6b 6e 6f 74-77 7e 7f 90-9f a0 a1 a3-a5 a8 a9 ab-ad af b0-b7 bb-bf c0 c1 c8-cf "
    "d1-d3 d5 d8 d9 db-dd df e1 e2 e5 e8 e9 eb-ed ef f1-f3 f5 f8-fa fc-fe"
)
# Conditional jumps, far calls, shifts, traps, x87, loops, calls and jumps, hlt and prefixes, div, inc and dec of bytes.
_ONE_BYTE_REFUSED: Final = _opcodes("62 70-7f 9a c0 c1 cc-ce d0-d3 d6 d8-df e0-e3 e8 e9 eb f0-f4 f6 f7 fe")
_CS_PREFIX, _ADDRESS_SIZE_PREFIX = 0x2E, 0x67


def can_boost(insn: Instruction, *, may_fault: bool) -> bool:
    """Whether a copy of an instruction needs no trap behind it.

    Args:
        insn: the instruction.
        may_fault: the exception table has an entry for its address.
    """
    encoding = insn.encoding
    if may_fault or encoding.is_vex:
        return False
    if encoding.map is OpcodeMap.TWO_BYTE:
        return encoding.opcode in _TWO_BYTE_BOOSTABLE
    if encoding.map is not OpcodeMap.ONE_BYTE:
        return False
    if _CS_PREFIX in encoding.prefixes or _ADDRESS_SIZE_PREFIX in encoding.prefixes:
        return False
    if encoding.opcode == 0xFF:
        return encoding.reg == 4
    return encoding.opcode not in _ONE_BYTE_REFUSED
