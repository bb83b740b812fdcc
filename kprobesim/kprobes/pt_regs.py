"""``struct pt_regs`` as it lies on the guest's kernel stack.

Field order and offsets follow Linux arch/x86/include/asm/ptrace.h; the structure is 21 words, 168 bytes. Every read and
write goes to guest memory, so that what a handler changes is what ``iretq`` will restore.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, overload

from kprobesim.machine import PAGE_SIZE, PhysicalMemory

__all__ = ["PT_REGS_FIELDS", "PT_REGS_SIZE", "PtRegs"]

PT_REGS_FIELDS: Final = (
    "r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8", "ax", "cx", "dx", "si", "di", "orig_ax",
    "ip", "cs", "flags", "sp", "ss",
)  # fmt: skip
PT_REGS_SIZE: Final = 8 * len(PT_REGS_FIELDS)

_WORD: Final = struct.Struct("<Q")
_MASK: Final = (1 << 64) - 1
_INTERRUPTED: Final = struct.Struct("<3Q")
_INTERRUPTED_AT: Final = 8 * PT_REGS_FIELDS.index("ip")
_IN_PAGE: Final = PAGE_SIZE - 1
_LAST_INSIDE: Final = PAGE_SIZE - PT_REGS_SIZE


class _Field:
    """One 64-bit member of the structure."""

    def __init__(self, name: str) -> None:
        self._offset = 8 * PT_REGS_FIELDS.index(name)

    @overload
    def __get__(self, regs: None, owner: type[PtRegs]) -> _Field: ...
    @overload
    def __get__(self, regs: PtRegs, owner: type[PtRegs]) -> int: ...
    def __get__(self, regs: PtRegs | None, owner: type[PtRegs]) -> int | _Field:
        if regs is None:
            return self
        if regs.physical is None:
            return regs.read_at(self._offset)
        word: int = _WORD.unpack_from(regs.ram.bytes, regs.physical + self._offset)[0]
        return word

    def __set__(self, regs: PtRegs, value: int) -> None:
        if regs.physical is None:
            regs.write_at(self._offset, value)
        else:
            _WORD.pack_into(regs.ram.bytes, regs.physical + self._offset, value & _MASK)


class PtRegs:
    """A view of one ``struct pt_regs`` in guest memory.

    Args:
        ram: guest memory.
        root: CR3 to translate with.
        address: virtual address of the structure, which is also what ``regs`` points to in Linux.
        cpu: number of the vCPU that was interrupted.
    """

    __slots__ = ("address", "cpu", "physical", "ram", "root")

    r15, r14, r13, r12 = _Field("r15"), _Field("r14"), _Field("r13"), _Field("r12")
    r11, r10, r9, r8 = _Field("r11"), _Field("r10"), _Field("r9"), _Field("r8")
    ax, bx, cx, dx = _Field("ax"), _Field("bx"), _Field("cx"), _Field("dx")
    si, di, bp, sp = _Field("si"), _Field("di"), _Field("bp"), _Field("sp")
    orig_ax, ip, cs, flags, ss = _Field("orig_ax"), _Field("ip"), _Field("cs"), _Field("flags"), _Field("ss")

    def __init__(self, ram: PhysicalMemory, root: int, address: int, cpu: int) -> None:
        self.ram = ram
        self.root = root
        self.address = address
        self.cpu = cpu
        # One translation serves for all fields, unless the structure lies across the border of two pages.
        self.physical = ram.translate(root, address) if address & _IN_PAGE <= _LAST_INSIDE else None

    def interrupted(self) -> tuple[int, int, int]:
        """``ip``, ``cs`` and ``flags``, read together: what every hit asks first."""
        if self.physical is None:
            return self.ip, self.cs, self.flags
        words: tuple[int, int, int] = _INTERRUPTED.unpack_from(self.ram.bytes, self.physical + _INTERRUPTED_AT)
        return words

    def set_interrupted(self, ip: int, cs: int, flags: int) -> None:
        """Write ``ip``, ``cs`` and ``flags`` together; ``ip`` and ``flags`` have at most 64 bits."""
        if self.physical is None:
            self.ip, self.cs, self.flags = ip, cs, flags
        else:
            _INTERRUPTED.pack_into(self.ram.bytes, self.physical + _INTERRUPTED_AT, ip, cs, flags)

    def register(self, number: int) -> int:
        """A general register by its number in instructions: 0 is rax, 4 is rsp, 8 is r8."""
        return int(getattr(self, _BY_NUMBER[number]))

    def push(self, value: int) -> None:
        """Push a word onto the interrupted stack (``int3_emulate_push``)."""
        self.sp -= 8
        self.ram.write_virtual(self.root, self.sp, _WORD.pack(value & _MASK))

    def pop(self) -> int:
        """Pop a word from the interrupted stack (``int3_emulate_pop``)."""
        word: int = _WORD.unpack(self.ram.read_virtual(self.root, self.sp, 8))[0]
        self.sp += 8
        return word

    def items(self) -> Iterator[tuple[str, int]]:
        """Names and values in the order of the structure, lowest address first."""
        data = self.ram.read_virtual(self.root, self.address, PT_REGS_SIZE)
        return zip(PT_REGS_FIELDS, struct.unpack(f"<{len(PT_REGS_FIELDS)}Q", data), strict=True)

    def read_at(self, offset: int) -> int:
        """The word at a byte offset, the slow way."""
        word: int = _WORD.unpack(self.ram.read_virtual(self.root, self.address + offset, 8))[0]
        return word

    def write_at(self, offset: int, value: int) -> None:
        """Write the word at a byte offset, the slow way."""
        self.ram.write_virtual(self.root, self.address + offset, _WORD.pack(value & _MASK))


_BY_NUMBER: Final = (
    "ax", "cx", "dx", "bx", "sp", "bp", "si", "di", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
)  # fmt: skip
