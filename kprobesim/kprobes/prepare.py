"""From an address to an instruction that can run elsewhere.

Is it an instruction boundary, can it be copied, where must its displacement point now? Follows Linux 6.1
arch/x86/kernel/kprobes/core.c: can_probe, __copy_instruction, prepare_singlestep.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Final

from kprobesim.errors import LinuxError
from kprobesim.image import MAX_INSN_SIZE, DecodeError, Instruction, OpcodeMap, decode_one, instruction_boundaries
from kprobesim.kprobes.boost import jump_behind
from kprobesim.kprobes.config import FixUp, KprobeConfig, Stepping
from kprobesim.kprobes.emulate import prepare_emulation
from kprobesim.kprobes.kernel import RunningKernel
from kprobesim.kprobes.kprobe import INT3, NOP5, ArchSpecificInsn
from kprobesim.kprobes.singlestep_tf import behind_copy, modifies_if
from kprobesim.linux_errno import Errno

__all__ = ["Hidden", "can_probe", "copy_instruction", "recover_code", "relocate_instruction"]

_FORCED_EMULATION: Final = (b"\x0f\x0b\x78\x65\x6e", b"\x0f\x0b\x6b\x76\x6d")  # ud2; "xen" and ud2; "kvm"

# The byte of the kernel's own that a probe hides at an address, or None where there is no probe.
Hidden = Callable[[int], int | None]


def recover_code(kernel: RunningKernel, address: int, size: int, hidden: Hidden) -> bytes:
    """Text as it was before any probe was armed (``recover_probed_instruction``); fentry sites are nops, as at boot.

    Args:
        kernel: whose memory.
        address: of the first byte.
        size: in bytes.
        hidden: says which bytes are a probe's.
    """
    code = bytearray(kernel.read(address, size))
    for offset in range(size):
        if (original := hidden(address + offset)) is not None:
            code[offset] = original
    sites = kernel.tables.mcount_loc
    for site in sites[bisect_left(sites, address) : bisect_left(sites, address + size)]:
        offset = site - address
        code[offset : offset + len(NOP5)] = NOP5[: size - offset]
    return bytes(code)


def can_probe(kernel: RunningKernel, address: int, hidden: Hidden) -> None:
    """Check that an instruction begins at an address, by decoding its function from the start.

    Raises:
        LinuxError: EILSEQ, it does not.
    """
    place = kernel.kallsyms.lookup_size_offset(address)
    if place is None:
        raise LinuxError(Errno.EILSEQ, f"No symbol contains {address:#x}.")
    symbol, offset, size = place
    code = recover_code(kernel, symbol.address, size, hidden)
    boundaries = instruction_boundaries(code, symbol.address)
    if address in boundaries:
        return
    starts = [start for start in boundaries.starts if start < address]
    inside = starts[-1] - symbol.address if starts else 0
    nearest = f"The instruction that contains it begins at {symbol.name}+{inside:#x}."
    raise LinuxError(Errno.EILSEQ, f"{symbol.name}+{offset:#x} is not an instruction boundary.", hint=nearest)


def copy_instruction(
    kernel: RunningKernel, address: int, slot: int, hidden: Hidden, config: KprobeConfig, *, has_post_handler: bool
) -> ArchSpecificInsn:
    """Read the instruction at an address and make the copy that will run in a slot; nothing is written.

    A RIP-relative displacement is changed so that the copy reaches the same memory. Behind the copy comes an int3, or
    the jump back of a boosted probe, or nothing where the trap flag ends the step.

    Args:
        kernel: whose memory.
        address: of the instruction.
        slot: where the copy will be.
        hidden: says which bytes are a probe's int3.
        config: how the kernel is built.
        has_post_handler: the probe wants to be called after the instruction, so that it cannot be boosted.

    Raises:
        LinuxError: EINVAL, it cannot be copied; EOPNOTSUPP, it can neither be stepped nor emulated; ENOSPC, there is no
            room for the int3.
    """
    insn, copy = relocate_instruction(kernel, address, slot, hidden)
    if FixUp.RIP_RELATIVE in config.without:
        copy = insn.raw
    jump = None
    if not config.preemption:
        jump = jump_behind(insn, address, slot, {entry.insn for entry in kernel.tables.exception_entries()})
    if config.stepping is Stepping.TRAP_FLAG:
        copy += jump or behind_copy(insn)
        return ArchSpecificInsn(
            slot, insn.size, insn.raw, copy, insn.text, boostable=jump is not None, if_modifier=modifies_if(insn)
        )
    emulate_op = prepare_emulation(insn)
    if jump is not None and not has_post_handler:  # what would be emulated runs in the slot as well
        return ArchSpecificInsn(slot, insn.size, insn.raw, copy + jump, insn.text, boostable=True)
    if insn.size + 1 > MAX_INSN_SIZE:
        where = kernel.kallsyms.symbolize(address)
        raise LinuxError(Errno.ENOSPC, f"The instruction at {where} fills the slot and leaves no room for the int3.")
    return ArchSpecificInsn(slot, insn.size, insn.raw, copy + bytes([INT3]), insn.text, emulate_op)


def relocate_instruction(kernel: RunningKernel, address: int, slot: int, hidden: Hidden) -> tuple[Instruction, bytes]:
    """The instruction at an address, and its bytes for another place (``__copy_instruction``).

    Args:
        kernel, address, hidden: as for `copy_instruction`.
        slot: where it will stand.

    Raises:
        LinuxError: EINVAL, it cannot be copied.
    """
    place = kernel.kallsyms.lookup_size_offset(address)
    room = MAX_INSN_SIZE if place is None else min(MAX_INSN_SIZE, max(place[2] - place[1], 1))
    code = recover_code(kernel, address, room, hidden)
    where = kernel.kallsyms.symbolize(address)
    insn = decode_one(code, address)
    if isinstance(insn, DecodeError):
        raise LinuxError(Errno.EINVAL, f"The bytes at {where} are not an instruction.")
    if code.startswith(_FORCED_EMULATION):
        raise LinuxError(Errno.EINVAL, f"{where} is a forced-emulation prefix of a hypervisor.")
    if insn.raw[0] == INT3:
        raise LinuxError(Errno.EINVAL, f"There is an int3 at {where} already, which is not a kprobe's.")
    if _masks_exceptions(insn):
        raise LinuxError(Errno.EINVAL, f"{insn.text} at {where} would hold back the int3 behind it in the slot.")
    copy = bytearray(insn.raw)
    if insn.is_rip_relative:
        encoding = insn.encoding
        displacement = insn.displacement + address - slot
        if not -(1 << 31) <= displacement < 1 << 31:
            raise LinuxError(
                Errno.EINVAL, f"From slot {slot:#x} the operand of {insn.text} cannot be reached with 32 bits."
            )
        start = encoding.displacement_offset
        copy[start : start + 4] = displacement.to_bytes(4, "little", signed=True)
    return insn, bytes(copy)


def _masks_exceptions(insn: Instruction) -> bool:
    """``mov ss`` and (in other modes) ``pop ss`` hold back traps until after the next instruction."""
    encoding = insn.encoding
    return encoding.map is OpcodeMap.ONE_BYTE and (
        encoding.opcode == 0x17 or (encoding.opcode == 0x8E and encoding.reg == 2)
    )
