"""Which element of a full LRU hash has to go: Linux's approximation of least recently used.

Elements are nodes (``struct bpf_lru_node``: list_head, u16 cpu at 16, u8 type at 18, u8 ref at 19) of lists in guest
memory. A new element comes from the CPU's local free list and stands on its pending list; when the free list is empty
it is refilled with 128 nodes, pending nodes join the active or the inactive list by their reference bit, and what
nobody touched for longest is thrown out, several at a time: so the exact order of use is not kept. With
BPF_F_NO_COMMON_LRU each CPU has its own lists, of which 4 nodes are freed at a time.

Follows Linux kernel/bpf/bpf_lru_list.c, function by function.
"""

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import IntEnum

from kprobesim.bpf.maps.base import Place
from kprobesim.bpf.maps.guest_list import GuestLists

__all__ = ["LRU_NODE_SIZE", "CommonLru", "Lru", "NodeType", "PercpuLru"]

LRU_NODE_SIZE = 24
LIST_SIZE = 128
LOCAL_LIST_SIZE = 64
_LOCAL_FREE_TARGET = 128
_PERCPU_FREE_TARGET = 4
_COUNTS, _ROTATION = 48, 56
_NEXT_STEAL = 32


class NodeType(IntEnum):
    """Which list a node stands on."""

    ACTIVE = 0
    INACTIVE = 1
    FREE = 2
    LOCAL_FREE = 3
    LOCAL_PENDING = 4


class Lru(ABC):
    """What both kinds share: one ``struct bpf_lru_list`` and how it is rotated and shrunk.

    Args:
        place: of the map.
        evict: takes the element of a node out of the hash; False if it is not there.
        scans: most nodes looked at in one go.
    """

    def __init__(self, place: Place, evict: Callable[[int], bool], scans: int) -> None:
        self._memory, _, self._host = place
        self._lists = GuestLists(place.memory)
        self._evict = evict
        self._scans = scans

    # Nodes

    def _type(self, node: int) -> int:
        return self._memory.read(node + 18, 1)[0]

    def _set_type(self, node: int, kind: NodeType) -> None:
        self._memory.write(node + 18, bytes([kind]))

    def is_ref(self, node: int) -> bool:
        """Whether the element was used since it was last looked at."""
        return self._memory.read(node + 19, 1) != b"\0"

    def set_ref(self, node: int) -> None:
        """Note that the element is used (bpf_lru_node_set_ref)."""
        if not self.is_ref(node):
            self._memory.write(node + 19, b"\x01")

    def _clear_ref(self, node: int) -> None:
        self._memory.write(node + 19, b"\0")

    def _cpu(self, node: int) -> int:
        return int.from_bytes(self._memory.read(node + 16, 2), "little")

    # One struct bpf_lru_list: heads of the active, inactive and free lists, two counts, where rotation goes on

    def _init_list(self, at: int) -> None:
        for kind in (NodeType.ACTIVE, NodeType.INACTIVE, NodeType.FREE):
            self._lists.init(at + 16 * kind)
        self._memory.write(at + _COUNTS, struct.pack("<2IQ", 0, 0, at + 16 * NodeType.INACTIVE))

    def _count(self, at: int, kind: int, change: int) -> None:
        if kind < NodeType.FREE:
            place = at + _COUNTS + 4 * kind
            count = int.from_bytes(self._memory.read(place, 4), "little") + change
            self._memory.write(place, (count & 0xFFFFFFFF).to_bytes(4, "little"))

    def _step_rotation(self, at: int, node: int) -> None:
        """A node that is to be looked at next goes away: the one before it is."""
        rotation = int.from_bytes(self._memory.read(at + _ROTATION, 8), "little")
        if rotation == node:
            self._memory.write(at + _ROTATION, self._lists.prev(node).to_bytes(8, "little"))

    def _move_to_free(self, at: int, node: int, free_list: int, kind: NodeType) -> None:
        self._step_rotation(at, node)
        self._count(at, self._type(node), -1)
        self._set_type(node, kind)
        self._lists.move(node, free_list)

    def _move_in(self, at: int, node: int, kind: NodeType) -> None:
        self._count(at, kind, 1)
        self._set_type(node, kind)
        self._clear_ref(node)
        self._lists.move(node, at + 16 * kind)

    def _move(self, at: int, node: int, kind: NodeType) -> None:
        old = self._type(node)
        if old != kind:
            self._count(at, old, -1)
            self._count(at, kind, 1)
            self._set_type(node, kind)
        self._clear_ref(node)
        self._step_rotation(at, node)
        self._lists.move(node, at + 16 * kind)

    def _rotate(self, at: int) -> None:
        active, inactive = struct.unpack("<2I", self._memory.read(at + _COUNTS, 8))
        if inactive < active:
            self._rotate_active(at)
        self._rotate_inactive(at)

    def _rotate_active(self, at: int) -> None:
        head = at + 16 * NodeType.ACTIVE
        first = self._lists.next(head)
        for count, node in enumerate(self._lists.backwards(head), 1):
            self._move(at, node, NodeType.ACTIVE if self.is_ref(node) else NodeType.INACTIVE)
            if count == self._scans or node == first:
                break

    def _rotate_inactive(self, at: int) -> None:
        head = at + 16 * NodeType.INACTIVE
        lists = self._lists
        if lists.is_empty(head):
            return
        node = int.from_bytes(self._memory.read(at + _ROTATION, 8), "little")
        last = lists.next(node)
        if last == head:
            last = lists.next(last)
        following, scanned = head, 0
        while scanned < self._scans:
            if node == head:
                node = lists.prev(node)
                continue
            following = lists.prev(node)
            if self.is_ref(node):
                self._move(at, node, NodeType.ACTIVE)
            if node == last:
                break
            node = following
            scanned += 1
        self._memory.write(at + _ROTATION, following.to_bytes(8, "little"))

    def _shrink(self, at: int, wanted: int, free_list: int, kind: NodeType) -> None:
        """Throw out up to ``wanted`` elements that were not used; if all were, one that was."""
        if self._shrink_inactive(at, wanted, free_list, kind):
            return
        inactive = at + 16 * NodeType.INACTIVE
        forced = at + 16 * NodeType.ACTIVE if self._lists.is_empty(inactive) else inactive
        for node in self._lists.backwards(forced):
            if self._evict(node):
                self._move_to_free(at, node, free_list, kind)
                return

    def _shrink_inactive(self, at: int, wanted: int, free_list: int, kind: NodeType) -> int:
        freed = 0
        for count, node in enumerate(self._lists.backwards(at + 16 * NodeType.INACTIVE), 1):
            if self.is_ref(node):
                self._move(at, node, NodeType.ACTIVE)
            elif self._evict(node):
                self._move_to_free(at, node, free_list, kind)
                freed += 1
                if freed == wanted:
                    break
            if count == self._scans:
                break
        return freed

    def _link_free(self, at: int, nodes: list[int], cpu: int) -> None:
        """All nodes onto the free list, the last one first, with one write each."""
        head = at + 16 * NodeType.FREE
        ring = [head, *reversed(nodes)]
        for place, node in enumerate(ring[1:], 1):
            links = (ring[(place + 1) % len(ring)], ring[place - 1])
            self._memory.write(node, struct.pack("<2QH2B", *links, cpu, NodeType.FREE, 0))
        self._memory.write(head, struct.pack("<2Q", ring[1 % len(ring)], ring[-1]))

    # What the two kinds differ in

    @abstractmethod
    def populate(self, nodes: list[int]) -> None:
        """Put all nodes on free lists."""

    @abstractmethod
    def pop_free(self) -> int:
        """A node for a new element, thrown out of the hash if need be; 0 if there is none."""

    @abstractmethod
    def push_free(self, node: int) -> None:
        """A node whose element is gone."""


class CommonLru(Lru):
    """One set of lists for all CPUs, and local free and pending lists for each."""

    def __init__(self, place: Place, evict: Callable[[int], bool], at: int) -> None:
        super().__init__(place, evict, _LOCAL_FREE_TARGET)
        self._at = at
        self._cpus = place.host.num_possible_cpus()
        self._init_list(at)
        for cpu in range(self._cpus):
            local = self._local(cpu)
            self._lists.init(local)
            self._lists.init(local + 16)
            self._memory.write(local + _NEXT_STEAL, cpu.to_bytes(2, "little"))

    def _local(self, cpu: int) -> int:
        """A CPU's ``struct bpf_lru_locallist``: free list, pending list behind it."""
        return self._at + LIST_SIZE + LOCAL_LIST_SIZE * cpu

    def populate(self, nodes: list[int]) -> None:
        """See Lru (bpf_common_lru_populate)."""
        self._link_free(self._at, nodes, 0)

    def pop_free(self) -> int:
        """See Lru (bpf_common_lru_pop_free)."""
        cpu = self._host.smp_processor_id()
        local = self._local(cpu)
        node = self._pop_local_free(local)
        if not node:
            self._refill(local)
            node = self._pop_local_free(local)
        if not node:
            node = self._steal(local)
        if node:
            self._memory.write(node + 16, struct.pack("<H2B", cpu, NodeType.LOCAL_PENDING, 0))
            self._lists.add(node, local + 16)
        return node

    def push_free(self, node: int) -> None:
        """See Lru (bpf_common_lru_push_free)."""
        if self._type(node) == NodeType.LOCAL_PENDING:
            self._set_type(node, NodeType.LOCAL_FREE)
            self._clear_ref(node)
            self._lists.move(node, self._local(self._cpu(node)))
        else:
            self._move(self._at, node, NodeType.FREE)

    def _pop_local_free(self, local: int) -> int:
        node = self._lists.next(local)
        if node == local:
            return 0
        self._lists.delete(node)
        return node

    def _refill(self, local: int) -> None:
        """bpf_lru_list_pop_free_to_local."""
        at = self._at
        for node in self._lists.backwards(local + 16):
            self._move_in(at, node, NodeType.ACTIVE if self.is_ref(node) else NodeType.INACTIVE)
        self._rotate(at)
        found = 0
        for node in self._lists.forwards(at + 16 * NodeType.FREE):
            self._move_to_free(at, node, local, NodeType.LOCAL_FREE)
            found += 1
            if found == _LOCAL_FREE_TARGET:
                return
        self._shrink(at, _LOCAL_FREE_TARGET - found, local, NodeType.LOCAL_FREE)

    def _pop_local_pending(self, local: int) -> int:
        for force in (False, True):
            for node in self._lists.backwards(local + 16):
                if (force or not self.is_ref(node)) and self._evict(node):
                    self._lists.delete(node)
                    return node
        return 0

    def _steal(self, local: int) -> int:
        """From the local lists of this and the other CPUs in turn."""
        first = int.from_bytes(self._memory.read(local + _NEXT_STEAL, 2), "little")
        cpu = first
        while True:
            theirs = self._local(cpu)
            node = self._pop_local_free(theirs) or self._pop_local_pending(theirs)
            cpu = (cpu + 1) % self._cpus
            if node or cpu == first:
                break
        self._memory.write(local + _NEXT_STEAL, cpu.to_bytes(2, "little"))
        return node


class PercpuLru(Lru):
    """A set of lists for each CPU (BPF_F_NO_COMMON_LRU)."""

    def __init__(self, place: Place, evict: Callable[[int], bool], at: int) -> None:
        super().__init__(place, evict, _PERCPU_FREE_TARGET)
        self._at = at
        self._cpus = place.host.num_possible_cpus()
        for cpu in range(self._cpus):
            self._init_list(self._of(cpu))

    def _of(self, cpu: int) -> int:
        return self._at + LIST_SIZE * cpu

    def populate(self, nodes: list[int]) -> None:
        """See Lru (bpf_percpu_lru_populate)."""
        share = len(nodes) // self._cpus
        for cpu in range(self._cpus):
            self._link_free(self._of(cpu), nodes[cpu * share : (cpu + 1) * share], cpu)

    def pop_free(self) -> int:
        """See Lru (bpf_percpu_lru_pop_free)."""
        at = self._of(self._host.smp_processor_id())
        free = at + 16 * NodeType.FREE
        self._rotate(at)
        if self._lists.is_empty(free):
            self._shrink(at, _PERCPU_FREE_TARGET, free, NodeType.FREE)
        if self._lists.is_empty(free):
            return 0
        node = self._lists.next(free)
        self._move(at, node, NodeType.INACTIVE)
        return node

    def push_free(self, node: int) -> None:
        """See Lru (bpf_percpu_lru_push_free)."""
        self._move(self._of(self._cpu(node)), node, NodeType.FREE)
