"""A guest that owns the whole board: page tables, GDT, IDT and TSS made by the host, code made by `Code`.

All addresses are physical ones mapped one to one; only `Guest.page` changes that.
"""

import struct
from dataclasses import dataclass
from typing import Any, Final

from kprobesim.machine import Machine
from tests.guests.code import Code

__all__ = [
    "DATA", "IST_TOP", "KERNEL_CS", "KERNEL_DS", "RSP0", "STACK_TOP", "USER_CODE", "USER_CS", "USER_DS",
    "USER_STACK_TOP", "Guest",
]  # fmt: skip

KERNEL_CS, KERNEL_DS, USER_DS, USER_CS, TSS_SELECTOR = 0x10, 0x18, 0x2B, 0x33, 0x40
TABLES: Final = 0x10000
GDT, TSS, IDT = 0x20000, 0x20100, 0x21000
IST_TOP, STACK_TOP, RSP0 = 0x24000, 0x28000, 0x2C000
CODE: Final = 0x30000
USER_CODE, USER_STACK_TOP = 0x40000, 0x42000
DATA: Final = 0x50000
HIGH_PHYSICAL: Final = 0x100000
PRESENT, WRITABLE, USER = 1, 2, 4
NO_EXECUTE: Final = 1 << 63
KERNEL_PAGE, USER_PAGE = PRESENT | WRITABLE, PRESENT | WRITABLE | USER


@dataclass
class Piece:
    """A segment as the loader takes it."""

    physical: int
    data: bytes
    virtual: int = -1

    def __post_init__(self) -> None:
        if self.virtual < 0:
            self.virtual = self.physical

    @property
    def memory_size(self) -> int:
        return len(self.data)


class Guest:
    """Write ``code`` (and ``user``), name the traps' handlers, then `boot`.

    The code begins with descriptor tables, TSS and page tables loaded, interrupts off, RSP = STACK_TOP.

    Attributes:
        code: ring 0 code; its beginning is the set-up.
        user: ring 3 code.
    """

    def __init__(self, origin: int = CODE) -> None:
        self.code = Code(origin)
        self.user = Code(USER_CODE)
        self.idt_base, self.idt_limit = IDT, 256 * 16 - 1
        self.root = TABLES
        self._gates: dict[int, tuple[int | str, int]] = {}
        self._high: dict[int, dict[int, int]] = {}
        self._pages = {page: page | KERNEL_PAGE for page in range(0, 0x200000, 0x1000)}
        self._pages[USER_CODE] |= USER
        self._pages[USER_STACK_TOP - 0x1000] |= USER
        self._set_up()

    def _set_up(self) -> None:
        code = self.code
        code.mov("rax", TABLES).op("mov %rax,%cr3")
        code.mov("rcx", GDT + 0x200).raw("0f0111")  # lgdt (%rcx)
        code.mov("rcx", GDT + 0x210).raw("0f0119")  # lidt (%rcx)
        code.mov("rsp", STACK_TOP).mov("rax", KERNEL_CS).push("rax").mov("rax", "reload").push("rax").op("lretq")
        code.label("reload").mov("rax", KERNEL_DS).op("mov %eax,%ss")
        code.mov("rax", TSS_SELECTOR).op("ltr %ax")

    def gate(
        self, vector: int, handler: int | str, *, trap: bool = False, dpl: int = 0, ist: int = 0, present: bool = True
    ) -> None:
        """An IDT entry; without one the vector is not present."""
        self._gates[vector] = (handler, present << 15 | dpl << 13 | (15 if trap else 14) << 8 | ist)

    def page(self, virtual: int, entry: int) -> None:
        """The page table entry of one of the first 512 pages."""
        self._pages[virtual] = entry

    def high_pages(self, slot: int, physical: int, count: int) -> None:
        """Map pages at 0xffffffff80000000 + ``slot`` * 2 MiB, writable and executable for ring 0."""
        self._high[slot] = {page: physical + 0x1000 * page | KERNEL_PAGE for page in range(count)}

    def msr(self, number: int, value: int | str) -> None:
        """Code that writes a model-specific register; numbers and values below 2**32 only."""
        self.code.mov("rcx", number).mov("rax", value).mov("rdx", 0).op("wrmsr")

    def allow_syscalls(self, entry: str, mask: int = 0) -> None:
        """``EFER.SCE`` is set by the loader; this sets STAR, LSTAR and FMASK."""
        self.code.mov("rcx", 0xC000_0081).mov("rax", 0).mov("rdx", (USER_DS - 8) << 16 | KERNEL_CS).op("wrmsr")
        self.msr(0xC000_0082, entry)
        self.msr(0xC000_0084, mask)

    def to_user(self, rflags: int = 0x202) -> None:
        """Go to ring 3 at the start of ``user``."""
        code = self.code
        for value in (USER_DS, USER_STACK_TOP, rflags, USER_CS, USER_CODE):
            code.mov("rax", value).push("rax")
        code.op("iretq")

    def _code(self) -> Piece:
        origin = self.code.origin
        return Piece(origin if origin == CODE else HIGH_PHYSICAL, self.code.build(), origin)

    def pieces(self) -> list[Piece]:
        pieces = [
            Piece(TABLES, self._tables()),
            Piece(GDT, self._descriptors()),
            Piece(TSS, self._tss()),
            Piece(GDT + 0x200, struct.pack("<HQ6xHQ", 0x4F, GDT, self.idt_limit, self.idt_base)),
            self._code(),
        ]
        if user := self.user.build():
            pieces.append(Piece(USER_CODE, user))
        pieces.append(Piece(IDT, self._idt()))
        return pieces

    def boot(self, **machine: Any) -> Machine:
        """A machine with this guest at its first instruction."""
        booted = Machine(**machine)
        booted.boot(self.code.origin, self.pieces())
        return booted

    def address(self, label: str) -> int:
        return (self.code.labels | self.user.labels)[label]

    def _tables(self) -> bytes:
        upper = b"".join(
            struct.pack("<Q", TABLES + 0x1000 * (level + 1) | USER_PAGE).ljust(0x1000, b"\0") for level in range(3)
        )
        if self._high:
            entry = struct.pack("<Q", TABLES + 0x4000 | KERNEL_PAGE)
            upper = upper[: 8 * 511] + entry + upper[8 * 512 :]
        return upper + self._lowest() + (self._high_tables() if self._high else b"")

    def _lowest(self) -> bytes:
        return struct.pack("<512Q", *(self._pages[page] for page in sorted(self._pages)))

    def _high_tables(self) -> bytes:
        """Of the last 2 GiB: one table for 512 GiB, one for the GiB at their beginning, one for each slot."""
        tables = [[0] * 512 for _ in range(2 + len(self._high))]
        tables[0][510] = TABLES + 0x5000 | KERNEL_PAGE
        for number, (slot, entries) in enumerate(self._high.items()):
            tables[1][slot] = TABLES + 0x6000 + 0x1000 * number | KERNEL_PAGE
            for page, entry in entries.items():
                tables[2 + number][page] = entry
        return b"".join(struct.pack("<512Q", *table) for table in tables)

    def _descriptors(self) -> bytes:
        code, data = 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF
        tss = 0x0000_8900_0000_0067 | (TSS & 0xFFFF) << 16 | (TSS >> 16 & 0xFF) << 32
        user = 3 << 45
        return struct.pack("<10Q", 0, 0, code, data, 0, data | user, code | user, 0, tss, 0)

    def _tss(self) -> bytes:
        return struct.pack("<IQQQQQ", 0, RSP0, 0, 0, 0, IST_TOP).ljust(0x68, b"\0")

    def _idt(self) -> bytes:
        table = bytearray(256 * 16)
        for vector, (handler, attributes) in self._gates.items():
            address = self.code.labels[handler] if isinstance(handler, str) else handler
            low, middle, high = address & 0xFFFF, address >> 16 & 0xFFFF, address >> 32
            struct.pack_into("<HHHHII", table, 16 * vector, low, KERNEL_CS, attributes, middle, high, 0)
        return bytes(table)
