"""``struct list_head`` in guest memory: circular lists of 16-byte nodes, next at 0 and prev at 8.

Follows Linux include/linux/list.h.
"""

import struct
from collections.abc import Iterator

from kprobesim.bpf.memory import GuestMemory

__all__ = ["GuestLists"]

_LINKS = struct.Struct("<2Q")


class GuestLists:
    """Operations on lists; nodes and heads are guest addresses."""

    def __init__(self, memory: GuestMemory) -> None:
        self._memory = memory

    def init(self, head: int) -> None:
        """An empty list."""
        self._memory.write(head, _LINKS.pack(head, head))

    def next(self, node: int) -> int:
        """The node behind; the head's is the first one."""
        return int.from_bytes(self._memory.read(node, 8), "little")

    def prev(self, node: int) -> int:
        """The node before; the head's is the last one."""
        return int.from_bytes(self._memory.read(node + 8, 8), "little")

    def is_empty(self, head: int) -> bool:
        """Whether a list holds nothing."""
        return self.next(head) == head

    def add(self, node: int, head: int) -> None:
        """Put a node first."""
        first = self.next(head)
        self._memory.write(node, _LINKS.pack(first, head))
        self._memory.write(first + 8, node.to_bytes(8, "little"))
        self._memory.write(head, node.to_bytes(8, "little"))

    def delete(self, node: int) -> None:
        """Take a node out of its list."""
        following, before = _LINKS.unpack(self._memory.read(node, 16))
        self._memory.write(before, following.to_bytes(8, "little"))
        self._memory.write(following + 8, before.to_bytes(8, "little"))

    def move(self, node: int, head: int) -> None:
        """Take a node out of its list and put it first into another."""
        self.delete(node)
        self.add(node, head)

    def backwards(self, head: int) -> Iterator[int]:
        """From the last node to the first; the node at hand may be moved away."""
        node = self.prev(head)
        while node != head:
            before = self.prev(node)
            yield node
            node = before

    def forwards(self, head: int) -> Iterator[int]:
        """From the first node to the last; the node at hand may be moved away."""
        node = self.next(head)
        while node != head:
            following = self.next(node)
            yield node
            node = following
