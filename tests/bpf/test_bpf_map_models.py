"""Every kind of map beside a plain model, forwards and back: saved states bring the old contents and addresses back."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kprobesim.bpf import UpdateFlag
from kprobesim.bpf.maps import MapFlag
from kprobesim.linux_errno import Errno
from tests.bpf.mapping import Ground, k, v

CPUS = 2


class GoesBack(RuleBasedStateMachine):
    """Saves and restores; subclasses give the map and the model, a dict or list that ``copy`` can copy."""

    def __init__(self) -> None:
        super().__init__()
        self.ground = Ground(cpus=CPUS, size=1 << 18)
        self.model: Any = None
        self.map: Any = None
        self.saved: list[tuple[Any, Any, Any, Any]] = []

    @rule(cpu=st.integers(0, CPUS - 1))
    def move(self, cpu: int) -> None:
        self.ground.host.cpu = cpu

    @rule()
    def save(self) -> None:
        self.saved.append((self.map.save(), self.ground.save(), self.model.copy(), self.seen()))

    @rule(which=st.integers(0, 99))
    def restore(self, which: int) -> None:
        if self.saved:
            of_map, of_ground, model, seen = self.saved[which % len(self.saved)]
            self.map.restore(of_map)
            self.ground.restore(of_ground)
            self.model = model.copy()
            assert self.seen() == seen

    def seen(self) -> Any:
        """What user space sees, and where it lies."""
        return [(key, value, self.address(key)) for key, value in self.map.items()]

    def address(self, key: bytes) -> int:
        return int(self.map.lookup_percpu_elem(key, 0) if self.map.per_cpu else self.map.lookup_elem(key))


class Hashes(GoesBack):
    """hash and percpu_hash, preallocated or not."""

    @initialize(kind=st.sampled_from(["hash", "percpu_hash"]), flags=st.sampled_from([0, MapFlag.NO_PREALLOC]))
    def make(self, kind: str, flags: int) -> None:
        self.map, self.model = self.ground.make(kind, entries=5, flags=flags), {}

    @rule(key=st.integers(0, 8), value=st.integers(0, 99), flags=st.sampled_from([0, 1, 2, 3]))
    def update(self, key: int, value: int, flags: int) -> None:
        code, there = self.map.update_elem(k(key), v(value), flags), k(key) in self.model
        if flags == 3:
            assert code == -Errno.EINVAL
        elif flags == UpdateFlag.NOEXIST and there:
            assert code == -Errno.EEXIST
        elif flags == UpdateFlag.EXIST and not there:
            assert code == -Errno.ENOENT
        elif not there and len(self.model) == 5:
            assert code == -Errno.E2BIG
        else:
            assert code == 0
            values = self.model.get(k(key), [0] * CPUS) if self.map.per_cpu else [0]
            at = self.ground.host.cpu if self.map.per_cpu else 0
            self.model[k(key)] = [*values[:at], value, *values[at + 1 :]]

    @rule(key=st.integers(0, 8))
    def delete(self, key: int) -> None:
        assert (self.map.delete_elem(k(key)) == 0) == (self.model.pop(k(key), None) is not None)

    @invariant()
    def same(self) -> None:
        if self.map is not None:
            assert dict(self.map.items()) == {key: b"".join(map(v, values)) for key, values in self.model.items()}


class Arrays(GoesBack):
    """array and percpu_array."""

    @initialize(kind=st.sampled_from(["array", "percpu_array"]))
    def make(self, kind: str) -> None:
        self.map = self.ground.make(kind, entries=3)
        self.model = {k(n): [0] * (CPUS if self.map.per_cpu else 1) for n in range(3)}

    @rule(key=st.integers(0, 4), value=st.integers(0, 99))
    def update(self, key: int, value: int) -> None:
        code = self.map.update_elem(k(key), v(value))
        assert code == (0 if key < 3 else -Errno.E2BIG)
        if not code:
            values, at = self.model[k(key)], self.ground.host.cpu if self.map.per_cpu else 0
            self.model[k(key)] = [*values[:at], value, *values[at + 1 :]]

    @invariant()
    def same(self) -> None:
        if self.map is not None:
            assert dict(self.map.items()) == {key: b"".join(map(v, values)) for key, values in self.model.items()}


class Lrus(GoesBack):
    """LRU hashes: what is there is what was put in last under its key, and there is always room."""

    @initialize(
        kind=st.sampled_from(["lru_hash", "lru_percpu_hash"]), flags=st.sampled_from([0, MapFlag.NO_COMMON_LRU])
    )
    def make(self, kind: str, flags: int) -> None:
        self.map, self.model = self.ground.make(kind, entries=6, flags=flags), {}

    @rule(key=st.integers(0, 12), value=st.integers(1, 99))
    def update(self, key: int, value: int) -> None:
        assert self.map.update_elem(k(key), v(value)) == 0
        assert self.ground.memory.read(self.map.lookup_elem(k(key)), 8) == v(value)
        self.model[k(key)] = value

    @rule(key=st.integers(0, 12))
    def look(self, key: int) -> None:
        self.map.lookup_elem(k(key))

    @rule(key=st.integers(0, 12))
    def delete(self, key: int) -> None:
        there = self.map.read_value(k(key)) is not None
        assert self.map.delete_elem(k(key)) == (0 if there else -Errno.ENOENT)

    @rule(data=st.data(), key=st.integers(0, 12))
    def refused(self, data: st.DataObject, key: int) -> None:
        flags = data.draw(st.sampled_from([3, 4, 8]))
        assert self.map.update_elem(k(key), v(0), flags) == -Errno.EINVAL

    def seen(self) -> Any:
        return list(self.map.items())

    @invariant()
    def known(self) -> None:
        if self.map is None:
            return
        assert len(self.map) <= 6
        for key, value in self.map.items():
            if not self.map.per_cpu:
                assert value == v(self.model[key])


class Tries(GoesBack):
    """lpm_trie beside a dict of prefixes that is searched from the longest on."""

    def __init__(self) -> None:
        super().__init__()
        self.map = self.ground.make("lpm_trie", key=6, entries=6, flags=MapFlag.NO_PREALLOC)
        self.model = {}

    @rule(length=st.integers(0, 17), data=st.integers(0, 0xFFFF), value=st.integers(0, 99), flags=st.integers(0, 2))
    def update(self, length: int, data: int, value: int, flags: int) -> None:
        code = self.map.update_elem(k(length) + data.to_bytes(2, "big"), v(value), flags)
        name = length, data >> 16 - length if length <= 16 else 0
        if length > 16:
            assert code == -Errno.EINVAL
        elif flags == UpdateFlag.NOEXIST and name in self.model:
            assert code == -Errno.EEXIST
        elif flags == UpdateFlag.EXIST and name not in self.model:
            assert code == -Errno.ENOENT
        elif name not in self.model and len(self.model) == 6:
            assert code == -Errno.ENOSPC
        else:
            assert code == 0
            self.model[name] = value

    @rule(which=st.integers(0, 99), bits=st.integers(0, 0xFFFF))
    def delete(self, which: int, bits: int) -> None:
        if self.model:
            length, data = name = sorted(self.model)[which % len(self.model)]
            key = (data << 16 - length | bits & (1 << 16 - length) - 1).to_bytes(2, "big")
            assert self.map.delete_elem(k(length) + key) == 0
            del self.model[name]

    @rule(data=st.integers(0, 0xFFFF), length=st.integers(0, 16))
    def look(self, data: int, length: int) -> None:
        fitting = [(n, d) for n, d in self.model if n <= length and data >> 16 - n == d]
        found = self.map.read_value(k(length) + data.to_bytes(2, "big"))
        assert found == (v(self.model[max(fitting)]) if fitting else None)

    @invariant()
    def same(self) -> None:
        walked = [(int.from_bytes(key[:4], "little"), int.from_bytes(key[4:], "big")) for key, _ in self.map.items()]
        assert sorted((n, d >> 16 - n) for n, d in walked) == sorted(self.model)
        assert len(self.map) == len(self.model)
        following, seen = self.map.get_next_key(None), []
        while following is not None:
            seen.append(following)
            following = self.map.get_next_key(following)
        assert seen == list(self.map.keys())


class Queues(GoesBack):
    """queue and stack beside a list."""

    @initialize(kind=st.sampled_from(["queue", "stack"]))
    def make(self, kind: str) -> None:
        self.map, self.model = self.ground.make(kind, key=0, entries=3), []

    @rule(value=st.integers(0, 99), force=st.booleans())
    def push(self, value: int, force: bool) -> None:
        code = self.map.push_elem(v(value), UpdateFlag.EXIST if force else UpdateFlag.ANY)
        if len(self.model) == 3 and not force:
            assert code == -Errno.E2BIG
            return
        assert code == 0
        self.model = [*self.model, value][-3:]

    @rule()
    def pop(self) -> None:
        last = -1 if self.map.spec.type == "stack" else 0
        peeked = self.map.peek_elem(b"")
        assert peeked == self.map.pop_elem() == (v(self.model.pop(last)) if self.model else -Errno.ENOENT)

    def seen(self) -> Any:
        return self.map.values()

    @invariant()
    def same(self) -> None:
        if self.map is not None:
            order = self.model[::-1] if self.map.spec.type == "stack" else self.model
            assert self.map.values() == [v(value) for value in order]


class Rings(GoesBack):
    """A ring buffer beside a list of records: [size, state], with states busy, done and discarded."""

    def __init__(self) -> None:
        super().__init__()
        self.map = self.ground.make("ringbuf", key=0, value=0, entries=4096)
        self.model = []
        self.counter = 0

    @rule(size=st.one_of(st.integers(0, 64), st.integers(500, 4200)))
    def reserve(self, size: int) -> None:
        length = size + 8 + 7 & ~7
        used = self.map.producer_pos - self.map.consumer_pos
        sample = self.map.reserve(size)
        # A record that is read but for others before it still holds its room.
        if length > 4096 or used + length > 4095:
            assert sample == 0
        elif sample:
            self.counter += 1
            self.ground.memory.write(sample, bytes([self.counter & 0xFF]) * size)
            self.model.append((sample, bytes([self.counter & 0xFF]) * size, "busy"))

    @rule(which=st.integers(0, 99), discard=st.booleans())
    def commit(self, which: int, discard: bool) -> None:
        busy = [at for at, (_, _, state) in enumerate(self.model) if state == "busy"]
        if busy:
            at = busy[which % len(busy)]
            sample, data, _ = self.model[at]
            self.map.commit(sample, 0, discard=discard)
            self.model[at] = sample, data, "discarded" if discard else "done"

    @rule()
    def consume(self) -> None:
        ready = next((at for at, (_, _, state) in enumerate(self.model) if state == "busy"), len(self.model))
        expected = [data for _, data, state in self.model[:ready] if state == "done"]
        assert self.map.consume() == expected
        del self.model[:ready]

    def seen(self) -> Any:
        return list(self.map.records()), self.map.producer_pos, self.map.consumer_pos, self.map.wakeups

    @invariant()
    def positions(self) -> None:
        assert self.map.consumer_pos <= self.map.producer_pos <= self.map.consumer_pos + 4096
        assert sum(len(data) + 8 + 7 & ~7 for _, data, _ in self.model) == self.map.query(0)


TestHashes = Hashes.TestCase
TestArrays = Arrays.TestCase
TestLrus = Lrus.TestCase
TestTries = Tries.TestCase
TestQueues = Queues.TestCase
TestRings = Rings.TestCase
for _case in (TestHashes, TestArrays, TestLrus, TestTries, TestQueues, TestRings):
    _case.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
