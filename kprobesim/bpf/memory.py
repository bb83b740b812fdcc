"""Guest memory as BPF sees it, and the allocator that gives out pieces of it.

BPF programs, their stacks, contexts and map values all live at guest addresses, so that a debugger, a memory view and
the machine's way back in time see them as they see everything else.
"""

from bisect import bisect_left, insort
from typing import Protocol, runtime_checkable

from kprobesim.bpf.errors import MemoryFault
from kprobesim.errors import BadInput

__all__ = ["PAGE_SIZE", "Arena", "ArenaFull", "FlatMemory", "GuestMemory", "MappingMemory", "WindowedMemory"]

PAGE_SIZE = 4096


class GuestMemory(Protocol):
    """Bytes at guest addresses."""

    def read(self, addr: int, size: int) -> bytes:
        """``size`` bytes from ``addr``; MemoryFault if any of them is not there."""
        ...

    def write(self, addr: int, data: bytes) -> None:
        """Store ``data`` at ``addr``; MemoryFault, and nothing stored, if any byte is not there."""
        ...


@runtime_checkable
class WindowedMemory(GuestMemory, Protocol):
    """Memory of which one stretch is a plain buffer; the fast interpreter reads that without a call."""

    def window(self) -> tuple[int, memoryview]:
        """Guest address of the stretch and a writable view of its bytes, both valid as long as the memory is."""
        ...


@runtime_checkable
class MappingMemory(GuestMemory, Protocol):
    """Memory with page tables, in which a ring can be mapped so that its end is followed by its beginning."""

    def map_ring(self, arena: "Arena", block: int, meta: int, data: int) -> int:
        """Give a ring further addresses, at which its data pages appear twice in a row (vmap in Linux's ringbuf.c).

        Args:
            arena: where page tables come from.
            block: page-aligned address of the ring, in the arena.
            meta: how many pages come before the data.
            data: how many pages of data there are.

        Returns:
            The address at which ``meta`` + 2 * ``data`` pages follow each other.
        """
        ...


class FlatMemory:
    """One stretch of zeroed memory, for tests and for running a program without a machine.

    Args:
        base: guest address of the first byte.
        size: length in bytes.
    """

    RINGS = 0xFFFF_C940_0000_0000
    """Rings are mapped from here on."""

    def __init__(self, base: int, size: int) -> None:
        self.base = base
        self.size = size
        self._bytes = bytearray(size)
        self._pages: dict[int, int] = {}  # page of a ring -> offset of the page that it shows

    def read(self, addr: int, size: int) -> bytes:
        """See GuestMemory."""
        offset = addr - self.base
        if offset < 0 or size < 0 or offset + size > self.size:
            return b"".join(bytes(self._bytes[a:b]) for a, b in self._pieces(addr, size, write=False))
        return bytes(self._bytes[offset : offset + size])

    def write(self, addr: int, data: bytes) -> None:
        """See GuestMemory."""
        offset = addr - self.base
        if offset < 0 or offset + len(data) > self.size:
            at = 0
            for a, b in self._pieces(addr, len(data), write=True):
                self._bytes[a:b] = data[at : at + b - a]
                at += b - a
            return
        self._bytes[offset : offset + len(data)] = data

    def _pieces(self, addr: int, size: int, *, write: bool) -> list[tuple[int, int]]:
        """Where in the buffer the bytes of a ring are, page by page."""
        found, at = [], addr
        while at < addr + size:
            page = self._pages.get(at & -PAGE_SIZE)
            end = min(addr + size, (at & -PAGE_SIZE) + PAGE_SIZE)
            if page is None:
                raise MemoryFault(addr, size, write=write)
            found.append((page + at % PAGE_SIZE, page + at % PAGE_SIZE + end - at))
            at = end
        if size < 0 or (not found and addr & -PAGE_SIZE not in self._pages):
            raise MemoryFault(addr, size, write=write)
        return found

    def ring_pages(self) -> tuple[tuple[int, int], ...]:
        """Address of each page of a ring, and offset of the page that it shows."""
        return tuple(self._pages.items())

    def map_ring(self, arena: "Arena", block: int, meta: int, data: int) -> int:
        """See MappingMemory."""
        ring = self.RINGS + 2 * (block - self.base)
        for page in range(meta + 2 * data):
            shown = page if page < meta + data else page - data
            self._pages[ring + PAGE_SIZE * page] = block - self.base + PAGE_SIZE * shown
        return ring

    def window(self) -> tuple[int, memoryview]:
        """See WindowedMemory."""
        return self.base, memoryview(self._bytes)

    def save(self) -> object:
        """All bytes."""
        return bytes(self._bytes)

    def restore(self, state: object) -> None:
        """Put back what ``save`` gave."""
        assert isinstance(state, bytes)
        self._bytes[:] = state


class ArenaFull(BadInput):
    """No free stretch of the arena is long enough."""


class Arena:
    """Gives out addresses of one stretch of guest memory: first fit over a sorted list of free stretches.

    It keeps addresses only and never touches the memory.

    Args:
        base: first address, a multiple of 8.
        size: bytes.
    """

    def __init__(self, base: int, size: int) -> None:
        self.base = base
        self.size = size
        self._free: list[tuple[int, int]] = [(base, base + size)]
        self._used: dict[int, int] = {}

    @property
    def used(self) -> int:
        """Bytes given out."""
        return sum(self._used.values())

    def alloc(self, size: int, align: int = 8) -> int:
        """Address of ``size`` free bytes, a multiple of ``align`` (a power of two); ArenaFull if there are none."""
        size = max(size, 1)
        for index, (start, end) in enumerate(self._free):
            addr = start + align - 1 & -align
            if addr + size <= end:
                self._free[index : index + 1] = [
                    stretch for stretch in ((start, addr), (addr + size, end)) if stretch[0] < stretch[1]
                ]
                self._used[addr] = size
                return addr
        raise ArenaFull(f"no {size} bytes are free in the {self.size} bytes of BPF memory at {self.base:#x}.")

    def size_of(self, addr: int) -> int:
        """Bytes given out at an address; KeyError if none were."""
        return self._used[addr]

    def free(self, addr: int) -> None:
        """Take back what ``alloc`` gave; KeyError for an address it did not give."""
        start, end = addr, addr + self._used.pop(addr)
        index = bisect_left(self._free, (start, end))
        if index < len(self._free) and self._free[index][0] == end:
            end = self._free.pop(index)[1]
        if index and self._free[index - 1][1] == start:
            start = self._free.pop(index - 1)[0]
        insort(self._free, (start, end))

    def save(self) -> object:
        """What is given out and what is free."""
        return tuple(self._free), dict(self._used)

    def restore(self, state: object) -> None:
        """Put back what ``save`` gave."""
        assert isinstance(state, tuple)
        free, used = state
        self._free, self._used = list(free), dict(used)
