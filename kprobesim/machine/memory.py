"""Physical memory and the page-table walk.

RAM is one anonymous ``mmap`` that every Unicorn engine maps at physical address 0, so that the host reads and writes
guest memory without a call. Virtual addresses are walked through the guest's own 4-level page tables.
"""

from __future__ import annotations

import ctypes
import mmap
import struct
from dataclasses import dataclass
from operator import itemgetter

from kprobesim.errors import KprobesimError

__all__ = ["PAGE_SIZE", "MemoryFault", "PageEntry", "PhysicalMemory", "is_canonical"]

PAGE_SIZE = 4096
PRESENT, WRITABLE, USER, LARGE = 1 << 0, 1 << 1, 1 << 2, 1 << 7
NO_EXECUTE = 1 << 63
_ADDRESS = 0x000F_FFFF_FFFF_F000
_MOST_WALKS = 4096
_U64 = struct.Struct("<Q")


def is_canonical(virtual: int) -> bool:
    """Bits 48 to 63 repeat bit 47, as every virtual address must."""
    return virtual >> 47 in (0, 0x1FFFF)


class MemoryFault(KprobesimError):
    """An address that is not mapped, or not RAM.

    Args:
        address: the virtual or physical address that failed.
        what: "virtual" or "physical".
    """

    def __init__(self, address: int, what: str = "virtual") -> None:
        super().__init__(f"Nothing is mapped at {what} address {address:#x}.")
        self.address = address


@dataclass(frozen=True, slots=True)
class PageEntry:
    """Where one virtual page is and what may be done there; permissions are those of all levels together.

    Attributes:
        physical: physical address of the byte asked for.
        size: bytes that the last entry maps: 4 KiB, 2 MiB or 1 GiB.
        writable, user, executable: what the page tables allow.
    """

    physical: int
    size: int
    writable: bool
    user: bool
    executable: bool


class PhysicalMemory:
    """One bank of RAM from physical address 0.

    Args:
        size: bytes, a multiple of the page size.
    """

    def __init__(self, size: int) -> None:
        if size <= 0 or size % PAGE_SIZE:
            raise ValueError(f"RAM size {size:#x} is not a multiple of {PAGE_SIZE}")
        self.size = size
        self._last_page = size - PAGE_SIZE
        self.bytes = mmap.mmap(-1, size)
        self._anchor = (ctypes.c_char * size).from_buffer(self.bytes)
        self._words = memoryview(self.bytes).cast("Q")
        # Root and page number -> what reads the entries on the way, what they were, and where the page is.
        self._walks: dict[tuple[int, int], tuple[itemgetter[tuple[int, ...]], tuple[int, ...], int]] = {}

    @property
    def host_address(self) -> int:
        """Where the bank lies in the host's memory, for ``mem_map_ptr``."""
        return ctypes.addressof(self._anchor)

    def read(self, physical: int, size: int) -> bytes:
        """Bytes at a physical address.

        Raises:
            MemoryFault: the range is not all RAM.
        """
        if physical < 0 or size < 0 or physical + size > self.size:
            raise MemoryFault(physical, "physical")
        return self.bytes[physical : physical + size]

    def write(self, physical: int, data: bytes) -> None:
        """Write bytes at a physical address.

        Raises:
            MemoryFault: the range is not all RAM.
        """
        if physical < 0 or physical + len(data) > self.size:
            raise MemoryFault(physical, "physical")
        self.bytes[physical : physical + len(data)] = data

    def read_u64(self, physical: int) -> int:
        """The little-endian 64-bit word at a physical address.

        Raises:
            MemoryFault: it is not RAM.
        """
        try:
            word: int = _U64.unpack_from(self.bytes, physical)[0]
        except struct.error:
            raise MemoryFault(physical, "physical") from None
        return word

    def translate(self, root: int, virtual: int) -> int:
        """The physical address that a virtual address is mapped to; permissions are not looked at.

        Args:
            root: value of CR3.
            virtual: any 64-bit address.

        Raises:
            MemoryFault: it is not mapped, or not canonical.
        """
        walk = self._walks.get((root, virtual >> 12))
        if walk is not None:
            # What was found before holds as long as each entry on the way is what it was: half the cost of a walk.
            read_entries, entries, page = walk
            if read_entries(self._words) == entries:
                return page | virtual & 0xFFF
        return self._walk(root, virtual) | virtual & 0xFFF

    def _walk(self, root: int, virtual: int) -> int:
        """The physical address of a page; what was found on the way is kept."""
        if virtual >> 47 not in (0, 0x1FFFF):
            raise MemoryFault(virtual)
        words = self._words
        try:
            at4 = (root & _ADDRESS) + (virtual >> 36 & 0xFF8) >> 3
            entry4 = words[at4]
            if not entry4 & PRESENT:
                raise MemoryFault(virtual)
            at1 = at2 = at3 = (entry4 & _ADDRESS) + (virtual >> 27 & 0xFF8) >> 3
            entry1 = entry2 = entry3 = words[at3]
            inside = 0x3FFF_F000
            if entry3 & PRESENT and not entry3 & LARGE:
                at1 = at2 = (entry3 & _ADDRESS) + (virtual >> 18 & 0xFF8) >> 3
                entry1 = entry2 = words[at2]
                inside = 0x1F_F000
                if entry2 & PRESENT and not entry2 & LARGE:
                    at1 = (entry2 & _ADDRESS) + (virtual >> 9 & 0xFF8) >> 3
                    entry1 = words[at1]
                    inside = 0
        except IndexError:
            raise MemoryFault(virtual) from None
        if not entry1 & PRESENT:
            raise MemoryFault(virtual)
        page = entry1 & _ADDRESS & ~inside | virtual & inside
        if len(self._walks) == _MOST_WALKS:
            self._walks.clear()
        self._walks[root, virtual >> 12] = itemgetter(at4, at3, at2, at1), (entry4, entry3, entry2, entry1), page
        return page

    def page_entry(self, root: int, virtual: int) -> PageEntry:
        """Like `translate`, with size and permissions.

        Raises:
            MemoryFault: it is not mapped, or not canonical.
        """
        physical = self.translate(root, virtual)
        table, flags, executable, size = root & _ADDRESS, WRITABLE | USER, True, 1 << 39
        for shift in (39, 30, 21, 12):
            entry = self.read_u64(table + 8 * ((virtual >> shift) & 511))
            flags &= entry
            executable = executable and not entry & NO_EXECUTE
            table, size = entry & _ADDRESS, 1 << shift
            if shift < 39 and entry & LARGE:
                break
        return PageEntry(physical, size, bool(flags & WRITABLE), bool(flags & USER), executable)

    def read_virtual(self, root: int, virtual: int, size: int) -> bytes:
        """Bytes at a virtual address, across page borders.

        Raises:
            MemoryFault: naming the first address that is not mapped.
        """
        if (virtual & 0xFFF) + size <= PAGE_SIZE:
            physical = self.translate(root, virtual)
            # The usual case of `read`, without another call.
            return self.bytes[physical : physical + size] if physical < self._last_page else self.read(physical, size)
        parts = []
        while size > 0:
            chunk = min(size, PAGE_SIZE - (virtual & 0xFFF))
            parts.append(self.read(self.translate(root, virtual), chunk))
            virtual, size = virtual + chunk, size - chunk
        return b"".join(parts)

    def write_virtual(self, root: int, virtual: int, data: bytes) -> None:
        """Write bytes at a virtual address, across page borders; all or nothing.

        Raises:
            MemoryFault: naming the first address that is not mapped.
        """
        size = len(data)
        if (virtual & 0xFFF) + size <= PAGE_SIZE:
            physical = self.translate(root, virtual)
            if physical < self._last_page:
                self.bytes[physical : physical + size] = data
            else:
                self.write(physical, data)
            return
        done, places = 0, []
        while done < len(data):
            chunk = min(len(data) - done, PAGE_SIZE - ((virtual + done) & 0xFFF))
            places.append((self.translate(root, virtual + done), data[done : done + chunk]))
            done += chunk
        for physical, piece in places:
            self.write(physical, piece)
