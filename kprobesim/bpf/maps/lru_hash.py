"""BPF_MAP_TYPE_LRU_HASH and BPF_MAP_TYPE_LRU_PERCPU_HASH: a full map makes room by itself.

Follows Linux kernel/bpf/hashtab.c: prealloc_lru_pop, htab_lru_map_update_elem, __htab_lru_percpu_map_update_elem. How
an element is chosen is in `lru_list`.
"""

from kprobesim.bpf.maps.base import HEAD_SIZE, MapSpec, Place
from kprobesim.bpf.maps.flags import MapFlag, UpdateFlag
from kprobesim.bpf.maps.hash import HashTable, PercpuHashMap
from kprobesim.bpf.maps.lru_list import LIST_SIZE, LOCAL_LIST_SIZE, CommonLru, Lru, PercpuLru
from kprobesim.linux_errno import Errno

__all__ = ["LruHashMap", "LruPercpuHashMap"]

_NODE_AT = 16


def _lists_size(spec: MapSpec, cpus: int) -> int:
    return LIST_SIZE * cpus if spec.flags & MapFlag.NO_COMMON_LRU else LIST_SIZE + LOCAL_LIST_SIZE * cpus


def _entries(spec: MapSpec, cpus: int) -> int:
    """With lists for each CPU every one gets the same number of elements, at least one."""
    if not spec.flags & MapFlag.NO_COMMON_LRU:
        return spec.max_entries
    rounded = -(-spec.max_entries // cpus) * cpus
    return rounded if rounded < 1 << 32 else spec.max_entries // cpus * cpus


class _LruTable(HashTable):
    """A hash table whose free elements stand on LRU lists."""

    _lru: Lru

    def _sizes(self) -> tuple[int, int, int]:
        self.max_entries = _entries(self.spec, self.host.num_possible_cpus())
        return self.spec.key_size, self.spec.value_size, self.max_entries

    def _build_lists(self, place: Place) -> None:
        kind = PercpuLru if self.spec.flags & MapFlag.NO_COMMON_LRU else CommonLru
        self._lru = kind(place, self._evict, self.address + HEAD_SIZE)
        self._lru.populate([elem + _NODE_AT for elem in reversed(self._spare)])
        self._spare.clear()

    def _evict(self, node: int) -> bool:
        """htab_lru_map_delete_node."""
        elem = node - _NODE_AT
        key = self.key_of(elem)
        if self._index.get(key) != elem:
            return False
        self._unlink(key)
        self.host.tell("map.evict", map=self.name, key=key)
        return True

    def _pop(self, key: bytes) -> int:
        """An element for a new key, evicting another if need be; 0 if there is none (prealloc_lru_pop)."""
        node = self._lru.pop_free()
        if not node:
            return 0
        self._write(node - _NODE_AT, key, b"")
        return node - _NODE_AT

    def _release(self, elem: int) -> None:
        self._lru.push_free(elem + _NODE_AT)

    def _touch(self, key: bytes) -> None:
        """Note that a program uses an element."""
        elem = self._index.get(key, 0)
        if elem:
            self._lru.set_ref(elem + _NODE_AT)


class LruHashMap(_LruTable):
    """An LRU hash with values in its elements."""

    def __init__(self, spec: MapSpec, number: int, place: Place) -> None:
        size = _lists_size(spec, place.host.num_possible_cpus())
        super().__init__(spec, number, place, spec.value_size, body_size=size)
        self._build_lists(place)

    def lookup_elem(self, key: bytes) -> int:
        """See BpfMap; the element counts as used from now on (htab_lru_map_lookup_elem)."""
        self._touch(key)
        return super().lookup_elem(key)

    def read_value(self, key: bytes) -> bytes | None:
        """See BpfMap; that user space looks does not count as use (htab_lru_map_lookup_elem_sys)."""
        address = super().lookup_elem(key)
        return self.memory.read(address, self.value_size) if address else None

    def update_elem(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """See BpfMap; EINVAL, EEXIST, ENOENT, ENOMEM where nothing can be evicted.

        A place is made before it is known whether the update is refused: a refused one may evict, too.
        """
        if flags > UpdateFlag.EXIST:
            return -Errno.EINVAL
        new = self._pop(key)
        if not new:
            return -Errno.ENOMEM
        self.memory.write(new + self.value_offset, value)
        old = self._index.get(key, 0)
        refusal = self.check_flags(old, flags)
        if refusal:
            self._release(new)
            return refusal
        self._link(key, new)
        if old:
            self._lru.set_ref(new + _NODE_AT)
            self._release(old)
        return 0


class LruPercpuHashMap(_LruTable, PercpuHashMap):
    """An LRU hash of which every CPU has its own values; ``per_cpu`` values are not ``NO_COMMON_LRU`` lists."""

    def __init__(self, spec: MapSpec, number: int, place: Place) -> None:
        PercpuHashMap.__init__(self, spec, number, place, _lists_size(spec, place.host.num_possible_cpus()))
        self._build_lists(place)

    def lookup_elem(self, key: bytes) -> int:
        """See BpfMap; the element counts as used from now on."""
        self._touch(key)
        return PercpuHashMap.lookup_elem(self, key)

    def _update(self, key: bytes, value: bytes, flags: int, *, on_all: bool) -> int:
        """__htab_lru_percpu_map_update_elem; a place is not made for an update that needs an old element."""
        if flags > UpdateFlag.EXIST:
            return -Errno.EINVAL
        new = 0
        if flags != UpdateFlag.EXIST:
            new = self._pop(key)
            if not new:
                return -Errno.ENOMEM
        old = self._index.get(key, 0)
        refusal = self.check_flags(old, flags)
        if not refusal and old:
            self._lru.set_ref(old + _NODE_AT)
            self._write_copies(old, value, False, on_all)
        elif not refusal:
            self._write_copies(new, value, True, on_all)
            self._link(key, new)
            return 0
        if new:
            self._release(new)
        return refusal
