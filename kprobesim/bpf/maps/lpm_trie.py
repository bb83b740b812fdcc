"""BPF_MAP_TYPE_LPM_TRIE: the longest prefix that matches wins, as in a routing table.

A key is ``u32 prefixlen`` and data, most significant bit first. Nodes are Linux's ``struct lpm_trie_node`` in guest
memory: ``child[2]`` at 16, ``u32 prefixlen`` at 32, ``u32 flags`` at 36, data at 40, the value behind it. The root is
at 256 of the map, the number of entries at 264. Follows Linux kernel/bpf/lpm_trie.c; no Python state.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from kprobesim.bpf.maps.base import BpfMap, MapSpec, Place
from kprobesim.bpf.maps.flags import UpdateFlag
from kprobesim.bpf.memory import ArenaFull
from kprobesim.linux_errno import Errno

__all__ = ["LpmTrie"]

_ROOT, _COUNT = 256, 264
_CHILD, _DATA = 16, 40
_INTERMEDIATE = 1  # LPM_TREE_NODE_FLAG_IM: made by a split, holds no value
_FIELDS = struct.Struct("<2Q2I")


class _Node(NamedTuple):
    """What stands at a node's offset 16 and on."""

    address: int
    child: tuple[int, int]
    prefixlen: int
    intermediate: bool
    data: bytes


class LpmTrie(BpfMap):
    """All state is guest memory."""

    def __init__(self, spec: MapSpec, number: int, place: Place) -> None:
        super().__init__(spec, number, place)
        self.data_size = spec.key_size - 4
        self.max_prefixlen = 8 * self.data_size
        self._root = self.address + _ROOT
        self._count = self.address + _COUNT

    def __len__(self) -> int:
        return self._word(self._count)

    # Nodes

    def _word(self, address: int) -> int:
        return int.from_bytes(self.memory.read(address, 8), "little")

    def _set(self, address: int, value: int) -> None:
        self.memory.write(address, value.to_bytes(8, "little"))

    def _node(self, address: int) -> _Node | None:
        if not address:
            return None
        raw = self.memory.read(address + _CHILD, _FIELDS.size + self.data_size)
        left, right, prefixlen, flags = _FIELDS.unpack_from(raw)
        return _Node(address, (left, right), prefixlen, bool(flags & _INTERMEDIATE), raw[_FIELDS.size :])

    def _make(self, prefixlen: int, data: bytes, child: tuple[int, int], value: bytes | None) -> int:
        """A node's address; 0 without memory."""
        size = _DATA + self.data_size + (0 if value is None else self.value_size)
        try:
            address = self.arena.alloc(size)
        except ArenaFull:
            return 0
        flags = _INTERMEDIATE if value is None else 0
        fields = bytes(_CHILD) + _FIELDS.pack(*child, prefixlen, flags)
        self.memory.write(address, fields + data + (value or b""))
        return address

    def _match(self, node: _Node, prefixlen: int, data: bytes) -> int:
        """longest_prefix_match: how many leading bits agree, at most the shorter of the two prefixes."""
        limit = min(node.prefixlen, prefixlen)
        differing = int.from_bytes(node.data, "big") ^ int.from_bytes(data, "big")
        return min(limit, self.max_prefixlen - differing.bit_length())

    def _walk(self, prefixlen: int, data: bytes) -> tuple[list[int], _Node | None, int]:
        """From the root towards a key: the slots passed, the node in the last one, and how many bits of it match."""
        slots, matched = [self._root], 0
        while (node := self._node(self._word(slots[-1]))) is not None:
            matched = self._match(node, prefixlen, data)
            if node.prefixlen != matched or node.prefixlen in (prefixlen, self.max_prefixlen):
                break
            slots.append(node.address + _CHILD + 8 * _bit(data, node.prefixlen))
        return slots, node, matched

    # Operations

    def lookup_elem(self, key: bytes) -> int:
        """See BpfMap: the value of the longest prefix that matches (trie_lookup_elem)."""
        prefixlen, data = _split(key)
        found = None
        node = self._node(self._word(self._root)) if prefixlen <= self.max_prefixlen else None
        while node is not None:
            matched = self._match(node, prefixlen, data)
            if matched == self.max_prefixlen:
                found = node
                break
            if matched < node.prefixlen:
                break
            if not node.intermediate:
                found = node
            node = self._node(node.child[_bit(data, node.prefixlen)])
        return found.address + _DATA + self.data_size if found else 0

    def update_elem(self, key: bytes, value: bytes, flags: int = UpdateFlag.ANY) -> int:
        """See BpfMap; EINVAL, EEXIST, ENOENT, ENOSPC when full, ENOMEM without memory (trie_update_elem)."""
        prefixlen, data = _split(key)
        if flags > UpdateFlag.EXIST or prefixlen > self.max_prefixlen:
            return -Errno.EINVAL
        slots, node, matched = self._walk(prefixlen, data)
        if node is not None and node.prefixlen == matched and not node.intermediate:
            if flags == UpdateFlag.NOEXIST:
                return -Errno.EEXIST
        elif flags == UpdateFlag.EXIST:
            return -Errno.ENOENT
        elif len(self) == self.max_entries:
            return -Errno.ENOSPC
        new = self._make(prefixlen, data, (0, 0), value)
        if not new or not self._place(slots[-1], new, node, matched, prefixlen, data):
            return -Errno.ENOMEM
        return 0

    def _place(self, slot: int, new: int, node: _Node | None, matched: int, prefixlen: int, data: bytes) -> bool:
        """Hang a new node into a slot, above, instead of or beside the node that is there; False without memory."""
        if node is not None and node.prefixlen == matched:
            self.memory.write(new + _CHILD, struct.pack("<2Q", *node.child))
            if node.intermediate:
                self._set(self._count, len(self) + 1)
            self._set(slot, new)
            self.arena.free(node.address)
            return True
        top = new
        if node is not None and matched == prefixlen:
            self._set(new + _CHILD + 8 * _bit(node.data, matched), node.address)
        elif node is not None:
            pair = (node.address, new) if _bit(data, matched) else (new, node.address)
            top = self._make(matched, node.data, pair, None)
            if not top:
                self.arena.free(new)
                return False
        self._set(self._count, len(self) + 1)
        self._set(slot, top)
        return True

    def delete_elem(self, key: bytes) -> int:
        """See BpfMap; EINVAL for a prefix that is too long, ENOENT (trie_delete_elem)."""
        prefixlen, data = _split(key)
        if prefixlen > self.max_prefixlen:
            return -Errno.EINVAL
        slots, node, matched = self._walk(prefixlen, data)
        if node is None or node.intermediate or not node.prefixlen == prefixlen == matched:
            return -Errno.ENOENT
        self._set(self._count, len(self) - 1)
        left, right = node.child
        if left and right:
            self.memory.write(node.address + 36, _INTERMEDIATE.to_bytes(4, "little"))
            return 0
        parent = self._parent(slots)
        if parent is not None and parent.intermediate and not (left or right):
            other = parent.child[1] if parent.child[0] == node.address else parent.child[0]
            self._set(slots[-2], other)
            self.arena.free(parent.address)
        else:
            self._set(slots[-1], left or right)
        self.arena.free(node.address)
        return 0

    def _parent(self, slots: list[int]) -> _Node | None:
        return self._node(self._word(slots[-2])) if len(slots) > 1 else None

    # Walking: the more specific before the less specific

    def _postorder(self, address: int) -> Iterator[_Node]:
        pending = [(address, False)]
        while pending:
            at, seen = pending.pop()
            node = self._node(at)
            if node is None:
                continue
            if seen:
                yield node
                continue
            pending += [(at, True), (node.child[1], False), (node.child[0], False)]

    def get_next_key(self, key: bytes | None) -> bytes | None:
        """See BpfMap: children before their parent, zeros before ones (trie_get_next_key)."""
        order = [node for node in self._postorder(self._word(self._root)) if not node.intermediate]
        start = 0
        if key is not None:
            prefixlen, data = _split(key)
            _, node, matched = self._walk(prefixlen, data) if prefixlen <= self.max_prefixlen else ([], None, 0)
            if node is not None and node.prefixlen == matched and not node.intermediate:
                start = next(rank for rank, other in enumerate(order) if other.address == node.address) + 1
        if start >= len(order):
            return None
        return order[start].prefixlen.to_bytes(4, "little") + order[start].data

    def keys(self) -> Iterator[bytes]:
        """See BpfMap; all at once, as finding the next key walks the whole trie."""
        for node in list(self._postorder(self._word(self._root))):
            if not node.intermediate:
                yield node.prefixlen.to_bytes(4, "little") + node.data

    def free(self) -> None:
        """See BpfMap."""
        for node in list(self._postorder(self._word(self._root))):
            self.arena.free(node.address)
        super().free()


def _split(key: bytes) -> tuple[int, bytes]:
    return int.from_bytes(key[:4], "little"), key[4:]


def _bit(data: bytes, index: int) -> int:
    return data[index // 8] >> 7 - index % 8 & 1
