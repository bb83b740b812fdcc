"""A classic filter over a system call instead of a packet.

The kernel runs it on a ``struct seccomp_data``; there is no packet, so most loads make no sense and are refused, and
those that do are rewritten: an absolute load reads the struct, in the machine's byte order, and the length is the
struct's size. Follows Linux kernel/seccomp.c:seccomp_check_filter.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from kprobesim.bpf.classic.check import chk_code_allowed, refuse
from kprobesim.bpf.classic.isa import Code, SockFilter

__all__ = ["AUDIT_ARCH_X86_64", "SECCOMP_DATA_SIZE", "SeccompData", "seccomp_check_filter"]

SECCOMP_DATA_SIZE = 64
AUDIT_ARCH_X86_64 = 0xC000_003E

_NOT_HERE = frozenset(
    {
        *(Code.LD_H_ABS, Code.LD_B_ABS, Code.LD_W_IND, Code.LD_H_IND, Code.LD_B_IND),
        *(Code.LDX_B_MSH, Code.MOD_K, Code.MOD_X),
    }
)


@dataclass(frozen=True, slots=True)
class SeccompData:
    """What a seccomp filter sees: struct seccomp_data.

    Attributes:
        nr: number of the system call, signed 32 bits.
        arch: calling convention, an ``AUDIT_ARCH_*`` number.
        instruction_pointer: of the instruction behind the ``syscall``.
        args: its six arguments, unsigned 64 bits each.
    """

    nr: int
    arch: int = AUDIT_ARCH_X86_64
    instruction_pointer: int = 0
    args: tuple[int, int, int, int, int, int] = (0, 0, 0, 0, 0, 0)

    def encode(self) -> bytes:
        """The 64 bytes as they lie in memory."""
        return struct.pack("<iIQ6Q", self.nr, self.arch, self.instruction_pointer, *self.args)


def seccomp_check_filter(insns: Sequence[SockFilter]) -> tuple[SockFilter, ...]:
    """The filter as seccomp rewrites it; bpf_check_classic must have accepted it.

    Raises:
        LoadError: EINVAL, with the first instruction at fault.
    """
    return tuple(_rewritten(insn, pc) for pc, insn in enumerate(insns))


def _rewritten(insn: SockFilter, pc: int) -> SockFilter:
    if insn.code == Code.LD_W_ABS:
        if insn.k >= SECCOMP_DATA_SIZE or insn.k & 3:
            raise refuse(f"seccomp_data has {SECCOMP_DATA_SIZE} bytes in words of 4, none at {insn.k}.", pc)
        return insn._replace(code=Code.LDX_W_ABS)
    if insn.code == Code.LD_W_LEN:
        return insn._replace(code=Code.LD_IMM, k=SECCOMP_DATA_SIZE)
    if insn.code == Code.LDX_W_LEN:
        return insn._replace(code=Code.LDX_IMM, k=SECCOMP_DATA_SIZE)
    if insn.code in _NOT_HERE or not chk_code_allowed(insn.code):
        raise refuse(f"seccomp has no opcode {insn.code:#06x}.", pc)
    return insn
