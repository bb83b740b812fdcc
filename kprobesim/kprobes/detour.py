"""The detour buffer of an optimized probe: ordinary code that calls the handlers without a trap.

It pushes a ``struct pt_regs`` onto the interrupted stack, calls ``optimized_callback``, restores everything, runs
copies of the instructions that the jump has replaced, and jumps back behind them. The layout is that of Linux 6.1
arch/x86/kernel/kprobes/opt.c, optprobe_template_*.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from kprobesim.image import MAX_INSN_SIZE, Instruction, decode_range
from kprobesim.kprobes.reljump import JMP32_SIZE, relative_jump

__all__ = [
    "MAX_OPTIMIZED_LENGTH",
    "MAX_OPTINSN_SIZE",
    "TEMPLATE_SIZE",
    "OptInsn",
    "disassemble_detour",
    "make_detour",
]

_KERNEL_DS: Final = 0x18

_SAVE: Final = bytes.fromhex(
    "54"  # push %rsp: 8 less than at the probe, which optimized_callback mends
    "9c"  # pushf
    "0f1f00"  # nop; clac where the CPU has SMAP
    "4883ec18"  # sub $0x18,%rsp: cs, ip, orig_ax
    "57 56 52 51 50"  # push %rdi, %rsi, %rdx, %rcx, %rax
    "4150 4151 4152 4153"  # push %r8 ... %r11
    "53 55"  # push %rbx, %rbp
    "4154 4155 4156 4157"  # push %r12 ... %r15
    "4889e6"  # mov %rsp,%rsi
)
_RESTORE: Final = bytes.fromhex(
    "488b942490000000"  # mov 0x90(%rsp),%rdx: the flags go where ss is, as popf must come last
    "48899424a0000000"  # mov %rdx,0xa0(%rsp)
    "415f 415e 415d 415c"  # pop %r15 ... %r12
    "5d 5b"  # pop %rbp, %rbx
    "415b 415a 4159 4158"  # pop %r11 ... %r8
    "58 59 5a 5e 5f"  # pop %rax, %rcx, %rdx, %rsi, %rdi
    "4883c418"  # add $0x18,%rsp
    "4883c410"  # add $0x10,%rsp: flags and sp
    "9d"  # popf
)
_PUSH_SS: Final = bytes([0x6A, _KERNEL_DS])
_MOV_RDI, _CALL = b"\x48\xbf", b"\xe8"
_CALL_AT: Final = len(_PUSH_SS) + len(_SAVE) + len(_MOV_RDI) + 8
TEMPLATE_SIZE: Final = _CALL_AT + JMP32_SIZE + len(_RESTORE)
"""Bytes before the copied instructions (TMPL_END_IDX)."""
MAX_OPTIMIZED_LENGTH: Final = JMP32_SIZE - 1 + MAX_INSN_SIZE
MAX_OPTINSN_SIZE: Final = TEMPLATE_SIZE + MAX_OPTIMIZED_LENGTH + JMP32_SIZE


class OptInsn(NamedTuple):
    """``struct arch_optimized_insn``.

    Attributes:
        insn: address of the detour buffer.
        size: bytes of the instructions that the jump replaces, 5 to 19.
        copied: the 4 bytes that the jump's distance overwrites; empty before it was ever written.
    """

    insn: int
    size: int
    copied: bytes = b""

    @property
    def detour(self) -> int:
        """Where the copied instructions begin."""
        return self.insn + TEMPLATE_SIZE

    @property
    def end(self) -> int:
        """One past the jump back."""
        return self.detour + self.size + JMP32_SIZE


def make_detour(place: int, callback: int, copied: bytes, probed: int) -> bytes:
    """The bytes of a detour buffer.

    Args:
        place: address where it will be.
        callback: address of ``optimized_callback``.
        copied: the displaced instructions, fixed up for where they will stand: ``place`` + `TEMPLATE_SIZE`.
        probed: address of the probe.
    """
    head = _PUSH_SS + _SAVE + _MOV_RDI + place.to_bytes(8, "little")
    body = head + _relative_call(place + _CALL_AT, callback) + _RESTORE + copied
    return body + relative_jump(place + len(body), probed + len(copied))


def _relative_call(source: int, target: int) -> bytes:
    return _CALL + relative_jump(source, target)[1:]


def disassemble_detour(optinsn: OptInsn, code: bytes, symbolize: Callable[[int], str]) -> list[Instruction]:
    """The instructions of a detour buffer, with names where they call and jump to.

    Args:
        optinsn: which.
        code: its bytes, from ``optinsn.insn`` to ``optinsn.end``.
        symbolize: names addresses.
    """
    return [insn for insn in decode_range(code, optinsn.insn, symbolize) if isinstance(insn, Instruction)]
