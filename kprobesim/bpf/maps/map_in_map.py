"""BPF_MAP_TYPE_ARRAY_OF_MAPS and BPF_MAP_TYPE_HASH_OF_MAPS: maps whose values are maps.

Every map inside must look like the one that was shown when the outer one was made. A value is the inner map's address;
user space stores a descriptor and reads an id. Follows Linux kernel/bpf/map_in_map.c, arraymap.c and hashtab.c.
"""

from typing import Any

from kprobesim.bpf.errors import LoadError
from kprobesim.bpf.maps.base import BpfMap, MapSpec, Place
from kprobesim.bpf.maps.fd_array import ReadableFdArray
from kprobesim.bpf.maps.flags import MapFlag, UpdateFlag
from kprobesim.bpf.maps.hash import HashMap
from kprobesim.linux_errno import Errno

__all__ = ["ArrayOfMaps", "HashOfMaps", "check_inner", "map_meta_equal"]

_OF_MAPS = ("array_of_maps", "hash_of_maps")
_NEVER_INNER = ("prog_array",)


def check_inner(inner: BpfMap | None) -> BpfMap:
    """The map that shows what those inside look like (bpf_map_meta_alloc).

    Raises:
        LoadError: EBADF, there is none; EINVAL, it holds maps itself; ENOTSUPP, a kind that cannot be inside.
    """
    if inner is None:
        raise LoadError(Errno.EBADF, "", hint="A map of maps is made with an example of the maps inside: inner=NAME.")
    if inner.spec.type in _OF_MAPS:
        raise LoadError(Errno.EINVAL, "", hint="A map of maps cannot be inside another.")
    if inner.spec.type in _NEVER_INNER:
        raise LoadError(Errno.ENOTSUPP, "", hint=f"A {inner.spec.type} cannot be inside another map.")
    return inner


def map_meta_equal(shown: MapSpec, other: MapSpec) -> bool:
    """Whether a map looks like the one shown (bpf_map_meta_equal, array_map_meta_equal)."""
    alike = (shown.type, shown.key_size, shown.value_size, shown.flags) == (
        other.type,
        other.key_size,
        other.value_size,
        other.flags,
    )
    if alike and shown.type == "array" and not shown.flags & MapFlag.INNER_MAP:
        return shown.max_entries == other.max_entries
    return alike


class ArrayOfMaps(ReadableFdArray[BpfMap]):
    """An array of maps; a place may be empty.

    Attributes:
        inner: what the maps inside look like.
    """

    def __init__(self, spec: MapSpec, number: int, place: Place, inner: BpfMap | None) -> None:
        self.inner = check_inner(inner).spec
        super().__init__(spec, number, place)

    def _accept(self, target: BpfMap) -> int:
        return 0 if map_meta_equal(self.inner, target.spec) else -Errno.EINVAL

    def lookup_elem(self, key: bytes) -> int:
        """Address of the map at an index; 0 for an empty place (array_of_map_lookup_elem)."""
        place = self.element(key)
        return int.from_bytes(self.memory.read(place, 8), "little") if place else 0

    def inside(self) -> tuple[BpfMap, ...]:
        """The maps inside."""
        return tuple(self._targets.values())


class HashOfMaps(HashMap):
    """A hash of maps.

    Attributes:
        inner: what the maps inside look like.
    """

    def __init__(self, spec: MapSpec, number: int, place: Place, inner: BpfMap | None) -> None:
        self.inner = check_inner(inner).spec
        super().__init__(spec, number, place, 8)
        self._inside: dict[int, BpfMap] = {}

    def update_fd(self, key: bytes, target: BpfMap, flags: int = UpdateFlag.ANY) -> int:
        """Store a map; EINVAL if it looks otherwise, and what a hash says (bpf_fd_htab_map_update_elem)."""
        if not map_meta_equal(self.inner, target.spec):
            return -Errno.EINVAL
        result = HashMap.update_elem(self, key, target.address.to_bytes(8, "little"), flags)
        if not result:
            self._inside = {**self._inside, target.address: target}
        return result

    def lookup_elem(self, key: bytes) -> int:
        """Address of the map under a key; 0 if there is none (htab_of_map_lookup_elem)."""
        place = HashMap.lookup_elem(self, key)
        return int.from_bytes(self.memory.read(place, 8), "little") if place else 0

    def inside(self) -> tuple[BpfMap, ...]:
        """The maps that are, or have been, inside."""
        return tuple(self._inside.values())

    def update_elem(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """No program may store."""
        return -Errno.EINVAL

    def sys_update(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """A bare number is no descriptor here: EBADF. See `update_fd`."""
        return -Errno.EBADF

    def read_value(self, key: bytes) -> bytes | None:
        """See BpfMap: the id of the map under a key."""
        found = self._inside.get(self.lookup_elem(key))
        return None if found is None else found.id.to_bytes(4, "little")

    def _save(self) -> object:
        return super()._save(), self._inside

    def _restore(self, state: Any) -> None:
        table, self._inside = state
        super()._restore(table)
