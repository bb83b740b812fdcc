"""Which x86-64 register holds which BPF register.

R12 holds none: as a base it would always need a SIB byte. R9 is left to trampolines. Follows Linux
arch/x86/net/bpf_jit_comp.c:reg2hex, reg2pt_regs and detect_reg_usage.
"""

from collections.abc import Iterable

from kprobesim.bpf.isa import Insn

__all__ = [
    "AUX_REG",
    "BPF_REG_AX",
    "CALLEE_SAVED",
    "RCX",
    "RDX",
    "REG2HEX",
    "X86_NAMES",
    "callee_regs_used",
    "is_ereg",
    "is_ereg_8l",
    "pt_regs_offset",
]

BPF_REG_AX = 11
"""The kernel's own BPF register: constant blinding, the verifier's patches, R0's shelter in atomic loops."""
AUX_REG = 12
"""The JIT's scratch register, R11; no BPF instruction names it."""
RCX = 4
"""BPF's R4, named by what makes it special: shift counts."""
RDX = 3
"""BPF's R3: the high half of dividends."""

REG2HEX = (0, 7, 6, 2, 1, 8, 3, 13, 14, 15, 5, 10, 11)
"""BPF register -> number of its x86 register; 8 and up need a REX prefix."""

X86_NAMES = (
    *("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"),
)
"""x86 register number -> its name."""

CALLEE_SAVED = (6, 7, 8, 9)
"""The BPF registers in x86 registers that a function must preserve, in the order they are pushed."""

_PT_REGS = {
    name: 8 * index
    for index, name in enumerate(
        ("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi", "rdi")
    )
}


def is_ereg(reg: int) -> bool:
    """Whether the BPF register is in r8 to r15."""
    return REG2HEX[reg] >= 8


def is_ereg_8l(reg: int) -> bool:
    """Whether the low byte of the BPF register has a name only with a REX prefix: sil, dil, bpl, r8b to r15b."""
    return REG2HEX[reg] >= 4


def pt_regs_offset(reg: int) -> int:
    """Offset in struct pt_regs of the x86 register that holds a BPF register."""
    return _PT_REGS[X86_NAMES[REG2HEX[reg]]]


def callee_regs_used(insns: Iterable[Insn]) -> tuple[int, ...]:
    """Which of CALLEE_SAVED appear in any register field: these are pushed, the others are not."""
    named = {register for insn in insns for register in (insn.dst, insn.src)}
    return tuple(register for register in CALLEE_SAVED if register in named)
