"""BPF_MAP_CREATE: what Linux refuses, with its errnos, in its order.

Follows Linux kernel/bpf/syscall.c:map_create and the ``map_alloc_check`` and ``map_alloc`` of each kind.
"""

import re
from collections.abc import Callable, Iterable

from kprobesim.bpf.environment import BenchEnvironment, MapHost
from kprobesim.bpf.errors import LoadError
from kprobesim.bpf.maps.array import ArrayMap, PercpuArrayMap
from kprobesim.bpf.maps.base import MAP_TYPES, BpfMap, MapSpec, Place, round_up8
from kprobesim.bpf.maps.bloom_filter import BloomFilter
from kprobesim.bpf.maps.fd_array import PerfEventArray, ProgArray
from kprobesim.bpf.maps.flags import CREATE_MASKS, MapFlag
from kprobesim.bpf.maps.hash import ELEM_HEAD, HashMap, PercpuHashMap
from kprobesim.bpf.maps.lpm_trie import LpmTrie
from kprobesim.bpf.maps.lru_hash import LruHashMap, LruPercpuHashMap
from kprobesim.bpf.maps.map_in_map import ArrayOfMaps, HashOfMaps
from kprobesim.bpf.maps.queue_stack import QueueMap, StackMap
from kprobesim.bpf.maps.ringbuf import RingBuf, UserRingBuf
from kprobesim.bpf.maps.stack_trace import MAX_DEPTH, StackTraceMap
from kprobesim.bpf.memory import PAGE_SIZE, Arena, ArenaFull, GuestMemory
from kprobesim.linux_errno import Errno

__all__ = ["CREATABLE", "create_map", "create_maps"]

_KINDS: dict[str, Callable[[MapSpec, int, Place], BpfMap]] = {
    "array": ArrayMap,
    "percpu_array": PercpuArrayMap,
    "prog_array": ProgArray,
    "perf_event_array": PerfEventArray,
    "hash": HashMap,
    "percpu_hash": PercpuHashMap,
    "lru_hash": LruHashMap,
    "lru_percpu_hash": LruPercpuHashMap,
    "stack_trace": StackTraceMap,
    "lpm_trie": LpmTrie,
    "queue": QueueMap,
    "stack": StackMap,
    "ringbuf": RingBuf,
    "user_ringbuf": UserRingBuf,
    "bloom_filter": BloomFilter,
}
_OF_MAPS: dict[str, Callable[[MapSpec, int, Place, BpfMap | None], BpfMap]] = {
    "array_of_maps": ArrayOfMaps,
    "hash_of_maps": HashOfMaps,
}

CREATABLE = frozenset((*_KINDS, *_OF_MAPS))
"""The kinds of map that this machine has; what needs cgroups, sockets or devices is missing, as without that config."""

_MAX_U32 = (1 << 32) - 1
_KMALLOC_MAX = 1 << 22
_PCPU_MIN_UNIT = 32 << 10
_RINGBUF_MAX = (1 << 32) // 2 * PAGE_SIZE  # RINGBUF_MAX_DATA_SZ, beyond what max_entries can say
_LPM_DATA_MAX = 256
_ARRAYS = ("array", "percpu_array", "prog_array", "perf_event_array", "array_of_maps")
_HASHES = ("hash", "percpu_hash", "lru_hash", "lru_percpu_hash", "hash_of_maps")
_HOLD_FDS = ("prog_array", "perf_event_array", "array_of_maps", "hash_of_maps")


def _refuse(errno: Errno, hint: str) -> LoadError:
    return LoadError(errno, "", hint=hint)


def _check_flags(spec: MapSpec) -> None:
    if spec.flags & ~CREATE_MASKS[spec.type]:
        raise _refuse(Errno.EINVAL, f"Flags {spec.flags:#x} do not go with a map of type {spec.type}.")
    if spec.flags & MapFlag.RDONLY_PROG and spec.flags & MapFlag.WRONLY_PROG:
        raise _refuse(Errno.EINVAL, "A map cannot be both read-only and write-only for programs.")


def _check_fds(spec: MapSpec) -> None:
    """fd_array_map_alloc_check and fd_htab_map_alloc_check."""
    if spec.value_size != 4:
        raise _refuse(Errno.EINVAL, f"A value of a {spec.type} is a descriptor of 4 bytes, not {spec.value_size}.")
    if spec.type in _ARRAYS and spec.flags & (MapFlag.RDONLY_PROG | MapFlag.WRONLY_PROG):
        raise _refuse(Errno.EINVAL, f"A {spec.type} cannot be read-only or write-only for programs.")


def _check_array(spec: MapSpec) -> None:
    """array_map_alloc_check."""
    percpu = spec.type == "percpu_array"
    if spec.max_entries == 0 or spec.value_size == 0:
        raise _refuse(Errno.EINVAL, "An array has at least one element, and values of at least one byte.")
    if spec.key_size != 4:
        raise _refuse(Errno.EINVAL, f"An array's key is a 4-byte index, not {spec.key_size} bytes.")
    _check_flags(spec)
    if percpu and spec.flags & MapFlag.NUMA_NODE:
        raise _refuse(Errno.EINVAL, "Values of all CPUs cannot be on one NUMA node.")
    if spec.type != "array" and spec.flags & (MapFlag.MMAPABLE | MapFlag.INNER_MAP):
        raise _refuse(Errno.EINVAL, "BPF_F_MMAPABLE and BPF_F_INNER_MAP are for plain arrays.")
    if spec.type != "perf_event_array" and spec.flags & MapFlag.PRESERVE_ELEMS:
        raise _refuse(Errno.EINVAL, "BPF_F_PRESERVE_ELEMS is for perf event arrays.")
    if spec.value_size > (1 << 31) - 1:
        raise _refuse(Errno.E2BIG, "The value is too large.")
    if percpu and round_up8(spec.value_size) > _PCPU_MIN_UNIT:
        raise _refuse(Errno.E2BIG, "A value that every CPU has is at most 32 KiB long.")


def _check_hash(spec: MapSpec) -> None:
    """htab_map_alloc_check."""
    percpu, lru = "percpu" in spec.type, spec.type.startswith("lru")
    _check_flags(spec)
    if not lru and spec.flags & MapFlag.NO_COMMON_LRU:
        raise _refuse(Errno.EINVAL, "BPF_F_NO_COMMON_LRU is for LRU hashes.")
    if lru and spec.flags & MapFlag.NO_PREALLOC:
        raise _refuse(Errno.ENOTSUPP, "An LRU hash is always preallocated.")
    if spec.flags & MapFlag.NUMA_NODE and (percpu or spec.flags & MapFlag.NO_COMMON_LRU):
        raise _refuse(Errno.EINVAL, "Values or lists of all CPUs cannot be on one NUMA node.")
    if spec.max_entries == 0 or spec.key_size == 0 or spec.value_size == 0:
        raise _refuse(Errno.EINVAL, "A hash has at least one entry, and keys and values of at least one byte.")
    if spec.key_size + spec.value_size >= _KMALLOC_MAX - ELEM_HEAD:
        raise _refuse(Errno.E2BIG, "An element must fit one kmalloc block of 4 MiB.")
    if percpu and round_up8(spec.value_size) > _PCPU_MIN_UNIT:
        raise _refuse(Errno.E2BIG, "A value that every CPU has is at most 32 KiB long.")
    # 16 bytes for each bucket have to stay below 4 GiB, and the number of buckets is a power of two.
    if spec.max_entries > 1 << 31 or 1 << (spec.max_entries - 1).bit_length() > _MAX_U32 // 16:
        raise _refuse(Errno.E2BIG, "The table of buckets would be too large.")


def _check_stack_trace(spec: MapSpec) -> None:
    """stack_map_alloc."""
    _check_flags(spec)
    if spec.max_entries == 0 or spec.key_size != 4 or spec.value_size < 8 or spec.value_size % 8:
        raise _refuse(Errno.EINVAL, "A stack trace has a 4-byte id and 8 bytes for each address.")
    if spec.flags & MapFlag.STACK_BUILD_ID:
        raise _refuse(Errno.EINVAL, "Programs here have no build ids, so BPF_F_STACK_BUILD_ID is not simulated.")
    if spec.value_size // 8 > MAX_DEPTH:
        raise _refuse(Errno.EINVAL, f"A stack trace has at most {MAX_DEPTH} addresses.")
    if spec.max_entries > 1 << 31:
        raise _refuse(Errno.E2BIG, "Too many entries.")


def _check_lpm_trie(spec: MapSpec) -> None:
    """trie_alloc."""
    if spec.max_entries == 0 or not spec.flags & MapFlag.NO_PREALLOC:
        raise _refuse(Errno.EINVAL, "A trie has at least one entry and must be made with BPF_F_NO_PREALLOC.")
    _check_flags(spec)
    if not 5 <= spec.key_size <= 4 + _LPM_DATA_MAX:
        raise _refuse(Errno.EINVAL, "A trie's key is a 4-byte prefix length and 1 to 256 bytes of data.")
    if not 1 <= spec.value_size <= _KMALLOC_MAX - _LPM_DATA_MAX - 40:
        raise _refuse(Errno.EINVAL, "An element must fit one kmalloc block of 4 MiB.")


def _check_queue(spec: MapSpec) -> None:
    """queue_stack_map_alloc_check."""
    if spec.max_entries == 0 or spec.key_size != 0 or spec.value_size == 0:
        raise _refuse(Errno.EINVAL, "A queue or stack has entries and values, and no keys: key=0.")
    _check_flags(spec)
    if spec.value_size > _KMALLOC_MAX:
        raise _refuse(Errno.E2BIG, "A value must fit one kmalloc block of 4 MiB.")


def _check_ringbuf(spec: MapSpec) -> None:
    """ringbuf_map_alloc."""
    _check_flags(spec)
    size = spec.max_entries
    if spec.key_size or spec.value_size:
        raise _refuse(Errno.EINVAL, "A ring buffer has neither keys nor values: key=0 value=0.")
    if size == 0 or size & size - 1 or size % PAGE_SIZE:
        raise _refuse(Errno.EINVAL, "A ring's max_entries is its size: a power of two, at least 4096 bytes.")
    if size > _RINGBUF_MAX:
        raise _refuse(Errno.E2BIG, "The ring is too large.")


def _check_bloom(spec: MapSpec) -> None:
    """bloom_map_alloc_check and bloom_map_alloc."""
    if spec.value_size > _KMALLOC_MAX:
        raise _refuse(Errno.E2BIG, "A value must fit one kmalloc block of 4 MiB.")
    if spec.key_size or spec.value_size == 0 or spec.max_entries == 0:
        raise _refuse(Errno.EINVAL, "A bloom filter has entries and values, and no keys: key=0.")
    _check_flags(spec)
    if spec.map_extra & ~0xF:
        raise _refuse(Errno.EINVAL, "map_extra is the number of hash functions, at most 15.")


def _check(spec: MapSpec) -> None:
    if spec.type in _HOLD_FDS:
        _check_fds(spec)
    if spec.type in _ARRAYS:
        _check_array(spec)
    elif spec.type in _HASHES:
        _check_hash(spec)
    elif spec.type in ("queue", "stack"):
        _check_queue(spec)
    elif spec.type in ("ringbuf", "user_ringbuf"):
        _check_ringbuf(spec)
    else:
        {"stack_trace": _check_stack_trace, "lpm_trie": _check_lpm_trie, "bloom_filter": _check_bloom}[spec.type](spec)


def create_map(
    spec: MapSpec,
    memory: GuestMemory,
    arena: Arena,
    number: int = 1,
    host: MapHost | None = None,
    inner: BpfMap | None = None,
) -> BpfMap:
    """Make an empty map.

    Args:
        spec: what is wanted.
        memory: where its elements will live.
        arena: where they get their addresses from.
        number: the map's id.
        host: the machine around it; a still one with a single CPU by default.
        inner: for maps in maps, an example of those inside.

    Raises:
        LoadError: as bpf(BPF_MAP_CREATE) would refuse it: EINVAL, E2BIG, ENOTSUPP, EBADF, and ENOMEM where guest memory
            does not suffice. A kind of map that Linux has and this machine lacks is EINVAL, with a hint that says so.
    """
    if spec.type not in MAP_TYPES or spec.type == "unspec":
        raise _refuse(Errno.EINVAL, f"There is no map type {spec.type!r}.")
    sizes = (spec.key_size, spec.value_size, spec.max_entries, spec.flags)
    if not all(0 <= n <= _MAX_U32 for n in sizes) or not 0 <= spec.map_extra < 1 << 64:
        raise _refuse(Errno.EINVAL, "Sizes and flags are unsigned 32-bit numbers.")
    if spec.map_extra and spec.type != "bloom_filter":
        raise _refuse(Errno.EINVAL, "map_extra is for bloom filters.")
    if spec.flags & MapFlag.RDONLY and spec.flags & MapFlag.WRONLY:
        raise _refuse(Errno.EINVAL, "A map cannot be both read-only and write-only.")
    if spec.type not in CREATABLE:
        raise _refuse(Errno.EINVAL, f"This machine has no {spec.type} maps, like a Linux built without what they need.")
    _check(spec)
    if len(spec.name) > 15 or not re.fullmatch(r"[A-Za-z0-9_.]*", spec.name):
        raise _refuse(Errno.EINVAL, "A map's name has at most 15 letters, digits, dots and underscores.")
    place = Place(memory, arena, host or BenchEnvironment())
    before = arena.save()
    try:
        if spec.type in _OF_MAPS:
            return _OF_MAPS[spec.type](spec, number, place, inner)
        return _KINDS[spec.type](spec, number, place)
    except ArenaFull as full:
        arena.restore(before)
        raise _refuse(Errno.ENOMEM, str(full)) from full


def create_maps(
    specs: Iterable[MapSpec], memory: GuestMemory, arena: Arena, host: MapHost | None = None
) -> list[BpfMap]:
    """Make the maps of one source, numbered from 1; maps in maps find their example by its name among those before.

    Raises:
        LoadError: see `create_map`.
    """
    made: dict[str, BpfMap] = {}
    found: list[BpfMap] = []
    for number, spec in enumerate(specs, 1):
        found.append(create_map(spec, memory, arena, number, host, made.get(spec.inner)))
        made[spec.name] = found[-1]
    return found
