"""BPF_MAP_TYPE_HASH and BPF_MAP_TYPE_PERCPU_HASH; follows Linux kernel/bpf/hashtab.c.

An element is Linux's ``struct htab_elem`` in guest memory: a head of 48 bytes (the node of an LRU list at 16, the hash
at 40), the key rounded up to 8 bytes, then the value, or a pointer to CPU 0's copy of it with the other CPUs' behind.
Python keeps where each key's element is. ``save`` hands that table out as it is, and the next insertion or deletion
works on a copy: saving costs nothing, and changing a value costs nothing either, because values are memory.

As in Linux an update links a new element in place of the old one: a pointer from an earlier lookup keeps the old value,
until that element is used again, which for a preallocated map is at this CPU's next update.

The walking order is Linux's: bucket by bucket of a table with a power of two of buckets, newest element of a bucket
first. Linux seeds the hash at random; here the seed is 0, as with BPF_F_ZERO_SEED, so that every run walks alike.
"""

import struct
from collections.abc import Iterator
from typing import Any

from kprobesim.bpf.maps.base import BpfMap, MapSpec, Place, round_up8
from kprobesim.bpf.maps.flags import MapFlag, UpdateFlag
from kprobesim.bpf.maps.jhash import jhash
from kprobesim.bpf.memory import ArenaFull
from kprobesim.linux_errno import Errno

__all__ = ["ELEM_HEAD", "HashMap", "HashTable", "PercpuHashMap"]

ELEM_HEAD = 48
"""``offsetof(struct htab_elem, key)``."""
_HASH_AT = 40
_SLAB = 64  # elements taken from the arena at once where they are not preallocated


class HashTable(BpfMap):
    """What the hash maps share: elements, the table that finds them, and the order in which they are walked.

    Attributes:
        value_offset: from an element to its value.
        elem_size: bytes of an element.
        buckets: how many there are.
    """

    def __init__(
        self, spec: MapSpec, number: int, place: Place, value_bytes: int, extra: int = 0, body_size: int = 0
    ) -> None:
        super().__init__(spec, number, place, body_size)
        self.value_offset = ELEM_HEAD + round_up8(spec.key_size)
        self.elem_size = self.value_offset + round_up8(value_bytes)
        self.buckets = 1 << (self.max_entries - 1).bit_length()
        self._preallocated = not spec.flags & MapFlag.NO_PREALLOC
        self._index: dict[bytes, int] = {}  # key -> address of its element, oldest first
        self._spare: list[int] = []
        self._shared = False  # whether a saved state holds _index and _spare
        self._walk: list[bytes] = []  # the walking order; may still name deleted keys
        self._order: dict[bytes, int] | None = None  # key -> its place in _walk
        if self._preallocated:
            self._add_elements(self.max_entries + extra)

    def __len__(self) -> int:
        return len(self._index)

    # Elements

    def _add_elements(self, count: int) -> None:
        """Take ``count`` more elements from the arena; ArenaFull if it cannot hold them."""
        first = self._take(self.elem_size * count)
        self._spare.extend(first + self.elem_size * n for n in reversed(range(count)))

    def _new_element(self) -> int:
        """A free element; -E2BIG when the map is full, -ENOMEM without memory."""
        if not self._spare:
            if self._preallocated:
                return -Errno.E2BIG
            for count in (min(_SLAB, self.max_entries - len(self._index) + 1), 1):
                try:
                    self._add_elements(count)
                    break
                except ArenaFull:
                    continue
            else:
                return -Errno.ENOMEM
        return self._spare.pop()

    def _write(self, elem: int, key: bytes, value: bytes) -> None:
        """Fill an element: hash, key and value."""
        padded = key.ljust(self.value_offset - ELEM_HEAD, b"\0")
        self.memory.write(elem + _HASH_AT, struct.pack("<2I", jhash(key), 0) + padded + value)

    def _link(self, key: bytes, elem: int) -> None:
        """Make an element the newest of its bucket."""
        self._own()
        self._index.pop(key, None)
        self._index[key] = elem
        self._order = None

    def _unlink(self, key: bytes) -> int:
        self._own()
        return self._index.pop(key)

    def key_of(self, elem: int) -> bytes:
        """The key that stands in an element."""
        return self.memory.read(elem + ELEM_HEAD, self.key_size)

    def check_flags(self, elem: int, flags: int) -> int:
        """EEXIST for NOEXIST where there is an element, ENOENT for EXIST where there is none."""
        if elem and flags & ~UpdateFlag.LOCK == UpdateFlag.NOEXIST:
            return -Errno.EEXIST
        return -Errno.ENOENT if not elem and flags & ~UpdateFlag.LOCK == UpdateFlag.EXIST else 0

    # Operations

    def lookup_elem(self, key: bytes) -> int:
        """See BpfMap (htab_map_lookup_elem)."""
        elem = self._index.get(key, 0)
        return elem and elem + self.value_offset

    def delete_elem(self, key: bytes) -> int:
        """See BpfMap; ENOENT (htab_map_delete_elem)."""
        if key not in self._index:
            return -Errno.ENOENT
        self._release(self._unlink(key))
        return 0

    def _release(self, elem: int) -> None:
        """An element that no key leads to any more."""
        self._spare.append(elem)

    def get_next_key(self, key: bytes | None) -> bytes | None:
        """See BpfMap (htab_map_get_next_key)."""
        if self._order is None:
            newest_first = reversed(self._index)
            by_bucket = sorted(newest_first, key=lambda k: jhash(k) & self.buckets - 1)
            self._order = {k: rank for rank, k in enumerate(by_bucket)}
            self._walk = by_bucket
        start = 0 if key is None or key not in self._index else self._order[key] + 1
        for following in range(start, len(self._walk)):
            if self._walk[following] in self._index:
                return self._walk[following]
        return None

    def elements(self) -> Iterator[tuple[int, int]]:
        """See BpfMap (bpf_for_each_hash_elem): an element deleted meanwhile is passed over."""
        for key in list(self.keys()):
            elem = self._index.get(key, 0)
            if elem:
                yield elem + ELEM_HEAD, self._value_of(elem)

    def _value_of(self, elem: int) -> int:
        """Address of the value that the CPU that runs sees."""
        return elem + self.value_offset

    # The way back in time

    def _save(self) -> object:
        self._shared = True
        return self._index, self._spare

    def _restore(self, state: Any) -> None:
        self._index, self._spare = state
        self._shared = True
        self._order = None

    def _own(self) -> None:
        if self._shared:
            self._index, self._spare, self._shared = dict(self._index), list(self._spare), False


class HashMap(HashTable):
    """A hash table whose values stand in its elements."""

    def __init__(self, spec: MapSpec, number: int, place: Place, value_bytes: int = 0) -> None:
        cpus = place.host.num_possible_cpus()
        super().__init__(spec, number, place, value_bytes or spec.value_size, extra=cpus)
        # An update of a preallocated map takes the CPU's extra element, and leaves it the old one.
        self._extra: tuple[int, ...] = ()
        if self._preallocated:
            self._extra = tuple(self._spare[:cpus])
            del self._spare[:cpus]

    def update_elem(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """See BpfMap; EINVAL, EEXIST, ENOENT, E2BIG when full, ENOMEM without memory (htab_map_update_elem)."""
        if flags & ~UpdateFlag.LOCK > UpdateFlag.EXIST or flags & UpdateFlag.LOCK:
            return -Errno.EINVAL
        old = self._index.get(key, 0)
        refusal = self.check_flags(old, flags)
        if refusal:
            return refusal
        if not old and len(self._index) >= self.max_entries:
            return -Errno.E2BIG
        self._own()
        if old and self._preallocated:
            cpu = self.host.smp_processor_id()
            new = self._extra[cpu]
            self._extra = (*self._extra[:cpu], old, *self._extra[cpu + 1 :])
            old = 0
        else:
            new = self._new_element()
        if new < 0:
            return new
        self._write(new, key, value)
        self._link(key, new)
        if old:
            self._release(old)
        return 0

    def _save(self) -> object:
        return super()._save(), self._extra

    def _restore(self, state: Any) -> None:
        table, self._extra = state
        super()._restore(table)


class PercpuHashMap(HashTable):
    """A hash table of which every CPU has its own values; updates are in place."""

    per_cpu = True

    def __init__(self, spec: MapSpec, number: int, place: Place, body_size: int = 0) -> None:
        self.unit = round_up8(spec.value_size)
        self.stride = self.unit * place.host.num_possible_cpus()
        super().__init__(spec, number, place, 8, body_size=body_size)

    def _add_elements(self, count: int) -> None:
        fresh = len(self._spare)
        super()._add_elements(count)
        copies = self._take(self.stride * count)
        for at, elem in enumerate(self._spare[fresh:]):
            self.memory.write(elem + self.value_offset, (copies + self.stride * at).to_bytes(8, "little"))

    def _value_of(self, elem: int) -> int:
        return self._copies(elem) + self.unit * self.host.smp_processor_id()

    def _copies(self, elem: int) -> int:
        return int.from_bytes(self.memory.read(elem + self.value_offset, 8), "little")

    def lookup_percpu_elem(self, key: bytes, cpu: int) -> int:
        """See BpfMap; 0 also for a CPU that there is not."""
        elem = self._index.get(key, 0)
        if not elem or cpu >= self.host.num_possible_cpus():
            return 0
        return self._copies(elem) + self.unit * cpu

    def lookup_elem(self, key: bytes) -> int:
        """See BpfMap: the copy of the CPU that runs (htab_percpu_map_lookup_elem)."""
        return self.lookup_percpu_elem(key, self.host.smp_processor_id())

    def update_elem(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """See BpfMap: this CPU's copy; the others' are zeros if the element is new."""
        return self._update(key, value, flags, on_all=False)

    def sys_update(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """See BpfMap: the copies of all CPUs (bpf_percpu_hash_update)."""
        return self._update(key, value, flags, on_all=True)

    def read_value(self, key: bytes) -> bytes | None:
        """See BpfMap: the copies of all CPUs (bpf_percpu_hash_copy)."""
        elem = self._index.get(key, 0)
        return self.memory.read(self._copies(elem), self.stride) if elem else None

    def _update(self, key: bytes, value: bytes, flags: int, *, on_all: bool) -> int:
        if flags > UpdateFlag.EXIST:
            return -Errno.EINVAL
        elem = self._index.get(key, 0)
        refusal = self.check_flags(elem, flags)
        if refusal:
            return refusal
        fresh = not elem
        if fresh:
            if len(self._index) >= self.max_entries:
                return -Errno.E2BIG
            self._own()
            elem = self._new_element()
            if elem < 0:
                return elem
            self._write(elem, key, b"")
            self._link(key, elem)
        self._write_copies(elem, value, fresh, on_all)
        return 0

    def _write_copies(self, elem: int, value: bytes, fresh: bool, on_all: bool) -> None:
        """pcpu_init_value and pcpu_copy_value."""
        copies = self._copies(elem)
        if on_all:
            self.memory.write(copies, value)
            return
        if fresh:
            self.memory.write(copies, bytes(self.stride))
        self.memory.write(copies + self.unit * self.host.smp_processor_id(), value)
