"""BPF_MAP_TYPE_HASH; follows Linux kernel/bpf/hashtab.c.

An element is ``key`` (rounded up to 8 bytes) and then ``value`` in guest memory, and stays where it is as long as it
exists. Python keeps only where each key's element is. ``save`` hands that table out as it is, and the next insertion or
deletion works on a copy: saving costs nothing, and changing a value costs nothing either, because values are memory.

The walking order is Linux's: bucket by bucket of a table with a power of two of buckets, newest element of a bucket
first, keys hashed with Jenkins' lookup3. Linux seeds the hash at random; here the seed is 0, as with
BPF_F_ZERO_SEED, so that every run walks alike.

Two simplifications: an update writes into the old element where Linux links a new one in its place, so a pointer from
an earlier lookup sees it; and elements are allocated in slabs as they are needed, preallocated map or not.
"""

from kprobesim.bpf.maps.base import BpfMap, MapSpec, UpdateFlag, round_up8
from kprobesim.bpf.memory import Arena, ArenaFull, GuestMemory
from kprobesim.linux_errno import Errno

__all__ = ["HashMap", "jhash"]

_SLAB = 64
"""Elements taken from the arena at once."""

_MASK = 0xFFFFFFFF


def _rot(word: int, count: int) -> int:
    return (word << count | word >> 32 - count) & _MASK


def jhash(key: bytes, seed: int = 0) -> int:
    """Bob Jenkins' lookup3 ``hashlittle`` (public domain), which Linux calls jhash: 32 bits."""
    a = b = c = 0xDEADBEEF + len(key) + seed & _MASK
    padded = key + bytes(-len(key) % 12) if key else b""
    words = [int.from_bytes(padded[i : i + 4], "little") for i in range(0, len(padded), 4)]
    while len(words) > 3:
        a, b, c = a + words[0] & _MASK, b + words[1] & _MASK, c + words[2] & _MASK
        a, c = (a - c & _MASK) ^ _rot(c, 4), c + b & _MASK
        b, a = (b - a & _MASK) ^ _rot(a, 6), a + c & _MASK
        c, b = (c - b & _MASK) ^ _rot(b, 8), b + a & _MASK
        a, c = (a - c & _MASK) ^ _rot(c, 16), c + b & _MASK
        b, a = (b - a & _MASK) ^ _rot(a, 19), a + c & _MASK
        c, b = (c - b & _MASK) ^ _rot(b, 4), b + a & _MASK
        del words[:3]
    if words:
        a, b, c = a + words[0] & _MASK, b + words[1] & _MASK, c + words[2] & _MASK
        c = (c ^ b) - _rot(b, 14) & _MASK
        a = (a ^ c) - _rot(c, 11) & _MASK
        b = (b ^ a) - _rot(a, 25) & _MASK
        c = (c ^ b) - _rot(b, 16) & _MASK
        a = (a ^ c) - _rot(c, 4) & _MASK
        b = (b ^ a) - _rot(a, 14) & _MASK
        c = (c ^ b) - _rot(b, 24) & _MASK
    return c


class HashMap(BpfMap):
    """A hash table whose elements live in guest memory."""

    def __init__(self, spec: MapSpec, memory: GuestMemory, arena: Arena, number: int) -> None:
        super().__init__(spec, memory, arena, number, 0)
        self._value_offset = round_up8(spec.key_size)
        self._elem_size = self._value_offset + round_up8(spec.value_size)
        self._buckets = 1 << (spec.max_entries - 1).bit_length()
        self._index: dict[bytes, int] = {}  # key -> address of the value, in order of insertion
        self._spare: list[int] = []
        self._slabs: tuple[int, ...] = ()
        self._shared = False  # whether a saved state holds _index and _spare
        self._walk: list[bytes] = []  # the walking order; may still name deleted keys
        self._order: dict[bytes, int] | None = None  # key -> its place in _walk

    def __len__(self) -> int:
        return len(self._index)

    def lookup_elem(self, key: bytes) -> int:
        """See BpfMap (htab_map_lookup_elem)."""
        return self._index.get(key, 0)

    def update_elem(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """See BpfMap; EINVAL, EEXIST, ENOENT, E2BIG when full, ENOMEM without memory (htab_map_update_elem)."""
        if flags & ~UpdateFlag.LOCK > UpdateFlag.EXIST or flags & UpdateFlag.LOCK:
            return -Errno.EINVAL
        address = self._index.get(key, 0)
        if address:
            if flags == UpdateFlag.NOEXIST:
                return -Errno.EEXIST
        else:
            if flags == UpdateFlag.EXIST:
                return -Errno.ENOENT
            if len(self._index) >= self.spec.max_entries:
                return -Errno.E2BIG
            self._own()
            if not self._spare and not self._grow():
                return -Errno.ENOMEM
            address = self._spare.pop()
            self._index[key] = address
            self._order = None
            self.memory.write(address - self._value_offset, key)
        self.memory.write(address, value)
        return 0

    def delete_elem(self, key: bytes) -> int:
        """See BpfMap; ENOENT (htab_map_delete_elem)."""
        if key not in self._index:
            return -Errno.ENOENT
        self._own()
        self._spare.append(self._index.pop(key))
        return 0

    def get_next_key(self, key: bytes | None) -> bytes | None:
        """See BpfMap (htab_map_get_next_key)."""
        if self._order is None:
            newest_first = reversed(self._index)
            by_bucket = sorted(newest_first, key=lambda k: jhash(k) & self._buckets - 1)
            self._order = {k: rank for rank, k in enumerate(by_bucket)}
            self._walk = by_bucket
        start = 0 if key is None or key not in self._index else self._order[key] + 1
        for following in range(start, len(self._walk)):
            if self._walk[following] in self._index:
                return self._walk[following]
        return None

    def free(self) -> None:
        """See BpfMap."""
        for block in (*self._slabs, self.address):
            self.arena.free(block)

    def save(self) -> object:
        """See BpfMap; costs nothing."""
        self._shared = True
        return self._index, self._spare, self._slabs

    def restore(self, state: object) -> None:
        """See BpfMap."""
        assert isinstance(state, tuple)
        self._index, self._spare, self._slabs = state
        self._shared = True
        self._order = None

    def _own(self) -> None:
        if self._shared:
            self._index, self._spare, self._shared = dict(self._index), list(self._spare), False

    def _grow(self) -> bool:
        missing = self.spec.max_entries - len(self._index)
        for count in (min(_SLAB, missing), 1):
            try:
                slab = self.arena.alloc(self._elem_size * count)
            except ArenaFull:
                continue
            self._slabs += (slab,)
            first = slab + self._value_offset
            self._spare.extend(first + self._elem_size * n for n in reversed(range(count)))
            return True
        return False
