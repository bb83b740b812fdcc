"""BPF_MAP_TYPE_QUEUE and BPF_MAP_TYPE_STACK: a ring of values without keys; follows kernel/bpf/queue_stack_maps.c.

Behind ``struct bpf_map`` stand ``u32 head, tail, size`` at 260, then the elements, one more than fit.
"""

import struct

from kprobesim.bpf.maps.base import HEAD_SIZE, BpfMap, MapSpec, Place
from kprobesim.bpf.maps.flags import UpdateFlag
from kprobesim.linux_errno import Errno

__all__ = ["QueueMap", "StackMap"]

_HEAD_AT = 260


class QueueMap(BpfMap):
    """First in, first out. All state is guest memory."""

    no_walk = Errno.EINVAL

    def __init__(self, spec: MapSpec, number: int, place: Place) -> None:
        self._size = spec.max_entries + 1
        super().__init__(spec, number, place, self._size * spec.value_size)
        self._set(0, 0)

    def _positions(self) -> tuple[int, int]:
        head, tail = struct.unpack("<2I", self.memory.read(self.address + _HEAD_AT, 8))
        return head, tail

    def _set(self, head: int, tail: int) -> None:
        self.memory.write(self.address + _HEAD_AT, struct.pack("<3I", head, tail, self._size))

    def _element(self, index: int) -> int:
        return self.address + HEAD_SIZE + index * self.value_size

    def __len__(self) -> int:
        head, tail = self._positions()
        return (head - tail) % self._size

    def push_elem(self, value: bytes, flags: int) -> int:
        """See BpfMap; EINVAL for NOEXIST and unknown flags, E2BIG when full unless EXIST lets the oldest go."""
        if flags & UpdateFlag.NOEXIST or flags > UpdateFlag.EXIST:
            return -Errno.EINVAL
        head, tail = self._positions()
        if (head + 1) % self._size == tail:
            if not flags & UpdateFlag.EXIST:
                return -Errno.E2BIG
            tail = (tail + 1) % self._size
        self.memory.write(self._element(head), value)
        self._set((head + 1) % self._size, tail)
        self.host.tell("map.push", map=self.name, value=value)
        return 0

    def _get(self, *, delete: bool) -> bytes | int:
        head, tail = self._positions()
        if head == tail:
            return -Errno.ENOENT
        if delete:
            self._set(head, (tail + 1) % self._size)
        return self.memory.read(self._element(tail), self.value_size)

    def pop_elem(self) -> bytes | int:
        """See BpfMap; ENOENT."""
        value = self._get(delete=True)
        if isinstance(value, bytes):
            self.host.tell("map.pop", map=self.name, value=value)
        return value

    def peek_elem(self, value: bytes) -> bytes | int:
        """See BpfMap; ENOENT."""
        return self._get(delete=False)

    def values(self) -> list[bytes]:
        """All values in the order in which `pop_elem` will give them."""
        head, tail = self._positions()
        places = [(tail + n) % self._size for n in range((head - tail) % self._size)]
        return [self.memory.read(self._element(place), self.value_size) for place in places]

    def read_value(self, key: bytes) -> bytes | None:
        """See BpfMap: what `peek_elem` gives."""
        found = self.peek_elem(b"")
        return found if isinstance(found, bytes) else None

    def sys_update(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """See BpfMap: what `push_elem` does."""
        return self.push_elem(value, flags)

    def lookup_elem(self, key: bytes) -> int:
        """Always NULL."""
        return 0

    def update_elem(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """Always EINVAL."""
        return -Errno.EINVAL

    def delete_elem(self, key: bytes) -> int:
        """Always EINVAL."""
        return -Errno.EINVAL


class StackMap(QueueMap):
    """Last in, first out."""

    def _get(self, *, delete: bool) -> bytes | int:
        head, tail = self._positions()
        if head == tail:
            return -Errno.ENOENT
        index = (head - 1) % self._size
        if delete:
            self._set(index, tail)
        return self.memory.read(self._element(index), self.value_size)

    def values(self) -> list[bytes]:
        """All values in the order in which `pop_elem` will give them."""
        return super().values()[::-1]
