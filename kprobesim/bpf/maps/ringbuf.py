"""BPF_MAP_TYPE_RINGBUF and BPF_MAP_TYPE_USER_RINGBUF: records of any length, one ring for all CPUs.

Follows Linux kernel/bpf/ringbuf.c. The ring is memory: a page of the kernel's own (``mask`` at 64, ``busy`` at 72),
a page with the consumer's position, a page with the producer's and the pending position, then the data, a power of two
of pages. The data pages are mapped twice in a row, so that a record that wraps around the end is still in one piece. A
record is ``u32 len`` with two flag bits, ``u32 pg_off`` (pages from the ring's beginning, by which a record finds its
ring), and the sample, rounded up to 8 bytes. ``struct bpf_ringbuf_map`` has the ring's address at 256.
"""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from kprobesim.bpf.maps.base import BpfMap, MapSpec, Place
from kprobesim.bpf.maps.flags import UpdateFlag
from kprobesim.bpf.memory import PAGE_SIZE, MappingMemory
from kprobesim.errors import LinuxError
from kprobesim.linux_errno import Errno

__all__ = ["BUSY_BIT", "DISCARD_BIT", "HDR_SIZE", "RingBuf", "RingRecord", "UserRingBuf"]

BUSY_BIT = 1 << 31
DISCARD_BIT = 1 << 30
HDR_SIZE = 8
NO_WAKEUP, FORCE_WAKEUP = 1, 2
_META_PAGES = 3
_MASK_AT, _BUSY_AT = 64, 72
_MAX_RECORD = (1 << 32) // 4 - 1  # RINGBUF_MAX_RECORD_SZ
_MASK64 = (1 << 64) - 1


class RingRecord(NamedTuple):
    """A record as a consumer finds it: its position, its bytes, and whether it was discarded."""

    position: int
    sample: bytes
    discarded: bool


def _rounded(length: int) -> int:
    return (length + HDR_SIZE + 7) & ~7


class RingBuf(BpfMap):
    """A ring that programs write and user space reads.

    Attributes:
        ring: address of ``struct bpf_ringbuf``, with its data mapped twice.
        size: bytes of data.
        wakeups: how often a sleeping consumer was woken.
    """

    no_walk = Errno.ENOTSUPP

    def __init__(self, spec: MapSpec, number: int, place: Place) -> None:
        super().__init__(spec, number, place)
        self.size = spec.max_entries
        self.wakeups = 0
        pages = self.size // PAGE_SIZE
        self._block = self._take((_META_PAGES + pages) * PAGE_SIZE, PAGE_SIZE)
        if not isinstance(place.memory, MappingMemory):
            raise LinuxError(Errno.ENOMEM, "This memory has no page tables to map a ring with.")
        self.ring = place.memory.map_ring(place.arena, self._block, _META_PAGES, pages)
        self.memory.write(self._block + _MASK_AT, struct.pack("<Q", self.size - 1))
        self.memory.write(self.address + 256, struct.pack("<Q", self.ring))

    # Positions

    def _word(self, offset: int) -> int:
        return int.from_bytes(self.memory.read(self._block + offset, 8), "little")

    def _set(self, offset: int, value: int) -> None:
        self.memory.write(self._block + offset, (value & _MASK64).to_bytes(8, "little"))

    @property
    def consumer_pos(self) -> int:
        """How far the consumer has read, in bytes since the beginning."""
        return self._word(PAGE_SIZE)

    @property
    def producer_pos(self) -> int:
        """How far producers have reserved."""
        return self._word(2 * PAGE_SIZE)

    @property
    def pending_pos(self) -> int:
        """Up to where all records are known to be committed."""
        return self._word(2 * PAGE_SIZE + 8)

    def _at(self, position: int) -> int:
        """Address of a position, in the first of the two mappings."""
        return self.ring + _META_PAGES * PAGE_SIZE + (position & self.size - 1)

    def _header(self, position: int) -> int:
        return int.from_bytes(self.memory.read(self._at(position), 4), "little")

    # What programs do

    def reserve(self, size: int) -> int:
        """Room for a sample: its address; 0 if the ring is full or the sample too long (__bpf_ringbuf_reserve)."""
        length = _rounded(size)
        if size > _MAX_RECORD or length > self.size:
            return 0
        consumer, producer, pending = self.consumer_pos, self.producer_pos, self.pending_pos
        while pending < producer:
            header = self._header(pending)
            if header & BUSY_BIT:
                break
            pending += _rounded(header & ~DISCARD_BIT)
        self._set(2 * PAGE_SIZE + 8, pending)
        after = producer + length
        if after - consumer > self.size - 1 or after - pending > self.size - 1:
            self.host.tell("ringbuf.full", map=self.name, size=size)
            return 0
        header_at = self._at(producer)
        pg_off = header_at - self.ring >> 12
        self.memory.write(header_at, struct.pack("<2I", size | BUSY_BIT, pg_off))
        self._set(2 * PAGE_SIZE, after)
        return header_at + HDR_SIZE

    def commit(self, sample: int, flags: int, *, discard: bool) -> None:
        """A reserved sample is complete, or to be skipped (bpf_ringbuf_commit)."""
        header_at = sample - HDR_SIZE
        length = int.from_bytes(self.memory.read(header_at, 4), "little") ^ BUSY_BIT
        if discard:
            length |= DISCARD_BIT
        self.memory.write(header_at, length.to_bytes(4, "little"))
        position = header_at - self.ring - _META_PAGES * PAGE_SIZE
        caught_up = self.consumer_pos & self.size - 1 == position
        woken = bool(flags & FORCE_WAKEUP or (caught_up and not flags & NO_WAKEUP))
        self.wakeups += woken
        size = length & ~DISCARD_BIT
        if discard:
            self.host.tell("ringbuf.discard", map=self.name, pos=position, size=size)
        else:
            data = self.memory.read(sample, min(size, 64))
            self.host.tell("ringbuf.submit", map=self.name, pos=position, size=size, data=data, wakeup=int(woken))

    def output(self, data: bytes, flags: int) -> int:
        """Copy a sample in; EINVAL for unknown flags, EAGAIN when full (bpf_ringbuf_output)."""
        if flags & ~(NO_WAKEUP | FORCE_WAKEUP):
            return -Errno.EINVAL
        sample = self.reserve(len(data))
        if not sample:
            return -Errno.EAGAIN
        self.memory.write(sample, data)
        self.commit(sample, flags, discard=False)
        return 0

    def query(self, what: int) -> int:
        """0 bytes not consumed, 1 size, 2 consumer's and 3 producer's position; 0 for anything else."""
        if what == 0:
            return self.producer_pos - self.consumer_pos & _MASK64
        return {1: self.size, 2: self.consumer_pos, 3: self.producer_pos}.get(what, 0)

    # What user space does

    def records(self) -> Iterator[RingRecord]:
        """What a consumer would find now, up to the first record that is still being written; nothing is consumed."""
        position, producer = self.consumer_pos, self.producer_pos
        while position < producer:
            header = self._header(position)
            if header & BUSY_BIT:
                return
            length = header & ~DISCARD_BIT
            if _rounded(length) > producer - position:
                return  # only an unverified program can have written such a header
            sample = self.memory.read(self._at(position) + HDR_SIZE, length) if length else b""
            yield RingRecord(position, sample, bool(header & DISCARD_BIT))
            position += _rounded(length)

    def consume(self) -> list[bytes]:
        """Read all samples that are complete and move the consumer's position behind them (libbpf's ring_buffer)."""
        samples = []
        for record in self.records():
            self._set(PAGE_SIZE, record.position + _rounded(len(record.sample)))
            if not record.discarded:
                samples.append(record.sample)
        return samples

    # As a map it can do nothing

    def lookup_elem(self, key: bytes) -> int:
        """No program may look (ENOTSUPP): NULL."""
        return 0

    def update_elem(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """Always ENOTSUPP."""
        return -Errno.ENOTSUPP

    def delete_elem(self, key: bytes) -> int:
        """Always ENOTSUPP."""
        return -Errno.ENOTSUPP

    def read_value(self, key: bytes) -> bytes | None:
        """Always ENOTSUPP."""
        raise LinuxError(Errno.ENOTSUPP, "A ring buffer has no elements.", hint="Read its records.")

    def _save(self) -> object:
        return self.wakeups

    def _restore(self, state: Any) -> None:
        self.wakeups = state


class UserRingBuf(RingBuf):
    """A ring that user space writes and programs read (bpf_user_ringbuf_drain)."""

    def produce(self, sample: bytes) -> bool:
        """User space adds a sample (libbpf's user_ring_buffer); False if the ring is full."""
        producer, after = self.producer_pos, self.producer_pos + _rounded(len(sample))
        if after - self.consumer_pos > self.size:
            return False
        at = self._at(producer)
        self.memory.write(at, struct.pack("<2I", len(sample), 0) + sample)
        self._set(2 * PAGE_SIZE, after)
        return True

    def peek(self) -> tuple[int, int] | int:
        """Address and length of the next sample; ENODATA, EAGAIN for a discarded one, EINVAL and E2BIG for nonsense.

        User space may have written anything (__bpf_user_ringbuf_peek).
        """
        producer, consumer = self.producer_pos, self.consumer_pos
        if producer % 8:
            return -Errno.EINVAL
        if consumer >= producer:
            return -Errno.ENODATA
        header = self._header(consumer)
        length = header & ~(BUSY_BIT | DISCARD_BIT)
        total = _rounded(length)
        if total > producer - consumer:
            return -Errno.EINVAL
        if total > self.size or length > (1 << 24) - 1:
            return -Errno.E2BIG
        if header & DISCARD_BIT:
            self._set(PAGE_SIZE, consumer + total)
            return -Errno.EAGAIN
        if header & BUSY_BIT:
            return -Errno.ENODATA
        return self._at(consumer + HDR_SIZE), length

    def take(self) -> bool:
        """Begin to read; False while somebody else does."""
        busy = self._word(_BUSY_AT)
        self._set(_BUSY_AT, 1)
        return not busy

    def give_back(self) -> None:
        """Done reading."""
        self._set(_BUSY_AT, 0)

    def release(self, length: int) -> None:
        """A sample was read (__bpf_user_ringbuf_sample_release)."""
        self._set(PAGE_SIZE, self.consumer_pos + _rounded(length))
