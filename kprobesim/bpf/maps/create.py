"""BPF_MAP_CREATE: what Linux refuses, with its errnos; follows Linux kernel/bpf/syscall.c:map_create and the
``map_alloc_check`` of each kind.
"""

import re
from collections.abc import Callable

from kprobesim.bpf.errors import LoadError
from kprobesim.bpf.maps.array import ArrayMap
from kprobesim.bpf.maps.base import MAP_TYPES, BpfMap, MapSpec
from kprobesim.bpf.maps.hash import HashMap
from kprobesim.bpf.memory import Arena, ArenaFull, GuestMemory
from kprobesim.linux_errno import Errno

__all__ = ["CREATABLE", "create_map"]

CREATABLE: dict[str, Callable[[MapSpec, GuestMemory, Arena, int], BpfMap]] = {"array": ArrayMap, "hash": HashMap}
"""The kinds of map that can be made so far."""

_MAX_U32 = (1 << 32) - 1
_MAX_STACK = 512
_KMALLOC_MAX = 1 << 22
_F_NO_PREALLOC = 1 << 0
_F_NUMA_NODE = 1 << 2
_F_RDONLY, _F_WRONLY = 1 << 3, 1 << 4
_F_ZERO_SEED = 1 << 6
_F_RDONLY_PROG, _F_WRONLY_PROG = 1 << 7, 1 << 8
_F_MMAPABLE, _F_PRESERVE_ELEMS, _F_INNER_MAP = 1 << 10, 1 << 11, 1 << 12
_ACCESS = _F_RDONLY | _F_WRONLY | _F_RDONLY_PROG | _F_WRONLY_PROG
_ARRAY_FLAGS = _F_NUMA_NODE | _ACCESS | _F_MMAPABLE | _F_PRESERVE_ELEMS | _F_INNER_MAP
_HASH_FLAGS = _F_NO_PREALLOC | _F_NUMA_NODE | _ACCESS | _F_ZERO_SEED


def _refuse(errno: Errno, hint: str) -> LoadError:
    return LoadError(errno, "", hint=hint)


def _check_array(spec: MapSpec) -> None:
    if spec.key_size != 4:
        raise _refuse(Errno.EINVAL, f"An array's key is a 4-byte index, not {spec.key_size} bytes.")
    if spec.value_size > _MAX_U32 - 8:
        raise _refuse(Errno.E2BIG, "The value is too large.")


def _check_hash(spec: MapSpec) -> None:
    if spec.key_size == 0:
        raise _refuse(Errno.EINVAL, "A hash needs keys.")
    if spec.key_size > _MAX_STACK:
        raise _refuse(Errno.E2BIG, "A key must fit the program's 512-byte stack.")
    if spec.key_size + spec.value_size >= _KMALLOC_MAX - 64:
        raise _refuse(Errno.E2BIG, "An element must fit one kmalloc block of 4 MiB.")


def create_map(spec: MapSpec, memory: GuestMemory, arena: Arena, number: int = 1) -> BpfMap:
    """Make an empty map.

    Args:
        spec: what is wanted.
        memory: where its elements will live.
        arena: where they get their addresses from.
        number: the map's id.

    Raises:
        LoadError: as bpf(BPF_MAP_CREATE) would refuse it: EINVAL, E2BIG, ENOMEM. A kind of map that Linux has and this
            simulator lacks is EINVAL, with a hint that says so.
    """
    if spec.type not in MAP_TYPES or spec.type == "unspec":
        raise _refuse(Errno.EINVAL, f"There is no map type {spec.type!r}.")
    if spec.type not in CREATABLE:
        raise _refuse(Errno.EINVAL, f"Linux has {spec.type} maps, this simulator does not yet.")
    if len(spec.name) > 15 or not re.fullmatch(r"[A-Za-z0-9_.]*", spec.name):
        raise _refuse(Errno.EINVAL, "A map's name has at most 15 letters, digits, dots and underscores.")
    if not all(0 <= n <= _MAX_U32 for n in (spec.key_size, spec.value_size, spec.max_entries, spec.flags)):
        raise _refuse(Errno.EINVAL, "Sizes and flags are unsigned 32-bit numbers.")
    if spec.max_entries == 0 or spec.value_size == 0:
        raise _refuse(Errno.EINVAL, "A map has at least one entry, and values of at least one byte.")
    if spec.flags & ~(_ARRAY_FLAGS if spec.type == "array" else _HASH_FLAGS):
        raise _refuse(Errno.EINVAL, f"Flags {spec.flags:#x} do not go with a map of type {spec.type}.")
    if spec.flags & _F_RDONLY and spec.flags & _F_WRONLY:
        raise _refuse(Errno.EINVAL, "A map cannot be both read-only and write-only.")
    if spec.flags & _F_RDONLY_PROG and spec.flags & _F_WRONLY_PROG:
        raise _refuse(Errno.EINVAL, "A map cannot be both read-only and write-only for programs.")
    if spec.type == "array":
        _check_array(spec)
    else:
        _check_hash(spec)
    try:
        return CREATABLE[spec.type](spec, memory, arena, number)
    except ArenaFull as full:
        raise _refuse(Errno.ENOMEM, str(full)) from full
