"""What the verifier knows of a map: its kind, its sizes and its flags. Not its elements, but for frozen read-only ones.

Follows the fields of Linux ``struct bpf_map`` that kernel/bpf/verifier.c reads, and ``map_btf_id`` of each kind.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from kprobesim.bpf.maps import ArrayOfMaps, BpfMap, HashOfMaps, MapSpec
from kprobesim.bpf.maps.base import MAP_TYPES
from kprobesim.linux_errno import Errno

__all__ = ["F_RDONLY_PROG", "F_WRONLY_PROG", "MOST_KPTRS", "Kptr", "MapMeta", "map_meta_of", "parse_map_spec"]

MOST_KPTRS = 8
"""Pointers to kernel objects that a value may have (BPF_MAP_VALUE_OFF_MAX)."""
F_RDONLY_PROG = 1 << 7
F_WRONLY_PROG = 1 << 8
_FLAGS = {
    "BPF_F_NO_PREALLOC": 1 << 0,
    "BPF_F_RDONLY": 1 << 3,
    "BPF_F_WRONLY": 1 << 4,
    "BPF_F_RDONLY_PROG": F_RDONLY_PROG,
    "BPF_F_WRONLY_PROG": F_WRONLY_PROG,
    "BPF_F_MMAPABLE": 1 << 10,
}

_STRUCTS = {
    "array": "bpf_array",
    "percpu_array": "bpf_array",
    "prog_array": "bpf_array",
    "perf_event_array": "bpf_array",
    "cgroup_array": "bpf_array",
    "array_of_maps": "bpf_array",
    "hash": "bpf_htab",
    "percpu_hash": "bpf_htab",
    "lru_hash": "bpf_htab",
    "lru_percpu_hash": "bpf_htab",
    "hash_of_maps": "bpf_htab",
    "stack_trace": "bpf_stack_map",
    "lpm_trie": "lpm_trie",
    "devmap": "bpf_dtab",
    "devmap_hash": "bpf_dtab",
    "sockmap": "bpf_stab",
    "sockhash": "bpf_shtab",
    "cpumap": "bpf_cpu_map",
    "xskmap": "xsk_map",
    "cgroup_storage": "bpf_cgroup_storage_map",
    "percpu_cgroup_storage": "bpf_cgroup_storage_map",
    "reuseport_sockarray": "reuseport_array",
    "queue": "bpf_queue_stack",
    "stack": "bpf_queue_stack",
    "sk_storage": "bpf_local_storage_map",
    "inode_storage": "bpf_local_storage_map",
    "task_storage": "bpf_local_storage_map",
    "ringbuf": "bpf_ringbuf_map",
    "user_ringbuf": "bpf_ringbuf_map",
    "bloom_filter": "bpf_bloom_filter",
}
_ARRAYS = frozenset({"array", "percpu_array", "array_of_maps", "prog_array", "perf_event_array", "cgroup_array"})
_ITERABLE = frozenset({"array", "percpu_array", "hash", "percpu_hash", "lru_hash", "lru_percpu_hash"})


class Kptr(NamedTuple):
    """A pointer to a kernel object in a map's value: where, to which struct, and whether it owns a reference."""

    off: int
    struct: str
    referenced: bool


@dataclass(slots=True, eq=False)
class MapMeta:
    """One map. Two of them are the same map only if they are the same object.

    Args:
        type: a name out of MAP_TYPES.
        key_size, value_size, max_entries, flags: as the map was made.
        name: as the map was named.
        address: what a program's register holds after ``r1 = map[..]``; only printed.
        inner: for maps in maps, what any map inside looks like.
        frozen: whether user space gave up writing.
        content: the value of a one-element array, for reads that the verifier can do itself.
        spin_lock_off, timer_off: where the value has a lock or a timer; None for nowhere.
        kptrs: pointers to kernel objects in the value, by offset.
        lacks: why the value has no lock, timer or pointers that can be used: `bpf_spin_lock`, `bpf_timer`, `kptr`
            -> E2BIG for more than there may be, EINVAL for types that make no sense, ENOENT for none.
        has_btf: whether the map was made with types.
        made_unpriv: whether it was made by a user without capabilities.
    """

    type: str
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0
    name: str = ""
    address: int = 0
    inner: "MapMeta | None" = None
    frozen: bool = False
    content: bytes = field(default=b"", repr=False)
    spin_lock_off: int | None = None
    timer_off: int | None = None
    kptrs: tuple[Kptr, ...] = ()
    lacks: Mapping[str, Errno] = field(default_factory=dict)
    has_btf: bool = False
    made_unpriv: bool = False

    @property
    def type_id(self) -> int:
        """``BPF_MAP_TYPE_*``."""
        return MAP_TYPES.index(self.type)

    @property
    def struct(self) -> str:
        """Name of the kernel's struct for such a map."""
        return _STRUCTS.get(self.type, "")

    @property
    def is_rdonly(self) -> bool:
        """Whether its values can no longer change (Linux's bpf_map_is_rdonly)."""
        return bool(self.flags & F_RDONLY_PROG) and self.frozen

    @property
    def can_read(self) -> bool:
        """Whether programs may read values."""
        return not self.flags & F_WRONLY_PROG

    @property
    def can_write(self) -> bool:
        """Whether programs may write values."""
        return not self.flags & F_RDONLY_PROG

    @property
    def bypass_spec_v1(self) -> bool:
        """Whether indexes need no masking, as its maker's capabilities decided; only arrays ever say so."""
        return self.type in _ARRAYS and not self.made_unpriv

    @property
    def has_direct_value(self) -> bool:
        """Whether programs may point at a value at load time."""
        return self.type == "array"

    @property
    def has_foreach(self) -> bool:
        """Whether bpf_for_each_map_elem takes it."""
        return self.type in _ITERABLE


def map_meta_of(live: BpfMap) -> MapMeta:
    """The verifier's view of a live map."""
    constant = live.frozen and live.spec.flags & F_RDONLY_PROG and live.spec.type == "array" and live.max_entries == 1
    return replace(
        _meta_of(live.spec),
        address=live.address,
        inner=_meta_of(live.inner) if isinstance(live, (ArrayOfMaps, HashOfMaps)) else None,
        frozen=live.frozen,
        content=(live.read_value(bytes(4)) or b"") if constant else b"",
    )


def _meta_of(spec: MapSpec) -> MapMeta:
    return MapMeta(spec.type, spec.key_size, spec.value_size, spec.max_entries, spec.flags, spec.name, has_btf=True)


_SIZES = re.compile(r"\b(?:key=(?P<key>\d+)|val(?:ue)?=(?P<value>\d+)|max=(?P<max>\d+))")
_KPTR = re.compile(r"\bkptr(_ref)? at (\d+) to (\w+)")
_TRIPLE = re.compile(r"\b(\d+)/(\d+)/(\d+)\b")
_DEFAULT_SIZES = {
    "prog_array": (4, 4),
    "perf_event_array": (4, 4),
    "cgroup_array": (4, 4),
    "array_of_maps": (4, 4),
    "hash_of_maps": (4, 4),
    "ringbuf": (0, 0),
    "user_ringbuf": (0, 0),
    "xskmap": (4, 4),
    "sockmap": (4, 4),
    "sockhash": (4, 4),
}


_ALIASES = {
    "map_in_map": "array_of_maps",
    "array_in_array": "array_of_maps",
    "hash_in_hash": "hash_of_maps",
    "stacktrace": "stack_trace",
    "reuseport_array": "reuseport_sockarray",
    "perf_event": "perf_event_array",
    "bloom": "bloom_filter",
}


def _kind_of(text: str) -> str:
    """The kind that a description begins with, however it is spelt; ValueError if there is none."""
    plain = re.sub(r"[\s-]+", "_", text.strip().lower()).removeprefix("bpf_map_type_")
    known = dict.fromkeys(MAP_TYPES[1:]) | _ALIASES
    for name in sorted(known, key=len, reverse=True):
        if re.match(rf"{name}s?(?![a-z0-9])", plain) or plain.startswith(f"{name}_"):
            return known[name] or name
    raise ValueError(f"no map type in {text!r}")


def parse_map_spec(text: str, address: int = 0) -> MapMeta:
    """A map out of words: ``HASH key=8 val=16 max=1``, ``ARRAY 4/48/1 BPF_F_RDONLY_PROG``.

    The kind comes first; sizes are named or given as key/value/entries; what stands in brackets or after a colon is a
    remark, where a ``lock`` or a ``timer`` in the value may be named, and ``kptr at 8 to task_struct`` or ``kptr_ref``.
    ``inner`` introduces the inner map of a map in maps. ValueError for a kind that Linux 6.1 lacks.
    """
    kind = _kind_of(text)
    outer, _, rest = text.partition("inner")
    plain = outer.partition("(")[0]
    key, value = _DEFAULT_SIZES.get(kind, (4, 4))
    entries = 1
    for match in _SIZES.finditer(plain):
        key = int(match["key"] or key)
        value = int(match["value"] or value)
        entries = int(match["max"] or entries)
    triple = _TRIPLE.search(plain)
    if triple:
        key, value, entries = (int(number) for number in triple.groups())
    meta = MapMeta(kind, key, value, entries, address=address)
    for name, bit in _FLAGS.items():
        if re.search(rf"\b{name}\b", text):
            meta.flags |= bit
    remark = text.lower()
    meta.frozen = "frozen" in remark or "freeze" in remark
    meta.has_btf = "btf" in remark or "lock" in remark or "timer" in remark or "kptr" in remark
    meta.kptrs = tuple(sorted(Kptr(int(off), name, bool(ref)) for ref, off, name in _KPTR.findall(text)))
    meta.spin_lock_off = _offset_of("lock", remark, 4)
    meta.timer_off = _offset_of("timer", remark, 0)
    if kind in ("array_of_maps", "hash_of_maps"):
        found = re.search(r"[A-Za-z_]+.*", rest.lstrip(" =:"))
        try:
            meta.inner = parse_map_spec(found.group(0)) if found else MapMeta("array", 4, 4, 1)
        except ValueError:
            meta.inner = MapMeta("array", 4, 4, 1)
    return meta


def _offset_of(what: str, remark: str, default: int) -> int | None:
    if what not in remark:
        return None
    said = re.search(rf"{what}\s*(?:at|@|off(?:set)?\s*=?)\s*(\d+)", remark)
    return int(said.group(1)) if said else default
