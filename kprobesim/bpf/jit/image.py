"""What the JIT makes of one function, as data."""

import struct
from dataclasses import dataclass
from enum import Enum

from kprobesim.bpf.isa import Insn

__all__ = ["EX_TYPE_BPF", "CallSite", "ExtableEntry", "JitImage", "SiteKind", "TailCallPoke"]

EX_TYPE_BPF = 7
_ENTRY = struct.Struct("<iiI")


class SiteKind(Enum):
    """What an address in the code leads to."""

    HELPER = "helper"
    LOCAL = "local"
    FUNCTION = "function"
    RETURN_THUNK = "return thunk"
    INDIRECT_THUNK = "indirect thunk"


@dataclass(frozen=True, slots=True)
class CallSite:
    """A place in the code that depends on where something else is.

    Attributes:
        offset: of the address field, from the function's start.
        slot: the BPF instruction it belongs to.
        kind: a rel32 field, but for FUNCTION: there 64 bits hold the address itself.
        value: the instruction's ``imm`` for HELPER, the slot where the function starts for LOCAL and FUNCTION, else 0.
        target: the address it leads to.
    """

    offset: int
    slot: int
    kind: SiteKind
    value: int
    target: int


@dataclass(frozen=True, slots=True)
class ExtableEntry:
    """A load that may fault, as struct exception_table_entry has it; see Linux ex_handler_bpf.

    Attributes:
        slot: the BPF instruction.
        offset: of the load, from the function's start.
        size: of the load, which is how far the handler moves the instruction pointer.
        register: the x86 register that the handler clears.
        pt_regs_offset: where that register is in struct pt_regs.
    """

    slot: int
    offset: int
    size: int
    register: str
    pt_regs_offset: int

    @property
    def fixup(self) -> int:
        """The field of that name: the register's place above the load's size."""
        return self.pt_regs_offset << 8 | self.size


@dataclass(frozen=True, slots=True)
class TailCallPoke:
    """A tail call with a known index: what Linux keeps in a bpf_jit_poke_descriptor.

    Attributes:
        slot: the BPF instruction.
        number: which descriptor, counted from 0.
        bypass: offset of the jump around it, a nop while the array's entry is filled.
        target: offset of the nop that is then a jump into the other program.
    """

    slot: int
    number: int
    bypass: int
    target: int


@dataclass(frozen=True, slots=True)
class JitImage:
    """One function's machine code.

    Attributes:
        code: the bytes, as many as ``jited_len`` says.
        address: of the first one.
        start: slot of the function's first instruction in the program.
        insns: its instructions.
        addrs: offset where each instruction's code begins, and at last the length; a 64-bit load's second slot has
            the offset of what follows.
        prologue: offsets, from and to.
        epilogue: offsets of the one epilogue, from and to; empty if the function never exits.
        stack_depth: bytes of stack its instructions use.
        passes: how many it took until the length stood still, the final one included.
        extable: loads that may fault, by offset.
        sites: addresses in the code.
        pokes: tail calls with a known index.
    """

    code: bytes
    address: int
    start: int
    insns: tuple[Insn, ...]
    addrs: tuple[int, ...]
    prologue: tuple[int, int]
    epilogue: tuple[int, int]
    stack_depth: int
    passes: int
    extable: tuple[ExtableEntry, ...] = ()
    sites: tuple[CallSite, ...] = ()
    pokes: tuple[TailCallPoke, ...] = ()

    @property
    def end(self) -> int:
        """Address after the last byte."""
        return self.address + len(self.code)

    @property
    def extable_offset(self) -> int:
        """Where the exception table is: after the code, at a multiple of 4."""
        return len(self.code) + 3 & ~3

    def extable_bytes(self) -> bytes:
        """The exception table as it stands in memory: each entry's first field is relative to that field."""
        table = self.extable_offset
        return b"".join(
            _ENTRY.pack(entry.offset - (table + number * _ENTRY.size), entry.fixup, EX_TYPE_BPF)
            for number, entry in enumerate(self.extable)
        )

    def slot_at(self, address: int) -> int | None:
        """Slot of the BPF instruction whose code is at ``address``; None in the prologue or outside."""
        offset = address - self.address
        if not self.addrs[0] <= offset < len(self.code):
            return None
        low, high = 0, len(self.addrs) - 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.addrs[middle] <= offset else (low, middle)
        return self.start + low
