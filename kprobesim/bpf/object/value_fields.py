"""What a map's value holds that only helpers may touch, as the object's types say: a lock, a timer, kernel pointers.

Linux looks at the members of the value itself, not at those of structs inside of it, and for a data section at its
variables. Follows Linux kernel/bpf/btf.c: btf_find_spin_lock, btf_find_timer, btf_parse_kptrs.
"""

from typing import NamedTuple

from kprobesim.bpf.verifier import Kptr
from kprobesim.image import Btf, BtfKind

__all__ = ["ValueFields", "value_fields"]

_LOCK_SIZE, _TIMER_SIZE = 4, 16
_MOST_KPTRS = 8
_TAGS = {"kptr": False, "kptr_ref": True}


class ValueFields(NamedTuple):
    """Offsets of the lock and the timer, None for none; the pointers by offset."""

    spin_lock: int | None = None
    timer: int | None = None
    kptrs: tuple[Kptr, ...] = ()


def _kptr(btf: Btf, type_id: int, off: int) -> Kptr | None:
    pointer = btf.type(type_id)
    if pointer.kind is BtfKind.VOLATILE:
        pointer = btf.type(pointer.target)
    if pointer.kind is not BtfKind.PTR:
        return None
    tag = btf.type(pointer.target)
    if tag.kind is not BtfKind.TYPE_TAG or tag.name not in _TAGS:
        return None
    struct = btf.strip(tag.target)
    return Kptr(off, struct.name, _TAGS[tag.name]) if struct.kind is BtfKind.STRUCT else None


def value_fields(btf: Btf, type_id: int) -> ValueFields:
    """The special fields of a value.

    Args:
        btf: the object's types.
        type_id: the value's; 0 for a value without a type.
    """
    value = btf.strip(type_id) if type_id else None
    if value is None:
        return ValueFields()
    places: list[tuple[int, int]] = []
    if value.kind is BtfKind.STRUCT:
        places = [(member.type_id, member.bit_offset // 8) for member in value.members if not member.bit_size]
    elif value.kind is BtfKind.DATASEC:
        places = [(btf.type(variable.type_id).target, variable.offset) for variable in value.variables]
    lock = timer = None
    kptrs: list[Kptr] = []
    for member, off in places:
        struct = btf.type(member)
        if struct.kind is BtfKind.STRUCT and struct.name == "bpf_spin_lock" and struct.size == _LOCK_SIZE:
            lock = off if lock is None else lock
        elif struct.kind is BtfKind.STRUCT and struct.name == "bpf_timer" and struct.size == _TIMER_SIZE:
            timer = off if timer is None else timer
        elif (kptr := _kptr(btf, member, off)) is not None and len(kptrs) < _MOST_KPTRS:
            kptrs.append(kptr)
    return ValueFields(lock, timer, tuple(sorted(kptrs)))
