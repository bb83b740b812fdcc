"""BPF_MAP_TYPE_ARRAY and BPF_MAP_TYPE_PERCPU_ARRAY: elements 0 to max_entries - 1 always exist.

Follows Linux kernel/bpf/arraymap.c. No Python state at all: everything is guest memory.
"""

import struct
from collections.abc import Iterator

from kprobesim.bpf.maps.base import HEAD_SIZE, BpfMap, MapSpec, Place, round_up8
from kprobesim.bpf.maps.flags import MapFlag, UpdateFlag
from kprobesim.linux_errno import Errno

__all__ = ["ArrayMap", "IndexedMap", "PercpuArrayMap"]

_PAGE = 4096
_KEY_AT = 248


class IndexedMap(BpfMap):
    """What all arrays share: a key is an index of four bytes.

    Attributes:
        elem_size: bytes from one element to the next.
        values: guest address of element 0.
    """

    def __init__(self, spec: MapSpec, number: int, place: Place, elem_size: int, align: int = 8) -> None:
        self.elem_size = elem_size
        super().__init__(spec, number, place, elem_size * spec.max_entries, align)
        self.values = self.address + HEAD_SIZE
        index_mask = (1 << (spec.max_entries - 1).bit_length()) - 1
        self.memory.write(self.address + 256, struct.pack("<2I", round_up8(spec.value_size), index_mask))

    def element(self, key: bytes) -> int:
        """Address of an element; 0 for an index past the end."""
        index = int.from_bytes(key, "little")
        return self.values + index * self.elem_size if index < self.max_entries else 0

    def get_next_key(self, key: bytes | None) -> bytes | None:
        """See BpfMap; indexes in order, and 0 after an index past the end (array_map_get_next_key)."""
        index = -1 if key is None else int.from_bytes(key, "little")
        if index >= self.max_entries:
            index = -1
        return (index + 1).to_bytes(4, "little") if index + 1 < self.max_entries else None

    def check_update(self, key: bytes, flags: int) -> int:
        """EINVAL for unknown flags, E2BIG past the end, EEXIST for NOEXIST; EINVAL for a lock that values lack."""
        if flags & ~UpdateFlag.LOCK > UpdateFlag.EXIST:
            return -Errno.EINVAL
        if int.from_bytes(key, "little") >= self.max_entries:
            return -Errno.E2BIG
        if flags & UpdateFlag.NOEXIST:
            return -Errno.EEXIST
        return -Errno.EINVAL if flags & UpdateFlag.LOCK else 0

    def delete_elem(self, key: bytes) -> int:
        """Always EINVAL: an array's elements cannot go (array_map_delete_elem)."""
        return -Errno.EINVAL

    def elements(self) -> Iterator[tuple[int, int]]:
        """See BpfMap (bpf_for_each_array_elem); the key, a variable of the helper in Linux, is in the head."""
        place = self.address + _KEY_AT
        for index in range(self.max_entries):
            key = index.to_bytes(4, "little")
            self.memory.write(place, key)
            yield place, self.lookup_elem(key)


class ArrayMap(IndexedMap):
    """Values stand one after the other behind the head, each at a multiple of 8 bytes; on pages with F_MMAPABLE."""

    def __init__(self, spec: MapSpec, number: int, place: Place) -> None:
        super().__init__(spec, number, place, round_up8(spec.value_size), _PAGE if spec.flags & MapFlag.MMAPABLE else 8)

    def lookup_elem(self, key: bytes) -> int:
        """See BpfMap; 0 for an index past the end (array_map_lookup_elem)."""
        index = int.from_bytes(key, "little")
        return self.values + index * self.elem_size if index < self.max_entries else 0

    def update_elem(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """See BpfMap and `check_update` (array_map_update_elem)."""
        refusal = self.check_update(key, flags)
        if not refusal:
            self.memory.write(self.element(key), value)
        return refusal


class PercpuArrayMap(IndexedMap):
    """Behind the head stands a pointer for each element, to CPU 0's copy of its value; the other CPUs' follow it."""

    per_cpu = True

    def __init__(self, spec: MapSpec, number: int, place: Place) -> None:
        super().__init__(spec, number, place, 8)
        self.unit = round_up8(spec.value_size)
        self.stride = self.unit * self.host.num_possible_cpus()
        self.copies = self._take(self.stride * spec.max_entries)
        pointers = [self.copies + self.stride * index for index in range(spec.max_entries)]
        self.memory.write(self.values, struct.pack(f"<{len(pointers)}Q", *pointers))

    def lookup_percpu_elem(self, key: bytes, cpu: int) -> int:
        """See BpfMap; 0 also for a CPU that there is not."""
        index = int.from_bytes(key, "little")
        if index >= self.max_entries or cpu >= self.host.num_possible_cpus():
            return 0
        return self.copies + self.stride * index + self.unit * cpu

    def lookup_elem(self, key: bytes) -> int:
        """See BpfMap: the copy of the CPU that runs (percpu_array_map_lookup_elem)."""
        return self.lookup_percpu_elem(key, self.host.smp_processor_id())

    def update_elem(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """See BpfMap: only this CPU's copy changes."""
        refusal = self.check_update(key, flags)
        if not refusal:
            self.memory.write(self.lookup_elem(key), value)
        return refusal

    def read_value(self, key: bytes) -> bytes | None:
        """See BpfMap: the copies of all CPUs (bpf_percpu_array_copy)."""
        address = self.lookup_percpu_elem(key, 0)
        return self.memory.read(address, self.stride) if address else None

    def sys_update(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """See BpfMap: the copies of all CPUs (bpf_percpu_array_update)."""
        if flags > UpdateFlag.EXIST:
            return -Errno.EINVAL
        refusal = self.check_update(key, flags)
        if not refusal:
            self.memory.write(self.lookup_percpu_elem(key, 0), value)
        return refusal
