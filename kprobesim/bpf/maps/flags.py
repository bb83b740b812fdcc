"""Flags of maps, and which of them each kind of map takes when it is made.

Source: ``BPF_F_*`` of Linux include/uapi/linux/bpf.h and the ``*_CREATE_FLAG_MASK`` of the files of kernel/bpf.
"""

from enum import IntEnum, IntFlag

__all__ = ["CREATE_MASKS", "MapFlag", "UpdateFlag"]


class UpdateFlag(IntEnum):
    """Flags of an update (``BPF_ANY`` and so on)."""

    ANY = 0
    NOEXIST = 1
    EXIST = 2
    LOCK = 4


class MapFlag(IntFlag):
    """Flags of BPF_MAP_CREATE; Linux writes ``BPF_F_`` before each name."""

    NO_PREALLOC = 1 << 0
    NO_COMMON_LRU = 1 << 1
    NUMA_NODE = 1 << 2
    RDONLY = 1 << 3
    WRONLY = 1 << 4
    STACK_BUILD_ID = 1 << 5
    ZERO_SEED = 1 << 6
    RDONLY_PROG = 1 << 7
    WRONLY_PROG = 1 << 8
    CLONE = 1 << 9
    MMAPABLE = 1 << 10
    PRESERVE_ELEMS = 1 << 11
    INNER_MAP = 1 << 12


_ACCESS = MapFlag.RDONLY | MapFlag.WRONLY | MapFlag.RDONLY_PROG | MapFlag.WRONLY_PROG
_ARRAY = MapFlag.NUMA_NODE | MapFlag.MMAPABLE | _ACCESS | MapFlag.PRESERVE_ELEMS | MapFlag.INNER_MAP
_HASH = MapFlag.NO_PREALLOC | MapFlag.NO_COMMON_LRU | MapFlag.NUMA_NODE | _ACCESS | MapFlag.ZERO_SEED
_QUEUE = MapFlag.NUMA_NODE | _ACCESS

_MASKS = {
    **dict.fromkeys(("array", "percpu_array", "prog_array", "perf_event_array", "array_of_maps"), _ARRAY),
    **dict.fromkeys(("hash", "percpu_hash", "lru_hash", "lru_percpu_hash", "hash_of_maps"), _HASH),
    "stack_trace": MapFlag.NUMA_NODE | MapFlag.RDONLY | MapFlag.WRONLY | MapFlag.STACK_BUILD_ID,
    "lpm_trie": MapFlag.NO_PREALLOC | MapFlag.NUMA_NODE | _ACCESS,
    "queue": _QUEUE,
    "stack": _QUEUE,
    "ringbuf": MapFlag.NUMA_NODE,
    "user_ringbuf": MapFlag.NUMA_NODE,
    "bloom_filter": MapFlag.NUMA_NODE | MapFlag.ZERO_SEED | _ACCESS,
}
CREATE_MASKS: dict[str, int] = {name: int(mask) for name, mask in _MASKS.items()}
"""Map type -> all flags that it takes, as a plain number: ``~`` of an IntFlag knows only its own bits."""
