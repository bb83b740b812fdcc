"""Further addresses for pages of the BPF area: what vmap() is for Linux's ring buffers.

The kernel's own page tables are extended, in guest memory, below the top-level entry that all address spaces share with
the area of kernel stacks. A ring's addresses follow from where it lies, so nothing has to be kept beside the tables.
"""

from __future__ import annotations

from typing import Final

from kprobesim.bpf import Arena, ArenaFull
from kprobesim.kprobes import RunningKernel
from kprobesim.kprobes.kernel import DIRECT_MAP
from kprobesim.machine import PAGE_SIZE

__all__ = ["VMAP_BASE", "map_pages"]

VMAP_BASE: Final = 0xFFFF_C940_0000_0000
_PRESENT_RW: Final = 3
_NX: Final = 1 << 63
_ADDRESS: Final = 0x000F_FFFF_FFFF_F000


def map_pages(kernel: RunningKernel, arena: Arena, virtual: int, pages: list[int]) -> None:
    """Let pages of the direct map appear one after the other at ``virtual``, readable and writable.

    Args:
        kernel: whose page tables.
        arena: where missing tables come from; they stay.
        virtual: page-aligned.
        pages: direct-map addresses.

    Raises:
        ArenaFull: no room for a table; nothing is mapped then.
    """
    ram = kernel.machine.ram
    made: list[tuple[int, int]] = []
    tables = []
    try:
        for number in range(len(pages)):
            tables.append(_table(kernel, arena, virtual + number * PAGE_SIZE, made))
    except ArenaFull:
        for entry, table in reversed(made):
            ram.write(entry, bytes(8))
            arena.free(table)
        raise
    for number, (table, page) in enumerate(zip(tables, pages, strict=True)):
        address = virtual + number * PAGE_SIZE
        ram.write(table + 8 * (address >> 12 & 511), (page - DIRECT_MAP | _PRESENT_RW | _NX).to_bytes(8, "little"))


def _table(kernel: RunningKernel, arena: Arena, address: int, made: list[tuple[int, int]]) -> int:
    """Physical address of the last-level table for an address; what is made on the way is noted with its entry."""
    ram = kernel.machine.ram
    table = kernel.root & _ADDRESS
    for shift in (39, 30, 21):
        entry = table + 8 * (address >> shift & 511)
        if not ram.read_u64(entry) & 1:
            fresh = arena.alloc(PAGE_SIZE, PAGE_SIZE)
            made.append((entry, fresh))
            kernel.write(fresh, bytes(PAGE_SIZE))
            ram.write(entry, (fresh - DIRECT_MAP | _PRESENT_RW).to_bytes(8, "little"))
        table = ram.read_u64(entry) & _ADDRESS
    return table
