"""May the bytes at a probe become a jump? And if so, the detour buffer it will lead to.

Follows Linux 6.1 arch/x86/kernel/kprobes/opt.c: can_optimize, copy_optimized_instructions,
arch_prepare_optimized_kprobe.
"""

from __future__ import annotations

from typing import Final

from kprobesim.errors import LinuxError
from kprobesim.image import BranchKind, Instruction, decode_range
from kprobesim.kprobes.boost import can_boost
from kprobesim.kprobes.detour import TEMPLATE_SIZE
from kprobesim.kprobes.jump_label import JumpLabels
from kprobesim.kprobes.kernel import RunningKernel
from kprobesim.kprobes.prepare import Hidden, recover_code, relocate_instruction
from kprobesim.kprobes.reljump import JMP32_SIZE

__all__ = ["CannotOptimize", "can_optimize", "copy_optimized_instructions"]

_INTO: Final = (BranchKind.JUMP, BranchKind.CONDITIONAL, BranchKind.LOOP)
_INDIRECT: Final = (BranchKind.JUMP_INDIRECT, BranchKind.FAR_JUMP_INDIRECT)


class CannotOptimize(Exception):
    """A probe stays an int3; the text says why. Linux does not say it to anybody."""


def can_optimize(kernel: RunningKernel, address: int, hidden: Hidden) -> None:
    """Look through the whole function for whatever could land in the middle of a jump at an address (OPT-01, OPT-02).

    The function ends where the next symbol begins, so that padding is looked at too.

    Args:
        kernel: whose text.
        address: of the probe.
        hidden: says which bytes are a probe's.

    Raises:
        CannotOptimize: something could.
    """
    place = kernel.kallsyms.lookup_size_offset(address)
    if place is None:
        raise CannotOptimize("no symbol contains it")
    symbol, offset, size = place
    if address in kernel.tables.entry_text:
        raise CannotOptimize("it is entry code, where there may be no stack to push to")
    if size - offset < JMP32_SIZE:
        raise CannotOptimize(f"only {size - offset} bytes are left of {symbol.name}, and the jump takes {JMP32_SIZE}")
    faulting = {entry.insn for entry in kernel.tables.exception_entries()}
    for insn in decode_range(recover_code(kernel, symbol.address, size, hidden), symbol.address):
        inside = f"{symbol.name}+{insn.address - symbol.address:#x}"
        if insn.address in faulting:
            raise CannotOptimize(f"{inside} has an entry in the exception table")
        if not isinstance(insn, Instruction):
            raise CannotOptimize(f"the bytes at {inside} are not an instruction")
        if insn.branch in _INDIRECT:
            raise CannotOptimize(f"{inside} is an indirect jump, which may go anywhere")
        target = insn.branch_target if insn.branch in _INTO else None
        # The first byte behind the jump is forbidden as well, though it would do no harm.
        if target is not None and address < target <= address + JMP32_SIZE:
            raise CannotOptimize(
                f"{inside} jumps to {symbol.name}+{target - symbol.address:#x}, into the replaced bytes"
            )


def copy_optimized_instructions(
    kernel: RunningKernel, jump_labels: JumpLabels, address: int, detour: int, hidden: Hidden
) -> bytes:
    """The instructions that a jump of 5 bytes at an address replaces, ready to run in a detour buffer (OPT-03).

    Args:
        kernel: whose text.
        jump_labels: its static branches.
        address: of the probe.
        detour: address of the buffer.
        hidden: says which bytes are a probe's.

    Raises:
        CannotOptimize: one of them cannot run there, or somebody else patches these bytes.
    """
    faulting = {entry.insn for entry in kernel.tables.exception_entries()}
    copied = b""
    while len(copied) < JMP32_SIZE:
        at = address + len(copied)
        where = kernel.kallsyms.symbolize(at)
        try:
            insn, copy = relocate_instruction(kernel, at, detour + TEMPLATE_SIZE + len(copied), hidden)
        except LinuxError as error:
            raise CannotOptimize(error.message) from error
        if not can_boost(insn, at, faulting):
            raise CannotOptimize(f"{where}, {insn.text}, cannot run at another address")
        copied += copy
    for site in kernel.tables.mcount_loc:
        if site < address + len(copied) and address < site + JMP32_SIZE:
            raise CannotOptimize(f"ftrace patches the bytes at {kernel.kallsyms.symbolize(site)}")
    branch = jump_labels.jump_label_text_reserved(address, address + len(copied) - 1)
    if branch is not None:
        raise CannotOptimize(f"a static branch is patched at {kernel.kallsyms.symbolize(branch.code)}")
    return copied
