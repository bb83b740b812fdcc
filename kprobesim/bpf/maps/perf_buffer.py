"""A perf event and its ring, as perf_event_open(2) and mmap(2) give them to a reader.

The ring lies in guest memory: first the page that user space sees (``struct perf_event_mmap_page``: ``data_head`` at
1024, ``data_tail`` at 1032, ``data_offset`` at 1040, ``data_size`` at 1048), then the data, a power of two of pages.
Before it stands what only the kernel sees: ``u64 lost`` at 8 and ``u64 lost_total`` at 16. Records are
``u32 type; u16 misc; u16 size``, then for PERF_RECORD_SAMPLE with PERF_SAMPLE_RAW ``u32 size`` and the data, padded so
that the next record begins at a multiple of 8; a record may wrap around the end. Where there is no room nothing is
written and counted, and the next record that fits is preceded by a PERF_RECORD_LOST with the count. Follows Linux
kernel/events/ring_buffer.c:__perf_output_begin and kernel/events/core.c:perf_output_sample.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import Any, NamedTuple

from kprobesim.bpf.maps.base import Place
from kprobesim.bpf.memory import PAGE_SIZE
from kprobesim.errors import BadInput
from kprobesim.linux_errno import Errno

__all__ = ["Lost", "PerfConfig", "PerfEvent", "Sample"]

_RECORD_LOST, _RECORD_SAMPLE = 2, 9
_HEADER = struct.Struct("<IHH")
_LOST = struct.Struct("<IHHQQ")
_MISC_KERNEL = 1
_HEAD, _TAIL = 1024, 1032


class PerfConfig(IntEnum):
    """What an event counts: ``attr.type << 32 | attr.config``."""

    CPU_CYCLES = 0 << 32 | 0
    INSTRUCTIONS = 0 << 32 | 1
    CPU_CLOCK = 1 << 32 | 0
    TASK_CLOCK = 1 << 32 | 1
    BPF_OUTPUT = 1 << 32 | 10


class Sample(NamedTuple):
    """What bpf_perf_event_output wrote, with the padding that PERF_SAMPLE_RAW has after it."""

    data: bytes


class Lost(NamedTuple):
    """So many samples found no room."""

    samples: int


class PerfEvent:
    """An event on one CPU.

    Args:
        place: guest memory and arena.
        cpu: which CPU.
        pages: of the ring's data, a power of two; 0 for an event that only counts.
        config: what it counts.
        number: by which PERF_RECORD_LOST names it.

    Attributes:
        address: of what stands for Linux's ``struct bpf_event_entry``.
        wakeups: how often a sleeping reader was woken: at every sample, as with ``wakeup_events`` 1.

    Raises:
        BadInput: ``pages`` is no power of two.
        ArenaFull: no memory.
    """

    def __init__(
        self, place: Place, cpu: int, pages: int = 8, config: PerfConfig = PerfConfig.BPF_OUTPUT, number: int = 1
    ) -> None:
        if pages < 0 or pages & pages - 1:
            raise BadInput(f"A perf ring has a power of two of data pages, not {pages}.")
        self.memory, self._arena, self._host = place
        self.cpu, self.config, self.id = cpu, config, number
        self.size = pages * PAGE_SIZE
        self.wakeups = 0
        self._opened = self._count(), self._host.ktime_get_ns()
        self.address = self._arena.alloc(24)
        self.memory.write(self.address, bytes(24))
        self._page = 0
        if pages:
            self._page = self._arena.alloc(PAGE_SIZE + self.size, PAGE_SIZE)
            self.memory.write(self._page, bytes(PAGE_SIZE + self.size))
            self.memory.write(self._page + 1040, struct.pack("<2Q", PAGE_SIZE, self.size))

    # Counting

    def _count(self) -> int:
        clock = self.config in (PerfConfig.CPU_CLOCK, PerfConfig.TASK_CLOCK)
        if self.config is PerfConfig.BPF_OUTPUT:
            return 0
        return self._host.ktime_get_ns() if clock else self._host.instructions()

    def read(self) -> tuple[int, int, int]:
        """The count since the event was opened, and for how many nanoseconds it was enabled and ran."""
        count, time = self._opened
        elapsed = self._host.ktime_get_ns() - time
        return self._count() - count, elapsed, elapsed

    # Writing

    def _word(self, address: int) -> int:
        return int.from_bytes(self.memory.read(address, 8), "little")

    def _set(self, address: int, value: int) -> None:
        self.memory.write(address, value.to_bytes(8, "little"))

    def _copy(self, position: int, data: bytes) -> None:
        """Into the data pages, around their end."""
        at = position % self.size
        whole = self._page + PAGE_SIZE
        first = data[: self.size - at]
        self.memory.write(whole + at, first)
        self.memory.write(whole, data[len(first) :])

    def output(self, data: bytes) -> int:
        """Write a sample; ENOSPC if there is no ring, or no room, which counts as lost (perf_event_output).

        E2BIG for one that a record's 16-bit size cannot tell of.
        """
        if not self.size:
            return -Errno.ENOSPC
        padded = (len(data) + 4 + 7 & ~7) - 4
        if padded + 12 > 0xFFFF:
            return -Errno.E2BIG
        record = _HEADER.pack(_RECORD_SAMPLE, _MISC_KERNEL, 12 + padded)
        record += struct.pack("<I", padded) + data.ljust(padded, b"\0")
        head, tail = self._word(self._page + _HEAD), self._word(self._page + _TAIL)
        lost = self._word(self.address + 8)
        if lost:
            record = _LOST.pack(_RECORD_LOST, 0, _LOST.size, self.id, lost) + record
        if len(record) > (tail - head - 1) % self.size:
            self._set(self.address + 8, lost + 1)
            self._set(self.address + 16, self._word(self.address + 16) + 1)
            return -Errno.ENOSPC
        self._copy(head, record)
        self._set(self.address + 8, 0)
        self._set(self._page + _HEAD, head + len(record))
        self.wakeups += 1
        return 0

    @property
    def lost(self) -> int:
        """Samples that found no room, since the event was opened."""
        return self._word(self.address + 16)

    # Reading

    def pending(self) -> Iterator[tuple[int, Sample | Lost]]:
        """What a reader would find now, each with the position behind it."""
        head, tail = self._word(self._page + _HEAD), self._word(self._page + _TAIL)
        while tail < head:
            kind, _, size = _HEADER.unpack(self._read(tail, 8))
            body = self._read(tail + 8, size - 8)
            tail += size
            if kind == _RECORD_LOST:
                yield tail, Lost(int.from_bytes(body[8:16], "little"))
            else:
                yield tail, Sample(body[4:])

    def consume(self) -> list[Sample | Lost]:
        """Read all records and move ``data_tail`` behind them (libbpf's perf_buffer)."""
        records = []
        for behind, record in self.pending():
            records.append(record)
            self._set(self._page + _TAIL, behind)
        return records

    def _read(self, position: int, size: int) -> bytes:
        at = position % self.size
        whole = self._page + PAGE_SIZE
        first = self.memory.read(whole + at, min(size, self.size - at))
        return first + (self.memory.read(whole, size - len(first)) if len(first) < size else b"")

    def close(self) -> None:
        """Give the memory back; the event must not be used, nor stand in a map, any more."""
        self._arena.free(self.address)
        if self._page:
            self._arena.free(self._page)

    def save(self) -> object:
        """What is not in guest memory."""
        return self.wakeups

    def restore(self, state: Any) -> None:
        """Put back what ``save`` gave."""
        self.wakeups = state
