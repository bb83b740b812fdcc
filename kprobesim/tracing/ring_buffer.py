"""The buffer of one CPU: pages in a ring, of which a full one is emptied for new records, and the page a reader holds.

Follows Linux 6.1 kernel/trace/ring_buffer.c in what can be seen of it: sizes of pages and events, that overwriting
loses a whole page of the oldest records at a time, that the page of the reader is safe from it, and what is counted.
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
        lost: records that were overwritten since the reader took the one before.
    """

    ns: int
    cpu: int
    data: bytes
    lost: int = 0


_PageState = tuple[int, tuple[tuple[int, int, int], ...], bytes, int]


@dataclass
class _Page:
    """What is in a page, and what lay in it before: a field that cannot be fetched keeps that.

    Attributes:
        used: bytes of it that are taken.
        entries: time, place and length of its records.
        read: how many of them a reader has taken out.
    """

    used: int = 0
    entries: list[tuple[int, int, int]] = field(default_factory=list)
    memory: bytearray = field(default_factory=lambda: bytearray(BUF_PAGE_SIZE))
    read: int = 0
    saved: _PageState | None = None

    @property
    def waiting(self) -> list[tuple[int, int, int]]:
        return self.entries[self.read :] if self.read else self.entries

    def clear(self) -> None:
        self.used, self.entries, self.read, self.saved = 0, [], 0, None

    def save(self) -> _PageState:
        if self.saved is None:
            self.saved = self.used, tuple(self.entries), bytes(self.memory), self.read
        return self.saved

    @classmethod
    def restored(cls, state: _PageState) -> _Page:
        used, entries, memory, read = state
        return cls(used, list(entries), bytearray(memory), read, state)


class RingBuffer:
    """The records of one CPU.

    Args:
        cpu: its number.
        kilobytes: its size.

    Attributes:
        kilobytes: as given, or as `resize` was told.
        overwrite: a full buffer loses its oldest page; otherwise new records are dropped.
        overrun: records that were overwritten.
        dropped: records that were not taken, as the buffer was full.
        read: records that a reader took out.
        bytes: how much the records that are there take.
    """

    def __init__(self, cpu: int, kilobytes: int) -> None:
        self.cpu = cpu
        self.overwrite = True
        self.overrun = self.dropped = self.read = self.bytes = 0
        self._reader: _Page | None = None
        self._ring: list[_Page] = []
        self._spare: list[_Page] = []
        self._tail: _Page | None = None
        self._last_ns = 0
        self._last_overrun = 0
        self._lost = 0
        self.resize(kilobytes)

    def resize(self, kilobytes: int) -> None:
        """Another size; what no longer fits, the oldest pages first, is lost."""
        self.kilobytes = kilobytes
        self._limit = max(2, -(-(kilobytes << 10) // BUF_PAGE_SIZE))
        self._spare = []
        while len(self._ring) > self._limit:
            self._drop_head()

    def __len__(self) -> int:
        return sum(len(page.entries) - page.read for page in self._pages())

    def _pages(self) -> list[_Page]:
        return [self._reader, *self._ring] if self._reader is not None else self._ring

    def entries(self) -> list[Entry]:
        """All records, the oldest first; they stay."""
        return [
            Entry(ns, self.cpu, bytes(page.memory[at : at + size]))
            for page in self._pages()
            for ns, at, size in page.waiting
        ]

    def take(self) -> Entry | None:
        """Take the oldest record out (``ring_buffer_consume``)."""
        page = self._reader_page()
        if page is None:
            return None
        ns, at, size = page.entries[page.read]
        page.read += 1
        page.saved = None
        self.read += 1
        self.bytes -= _event_length(size)
        lost, self._lost = self._lost, 0
        return Entry(ns, self.cpu, bytes(page.memory[at : at + size]), lost)

    def _reader_page(self) -> _Page | None:
        """``rb_get_reader_page``: the page with the oldest record; one that has been read goes back into the ring."""
        while True:
            page = self._reader
            if page is not None and page.read < len(page.entries):
                return page
            if (page is not None and page is self._tail) or not self._ring:
                return None
            if page is not None:
                page.clear()
                self._spare.append(page)
            self._reader = self._ring.pop(0)
            self._lost += self.overrun - self._last_overrun
            self._last_overrun = self.overrun

    def oldest_ns(self) -> int | None:
        """The time of the oldest record."""
        return next((page.waiting[0][0] for page in self._pages() if page.waiting), None)

    def old_bytes(self, size: int) -> bytes:
        """What lies where a record of this size would go."""
        page = self._tail
        if page is None or page.used + _HEADER + size > BUF_PAGE_SIZE:
            return b""
        return bytes(page.memory[page.used + _HEADER : page.used + _HEADER + size])

    def write(self, ns: int, data: bytes) -> bool:
        """Add a record, over the oldest page if need be.

        Returns:
            False: it is longer than a page, or there is no room and nothing may be overwritten.
        """
        length = _event_length(len(data))
        if length > BUF_PAGE_SIZE:
            return False
        if self._tail is not None and ns - self._last_ns >= 1 << _TIME_BITS:
            length += _TIME_EXTEND
        if (self._tail is None or self._tail.used + length > BUF_PAGE_SIZE) and not self._next_page():
            self.dropped += 1
            return False
        page = self._tail
        assert page is not None
        page.saved = None
        at = page.used + length - (len(data) + 3 & ~3)
        page.memory[at : at + len(data)] = data
        page.entries.append((ns, at, len(data)))
        page.used += length
        self.bytes += length
        self._last_ns = ns
        return True

    def _next_page(self) -> bool:
        """``rb_move_tail``."""
        if len(self._ring) < self._limit:
            page = self._spare.pop(0) if self._spare else _Page()
        elif self.overwrite:
            page = self._drop_head()
            page.clear()
        else:
            return False
        self._ring.append(page)
        self._tail = page
        return True

    def _drop_head(self) -> _Page:
        page = self._ring.pop(0)
        self.overrun += len(page.entries)
        self.bytes -= page.used
        return page

    def reset(self) -> None:
        """Forget all records and counts."""
        self._ring, self._spare, self._reader, self._tail = [], [], None, None
        self.overrun = self.dropped = self.read = self.bytes = 0
        self._last_overrun = self._lost = 0

    def save(self) -> object:
        """All of its state."""
        reader = self._reader.save() if self._reader is not None else None
        counts = self.overrun, self.dropped, self.read, self.bytes, self._last_ns, self._last_overrun, self._lost
        tail_is_reader = self._tail is not None and self._tail is self._reader
        rings = tuple(page.save() for page in self._ring), tuple(page.save() for page in self._spare)
        return self.kilobytes, self._limit, self.overwrite, counts, reader, tail_is_reader, rings

    def restore(self, state: object) -> None:
        """Go back to what `save` returned."""
        assert isinstance(state, tuple)
        self.kilobytes, self._limit, self.overwrite, counts, reader, tail_is_reader, (ring, spare) = state
        self.overrun, self.dropped, self.read, self.bytes, self._last_ns, self._last_overrun, self._lost = counts
        self._reader = _Page.restored(reader) if reader is not None else None
        self._ring = [_Page.restored(page) for page in ring]
        self._spare = [_Page.restored(page) for page in spare]
        self._tail = self._reader if tail_is_reader else self._ring[-1] if self._ring else None


def _event_length(size: int) -> int:
    """Bytes in the buffer for a record of so many: a header, and for a long one its length."""
    return _HEADER + (size + 3 & ~3) + (4 if size > _SMALL else 0)
