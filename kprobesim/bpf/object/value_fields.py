"""What a map's value holds that only helpers may touch, as the object's types say: a lock, a timer, kernel pointers.

Linux looks at the members of the value itself, not at those of structs inside of it, and for a data section at its
variables. Follows Linux kernel/bpf/btf.c: btf_find_field, btf_find_spin_lock, btf_find_timer, btf_parse_kptrs; and
kernel/bpf/syscall.c:map_check_btf.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from kprobesim.bpf.maps import MapSpec
from kprobesim.bpf.verifier import Kptr
from kprobesim.bpf.verifier.map_meta import F_RDONLY_PROG, F_WRONLY_PROG, MOST_KPTRS
from kprobesim.errors import ImageError
from kprobesim.image import Btf, BtfKind, BtfType
from kprobesim.linux_errno import Errno

__all__ = ["ValueFields", "value_fields"]

_LOCK, _TIMER, _KPTR = "bpf_spin_lock", "bpf_timer", "kptr"
_TAGS = {"kptr": False, "kptr_ref": True}
_POINTER_SIZE = 8
_WITH_LOCK = ("hash", "array", "cgroup_storage", "sk_storage", "inode_storage", "task_storage")
_WITH_TIMER = ("hash", "lru_hash", "array")
_WITH_KPTRS = ("hash", "lru_hash", "array", "percpu_array")
_Found = TypeVar("_Found")


@dataclass(frozen=True)
class ValueFields:
    """What was found.

    Attributes:
        spin_lock, timer: their offsets; None for none that could be used.
        kptrs: the pointers, by offset.
        lacks: why there is none of something, other than that none is in the types; see `MapMeta`.
    """

    spin_lock: int | None = None
    timer: int | None = None
    kptrs: tuple[Kptr, ...] = ()
    lacks: Mapping[str, Errno] = field(default_factory=dict)

    def fit(self, spec: MapSpec) -> bool:
        """Whether the kernel makes such a map with these types; if not, libbpf makes it without."""
        read_only, write_only = spec.flags & F_RDONLY_PROG, spec.flags & F_WRONLY_PROG
        if self.spin_lock is not None and (read_only or spec.type not in _WITH_LOCK):
            return False
        if self.timer is not None and (read_only or spec.type not in _WITH_TIMER):
            return False
        return not self.kptrs or not (read_only or write_only or spec.type not in _WITH_KPTRS)


class _Refused(Exception):
    """The search for one sort of field ends with an errno."""

    def __init__(self, errno: Errno) -> None:
        super().__init__(errno)
        self.errno = errno


class _Place(NamedTuple):
    type: BtfType
    bit_offset: int


def _places(btf: Btf, value: BtfType, name: str | None, size: int) -> Iterator[_Place]:
    """Members or variables whose type has this name; variables also must have this size in bytes."""
    if value.kind is BtfKind.STRUCT:
        for member in value.members:
            entry = btf.type(member.type_id)
            if name in (None, entry.name):
                yield _Place(entry, member.bit_offset)
    elif value.kind is BtfKind.DATASEC:
        for variable in value.variables:
            entry = btf.type(btf.type(variable.type_id).target)
            if name in (None, entry.name) and variable.size == size:
                yield _Place(entry, variable.offset * 8)
    else:
        raise _Refused(Errno.EINVAL)


def _find(
    places: Iterator[_Place], align: int, most: int, take: Callable[[BtfType, int], _Found | None]
) -> list[_Found]:
    """Fields of one sort. Every place that is looked at must be aligned, be it such a field or not."""
    found: list[_Found] = []
    for entry, bit_offset in places:
        if bit_offset % (8 * align):
            raise _Refused(Errno.EINVAL)
        taken = take(entry, bit_offset // 8)
        if taken is None:
            continue
        if len(found) >= most:
            raise _Refused(Errno.E2BIG)
        found.append(taken)
    return found


def _struct_of(size: int) -> Callable[[BtfType, int], int | None]:
    return lambda entry, off: off if entry.kind is BtfKind.STRUCT and entry.size == size else None


def _kptr(btf: Btf, pointer: BtfType, off: int) -> Kptr | None:
    tag = btf.type(pointer.target)
    if pointer.kind is not BtfKind.PTR or tag.kind is not BtfKind.TYPE_TAG:
        return None
    struct = btf.strip(tag.target)
    if tag.name not in _TAGS or btf.type(tag.target).kind is BtfKind.TYPE_TAG or struct.kind is not BtfKind.STRUCT:
        raise _Refused(Errno.EINVAL)
    return Kptr(off, struct.name, _TAGS[tag.name])


def _known(kptrs: list[Kptr], kernel: Btf | None) -> list[Kptr]:
    """The pointers, if the kernel knows the structs, and how to give up a reference: it has no function for that."""
    if kernel is not None:
        for kptr in kptrs:
            if kptr.referenced or kernel.find(kptr.struct, BtfKind.STRUCT) is None:
                raise _Refused(Errno.ENOENT)
    return kptrs


def value_fields(btf: Btf, type_id: int, kernel: Btf | None = None) -> ValueFields:
    """The special fields of a value.

    Args:
        btf: the object's types.
        type_id: the value's; 0 for a value without a type.
        kernel: the kernel's types, of which pointers must be; None if nobody knows them.
    """
    if not type_id:
        return ValueFields()
    value = btf.strip(type_id)
    lacks: dict[str, Errno] = {}

    def search(name: str, looking: Callable[[], list[_Found]]) -> list[_Found]:
        try:
            return looking()
        except _Refused as refused:
            lacks[name] = refused.errno
        except ImageError:
            lacks[name] = Errno.EINVAL
        return []

    def structs(name: str, size: int, align: int) -> list[int]:
        return search(name, lambda: _find(_places(btf, value, name, size), align, 1, _struct_of(size)))

    def kptrs() -> list[Kptr]:
        places = _places(btf, value, None, _POINTER_SIZE)
        found = _find(places, _POINTER_SIZE, MOST_KPTRS, lambda entry, off: _kptr(btf, entry, off))
        return _known(found, kernel)

    locks, timers = structs(_LOCK, 4, 4), structs(_TIMER, 16, 8)
    pointers = tuple(sorted(search(_KPTR, kptrs)))
    return ValueFields(locks[0] if locks else None, timers[0] if timers else None, pointers, lacks)
