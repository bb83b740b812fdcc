"""BPF_MAP_TYPE_BLOOM_FILTER: a set that may say yes wrongly and never no; follows Linux kernel/bpf/bloom_filter.c.

``map_extra`` is the number of hash functions, 5 if it is 0. The bits stand behind the head. Linux seeds the hash at
random; here the seed is 0, as with BPF_F_ZERO_SEED.
"""

from kprobesim.bpf.maps.base import HEAD_SIZE, BpfMap, MapSpec, Place
from kprobesim.bpf.maps.flags import UpdateFlag
from kprobesim.bpf.maps.jhash import jhash
from kprobesim.errors import LinuxError
from kprobesim.linux_errno import Errno

__all__ = ["BloomFilter"]

_MAX_U32 = (1 << 32) - 1
_DEFAULT_HASHES = 5


def _bits(entries: int, hashes: int) -> int:
    """n * k * 7/5, an approximation of n * k / ln 2, rounded up to a power of two; 2^32 where that overflows."""
    wanted = entries * hashes
    if wanted > _MAX_U32 or wanted // 5 * 7 > 1 << 31:
        return 1 << 32
    wanted = wanted // 5 * 7
    return 64 if wanted <= 64 else 1 << (wanted - 1).bit_length()


class BloomFilter(BpfMap):
    """All state is guest memory."""

    no_walk = Errno.EOPNOTSUPP

    def __init__(self, spec: MapSpec, number: int, place: Place) -> None:
        self.hashes = spec.map_extra or _DEFAULT_HASHES
        self.bits = _bits(spec.max_entries, self.hashes)
        super().__init__(spec, number, place, self.bits // 8)

    def _places(self, value: bytes) -> list[tuple[int, int]]:
        """Address of each bit's byte, and the bit in it."""
        base = self.address + HEAD_SIZE
        found = [jhash(value, index) & self.bits - 1 for index in range(self.hashes)]
        return [(base + bit // 8, 1 << bit % 8) for bit in found]

    def push_elem(self, value: bytes, flags: int) -> int:
        """See BpfMap; EINVAL for any flag."""
        if flags != UpdateFlag.ANY:
            return -Errno.EINVAL
        for address, bit in self._places(value):
            self.memory.write(address, bytes([self.memory.read(address, 1)[0] | bit]))
        self.host.tell("map.push", map=self.name, value=value)
        return 0

    def peek_elem(self, value: bytes) -> bytes | int:
        """``value`` itself if it may be there; ENOENT if it is certainly not."""
        seen = all(self.memory.read(address, 1)[0] & bit for address, bit in self._places(value))
        return value if seen else -Errno.ENOENT

    def pop_elem(self) -> bytes | int:
        """Always EOPNOTSUPP."""
        return -Errno.EOPNOTSUPP

    def read_value(self, key: bytes) -> bytes | None:
        """EINVAL: a filter is asked about a value, see `peek_elem`."""
        raise LinuxError(Errno.EINVAL, "A bloom filter has no keys.", hint="Ask whether it holds a value.")

    def sys_update(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """See BpfMap: what `push_elem` does."""
        return self.push_elem(value, flags)

    def lookup_elem(self, key: bytes) -> int:
        """No program may ask (EINVAL): NULL."""
        return 0

    def update_elem(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """Always EINVAL."""
        return -Errno.EINVAL

    def delete_elem(self, key: bytes) -> int:
        """Always EOPNOTSUPP."""
        return -Errno.EOPNOTSUPP
