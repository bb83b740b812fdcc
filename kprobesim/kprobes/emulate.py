"""Instructions that are emulated instead of stepped, and those that are refused.

Anything whose effect depends on where it runs (relative branches, calls) or that changes IF cannot run from a slot.
Which those are, and how they are emulated, follows Linux 6.1 arch/x86/kernel/kprobes/core.c:prepare_emulation, quirks
included: ``docs/differences-from-linux.md`` lists them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from kprobesim.errors import LinuxError
from kprobesim.image import Instruction, OpcodeMap
from kprobesim.kprobes.pt_regs import PtRegs
from kprobesim.linux_errno import Errno

__all__ = ["Emulator", "condition_holds", "prepare_emulation"]

Emulator = Callable[[PtRegs], None]

_CF, _PF, _ZF, _SF, _IF, _OF = 1 << 0, 1 << 2, 1 << 6, 1 << 7, 1 << 9, 1 << 11
_INT3_SIZE: Final = 1
_CALL_SIZE: Final = 5
_MASK: Final = (1 << 64) - 1


def prepare_emulation(insn: Instruction) -> Emulator | None:
    """What does an instruction's work, or None if it is to run from its slot.

    Raises:
        LinuxError: EOPNOTSUPP, it can neither be emulated nor stepped.
    """
    encoding = insn.encoding
    opcode, size = encoding.opcode, insn.size
    if encoding.is_vex:
        return None
    if encoding.map is OpcodeMap.ONE_BYTE:
        if opcode in _IF_MODIFIERS:
            return _if_modifier(_IF_MODIFIERS[opcode], size)
        if opcode in (0xC2, 0xC3, 0xCA, 0xCB):
            return _ret
        if opcode in (0x9A, 0xEA):
            raise _refused(insn, "far calls and jumps to absolute addresses")
        if opcode == 0xCC:
            raise _refused(insn, "an int3 that is already in the code")
        if opcode == 0xCF:
            raise _refused(insn, "iret")
        if opcode == 0xE8:
            return _call(insn.immediate, size)
        if opcode in (0xEB, 0xE9):
            return _jmp(insn.immediate, size)
        if 0x70 <= opcode <= 0x7F:
            return _jcc(opcode & 15, insn.immediate, size)
        if 0xE0 <= opcode <= 0xE3:
            return _loop(opcode & 3, 32 if encoding.has_address_size_prefix else 64, insn.immediate, size)
        if opcode == 0xFF:
            return _group5(insn)
    elif encoding.map is OpcodeMap.TWO_BYTE:
        if 0x80 <= opcode <= 0x8F:
            return _jcc(opcode & 15, insn.immediate, size)
        if opcode == 0x01 and encoding.reg == 0 and encoding.mod == 3:
            raise _refused(insn, "VMX instructions")
    return None


def _refused(insn: Instruction, what: str) -> LinuxError:
    return LinuxError(
        Errno.EOPNOTSUPP,
        f"{insn.text} at {insn.address:#x} cannot be probed: Linux neither emulates nor steps {what}.",
        hint="Probe the instruction before or after it.",
    )


def _group5(insn: Instruction) -> Emulator | None:
    """FF /2 and /4 with a register are emulated; with memory, and the far forms /3 and /5, they are refused."""
    encoding = insn.encoding
    if encoding.reg in (3, 5):
        raise _refused(insn, "far indirect calls and jumps")
    if encoding.reg not in (2, 4):
        return None
    register = encoding.rm_register
    if register is None:
        raise _refused(insn, "calls and jumps through memory")
    if encoding.has_address_size_prefix:
        raise _refused(insn, "an address-size prefix here")
    return _call_indirect(register, insn.size) if encoding.reg == 2 else _jmp_indirect(register)


def _next_ip(regs: PtRegs, size: int) -> int:
    """The instruction behind the probed one; computed from ``regs.ip``, so that a handler's change of it counts."""
    return regs.ip - _INT3_SIZE + size


def _cli(regs: PtRegs) -> None:
    regs.flags &= ~_IF


def _sti(regs: PtRegs) -> None:
    regs.flags |= _IF


def _pushf(regs: PtRegs) -> None:
    regs.push(regs.flags)


def _popf(regs: PtRegs) -> None:
    regs.flags = regs.pop()


_IF_MODIFIERS: Final = {0xFA: _cli, 0xFB: _sti, 0x9C: _pushf, 0x9D: _popf}


def _if_modifier(change: Emulator, size: int) -> Emulator:
    def kprobe_emulate_ifmodifiers(regs: PtRegs) -> None:
        change(regs)
        regs.ip = _next_ip(regs, size)

    return kprobe_emulate_ifmodifiers


def _ret(regs: PtRegs) -> None:
    """``kprobe_emulate_ret``; ``ret imm16`` and far returns are treated as near ones without an operand."""
    regs.ip = regs.pop()


def _call(distance: int, size: int) -> Emulator:
    def kprobe_emulate_call(regs: PtRegs) -> None:
        target = _next_ip(regs, size) + distance
        # The return address is counted with the length of a plain call, whatever prefixes there are.
        regs.push(regs.ip - _INT3_SIZE + _CALL_SIZE)
        regs.ip = target

    return kprobe_emulate_call


def _jmp(distance: int, size: int) -> Emulator:
    def kprobe_emulate_jmp(regs: PtRegs) -> None:
        regs.ip = _next_ip(regs, size) + distance

    return kprobe_emulate_jmp


def condition_holds(code: int, flags: int) -> bool:
    """Whether condition ``code`` of a Jcc holds; the lowest bit inverts."""
    kind = code >> 1
    if kind < 6:
        holds = bool(flags & (_OF, _CF, _ZF, _CF | _ZF, _SF, _PF)[kind])
    else:
        less = bool(flags & _SF) != bool(flags & _OF)
        holds = less if kind == 6 else less or bool(flags & _ZF)
    return holds != bool(code & 1)


def _jcc(code: int, distance: int, size: int) -> Emulator:
    def kprobe_emulate_jcc(regs: PtRegs) -> None:
        taken = condition_holds(code, regs.flags)
        regs.ip = _next_ip(regs, size) + (distance if taken else 0)

    return kprobe_emulate_jcc


def _loop(kind: int, counter_bits: int, distance: int, size: int) -> Emulator:
    """LOOPNE, LOOPE, LOOP and JRCXZ, as 0 to 3.

    As in Linux the counter is tested before it is decremented (the CPU does it the other way round), and a 32-bit
    counter keeps the upper half of RCX (the CPU clears it).
    """
    mask = (1 << counter_bits) - 1

    def kprobe_emulate_loop(regs: PtRegs) -> None:
        counter = regs.cx & mask
        if kind == 3:
            taken = counter == 0
        else:
            taken = counter != 0
            regs.cx = regs.cx & ~mask & _MASK | (counter - 1) & mask
        if kind == 0:
            taken = taken and not regs.flags & _ZF
        elif kind == 1:
            taken = taken and bool(regs.flags & _ZF)
        regs.ip = _next_ip(regs, size) + (distance if taken else 0)

    return kprobe_emulate_loop


def _call_indirect(register: int, size: int) -> Emulator:
    def kprobe_emulate_call_indirect(regs: PtRegs) -> None:
        # The push comes before the register is read: `call *%rsp` sees the new stack pointer.
        regs.push(_next_ip(regs, size))
        regs.ip = regs.register(register)

    return kprobe_emulate_call_indirect


def _jmp_indirect(register: int) -> Emulator:
    def kprobe_emulate_jmp_indirect(regs: PtRegs) -> None:
        regs.ip = regs.register(register)

    return kprobe_emulate_jmp_indirect
