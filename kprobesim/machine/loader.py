"""The boot loader: segments into RAM, first page tables, boot parameters, a vCPU in long mode.

What a kernel may rely on when it is entered is told in ``docs/machine.md``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, Protocol

from kprobesim.errors import ImageError
from kprobesim.machine.memory import PAGE_SIZE, PhysicalMemory

__all__ = ["BOOT_PARAMS", "LOADER_ROOT", "Segment", "load_segments", "write_boot_params", "write_first_tables"]

BOOT_PARAMS: Final = 0x1000
GDT: Final = 0x1E00
TRAMPOLINE: Final = 0x1F00
LOADER_ROOT: Final = 0x2000
DIRECT_MAP: Final = 0xFFFF_8880_0000_0000
CODE_SELECTOR: Final = 0x10
DATA_SELECTOR: Final = 0x18
GDT_ENTRIES: Final = (0, 0, 0x00AF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF)

_TABLES_END: Final = 0x10000
_FIRST_FREE: Final = 0x10000
_PRESENT_WRITABLE: Final = 3
_LARGE_PAGE: Final = 1 << 21
_MAGIC: Final = 0x746F_6F62_5F6D_6973
# lretq with a far pointer on the stack below, then data segments, then hlt: gives CS a descriptor at last
_TRAMPOLINE_CODE: Final = bytes.fromhex("48cb668ed0668ed8668ec0f4")


class Segment(Protocol):
    """One loadable part of an image, as in an ELF program header."""

    @property
    def virtual(self) -> int:
        """Virtual address that the image was linked for."""
        ...

    @property
    def physical(self) -> int:
        """Physical address to load at."""
        ...

    @property
    def memory_size(self) -> int:
        """Bytes in memory; those past ``data`` are zero."""
        ...

    @property
    def data(self) -> bytes | memoryview:
        """Bytes in the file."""
        ...


def load_segments(ram: PhysicalMemory, segments: Sequence[Segment]) -> None:
    """Copy an image's segments into RAM.

    Raises:
        ImageError: a segment does not fit where it asks to be.
    """
    for segment in segments:
        end = segment.physical + max(segment.memory_size, len(segment.data))
        if segment.physical < _FIRST_FREE or end > ram.size:
            raise ImageError(
                f"A segment asks for physical memory {segment.physical:#x}-{end:#x}; "
                f"{_FIRST_FREE:#x}-{ram.size:#x} can be had.",
                hint="Give the machine more memory, or link the kernel elsewhere.",
            )
        ram.write(segment.physical, bytes(segment.data).ljust(segment.memory_size, b"\0"))


def write_first_tables(ram: PhysicalMemory, segments: Sequence[Segment]) -> None:
    """Page tables that map physical memory one to one and at the direct map, and the segments where they are linked.

    Raises:
        ImageError: the segments need more page tables than the loader has room for.
    """
    free = iter(range(LOADER_ROOT + PAGE_SIZE, _TABLES_END, PAGE_SIZE))
    ram.write(LOADER_ROOT, bytes(_TABLES_END - LOADER_ROOT))

    def entry(table: int, index: int) -> int:
        """The table that an entry points to, made if there is none."""
        place = table + 8 * index
        word = ram.read_u64(place)
        if not word:
            page = next(free, None)
            if page is None:
                raise ImageError("The image's segments are spread too widely for the loader's page tables.")
            word = page | _PRESENT_WRITABLE
            ram.write(place, word.to_bytes(8, "little"))
        return word & ~0xFFF

    low = entry(entry(LOADER_ROOT, 0), 0)
    for index in range(min(ram.size // _LARGE_PAGE, 512)):
        large = index * _LARGE_PAGE | 0x80 | _PRESENT_WRITABLE
        ram.write(low + 8 * index, large.to_bytes(8, "little"))
    upper = ram.read_u64(LOADER_ROOT)
    ram.write(LOADER_ROOT + 8 * (DIRECT_MAP >> 39 & 511), upper.to_bytes(8, "little"))
    for segment in segments:
        start = segment.virtual & ~(PAGE_SIZE - 1)
        for virtual in range(start, segment.virtual + segment.memory_size, PAGE_SIZE):
            table = LOADER_ROOT
            for shift in (39, 30, 21):
                table = entry(table, virtual >> shift & 511)
            physical = segment.physical + virtual - segment.virtual & ~(PAGE_SIZE - 1)
            ram.write(table + 8 * (virtual >> 12 & 511), (physical | _PRESENT_WRITABLE).to_bytes(8, "little"))


def write_boot_params(ram: PhysicalMemory, *, cpus: int, ns_per_insn: int, seed: int, command_line: str) -> None:
    """The boot parameters, the first GDT and the few instructions that load its segments.

    Args:
        ram: guest memory.
        cpus: number of vCPUs.
        ns_per_insn: nanoseconds an instruction takes.
        seed: of everything random.
        command_line: at most 255 bytes of UTF-8; the rest is cut.
    """
    text = command_line.encode()[:255]
    params = struct.pack("<QQIIQ256s", _MAGIC, ram.size, cpus, ns_per_insn, seed & (1 << 64) - 1, text)
    ram.write(BOOT_PARAMS, params)
    ram.write(GDT, struct.pack(f"<{len(GDT_ENTRIES)}Q", *GDT_ENTRIES))
    ram.write(TRAMPOLINE, _TRAMPOLINE_CODE)
    # The far pointer that lretq pops lies just below the trampoline.
    ram.write(TRAMPOLINE - 16, struct.pack("<QQ", TRAMPOLINE + 2, CODE_SELECTOR))
