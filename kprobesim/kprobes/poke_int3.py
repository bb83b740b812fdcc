"""The instructions that can be patched in under an int3, and what a CPU that meets the int3 is made to do.

Follows Linux 6.1 arch/x86/kernel/alternative.c (text_poke_loc_init, poke_int3_handler) and
arch/x86/include/asm/text-patching.h (int3_emulate_jmp, _call, _ret, _jcc).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from kprobesim.image import BranchKind, DecodeError, decode_one
from kprobesim.kprobes.emulate import condition_holds
from kprobesim.kprobes.kprobe import INT3
from kprobesim.kprobes.pt_regs import PtRegs

__all__ = ["TextPokeLoc", "emulate_new_instruction", "text_poke_loc"]

_NOPS: Final = (b"\x66\x90", b"\x0f\x1f\x44\x00\x00")
_MASK: Final = (1 << 64) - 1


class TextPokeLoc(NamedTuple):
    """``struct text_poke_loc``.

    Attributes:
        address: where.
        text: the new bytes.
        emulate: the instruction whose effect a CPU that meets the int3 is given.
        kind: how it changes RIP; None for a nop and for an int3.
        target: where it goes when it does; for a nop, the next instruction.
    """

    address: int
    text: bytes
    emulate: bytes
    kind: BranchKind | None
    target: int


def text_poke_loc(address: int, opcode: bytes, emulate: bytes | None = None) -> TextPokeLoc:
    """Check that an instruction can be patched in (``text_poke_loc_init``, TXT-08).

    Args:
        address: where.
        opcode: the new bytes; behind a jump or a return they may go on with int3.
        emulate: the instruction to emulate; the new one by default.

    Raises:
        ValueError: Linux would BUG: not an int3, ret, call, jmp, jcc, or nop of 2 or 5 bytes.
    """
    text = emulate if emulate is not None else opcode
    insn = decode_one(text, address)
    if isinstance(insn, DecodeError):
        raise ValueError(f"{text.hex(' ')} is not an instruction")
    padding = opcode[insn.size :] if insn.branch in (BranchKind.RETURN, BranchKind.JUMP) else b""
    if insn.size != len(opcode) - len(padding) or padding.strip(bytes([INT3])):
        raise ValueError(f"{opcode.hex(' ')} is not as long as {insn.text}")
    kind = insn.branch
    relative = (BranchKind.CALL, BranchKind.JUMP, BranchKind.CONDITIONAL)
    if text[0] == INT3:
        return TextPokeLoc(address, opcode, insn.raw, None, address)
    if kind in relative:
        # Linux counts from the end of what is patched, which is the end of the instruction unless there is padding.
        return TextPokeLoc(address, opcode, insn.raw, kind, address + len(opcode) + insn.immediate & _MASK)
    if insn.raw == b"\xc3" or insn.raw in _NOPS:
        return TextPokeLoc(address, opcode, insn.raw, kind, address + len(opcode))
    raise ValueError(f"{insn.text} cannot be emulated")


def emulate_new_instruction(loc: TextPokeLoc, regs: PtRegs) -> bool:
    """Do on the saved registers what the new instruction would do.

    Returns:
        False if that is an int3 again, which whoever poked it wants to see.
    """
    after = loc.address + len(loc.text)
    if loc.emulate[0] == INT3:
        return False
    if loc.kind is BranchKind.RETURN:
        regs.ip = regs.pop()
    elif loc.kind is BranchKind.CALL:
        regs.push(after)
        regs.ip = loc.target
    elif loc.kind is BranchKind.CONDITIONAL:
        condition = loc.emulate[1 if loc.emulate[0] == 0x0F else 0] & 0xF
        regs.ip = loc.target if condition_holds(condition, regs.flags) else after
    else:
        regs.ip = loc.target
    return True
