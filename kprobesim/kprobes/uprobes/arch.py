"""What is special about a probed instruction of a program.

Follows Linux 6.1 arch/x86/kernel/uprobes.c:arch_uprobe_analyze_insn. Branches, nops and pushes are emulated; all others
run from a page of the process, changed so that they can, and leave fix-ups to be made after the step.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntFlag
from typing import Final, NamedTuple

from kprobesim.errors import LinuxError
from kprobesim.image import BranchKind, DecodeError, Instruction, OpcodeMap, decode_one
from kprobesim.kprobes.pt_regs import PtRegs
from kprobesim.linux_errno import Errno

__all__ = ["ArchUprobe", "Fixup", "analyze_insn"]

_INT3: Final = 0xCC
_BAD_PREFIXES: Final = frozenset(b"\x26\x2e\x36\x3e\xf0")
# What user space may not do, or what single-stepping with TF cannot bear.
_BAD_OPCODES: Final = frozenset(
    bytes.fromhex("06070e16171e1f272f373f6061626c6d6e6f829acccdcecfd4d5d6e4e5e6e7eaecedeeeff1f4fafb")
)
_BAD_TWO_BYTE_OPCODES: Final = frozenset(bytes.fromhex("000105060708090b303435377879ae"))
_CF, _PF, _ZF, _SF, _OF = 1 << 0, 1 << 2, 1 << 6, 1 << 7, 1 << 11
_MASK64: Final = (1 << 64) - 1
_RAX, _RBX, _RSI, _RDI = 0, 3, 6, 7


class Fixup(IntFlag):
    """``UPROBE_FIX_*``, as the guest's uprobes.h has them."""

    IP = 1
    CALL = 2
    SETF = 4
    RIP_SI = 8
    RIP_DI = 16
    RIP_BX = 32


Emulate = Callable[[PtRegs], "int | None"]


class ArchUprobe(NamedTuple):
    """``struct arch_uprobe``.

    Attributes:
        insn: the instruction as it is in the file.
        ixol: what is put into the slot.
        fixups: what is to be mended after the step.
        text: the instruction for people.
        emulate: does its work on the saved registers, and returns the word that it pushes, if it pushes one.
    """

    insn: bytes
    ixol: bytes
    fixups: Fixup
    text: str
    emulate: Emulate | None


def analyze_insn(code: bytes, offset: int) -> ArchUprobe:
    """``arch_uprobe_analyze_insn``.

    Args:
        code: the file's bytes from the place on, 16 at most.
        offset: of the place in the file, for messages.

    Raises:
        LinuxError: ENOTSUPP, a breakpoint is there already, or the instruction is one that is not stepped; ENOEXEC, the
            bytes are no instruction.
    """
    if code[:1] == bytes([_INT3]):
        raise _refused("an int3", offset)
    insn = decode_one(code, offset)
    if isinstance(insn, DecodeError):
        raise LinuxError(Errno.ENOEXEC, f"At offset {offset:#x} of the file there is no instruction.")
    encoding = insn.encoding
    if _BAD_PREFIXES & set(encoding.prefixes) or _masks_exceptions(insn):
        raise _refused(insn.text, offset)
    tables = {OpcodeMap.ONE_BYTE: _BAD_OPCODES, OpcodeMap.TWO_BYTE: _BAD_TWO_BYTE_OPCODES}
    if not encoding.is_vex and encoding.opcode in tables.get(encoding.map, ()):
        raise _refused(insn.text, offset)
    return _branch(insn, offset) or _push(insn) or _default(insn)


def _refused(what: str, offset: int) -> LinuxError:
    return LinuxError(
        Errno.ENOTSUPP,
        f"At offset {offset:#x} of the file there is {what}, which Linux does not step in a program.",
        hint="Probe another instruction of the same function.",
    )


def _masks_exceptions(insn: Instruction) -> bool:
    """``insn_masking_exception``: mov to ss."""
    encoding = insn.encoding
    return encoding.map is OpcodeMap.ONE_BYTE and encoding.opcode == 0x8E and encoding.reg == 2


# Branches, calls and nops


def _branch(insn: Instruction, offset: int) -> ArchUprobe | None:
    """``branch_setup_xol_ops``."""
    encoding = insn.encoding
    if encoding.is_vex:
        return None
    if encoding.map is OpcodeMap.ONE_BYTE and encoding.opcode == 0x90:
        return ArchUprobe(insn.raw, insn.raw, Fixup(0), insn.text, _jump(insn.size, 0))
    if encoding.branch not in (BranchKind.CALL, BranchKind.JUMP, BranchKind.CONDITIONAL):
        return None
    if encoding.has_operand_size_prefix:
        raise _refused(insn.text, offset)
    size, distance, ixol = insn.size, insn.immediate, insn.raw
    emulate: Emulate
    if encoding.branch is BranchKind.CALL:
        # If its push faults the copy runs after all, to fault by itself: it calls the next instruction.
        ixol = insn.raw[: encoding.immediate_offset] + bytes(encoding.immediate_size)

        def emulate(regs: PtRegs) -> int:
            regs.ip += size
            back = regs.ip
            regs.sp -= 8
            regs.ip = back + distance
            return back

    elif encoding.branch is BranchKind.JUMP:
        emulate = _jump(size, distance)
    else:
        code = encoding.opcode & 15

        def emulate(regs: PtRegs) -> None:
            regs.ip += size + (distance if _condition(code, regs.flags) else 0)

    return ArchUprobe(insn.raw, ixol, Fixup(0), insn.text, emulate)


def _jump(size: int, distance: int) -> Emulate:
    def emulate(regs: PtRegs) -> None:
        regs.ip += size + distance

    return emulate


def _condition(code: int, flags: int) -> bool:
    """``check_jmp_cond``: the 16 conditions of jcc, the odd ones being the reverse of those before them."""
    less = bool(flags & _SF) != bool(flags & _OF)
    zero = bool(flags & _ZF)
    held = (
        bool(flags & _OF), bool(flags & _CF), zero, bool(flags & _CF) or zero, bool(flags & _SF), bool(flags & _PF),
        less, less or zero,
    )[code >> 1]  # fmt: skip
    return held is not bool(code & 1)


def _push(insn: Instruction) -> ArchUprobe | None:
    """``push_setup_xol_ops``: push of a register, with no other prefix than 41."""
    encoding = insn.encoding
    if encoding.map is not OpcodeMap.ONE_BYTE or not 0x50 <= encoding.opcode <= 0x57 or encoding.is_vex:
        return None
    if insn.size > 2 or (insn.size == 2 and encoding.rex != 0x41):
        return None
    register, size = encoding.opcode - 0x50 + 8 * (insn.size - 1), insn.size

    def emulate(regs: PtRegs) -> int:
        value = regs.register(register)
        regs.sp -= 8
        regs.ip += size
        return value

    return ArchUprobe(insn.raw, insn.raw, Fixup(0), insn.text, emulate)


# All others


def _default(insn: Instruction) -> ArchUprobe:
    encoding = insn.encoding
    fixups = Fixup.IP
    one_byte = encoding.map is OpcodeMap.ONE_BYTE and not encoding.is_vex
    branch = encoding.branch
    if one_byte and encoding.opcode == 0x9D:
        fixups |= Fixup.SETF
    elif branch in (BranchKind.RETURN, BranchKind.FAR_RETURN, BranchKind.JUMP_INDIRECT, BranchKind.FAR_JUMP_INDIRECT):
        fixups = Fixup(0)
    elif branch in (BranchKind.CALL_INDIRECT, BranchKind.FAR_CALL_INDIRECT):
        fixups = Fixup.CALL
    ixol, scratch = _riprel(insn)
    return ArchUprobe(insn.raw, ixol, fixups | scratch, insn.text, None)


def _riprel(insn: Instruction) -> tuple[bytes, Fixup]:
    """``riprel_analyze``: the page for copies is too far from the program for an operand relative to rip.

    The operand becomes one relative to a register that the instruction does not use, which gets rip's value meanwhile.
    """
    encoding = insn.encoding
    if not encoding.is_rip_relative:
        return insn.raw, Fixup(0)
    ixol = bytearray(insn.raw)
    assert encoding.modrm is not None
    modrm_at = encoding.displacement_offset - 1
    used = {encoding.modrm >> 3 & 7}
    if encoding.is_vex:
        vex = encoding.opcode_offset - (3 if ixol[encoding.opcode_offset - 2 - 1] == 0xC4 else 2)
        if ixol[vex] == 0xC4:
            ixol[vex + 1] |= 0x60
            used.add((ixol[vex + 2] >> 3 & 7) ^ 7)
    elif encoding.rex:
        ixol[encoding.opcode_offset - 1] &= 0xFE
    choices = ((_RSI, Fixup.RIP_SI), (_RDI, Fixup.RIP_DI), (_RBX, Fixup.RIP_BX))
    register, fixup = next(pair for pair in choices if pair[0] not in used or pair[0] == _RBX)
    ixol[modrm_at] = 0x80 | encoding.modrm & 0x38 | register
    return bytes(ixol), fixup
