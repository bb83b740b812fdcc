"""Maps in guest memory, and the arena they come from."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kprobesim.bpf import Arena, ArenaFull, BpfMap, FlatMemory, LoadError, MapSpec, UpdateFlag, create_map
from kprobesim.bpf.maps import MapFlag
from kprobesim.bpf.maps.jhash import jhash
from kprobesim.linux_errno import Errno

BASE = 0x10000


def make(type_: str = "hash", key: int = 4, value: int = 8, entries: int = 4, flags: int = 0) -> BpfMap:
    memory = FlatMemory(BASE, 1 << 16)
    return create_map(MapSpec(type_, key, value, entries, flags, "m"), memory, Arena(BASE, 1 << 16), 7)


def k(number: int) -> bytes:
    return number.to_bytes(4, "little")


def v(number: int) -> bytes:
    return number.to_bytes(8, "little")


def test_a_lookup_gives_the_address_of_the_live_value() -> None:
    """Reference section 4 and 10: a map lookup is not a copy."""
    for m in (make("hash"), make("array")):
        m.update_elem(k(1), v(5))
        address = m.lookup_elem(k(1))
        m.memory.write(address, v(6))
        assert m.read_value(k(1)) == v(6)


def test_hash_updates_obey_their_flags() -> None:
    m = make()
    assert m.update_elem(k(1), v(1), UpdateFlag.EXIST) == -Errno.ENOENT
    assert m.update_elem(k(1), v(1), UpdateFlag.NOEXIST) == 0
    assert m.update_elem(k(1), v(2), UpdateFlag.NOEXIST) == -Errno.EEXIST
    assert m.update_elem(k(1), v(2), UpdateFlag.EXIST) == 0
    assert m.update_elem(k(1), v(2), 3) == -Errno.EINVAL
    assert m.update_elem(k(1), v(2), 1 << 63) == -Errno.EINVAL
    assert m.delete_elem(k(1)) == 0
    assert m.delete_elem(k(1)) == -Errno.ENOENT
    assert m.lookup_elem(k(1)) == 0


def test_a_full_hash_says_so_but_still_updates() -> None:
    m = make(entries=2)
    assert [m.update_elem(k(n), v(n)) for n in range(3)] == [0, 0, -Errno.E2BIG]
    assert m.update_elem(k(1), v(9)) == 0
    m.delete_elem(k(0))
    assert m.update_elem(k(2), v(2)) == 0


def test_array_elements_always_exist() -> None:
    m = make("array", entries=3)
    assert m.read_value(k(2)) == v(0)
    assert m.lookup_elem(k(3)) == 0
    assert m.update_elem(k(3), v(1)) == -Errno.E2BIG
    assert m.update_elem(k(2), v(1), UpdateFlag.NOEXIST) == -Errno.EEXIST
    assert m.update_elem(k(2), v(1), UpdateFlag.EXIST) == 0
    assert m.update_elem(k(2), v(1), 3) == -Errno.EINVAL
    assert m.delete_elem(k(2)) == -Errno.EINVAL
    assert [key for key, _ in m.items()] == [k(0), k(1), k(2)]
    assert m.get_next_key(k(99)) == k(0)
    assert m.get_next_key(k(2)) is None


def test_array_values_begin_272_bytes_behind_the_map_and_are_8_byte_aligned() -> None:
    """Translated programs of Linux 6.1 show both: r1 += 272; r0 <<= 3."""
    m = make("array", value=5, entries=3)
    assert m.lookup_elem(k(2)) == m.address + 272 + 16


def test_the_head_of_a_map_can_be_read_in_memory() -> None:
    m = make(entries=9)
    assert m.memory.read(m.address + 24, 16) == b"".join(k(n) for n in (1, 4, 8, 9))


def test_keys_stand_beside_their_values() -> None:
    m = make()
    m.update_elem(b"abcd", v(1))
    assert m.memory.read(m.lookup_elem(b"abcd") - 8, 4) == b"abcd"


def test_jhash_is_lookup3() -> None:
    """Vectors of Bob Jenkins' lookup3.c."""
    assert jhash(b"Four score and seven years ago") == 0x17770551
    assert jhash(b"Four score and seven years ago", 1) == 0xCD628161
    assert jhash(b"") == 0xDEADBEEF


def test_a_hash_is_walked_bucket_by_bucket_newest_first() -> None:
    m = make(entries=4)
    keys = [k(n) for n in (10, 11, 12, 13)]
    for key in keys:
        m.update_elem(key, v(0))
    walked = list(m.keys())
    buckets = [jhash(key) & 3 for key in walked]
    assert sorted(walked) == keys
    assert buckets == sorted(buckets)
    for bucket in set(buckets):
        within = [key for key in walked if jhash(key) & 3 == bucket]
        assert within == sorted(within, reverse=True)


def test_walking_begins_again_after_a_key_that_is_gone() -> None:
    m = make()
    for n in range(4):
        m.update_elem(k(n), v(n))
    first, second, *_ = m.keys()
    m.delete_elem(first)
    assert m.get_next_key(first) == second
    m.delete_elem(second)
    assert len(list(m.keys())) == 2


def test_walking_and_deleting_visits_every_key() -> None:
    m = make(entries=100)
    for n in range(100):
        m.update_elem(k(n), v(n))
    seen = []
    key = m.get_next_key(None)
    while key is not None:
        following = m.get_next_key(key)
        m.delete_elem(key)
        seen.append(key)
        key = following
    assert len(set(seen)) == 100 and not list(m.keys())


REFUSED = [
    (("hash", 0, 8, 1), Errno.EINVAL),
    (("hash", 4, 0, 1), Errno.EINVAL),
    (("hash", 4, 8, 0), Errno.EINVAL),
    (("hash", 4, 1 << 23, 1), Errno.E2BIG),
    (("hash", 4, 8, 1, 1 << 31), Errno.EINVAL),
    (("hash", 4, 8, 1, 0x18), Errno.EINVAL),
    (("hash", 4, 8, 1, 0x180), Errno.EINVAL),
    (("hash", 4, 8, 1 << 40), Errno.EINVAL),
    (("hash", 4, 8, -1), Errno.EINVAL),
    (("hash", 4, 8, 1, 0, "a name of a map that is long"), Errno.EINVAL),
    (("array", 8, 8, 1), Errno.EINVAL),
    (("array", 4, 8, 1, 1), Errno.EINVAL),
    (("array", 4, (1 << 32) - 1, 1), Errno.E2BIG),
    (("array", 4, 8, (1 << 32) - 1), Errno.ENOMEM),
    (("hush", 4, 8, 1), Errno.EINVAL),
    (("ringbuf", 0, 0, 5000), Errno.EINVAL),
    (("unspec", 4, 8, 1), Errno.EINVAL),
]


@pytest.mark.parametrize(("arguments", "errno"), REFUSED)
def test_a_map_is_refused_with_linuxs_errno(arguments: tuple[str, int, int, int], errno: Errno) -> None:
    with pytest.raises(LoadError) as refused:
        create_map(MapSpec(*arguments), FlatMemory(BASE, 4096), Arena(BASE, 4096))
    assert refused.value.errno is errno
    assert refused.value.hint


def test_a_hash_that_outgrows_memory_says_enomem_when_it_is_made_or_without_preallocation_when_it_grows() -> None:
    with pytest.raises(LoadError) as refused:
        create_map(MapSpec("hash", 4, 8, 10_000), FlatMemory(BASE, 2048), Arena(BASE, 2048))
    assert refused.value.errno is Errno.ENOMEM
    m = create_map(MapSpec("hash", 4, 8, 10_000, MapFlag.NO_PREALLOC), FlatMemory(BASE, 2048), Arena(BASE, 2048))
    codes = [m.update_elem(k(n), v(n)) for n in range(200)]
    assert set(codes) == {0, -Errno.ENOMEM}
    assert all(m.read_value(k(n)) == v(n) for n in range(codes.count(0)))


def test_freeing_maps_gives_all_memory_back() -> None:
    memory, arena = FlatMemory(BASE, 1 << 16), Arena(BASE, 1 << 16)
    maps = [create_map(MapSpec(kind, 4, 8, 200), memory, arena, n) for n, kind in enumerate(("hash", "array", "hash"))]
    for n in range(200):
        maps[0].update_elem(k(n), v(n))
    for m in maps:
        m.free()
    assert arena.used == 0
    assert arena.alloc(1 << 16) == BASE


class MapsGoBack(RuleBasedStateMachine):
    """A hash beside a dict; saved states of map, arena and memory bring the dict's old contents back."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = FlatMemory(BASE, 1 << 14)
        self.arena = Arena(BASE, 1 << 14)
        self.map = create_map(MapSpec("hash", 4, 8, 6), self.memory, self.arena)
        self.model: dict[bytes, bytes] = {}
        self.saved: list[tuple[object, object, object, dict[bytes, bytes]]] = []

    @rule(key=st.integers(0, 9), value=st.integers(0, 99))
    def update(self, key: int, value: int) -> None:
        code = self.map.update_elem(k(key), v(value))
        if k(key) in self.model or len(self.model) < 6:
            assert code == 0
            self.model[k(key)] = v(value)
        else:
            assert code == -Errno.E2BIG

    @rule(key=st.integers(0, 9))
    def delete(self, key: int) -> None:
        assert (self.map.delete_elem(k(key)) == 0) == (self.model.pop(k(key), None) is not None)

    @rule()
    def save(self) -> None:
        self.saved.append((self.map.save(), self.arena.save(), self.memory.save(), dict(self.model)))

    @rule(which=st.integers(0, 99))
    def restore(self, which: int) -> None:
        if self.saved:
            of_map, of_arena, of_memory, model = self.saved[which % len(self.saved)]
            self.map.restore(of_map)
            self.arena.restore(of_arena)
            self.memory.restore(of_memory)
            self.model = dict(model)

    @invariant()
    def same_contents(self) -> None:
        assert dict(self.map.items()) == self.model


TestMapsGoBack = MapsGoBack.TestCase
TestMapsGoBack.settings = settings(max_examples=40, deadline=None)


@given(st.lists(st.tuples(st.integers(1, 60), st.sampled_from([1, 8, 16, 64]), st.booleans()), max_size=40))
def test_what_the_arena_gives_out_never_overlaps(wishes: list[tuple[int, int, bool]]) -> None:
    arena = Arena(0x1000, 1024)
    held: dict[int, int] = {}
    for size, align, give_back in wishes:
        if give_back and held:
            address = next(iter(held))
            held.pop(address)
            arena.free(address)
        try:
            address = arena.alloc(size, align)
        except ArenaFull:
            continue
        assert address % align == 0 and address >= 0x1000 and address + size <= 0x1400
        assert all(address + size <= other or other + length <= address for other, length in held.items())
        held[address] = size
        assert arena.used == sum(held.values())
    for address in held:
        arena.free(address)
    assert arena.alloc(1024) == 0x1000


def test_the_arena_takes_back_only_what_it_gave() -> None:
    with pytest.raises(KeyError):
        Arena(0, 64).free(8)
