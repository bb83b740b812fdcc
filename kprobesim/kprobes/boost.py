"""Boosted probes: a jump behind the copy in its slot instead of an int3, so that a hit takes one trap and not two.

Only on a kernel that is not preemptible: a task that was made to give way inside of a slot could come back to it long
after the slot was freed. Follows Linux 6.1 arch/x86/kernel/kprobes/core.c: can_boost, prepare_singlestep,
setup_singlestep.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from kprobesim.image import MAX_INSN_SIZE, Instruction, OpcodeMap
from kprobesim.kprobes.reljump import JMP32_SIZE, relative_jump

__all__ = ["can_boost", "jump_behind"]

_CS_OVERRIDE: Final = 0x2E
_GROUP_5, _JMP_INDIRECT = 0xFF, 4


def _numbers(text: str) -> frozenset[int]:
    """``"02 60-6b"``: numbers and ranges, both ends included, in hexadecimal."""
    found: set[int] = set()
    for word in text.split():
        first, _, last = word.partition("-")
        found |= set(range(int(first, 16), int(last or first, 16) + 1))
    return frozenset(found)


# What jumps relatively, calls, has several meanings by its ModRM byte, or is a prefix, an exception or undefined.
_ONE_BYTE_NOT: Final = _numbers("62 70-7f 9a c0 c1 cc-ce d0-d3 d6 d8-df e0-e3 e8 e9 eb f0-f4 f6 f7 fe")
_TWO_BYTE: Final = _numbers(
    "02 03 06 08 09 1f 20-23 31 40-4f 60-6b 6e 6f 74-77 7e 7f 90-9f a0 a1 a3-a5 a8 a9 ab-ad af b0-b7 bb-bf "
    "c0 c1 c8-cf d1-d3 d5 d8 d9 db-dd df e1 e2 e5 e8 e9 eb-ed ef f1-f3 f5 f8-fa fc-fe"
)


def can_boost(insn: Instruction, address: int, excepted: Container[int]) -> bool:
    """Whether an instruction may run in another place and go on from there by a jump.

    Args:
        insn: the instruction, as it is in the text.
        address: where it is in the text.
        excepted: addresses that the exception table knows: a fault there must be seen with its own address.
    """
    if address in excepted:
        return False
    encoding = insn.encoding
    # Behind a VEX prefix Linux counts one byte of opcode, whatever map it is in.
    if not encoding.is_vex:
        if encoding.map is OpcodeMap.TWO_BYTE:
            return encoding.opcode in _TWO_BYTE
        if encoding.map is not OpcodeMap.ONE_BYTE:
            return False
    if _CS_OVERRIDE in encoding.prefixes or encoding.has_address_size_prefix:
        return False
    if encoding.opcode == _GROUP_5:
        return encoding.reg == _JMP_INDIRECT
    return encoding.opcode not in _ONE_BYTE_NOT


def jump_behind(insn: Instruction, address: int, slot: int, excepted: Container[int]) -> bytes | None:
    """The jump to put behind a copy, back to the next instruction of the text; None if it may not be boosted.

    Args:
        insn: the instruction.
        address: where it is in the text.
        slot: where its copy is.
        excepted: as for `can_boost`.
    """
    if not can_boost(insn, address, excepted) or MAX_INSN_SIZE - insn.size < JMP32_SIZE:
        return None
    return relative_jump(slot + insn.size, address + insn.size)
