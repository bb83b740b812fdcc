"""The buffer of one CPU: pages in a ring, of which a full one is emptied for new records.

Follows Linux 6.1 kernel/trace/ring_buffer.c in what can be seen of it: sizes of pages and events, and that overwriting
loses a whole page of the oldest records at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

__all__ = ["BUF_PAGE_SIZE", "Entry", "RingBuffer"]

BUF_PAGE_SIZE: Final = 4096 - 16
_HEADER: Final = 4
_TIME_EXTEND: Final = 8
_TIME_BITS: Final = 27
_SMALL: Final = 112


class Entry(NamedTuple):
    """A record in the buffer.

    Attributes:
        ns: virtual time.
        cpu: whose buffer it is in.
        data: its bytes, the common fields first.
    """

    ns: int
    cpu: int
    data: bytes


@dataclass
class _Page:
    """What is in a page, and what lay in it before: a field that cannot be fetched keeps that."""

    used: int = 0
    entries: list[tuple[int, int, int]] = field(default_factory=list)
    memory: bytearray = field(default_factory=lambda: bytearray(BUF_PAGE_SIZE))
    saved: tuple[int, tuple[tuple[int, int, int], ...], bytes] | None = None

    def save(self) -> tuple[int, tuple[tuple[int, int, int], ...], bytes]:
        if self.saved is None:
            self.saved = self.used, tuple(self.entries), bytes(self.memory)
        return self.saved

    @classmethod
    def restored(cls, state: tuple[int, tuple[tuple[int, int, int], ...], bytes]) -> _Page:
        used, entries, memory = state
        return cls(used, list(entries), bytearray(memory), state)


class RingBuffer:
    """The records of one CPU.

    Args:
        cpu: its number.
        kilobytes: its size.

    Attributes:
        overrun: records that were overwritten.
        read: records that trace_pipe took out.
    """

    def __init__(self, cpu: int, kilobytes: int) -> None:
        self.cpu = cpu
        self.overrun = 0
        self.read = 0
        self._pages: list[_Page] = []
        self._limit = 2
        self._last_ns = 0
        self.resize(kilobytes)

    def resize(self, kilobytes: int) -> None:
        """Another size; what no longer fits, the oldest pages first, is lost."""
        self._limit = max(2, -(-(kilobytes << 10) // BUF_PAGE_SIZE))
        while len(self._pages) > self._limit:
            self.overrun += len(self._pages.pop(0).entries)

    def __len__(self) -> int:
        return sum(len(page.entries) for page in self._pages)

    def entries(self) -> list[Entry]:
        """All records, the oldest first."""
        return [
            Entry(ns, self.cpu, bytes(page.memory[at : at + size]))
            for page in self._pages
            for ns, at, size in page.entries
        ]

    def take(self) -> Entry | None:
        """Take the oldest record out."""
        while self._pages:
            page = self._pages[0]
            if page.entries:
                page.saved = None
                ns, at, size = page.entries.pop(0)
                self.read += 1
                return Entry(ns, self.cpu, bytes(page.memory[at : at + size]))
            if len(self._pages) == 1:
                return None
            del self._pages[0]
        return None

    def oldest_ns(self) -> int | None:
        """The time of the oldest record."""
        return next((page.entries[0][0] for page in self._pages if page.entries), None)

    def old_bytes(self, size: int) -> bytes:
        """What lies where a record of this size would go."""
        page = self._pages[-1] if self._pages else None
        if page is None or page.used + _HEADER + size > BUF_PAGE_SIZE:
            return b""
        return bytes(page.memory[page.used + _HEADER : page.used + _HEADER + size])

    def write(self, ns: int, data: bytes) -> bool:
        """Add a record, over the oldest page if need be.

        Returns:
            False: it is longer than a page.
        """
        length = _HEADER + (len(data) + 3 & ~3) + (4 if len(data) > _SMALL else 0)
        if length > BUF_PAGE_SIZE:
            return False
        if self._pages and ns - self._last_ns >= 1 << _TIME_BITS:
            length += _TIME_EXTEND
        if not self._pages or self._pages[-1].used + length > BUF_PAGE_SIZE:
            self._next_page()
        page = self._pages[-1]
        page.saved = None
        at = page.used + length - (len(data) + 3 & ~3)
        page.memory[at : at + len(data)] = data
        page.entries.append((ns, at, len(data)))
        page.used += length
        self._last_ns = ns
        return True

    def _next_page(self) -> None:
        if len(self._pages) < self._limit:
            self._pages.append(_Page())
            return
        page = self._pages.pop(0)
        self.overrun += len(page.entries)
        page.used, page.entries, page.saved = 0, [], None
        self._pages.append(page)

    def reset(self) -> None:
        """Forget all records and counts."""
        self._pages = []
        self.overrun = self.read = 0

    def save(self) -> object:
        """All of its state."""
        return (
            self.overrun,
            self.read,
            self._limit,
            self._last_ns,
            tuple(page.save() for page in self._pages),
        )

    def restore(self, state: object) -> None:
        """Go back to what `save` returned."""
        assert isinstance(state, tuple)
        self.overrun, self.read, self._limit, self._last_ns, pages = state
        self._pages = [_Page.restored(page) for page in pages]
