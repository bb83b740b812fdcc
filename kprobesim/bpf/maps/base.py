"""What all maps have: a specification, an address, and operations that answer as Linux's do.

A map is a block of guest memory. It begins with a head of 272 bytes that stands for Linux's ``struct bpf_array``, of
which the fields of ``struct bpf_map`` that a student may look for are filled in::

    24 u32 map_type    28 u32 key_size    32 u32 value_size    36 u32 max_entries    48 u32 map_flags    52 u32 id

The address of the head is what a program's register holds after ``r1 = map[..]``. Operations return 0 or a negative
errno, as ``struct bpf_map_ops`` has it, because the helpers pass that on to the program.
"""

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from kprobesim.bpf.memory import Arena, GuestMemory

__all__ = ["HEAD_SIZE", "MAP_TYPES", "BpfMap", "MapSpec", "UpdateFlag", "map_type_id", "round_up8"]

HEAD_SIZE = 272
"""Bytes before an array's first value; translated programs of Linux 6.1 show it as ``r1 += 272``."""

_NAMES = """
    unspec hash array prog_array perf_event_array percpu_hash percpu_array stack_trace cgroup_array lru_hash
    lru_percpu_hash lpm_trie array_of_maps hash_of_maps devmap sockmap cpumap xskmap sockhash cgroup_storage
    reuseport_sockarray percpu_cgroup_storage queue stack sk_storage devmap_hash struct_ops ringbuf inode_storage
    task_storage bloom_filter user_ringbuf
"""
MAP_TYPES: tuple[str, ...] = tuple(_NAMES.split())
"""Names of the map types of Linux 6.1, as bpftool prints them; the index is ``BPF_MAP_TYPE_*``."""


def map_type_id(name: str) -> int:
    """``BPF_MAP_TYPE_*`` of a name such as ``hash`` or ``BPF_MAP_TYPE_HASH``; ValueError if there is none."""
    return MAP_TYPES.index(name.lower().removeprefix("bpf_map_type_"))


class UpdateFlag(IntEnum):
    """Flags of an update (``BPF_ANY`` and so on)."""

    ANY = 0
    NOEXIST = 1
    EXIST = 2
    LOCK = 4


@dataclass(frozen=True, slots=True)
class MapSpec:
    """What BPF_MAP_CREATE is asked for.

    Args:
        type: a name out of MAP_TYPES.
        key_size: bytes.
        value_size: bytes.
        max_entries: how many elements fit.
        flags: ``BPF_F_*`` bits.
        name: at most 15 characters, as in Linux.
    """

    type: str
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0
    name: str = ""


def round_up8(size: int) -> int:
    """``size`` rounded up to a multiple of 8."""
    return size + 7 & ~7


class BpfMap(ABC):
    """A live map.

    Attributes:
        spec: what it was made from.
        id: number by which bpftool knows it.
        address: guest address of its head.
        memory: where its elements live.
    """

    def __init__(self, spec: MapSpec, memory: GuestMemory, arena: Arena, number: int, body_size: int) -> None:
        self.spec = spec
        self.id = number
        self.memory = memory
        self.arena = arena
        self.key_size = spec.key_size
        self.value_size = spec.value_size
        self.address = arena.alloc(HEAD_SIZE + body_size)
        head = bytearray(HEAD_SIZE + body_size)
        struct.pack_into("<4I", head, 24, map_type_id(spec.type), spec.key_size, spec.value_size, spec.max_entries)
        struct.pack_into("<2I", head, 48, spec.flags, number)
        memory.write(self.address, bytes(head))

    @property
    def name(self) -> str:
        """The map's name, possibly empty."""
        return self.spec.name

    @abstractmethod
    def lookup_elem(self, key: bytes) -> int:
        """Guest address of the live value, 0 (NULL) if there is none. ``key`` has ``key_size`` bytes."""

    @abstractmethod
    def update_elem(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """Store ``value`` (``value_size`` bytes); 0 or a negative errno."""

    @abstractmethod
    def delete_elem(self, key: bytes) -> int:
        """Remove an element; 0 or a negative errno."""

    @abstractmethod
    def get_next_key(self, key: bytes | None) -> bytes | None:
        """The key after ``key``; the first for None or an unknown key; None where there is no more (ENOENT)."""

    @abstractmethod
    def free(self) -> None:
        """Give the map's memory back to the arena; no operation may follow."""

    @abstractmethod
    def save(self) -> object:
        """The Python side of the map; keys and values are guest memory and not in it."""

    @abstractmethod
    def restore(self, state: object) -> None:
        """Put back what ``save`` gave."""

    def keys(self) -> Iterator[bytes]:
        """All keys in the order in which user space walks them."""
        key = self.get_next_key(None)
        while key is not None:
            yield key
            key = self.get_next_key(key)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys with a copy of their value, in the order in which user space walks them."""
        for key in self.keys():
            yield key, self.memory.read(self.lookup_elem(key), self.value_size)

    def read_value(self, key: bytes) -> bytes | None:
        """A copy of the value, as bpf(BPF_MAP_LOOKUP_ELEM) gives it; None if there is none (ENOENT)."""
        address = self.lookup_elem(key)
        return self.memory.read(address, self.value_size) if address else None
