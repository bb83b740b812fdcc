"""BPF_MAP_TYPE_ARRAY: elements 0 to max_entries - 1 always exist; follows Linux kernel/bpf/arraymap.c."""

from kprobesim.bpf.maps.base import HEAD_SIZE, BpfMap, MapSpec, UpdateFlag, round_up8
from kprobesim.bpf.memory import Arena, GuestMemory
from kprobesim.linux_errno import Errno

__all__ = ["ArrayMap"]


class ArrayMap(BpfMap):
    """Values stand one after the other behind the head, each at a multiple of 8 bytes. No Python state at all."""

    def __init__(self, spec: MapSpec, memory: GuestMemory, arena: Arena, number: int) -> None:
        self.elem_size = round_up8(spec.value_size)
        self.max_entries = spec.max_entries
        super().__init__(spec, memory, arena, number, self.elem_size * spec.max_entries)
        self.values = self.address + HEAD_SIZE

    def lookup_elem(self, key: bytes) -> int:
        """See BpfMap; 0 for an index past the end (array_map_lookup_elem)."""
        index = int.from_bytes(key, "little")
        return self.values + index * self.elem_size if index < self.max_entries else 0

    def update_elem(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """See BpfMap; EINVAL for unknown flags, E2BIG past the end, EEXIST for NOEXIST (array_map_update_elem)."""
        if flags & ~UpdateFlag.LOCK > UpdateFlag.EXIST:
            return -Errno.EINVAL
        address = self.lookup_elem(key)
        if not address:
            return -Errno.E2BIG
        if flags & UpdateFlag.NOEXIST:
            return -Errno.EEXIST
        if flags & UpdateFlag.LOCK:
            return -Errno.EINVAL
        self.memory.write(address, value)
        return 0

    def delete_elem(self, key: bytes) -> int:
        """Always EINVAL: an array's elements cannot go (array_map_delete_elem)."""
        return -Errno.EINVAL

    def get_next_key(self, key: bytes | None) -> bytes | None:
        """See BpfMap; indexes in order, and 0 after an index past the end (array_map_get_next_key)."""
        index = -1 if key is None else int.from_bytes(key, "little")
        if index >= self.max_entries:
            index = -1
        return (index + 1).to_bytes(4, "little") if index + 1 < self.max_entries else None

    def free(self) -> None:
        """See BpfMap."""
        self.arena.free(self.address)

    def save(self) -> object:
        """Nothing: all of an array is guest memory."""
        return None

    def restore(self, state: object) -> None:
        """Nothing to put back."""
