"""Each kind of map by its behaviour. Reference bpf.md section 4 (maps)."""

import struct
from typing import Any

import pytest

from kprobesim.bpf import LoadError, MapSpec, UpdateFlag, create_map
from kprobesim.bpf.maps import MapFlag
from kprobesim.errors import LinuxError
from kprobesim.linux_errno import Errno
from tests.bpf.mapping import Ground, k, v


def test_an_update_of_a_hash_links_a_new_element_and_the_old_pointer_keeps_the_old_value() -> None:
    """Section 4 and 10: lookup is not a copy, and update is not a write into what was looked up."""
    for flags in (0, MapFlag.NO_PREALLOC):
        ground = Ground()
        m = ground.make("hash", flags=flags)
        m.update_elem(k(1), v(1))
        old = m.lookup_elem(k(1))
        m.update_elem(k(1), v(2))
        assert m.lookup_elem(k(1)) != old
        assert ground.memory.read(old, 8) == v(1)
        assert m.read_value(k(1)) == v(2)


def test_a_preallocated_hash_uses_an_elements_place_again_at_the_next_update_on_that_cpu() -> None:
    ground = Ground(cpus=2)
    m = ground.make("hash")
    m.update_elem(k(1), v(1))
    first = m.lookup_elem(k(1))
    m.update_elem(k(1), v(2))
    ground.host.cpu = 1
    m.update_elem(k(1), v(3))
    assert m.lookup_elem(k(1)) != first
    ground.host.cpu = 0
    m.update_elem(k(1), v(4))
    assert m.lookup_elem(k(1)) == first


def test_an_element_is_a_struct_htab_elem() -> None:
    """``r0 += 72`` of the translated program in 08_bpftool: a head of 48 bytes, then the key, then the value."""
    ground = Ground()
    m = ground.make("hash", key=24, value=16)
    key = bytes(range(24))
    m.update_elem(key, bytes(16))
    elem = m.lookup_elem(key) - 72
    assert ground.memory.read(elem + 48, 24) == key


def test_the_head_of_a_map_is_struct_bpf_map() -> None:
    ground = Ground()
    m = ground.make("array", entries=5, name="counts")
    raw = ground.memory.read(m.address, 272)
    assert struct.unpack_from("<4I", raw, 24) == (2, 4, 8, 5)
    assert struct.unpack_from("<iIi", raw, 64) == (-Errno.EINVAL, 1, -1)
    assert raw[104:120] == b"counts".ljust(16, b"\0")
    assert struct.unpack_from("<2I", raw, 256) == (8, 7)


def test_an_array_that_can_be_mapped_begins_on_a_page() -> None:
    assert Ground().make("array", flags=MapFlag.MMAPABLE).lookup_elem(k(0)) % 4096 == 0


@pytest.mark.parametrize("kind", ["percpu_hash", "percpu_array", "lru_percpu_hash"])
def test_every_cpu_has_its_own_value_and_user_space_sees_them_all(kind: str) -> None:
    """Section 4: PERCPU values are 8-byte rounded x nCPU from user space."""
    ground = Ground(cpus=3)
    m = ground.make(kind, value=5)
    for cpu in (0, 2):
        ground.host.cpu = cpu
        assert m.update_elem(k(1), bytes([cpu + 1]) * 5) == 0
    assert m.sys_value_size == 24
    assert m.read_value(k(1)) == b"\1" * 5 + bytes(3) + bytes(8) + b"\3" * 5 + bytes(3)
    assert m.lookup_elem(k(1)) == m.lookup_percpu_elem(k(1), 2)
    assert m.lookup_percpu_elem(k(1), 3) == 0
    assert m.sys_update(k(1), bytes(range(24))) == 0
    assert ground.memory.read(m.lookup_percpu_elem(k(1), 1), 8) == bytes(range(8, 16))


def test_a_new_element_of_a_percpu_hash_is_zero_for_the_other_cpus() -> None:
    ground = Ground(cpus=2)
    m = ground.make("percpu_hash")
    m.sys_update(k(1), v(7) + v(8))
    m.delete_elem(k(1))
    m.update_elem(k(2), v(1))
    assert m.read_value(k(2)) == v(1) + v(0)


def test_an_lru_hash_makes_room_for_128_elements_at_once() -> None:
    """bpf_lru_list_pop_free_to_local: so a small map is emptied, and a larger one loses elements before it is full."""
    for entries, left in ((4, 1), (200, 145)):
        ground = Ground()
        m = ground.make("lru_hash", entries=entries)
        for n in range(entries + 1):
            assert m.update_elem(k(n), v(n)) == 0
        assert len(m) == left
        assert set(ground.told()) == {"map.evict"}
        gone = [fields["key"] for _, fields in ground.host.told]
        assert gone == [k(n) for n in range(entries + 1 - left)]


def test_an_element_that_was_looked_up_by_a_program_outlives_one_that_was_not() -> None:
    ground = Ground()
    m = ground.make("lru_hash", entries=4)
    for n in range(4):
        m.update_elem(k(n), v(n))
    m.lookup_elem(k(0))
    m.update_elem(k(9), v(9))
    assert m.read_value(k(0)) == v(0) and m.read_value(k(1)) is None


def test_that_user_space_looks_does_not_count_as_use() -> None:
    ground = Ground()
    m = ground.make("lru_hash", entries=4)
    for n in range(4):
        m.update_elem(k(n), v(n))
    assert m.read_value(k(0)) == v(0)
    m.update_elem(k(9), v(9))
    assert m.read_value(k(0)) is None


def test_a_refused_update_of_a_full_lru_hash_may_evict_as_in_linux() -> None:
    """The place is made before the flags are looked at, and the element that was to be there may be what goes."""
    ground = Ground()
    m = ground.make("lru_hash", entries=2)
    m.update_elem(k(0), v(0))
    m.update_elem(k(1), v(1))
    assert m.update_elem(k(1), v(2), UpdateFlag.NOEXIST) == 0
    assert ground.told() == ["map.evict"] * 2
    ground = Ground()
    m = ground.make("lru_hash", entries=2)
    m.update_elem(k(0), v(0))
    m.update_elem(k(1), v(1))
    assert m.update_elem(k(5), v(2), UpdateFlag.EXIST) == -Errno.ENOENT
    assert len(m) == 0


def test_lists_for_each_cpu_get_the_same_number_of_elements() -> None:
    ground = Ground(cpus=4)
    m = ground.make("lru_hash", entries=5, flags=MapFlag.NO_COMMON_LRU)
    assert m.max_entries == 8
    assert struct.unpack("<I", ground.memory.read(m.address + 36, 4)) == (8,)
    for n in range(3):
        m.update_elem(k(n), v(n))
    assert ground.told() == ["map.evict"] * 2  # its own two, as up to four are freed at a time


def test_a_queue_gives_the_oldest_and_a_stack_the_newest() -> None:
    ground = Ground()
    for kind, order in (("queue", [1, 2, 3]), ("stack", [3, 2, 1])):
        m = ground.make(kind, key=0, entries=3)
        assert [m.push_elem(v(n), 0) for n in (1, 2, 3, 4)] == [0, 0, 0, -Errno.E2BIG]
        assert m.peek_elem(b"") == v(order[0])
        assert [m.pop_elem() for _ in range(4)] == [*map(v, order), -Errno.ENOENT]


def test_a_full_queue_lets_the_oldest_go_with_exist() -> None:
    m = Ground().make("queue", key=0, entries=2)
    for n in (1, 2, 3):
        assert m.push_elem(v(n), UpdateFlag.EXIST) == 0
    assert m.values() == [v(2), v(3)]
    assert m.push_elem(v(4), UpdateFlag.NOEXIST) == -Errno.EINVAL
    assert m.push_elem(v(4), 4) == -Errno.EINVAL


def prefix(length: int, *data: int) -> bytes:
    return k(length) + bytes(data)


def test_the_longest_prefix_wins() -> None:
    m = Ground().make("lpm_trie", key=8, entries=8, flags=MapFlag.NO_PREALLOC)
    for length, data, value in ((16, (192, 168, 0, 0), 1), (24, (192, 168, 1, 0), 2), (24, (192, 168, 128, 0), 3)):
        assert m.update_elem(prefix(length, *data), v(value)) == 0
    assert m.read_value(prefix(32, 192, 168, 1, 9)) == v(2)
    assert m.read_value(prefix(32, 192, 168, 2, 9)) == v(1)
    assert m.read_value(prefix(32, 10, 0, 0, 1)) is None
    assert m.read_value(prefix(33, 192, 168, 1, 9)) is None


def test_a_trie_is_walked_from_the_more_to_the_less_specific() -> None:
    """The order in the comment of Linux's trie_get_next_key."""
    m = Ground().make("lpm_trie", key=8, entries=8, flags=MapFlag.NO_PREALLOC)
    keys = [
        prefix(24, 192, 168, 0, 0),
        prefix(24, 192, 168, 1, 0),
        prefix(24, 192, 168, 128, 0),
        prefix(16, 192, 168, 0, 0),
    ]
    for key in reversed(keys):
        m.update_elem(key, v(0))
    assert list(m.keys()) == keys
    walked = []
    key = m.get_next_key(None)
    while key is not None:
        walked.append(key)
        key = m.get_next_key(key)
    assert walked == keys


def test_a_trie_says_what_linux_says() -> None:
    m = Ground().make("lpm_trie", key=5, entries=1, flags=MapFlag.NO_PREALLOC)
    assert m.update_elem(prefix(9, 0), v(1)) == -Errno.EINVAL
    assert m.update_elem(prefix(8, 0), v(1), UpdateFlag.EXIST) == -Errno.ENOENT
    assert m.update_elem(prefix(8, 0), v(1)) == 0
    assert m.update_elem(prefix(8, 0), v(2), UpdateFlag.NOEXIST) == -Errno.EEXIST
    assert m.update_elem(prefix(8, 1), v(1)) == -Errno.ENOSPC
    assert m.delete_elem(prefix(8, 1)) == -Errno.ENOENT
    assert m.delete_elem(prefix(9, 1)) == -Errno.EINVAL
    assert m.delete_elem(prefix(8, 0)) == 0


def test_a_bloom_filter_never_forgets_what_it_was_told() -> None:
    m = Ground().make("bloom_filter", key=0, entries=100, extra=3)
    for n in range(100):
        assert m.push_elem(v(n), 0) == 0
    assert all(m.peek_elem(v(n)) == v(n) for n in range(100))
    wrong = sum(m.peek_elem(v(n)) != -Errno.ENOENT for n in range(1000, 2000))
    assert wrong < 300
    assert m.push_elem(v(1), UpdateFlag.NOEXIST) == -Errno.EINVAL
    assert m.pop_elem() == m.delete_elem(b"") == -Errno.EOPNOTSUPP


def test_equal_stack_traces_have_one_id() -> None:
    """Section 4: STACK_TRACE hash ids, -EFAULT, -EEXIST."""
    ground = Ground()
    m = ground.make("stack_trace", value=32, entries=8)
    here = m.get_stackid([1, 2, 3], 0)
    assert m.get_stackid([1, 2, 3], 0) == here
    assert m.read_value(k(here)) == struct.pack("<4Q", 1, 2, 3, 0)
    assert m.get_stackid([0, 1, 2, 3], 1) == here
    assert m.get_stackid([1], 1) == -Errno.EFAULT
    assert [key for key, _ in m.items()] == [k(here)]
    assert m.delete_elem(k(here)) == 0
    assert m.delete_elem(k(here)) == -Errno.ENOENT
    assert m.delete_elem(k(99)) == -Errno.E2BIG


def test_traces_that_collide_are_refused_or_replaced() -> None:
    m = Ground().make("stack_trace", value=8, entries=1)
    assert m.get_stackid([1], 0) == 0
    assert m.get_stackid([2], 0) == -Errno.EEXIST
    assert m.get_stackid([2], 1 << 10) == -Errno.ENOMEM
    two = Ground().make("stack_trace", value=8, entries=2)
    ids = {n: two.get_stackid([n], 0) for n in range(8)}
    taken = [n for n, number in ids.items() if number >= 0]
    other = next(n for n, number in ids.items() if number == -Errno.EEXIST)
    if len(taken) == 1:
        assert two.get_stackid([other], 1 << 10) == ids[taken[0]]


def test_maps_inside_a_map_must_look_like_the_one_shown() -> None:
    ground = Ground()
    shown = ground.make("array", entries=2)
    longer = ground.make("array", entries=3)
    other = ground.make("hash")
    outer = ground.make("array_of_maps", value=4, inner=shown)
    assert outer.update_fd(k(1), shown) == 0
    assert outer.lookup_elem(k(1)) == shown.address
    assert outer.lookup_elem(k(0)) == 0
    assert outer.update_fd(k(1), longer) == -Errno.EINVAL
    assert outer.update_fd(k(1), other) == -Errno.EINVAL
    assert outer.update_fd(k(9), shown) == -Errno.E2BIG
    assert outer.update_fd(k(1), shown, UpdateFlag.NOEXIST) == -Errno.EINVAL
    assert outer.read_value(k(1)) == k(shown.id)
    assert outer.delete_elem(k(0)) == -Errno.ENOENT and outer.delete_elem(k(1)) == 0


def test_an_inner_array_may_be_of_any_length_with_its_flag() -> None:
    ground = Ground()
    shown = ground.make("array", entries=2, flags=MapFlag.INNER_MAP)
    longer = ground.make("array", entries=3, flags=MapFlag.INNER_MAP)
    assert ground.make("array_of_maps", value=4, inner=shown).update_fd(k(1), longer) == 0


def test_a_hash_of_maps_finds_maps_by_key() -> None:
    ground = Ground()
    inner = ground.make("hash")
    outer = ground.make("hash_of_maps", key=2, value=4, inner=inner)
    assert outer.update_fd(b"ab", inner, UpdateFlag.EXIST) == -Errno.ENOENT
    assert outer.update_fd(b"ab", inner) == 0
    assert outer.lookup_elem(b"ab") == inner.address
    assert outer.read_value(b"ab") == k(inner.id)
    assert outer.delete_elem(b"ab") == 0 and outer.lookup_elem(b"ab") == 0


REFUSED: list[tuple[tuple[object, ...], Errno]] = [
    (("percpu_array", 4, (32 << 10) + 1, 1), Errno.E2BIG),
    (("percpu_array", 4, 8, 1, MapFlag.MMAPABLE), Errno.EINVAL),
    (("array", 4, 8, 1, MapFlag.PRESERVE_ELEMS), Errno.EINVAL),
    (("array", 4, 8, 1, MapFlag.NO_PREALLOC), Errno.EINVAL),
    (("hash", 4, 8, 1, MapFlag.NO_COMMON_LRU), Errno.EINVAL),
    (("lru_hash", 4, 8, 1, MapFlag.NO_PREALLOC), Errno.ENOTSUPP),
    (("hash", 4, 8, (1 << 31) + 1), Errno.E2BIG),
    (("hash", 4, 8, 10**9), Errno.E2BIG),
    (("hash", 4, 8, 10**8), Errno.ENOMEM),
    (("array", 4, 8, 10**9), Errno.ENOMEM),
    (("prog_array", 4, 8, 1), Errno.EINVAL),
    (("prog_array", 4, 4, 1, MapFlag.RDONLY_PROG), Errno.EINVAL),
    (("stack_trace", 4, 12, 1), Errno.EINVAL),
    (("stack_trace", 4, 128 * 8, 1), Errno.EINVAL),
    (("stack_trace", 8, 8, 1), Errno.EINVAL),
    (("lpm_trie", 8, 8, 1), Errno.EINVAL),
    (("lpm_trie", 4, 8, 1, MapFlag.NO_PREALLOC), Errno.EINVAL),
    (("lpm_trie", 261, 8, 1, MapFlag.NO_PREALLOC), Errno.EINVAL),
    (("queue", 4, 8, 1), Errno.EINVAL),
    (("queue", 0, (1 << 22) + 1, 1), Errno.E2BIG),
    (("ringbuf", 0, 0, 4097), Errno.EINVAL),
    (("ringbuf", 0, 0, 0), Errno.EINVAL),
    (("ringbuf", 0, 0, 12288), Errno.EINVAL),
    (("ringbuf", 4, 0, 4096), Errno.EINVAL),
    (("ringbuf", 0, 0, 1 << 30), Errno.ENOMEM),
    (("bloom_filter", 4, 8, 1), Errno.EINVAL),
    (("bloom_filter", 0, 8, 1, 0, "m", 16), Errno.EINVAL),
    (("hash", 4, 8, 1, 0, "m", 1), Errno.EINVAL),
    (("array_of_maps", 4, 4, 1), Errno.EBADF),
    (("sockmap", 4, 4, 1), Errno.EINVAL),
    (("cgroup_array", 4, 4, 1), Errno.EINVAL),
]


@pytest.mark.parametrize(("arguments", "errno"), REFUSED)
def test_maps_are_refused_as_linux_refuses_them(arguments: tuple[object, ...], errno: Errno) -> None:
    ground = Ground()
    with pytest.raises(LoadError) as refused:
        create_map(MapSpec(*arguments), ground.memory, ground.arena)  # type: ignore[arg-type]
    assert refused.value.errno is errno and refused.value.hint
    assert ground.arena.used == 0


def test_a_map_of_maps_is_not_put_into_another() -> None:
    ground = Ground()
    outer = ground.make("array_of_maps", value=4, inner=ground.make("hash"))
    jumps = ground.make("prog_array", value=4)
    for inner, errno in ((outer, Errno.EINVAL), (jumps, Errno.ENOTSUPP)):
        with pytest.raises(LoadError) as refused:
            ground.make("hash_of_maps", value=4, inner=inner)
        assert refused.value.errno is errno


KINDS: dict[str, dict[str, Any]] = {
    "array": {}, "percpu_array": {}, "hash": {}, "percpu_hash": {}, "lru_hash": {}, "lru_percpu_hash": {},
    "prog_array": {"value": 4}, "perf_event_array": {"value": 4}, "stack_trace": {},
    "lpm_trie": {"key": 8, "flags": MapFlag.NO_PREALLOC}, "queue": {"key": 0}, "stack": {"key": 0},
    "bloom_filter": {"key": 0},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_freed_map_leaves_nothing_behind(kind: str) -> None:
    ground = Ground(cpus=2)
    m = ground.make(kind, **KINDS[kind])
    if kind == "lpm_trie":
        m.update_elem(prefix(8, 1, 0, 0, 0), v(1))
        m.update_elem(prefix(8, 2, 0, 0, 0), v(1))
    else:
        m.update_elem(k(1), v(1))
    m.free()
    assert ground.arena.used == 0


def test_what_user_space_cannot_read_says_so() -> None:
    ground = Ground()
    for kind, size in (("perf_event_array", 4), ("ringbuf", 0)):
        m = ground.make(kind, key=size, value=size, entries=4096)
        with pytest.raises(LinuxError) as refused:
            m.read_value(bytes(size))
        assert refused.value.errno is Errno.ENOTSUPP
        assert list(m.items()) == []
