"""What user space does with a map through bpf(2): look up, update, delete, walk, freeze.

Follows Linux kernel/bpf/syscall.c: map_lookup_elem, map_update_elem, map_delete_elem, map_get_next_key,
map_lookup_and_delete_elem, map_freeze. The map is what a descriptor stands for; its BPF_F_RDONLY and BPF_F_WRONLY are
the descriptor's rights. Errors are LinuxError: EPERM for rights that are missing or given up (frozen), EINVAL for keys
and values of a wrong size, and what each kind of map says.
"""

from kprobesim.bpf.maps.base import BpfMap
from kprobesim.bpf.maps.bloom_filter import BloomFilter
from kprobesim.bpf.maps.fd_array import PerfEventArray, ProgArray
from kprobesim.bpf.maps.flags import MapFlag, UpdateFlag
from kprobesim.bpf.maps.hash import HashTable
from kprobesim.bpf.maps.map_in_map import ArrayOfMaps, HashOfMaps
from kprobesim.bpf.maps.perf_buffer import PerfEvent
from kprobesim.bpf.maps.queue_stack import QueueMap
from kprobesim.bpf.program import Program
from kprobesim.errors import LinuxError
from kprobesim.linux_errno import Errno

__all__ = [
    "map_delete_elem",
    "map_freeze",
    "map_get_next_key",
    "map_lookup_and_delete_elem",
    "map_lookup_elem",
    "map_update_elem",
]


def _refuse(errno: Errno, message: str, hint: str = "") -> LinuxError:
    return LinuxError(errno, message, hint=hint)


def _check(found: BpfMap, key: bytes | None, *, read: bool = False, write: bool = False, flags: int = 0) -> None:
    """Rights, then the lock that values do not have, then the key's size."""
    if read and found.spec.flags & MapFlag.WRONLY:
        raise _refuse(Errno.EPERM, f"Map {found.name} was made write-only for user space.")
    if write and found.spec.flags & MapFlag.RDONLY:
        raise _refuse(Errno.EPERM, f"Map {found.name} was made read-only for user space.")
    if write and found.frozen:
        raise _refuse(Errno.EPERM, f"Map {found.name} is frozen.", "Only programs can change it now.")
    if flags & UpdateFlag.LOCK:
        raise _refuse(Errno.EINVAL, f"Values of map {found.name} have no bpf_spin_lock.")
    if key is not None and len(key) != found.key_size:
        raise _refuse(Errno.EINVAL, f"A key of map {found.name} has {found.key_size} bytes, not {len(key)}.")


def _raise(code: int, found: BpfMap, what: str) -> None:
    if code < 0:
        raise _refuse(Errno.of(-code), f"Map {found.name} of type {found.spec.type} did not {what}.")


def map_lookup_elem(found: BpfMap, key: bytes, flags: int = 0, value: bytes = b"") -> bytes:
    """A copy of a value: of all CPUs for a per-CPU map, an id for a map of programs or maps.

    Args:
        found: the map.
        key: ``key_size`` bytes; empty for queues, stacks and bloom filters.
        flags: only ``BPF_F_LOCK`` exists.
        value: for a bloom filter, what is asked about.

    Raises:
        LinuxError: ENOENT, no such element; EPERM, EINVAL; ENOTSUPP, a kind of map that cannot be read so.
    """
    if flags & ~UpdateFlag.LOCK:
        raise _refuse(Errno.EINVAL, f"A look-up has no flags {flags:#x}.")
    _check(found, key, read=True, flags=flags)
    if isinstance(found, BloomFilter):
        answer = found.peek_elem(value)
        copy = answer if isinstance(answer, bytes) else None
    else:
        copy = found.read_value(key)
    if copy is None:
        raise _refuse(Errno.ENOENT, f"Map {found.name} has no such element.")
    return copy


def map_update_elem(
    found: BpfMap, key: bytes, value: bytes | Program | PerfEvent | BpfMap, flags: int = UpdateFlag.ANY
) -> None:
    """Store a value.

    Args:
        found: the map.
        key: ``key_size`` bytes; empty for queues, stacks and bloom filters.
        value: ``sys_value_size`` bytes; for maps of programs, perf events or maps what the descriptor stands for.
        flags: ``BPF_ANY``, ``BPF_NOEXIST`` or ``BPF_EXIST``.

    Raises:
        LinuxError: EEXIST, ENOENT by the flags; E2BIG, full; EBADF, not a descriptor of the right kind; EPERM, EINVAL.
    """
    _check(found, key, write=True, flags=flags)
    if isinstance(value, bytes):
        if len(value) != found.sys_value_size:
            message = f"A value of map {found.name} has {found.sys_value_size} bytes here, not {len(value)}."
            raise _refuse(Errno.EINVAL, message)
        _raise(found.sys_update(key, value, flags), found, "take the value")
    elif isinstance(found, ProgArray) and isinstance(value, Program):
        _raise(found.update_fd(key, value, flags), found, "take the program")
    elif isinstance(found, PerfEventArray) and isinstance(value, PerfEvent):
        _raise(found.update_fd(key, value, flags), found, "take the event")
    elif isinstance(found, (ArrayOfMaps, HashOfMaps)) and isinstance(value, BpfMap):
        _raise(found.update_fd(key, value, flags), found, "take the map")
    else:
        raise _refuse(Errno.EBADF, f"A {found.spec.type} does not hold what this descriptor stands for.")


def map_delete_elem(found: BpfMap, key: bytes) -> None:
    """Remove an element.

    Raises:
        LinuxError: ENOENT, no such element; EINVAL, ENOTSUPP, EOPNOTSUPP for maps whose elements cannot go; EPERM.
    """
    _check(found, key, write=True)
    _raise(found.delete_elem(key), found, "remove the element")


def map_get_next_key(found: BpfMap, key: bytes | None) -> bytes:
    """The key after ``key``, or the first one.

    Raises:
        LinuxError: ENOENT, there is no more; EINVAL, ENOTSUPP, EOPNOTSUPP for maps without keys; EPERM.
    """
    _check(found, key, read=True)
    if found.no_walk is not None:
        raise _refuse(found.no_walk, f"A {found.spec.type} has no keys to walk along.")
    following = found.get_next_key(key)
    if following is None:
        raise _refuse(Errno.ENOENT, f"Map {found.name} has no more keys.")
    return following


def map_lookup_and_delete_elem(found: BpfMap, key: bytes, flags: int = 0) -> bytes:
    """Take a value out: of a queue or stack the next, of a hash the one under ``key``.

    Raises:
        LinuxError: ENOENT; ENOTSUPP for other kinds of map; EPERM, EINVAL.
    """
    if flags & ~UpdateFlag.LOCK:
        raise _refuse(Errno.EINVAL, f"This has no flags {flags:#x}.")
    _check(found, key, read=True, write=True, flags=flags)
    if isinstance(found, QueueMap):
        value = found.pop_elem()
        if isinstance(value, int):
            raise _refuse(Errno.of(-value), f"Map {found.name} is empty.")
        return value
    if not isinstance(found, HashTable) or isinstance(found, HashOfMaps):
        raise _refuse(Errno.ENOTSUPP, f"From a {found.spec.type} no value can be taken out.")
    copy = found.read_value(key)
    if copy is None:
        raise _refuse(Errno.ENOENT, f"Map {found.name} has no such element.")
    found.delete_elem(key)
    return copy


def map_freeze(found: BpfMap) -> None:
    """User space gives up writing for good.

    Raises:
        LinuxError: EBUSY, it did so before.
    """
    if found.frozen:
        raise _refuse(Errno.EBUSY, f"Map {found.name} is frozen already.")
    found.frozen = True
