"""What all maps have: a specification, an address, and operations that answer as Linux's do.

A map is a block of guest memory. It begins with a head of 272 bytes that stands for Linux's ``struct bpf_array``, of
which the fields of ``struct bpf_map`` that a student may look for are filled in::

    24 u32 map_type    28 u32 key_size    32 u32 value_size    36 u32 max_entries    40 u64 map_extra
    48 u32 map_flags   52 s32 spin_lock_off   64 s32 timer_off   68 u32 id   72 s32 numa_node   104 char name[16]

The address of the head is what a program's register holds after ``r1 = map[..]``. Operations return 0 or a negative
errno, as ``struct bpf_map_ops`` has it, because the helpers pass that on to the program. Keys, values, lists and
positions are guest memory; what Python keeps beside it is in ``save``.
"""

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from kprobesim.bpf.environment import MapHost
from kprobesim.bpf.maps.flags import UpdateFlag
from kprobesim.bpf.memory import Arena, GuestMemory
from kprobesim.errors import LinuxError
from kprobesim.linux_errno import Errno

__all__ = ["HEAD_SIZE", "MAP_TYPES", "BpfMap", "MapSpec", "Place", "map_type_id", "round_up8"]

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
        map_extra: a bloom filter's number of hash functions; 0 for all others.
        inner: for maps in maps, name of a map that looks like those inside.
    """

    type: str
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0
    name: str = ""
    map_extra: int = 0
    inner: str = ""


class Place(NamedTuple):
    """Where a map is made: the guest's memory, what gives out pieces of it, and the machine around it."""

    memory: GuestMemory
    arena: Arena
    host: MapHost


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
        host: the machine around it.
        frozen: whether user space gave up writing (BPF_MAP_FREEZE).
        per_cpu: whether every CPU has its own copy of each value.
        no_walk: what BPF_MAP_GET_NEXT_KEY says where there is nothing to walk along.
    """

    per_cpu: ClassVar[bool] = False
    no_walk: ClassVar[Errno | None] = None

    def __init__(self, spec: MapSpec, number: int, place: Place, body_size: int = 0, align: int = 8) -> None:
        self.spec = spec
        self.id = number
        self.memory, self.arena, self.host = place
        self.key_size = spec.key_size
        self.value_size = spec.value_size
        self.max_entries = spec.max_entries
        self.frozen = False
        self._blocks: tuple[int, ...] = ()
        block = self._take(HEAD_SIZE + body_size + align - 8, 8)
        self.address = (block + HEAD_SIZE + align - 1 & -align) - HEAD_SIZE
        head = bytearray(128)
        none = -Errno.EINVAL
        struct.pack_into("<4IQI", head, 24, map_type_id(spec.type), *self._sizes(), spec.map_extra, spec.flags)
        struct.pack_into("<i", head, 52, none)
        struct.pack_into("<iIi", head, 64, none, number, -1)
        head[104:119] = spec.name.encode("ascii", "replace")[:15].ljust(15, b"\0")
        self.memory.write(self.address, bytes(head))

    def _sizes(self) -> tuple[int, int, int]:
        return self.spec.key_size, self.spec.value_size, self.spec.max_entries

    @property
    def name(self) -> str:
        """The map's name, possibly empty."""
        return self.spec.name

    @property
    def sys_value_size(self) -> int:
        """Bytes of a value as user space sees it (bpf_map_value_size): with all CPUs' copies, each rounded up to 8."""
        if self.per_cpu:
            return round_up8(self.value_size) * self.host.num_possible_cpus()
        return self.value_size

    @property
    def memlock(self) -> int:
        """Bytes of guest memory that the map takes."""
        return sum(self.arena.size_of(block) for block in self._blocks)

    # What programs do

    @abstractmethod
    def lookup_elem(self, key: bytes) -> int:
        """Guest address of the live value, 0 (NULL) if there is none. ``key`` has ``key_size`` bytes."""

    @abstractmethod
    def update_elem(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """Store ``value`` (``value_size`` bytes); 0 or a negative errno."""

    @abstractmethod
    def delete_elem(self, key: bytes) -> int:
        """Remove an element; 0 or a negative errno."""

    def lookup_percpu_elem(self, key: bytes, cpu: int) -> int:
        """Address of a CPU's copy of the value; 0 if there is none, or the map has no such copies."""
        return 0

    def push_elem(self, value: bytes, flags: int) -> int:
        """Put a value into a queue, a stack or a bloom filter; 0 or a negative errno."""
        return -Errno.ENOTSUPP

    def pop_elem(self) -> bytes | int:
        """Take a value out of a queue or a stack; a negative errno if there is none."""
        return -Errno.ENOTSUPP

    def peek_elem(self, value: bytes) -> bytes | int:
        """The value that is next, left in its place; a bloom filter says whether it may hold ``value``."""
        return -Errno.ENOTSUPP

    def elements(self) -> Iterator[tuple[int, int]]:
        """Addresses of keys and values in the order of bpf_for_each_map_elem."""
        return iter(())

    # What user space does

    def get_next_key(self, key: bytes | None) -> bytes | None:
        """The key after ``key``; the first for None or an unknown key; None where there is no more (ENOENT)."""
        return None

    def read_value(self, key: bytes) -> bytes | None:
        """A copy of the value as bpf(BPF_MAP_LOOKUP_ELEM) gives it, ``sys_value_size`` bytes; None stands for ENOENT.

        Raises:
            LinuxError: this kind of map cannot be read so.
        """
        address = self.lookup_elem(key)
        return self.memory.read(address, self.value_size) if address else None

    def value_or_nothing(self, key: bytes) -> bytes:
        """What `read_value` gives, and nothing where it gives none or the map cannot be read."""
        try:
            return self.read_value(key) or b""
        except LinuxError:
            return b""

    def sys_update(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """Store a value of ``sys_value_size`` bytes; 0 or a negative errno."""
        return self.update_elem(key, value, flags)

    def keys(self) -> Iterator[bytes]:
        """All keys in the order in which user space walks them."""
        key = self.get_next_key(None)
        while key is not None:
            yield key
            key = self.get_next_key(key)

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys with a copy of their value, in the order in which user space walks them."""
        for key in self.keys():
            try:
                value = self.read_value(key)
            except LinuxError:
                return
            if value is not None:
                yield key, value

    # Memory, and the way back in time

    def _take(self, size: int, align: int = 8) -> int:
        """``size`` zeroed bytes of the arena, given back with the map; ArenaFull if there are none."""
        address = self.arena.alloc(size, align)
        self._blocks += (address,)
        self.memory.write(address, bytes(size))
        return address

    def free(self) -> None:
        """Give the map's memory back to the arena; no operation may follow."""
        for block in self._blocks:
            self.arena.free(block)
        self._blocks = ()

    def save(self) -> object:
        """The Python side of the map; keys and values are guest memory and not in it."""
        return self._blocks, self.frozen, self._save()

    def restore(self, state: Any) -> None:
        """Put back what ``save`` gave."""
        self._blocks, self.frozen, mine = state
        self._restore(mine)

    def _save(self) -> object:
        """What a kind of map keeps in Python."""
        return None

    def _restore(self, state: Any) -> None:  # noqa: B027 - most kinds keep nothing in Python
        """Put back what ``_save`` gave."""
