"""Stepping by the trap flag, as up to Linux 5.12: TF makes the CPU raise #DB after one instruction in the slot.

Nothing is emulated, so an instruction that looks at where it is sees the slot; what it left behind is put right after
the step. Follows Linux 5.12 arch/x86/kernel/kprobes/core.c: setup_singlestep, resume_execution, kprobe_debug_handler,
is_IF_modifier.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from kprobesim.image import Instruction, OpcodeMap
from kprobesim.kprobes.kprobe import Kprobe, KprobeCtlblk
from kprobesim.kprobes.pt_regs import PtRegs

if TYPE_CHECKING:
    from kprobesim.kprobes.core import Kprobes

__all__ = ["TrapFlagStep", "behind_copy", "modifies_if"]

_TF: Final = 1 << 8
_IF: Final = 1 << 9
_CLI, _STI, _IRET, _POPF, _PUSHF = 0xFA, 0xFB, 0xCF, 0x9D, 0x9C
_IF_MODIFIERS: Final = frozenset({_CLI, _STI, _IRET, _POPF})
_RETURNS: Final = frozenset({0xC2, 0xC3, 0xCA, 0xCB, _IRET, 0xEA})
_CALL, _CALL_FAR, _GROUP_5 = 0xE8, 0x9A, 0xFF
_PREFIXES: Final = frozenset(b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3")
_REX: Final = range(0x40, 0x50)
_PAUSE, _NOP = b"\xf3\x90", b"\x90"


def modifies_if(insn: Instruction) -> bool:
    """``is_IF_modifier``: the interrupted code's IF must not be put back after it."""
    encoding = insn.encoding
    return encoding.map is OpcodeMap.ONE_BYTE and not encoding.is_vex and encoding.opcode in _IF_MODIFIERS


def behind_copy(insn: Instruction) -> bytes:
    """What must stand behind a copy. The emulated CPU raises no #DB after ``pause``, but after what follows it."""
    return _NOP if insn.raw == _PAUSE else b""


class TrapFlagStep:
    """The step of a hit: its begin, and what is to be put right at its end.

    Args:
        kprobes: the table of probes, for the names of places.
    """

    def __init__(self, kprobes: Kprobes) -> None:
        self._kprobes = kprobes
        self._machine = kprobes.kernel.machine

    def begin(self, probe: Kprobe, regs: PtRegs, block: KprobeCtlblk) -> None:
        """Send the CPU to the copy with TF set and IF clear."""
        assert probe.ainsn is not None
        if probe.ainsn.if_modifier:
            block.saved_flags = 0
        regs.flags = regs.flags & ~_IF | _TF
        regs.ip = probe.ainsn.insn
        place = self._kprobes.place(probe)
        self._machine.emit("kprobe.step_tf", **place, slot=probe.ainsn.insn, saved_if=int(block.old_flags != 0))

    def cancel(self, regs: PtRegs) -> None:
        """The copy has faulted: no #DB is to come any more."""
        regs.flags &= ~_TF

    def end(self, probe: Kprobe, regs: PtRegs, block: KprobeCtlblk) -> None:
        """``resume_execution``: from the slot back to the text."""
        assert probe.ainsn is not None and probe.addr is not None
        distance = probe.addr - probe.ainsn.insn
        opcode, modrm = _opcode(probe.ainsn.original)
        if probe.ainsn.original == _PAUSE:
            distance -= len(_NOP)
        fixed = "ip"
        regs.flags &= ~_TF
        if opcode == _PUSHF:
            self._change_top(regs, lambda word: word & ~(_TF | _IF) | block.old_flags)
            fixed = "ip, flags on the stack"
        elif opcode in _RETURNS:
            fixed = ""
        elif opcode in (_CALL, _CALL_FAR) or (opcode == _GROUP_5 and modrm & 0x30 == 0x10):
            self._change_top(regs, lambda word: word + distance)
            fixed = "ip, return address" if opcode == _CALL else "return address"
        elif opcode == _GROUP_5 and modrm & 0x30 == 0x20:
            fixed = ""
        if fixed.startswith("ip"):
            regs.ip += distance
        regs.flags |= block.saved_flags
        self._machine.emit("kprobe.debug", **self._kprobes.place(probe), ip=regs.ip, fixed=fixed or "nothing")

    def _change_top(self, regs: PtRegs, change: Callable[[int], int]) -> None:
        """Change the word that the instruction has pushed."""
        word = int.from_bytes(regs.ram.read_virtual(regs.root, regs.sp, 8), "little")
        regs.ram.write_virtual(regs.root, regs.sp, (change(word) & (1 << 64) - 1).to_bytes(8, "little"))


def _opcode(raw: bytes) -> tuple[int, int]:
    """The first opcode byte behind the prefixes, and the byte after it (0 where there is none)."""
    at = 0
    while raw[at] in _PREFIXES:
        at += 1
    if raw[at] in _REX:
        at += 1
    return raw[at], raw[at + 1] if at + 1 < len(raw) else 0
