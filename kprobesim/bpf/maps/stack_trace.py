"""BPF_MAP_TYPE_STACK_TRACE: stack traces by a hash of them, so that equal ones are kept once.

Follows Linux kernel/bpf/stackmap.c. Behind the head stand pointers to buckets, a power of two of them; a bucket is
Linux's ``struct stack_map_bucket``: ``u32 hash`` at 8, ``u32 nr`` at 12, the addresses from 16 on.
"""

import struct
from collections.abc import Sequence
from typing import Any

from kprobesim.bpf.maps.base import HEAD_SIZE, BpfMap, MapSpec, Place
from kprobesim.bpf.maps.flags import UpdateFlag
from kprobesim.bpf.maps.jhash import jhash
from kprobesim.linux_errno import Errno

__all__ = ["MAX_DEPTH", "StackTraceMap"]

MAX_DEPTH = 127
"""``sysctl_perf_event_max_stack``: most frames of a trace."""

SKIP_MASK, USER_STACK, FAST_CMP, REUSE = 0xFF, 1 << 8, 1 << 9, 1 << 10


class StackTraceMap(BpfMap):
    """Programs put traces in, user space reads them by their id."""

    def __init__(self, spec: MapSpec, number: int, place: Place) -> None:
        self.buckets = 1 << (spec.max_entries - 1).bit_length()
        super().__init__(spec, number, place, 8 * self.buckets)
        self._table = self.address + HEAD_SIZE
        size = 16 + spec.value_size
        first = self._take(size * spec.max_entries)
        self._spare: tuple[int, ...] = tuple(first + size * n for n in reversed(range(spec.max_entries)))

    def _bucket(self, number: int) -> int:
        return int.from_bytes(self.memory.read(self._table + 8 * number, 8), "little")

    def get_stackid(self, trace: Sequence[int], flags: int) -> int:
        """The id of a trace; EFAULT, EEXIST if another has its place, ENOMEM (__bpf_get_stackid).

        Args:
            trace: addresses, innermost first.
            flags: ``BPF_F_*`` as the program gave them, checked already.
        """
        skip = flags & SKIP_MASK
        if len(trace) <= skip:
            return -Errno.EFAULT
        ips = trace[skip : min(self.value_size // 8 + skip, MAX_DEPTH)]
        data = struct.pack(f"<{len(ips)}Q", *ips)
        hashed = jhash(data)
        number = hashed & self.buckets - 1
        bucket = self._bucket(number)
        if bucket:
            old_hash, count = struct.unpack("<2I", self.memory.read(bucket + 8, 8))
            if old_hash == hashed and flags & FAST_CMP:
                return number
            if old_hash == hashed and count == len(ips) and self.memory.read(bucket + 16, len(data)) == data:
                return number
            if not flags & REUSE:
                return -Errno.EEXIST
        if not self._spare:
            return -Errno.ENOMEM
        *rest, fresh = self._spare
        self._spare = (*rest, bucket) if bucket else tuple(rest)
        self.memory.write(fresh + 8, struct.pack("<2I", hashed, len(ips)) + data)
        self.memory.write(self._table + 8 * number, fresh.to_bytes(8, "little"))
        self.host.tell("map.stack", map=self.name, id=number, frames=list(ips))
        return number

    def lookup_elem(self, key: bytes) -> int:
        """No program may look (EOPNOTSUPP): NULL."""
        return 0

    def update_elem(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """Always EINVAL (stack_map_update_elem)."""
        return -Errno.EINVAL

    def delete_elem(self, key: bytes) -> int:
        """See BpfMap; E2BIG for an id that is too large, ENOENT (stack_map_delete_elem)."""
        number = int.from_bytes(key, "little")
        if number >= self.buckets:
            return -Errno.E2BIG
        bucket = self._bucket(number)
        if not bucket:
            return -Errno.ENOENT
        self.memory.write(self._table + 8 * number, bytes(8))
        self._spare = (*self._spare, bucket)
        return 0

    def read_value(self, key: bytes) -> bytes | None:
        """See BpfMap: the addresses, zeros behind the last (bpf_stackmap_copy)."""
        number = int.from_bytes(key, "little")
        bucket = self._bucket(number) if number < self.buckets else 0
        if not bucket:
            return None
        count = int.from_bytes(self.memory.read(bucket + 12, 4), "little")
        return self.memory.read(bucket + 16, 8 * count).ljust(self.value_size, b"\0")

    def get_next_key(self, key: bytes | None) -> bytes | None:
        """See BpfMap; ids in ascending order, from the first for an unknown one (stack_map_get_next_key)."""
        number = -1 if key is None else int.from_bytes(key, "little")
        if number >= self.buckets or (number >= 0 and not self._bucket(number)):
            number = -1
        for following in range(number + 1, self.buckets):
            if self._bucket(following):
                return following.to_bytes(4, "little")
        return None

    def _save(self) -> object:
        return self._spare

    def _restore(self, state: Any) -> None:
        self._spare = state
