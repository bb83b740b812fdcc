"""Maps as user space sees them through bpf(2), and names under /sys/fs/bpf. Reference bpf.md sections 4 and 6."""

from collections.abc import Callable

import pytest

from kprobesim.bpf import BpfMap, LoadError, Program, UpdateFlag, assemble
from kprobesim.bpf.bpffs import BpfFs
from kprobesim.bpf.maps import Lost, MapFlag, PerfConfig, PerfEvent, Place, Sample
from kprobesim.bpf.maps.syscall import (
    map_delete_elem,
    map_freeze,
    map_get_next_key,
    map_lookup_and_delete_elem,
    map_lookup_elem,
    map_update_elem,
)
from kprobesim.errors import BadInput, LinuxError
from kprobesim.linux_errno import Errno
from tests.bpf.mapping import Ground, k, v


def refused(errno: Errno, what: Callable[[], object]) -> None:
    with pytest.raises(LinuxError) as error:
        what()
    assert error.value.errno is errno
    assert error.value.message


def test_elements_are_stored_walked_and_removed_as_bpftool_does_it() -> None:
    """08_bpftool: full is E2BIG, an array's element cannot go, what is not there is ENOENT."""
    ground = Ground()
    m = ground.make("hash", entries=3)
    for n in (1, 2, 3):
        map_update_elem(m, k(n), v(n))
    refused(Errno.E2BIG, lambda: map_update_elem(m, k(4), v(4)))
    refused(Errno.ENOENT, lambda: map_delete_elem(m, k(9)))
    refused(Errno.ENOENT, lambda: map_lookup_elem(m, k(9)))
    a = ground.make("array", entries=2)
    refused(Errno.E2BIG, lambda: map_update_elem(a, k(7), v(1)))
    refused(Errno.EINVAL, lambda: map_delete_elem(a, k(0)))
    refused(Errno.EEXIST, lambda: map_update_elem(a, k(0), v(1), UpdateFlag.NOEXIST))
    keys = [map_get_next_key(m, None)]
    for _ in range(2):
        keys.append(map_get_next_key(m, keys[-1]))
    assert sorted(keys) == [k(1), k(2), k(3)]
    refused(Errno.ENOENT, lambda: map_get_next_key(m, keys[-1]))


def test_sizes_and_flags_are_checked() -> None:
    m = Ground(cpus=2).make("percpu_array")
    refused(Errno.EINVAL, lambda: map_lookup_elem(m, b"abc"))
    refused(Errno.EINVAL, lambda: map_update_elem(m, k(0), v(1)))
    refused(Errno.EINVAL, lambda: map_lookup_elem(m, k(0), flags=1))
    refused(Errno.EINVAL, lambda: map_lookup_elem(m, k(0), flags=UpdateFlag.LOCK))
    refused(Errno.EINVAL, lambda: map_update_elem(m, k(0), v(1) * 2, UpdateFlag.LOCK))
    map_update_elem(m, k(0), v(1) + v(2))
    assert map_lookup_elem(m, k(0)) == v(1) + v(2)


def test_rights_of_user_space_are_given_at_creation_or_given_up() -> None:
    ground = Ground()
    read_only, write_only = ground.make("array", flags=MapFlag.RDONLY), ground.make("array", flags=MapFlag.WRONLY)
    refused(Errno.EPERM, lambda: map_update_elem(read_only, k(0), v(1)))
    refused(Errno.EPERM, lambda: map_lookup_elem(write_only, k(0)))
    refused(Errno.EPERM, lambda: map_get_next_key(write_only, None))
    frozen = ground.make("array")
    map_freeze(frozen)
    refused(Errno.EBUSY, lambda: map_freeze(frozen))
    refused(Errno.EPERM, lambda: map_update_elem(frozen, k(0), v(1)))
    assert frozen.update_elem(k(0), v(1)) == 0, "programs go on writing"
    state = ground.make("array").save()
    frozen.restore(state)
    assert not frozen.frozen


def test_values_are_taken_out_of_hashes_and_queues() -> None:
    ground = Ground()
    m, queue = ground.make("hash"), ground.make("queue", key=0)
    map_update_elem(m, k(1), v(5))
    map_update_elem(queue, b"", v(6))
    assert map_lookup_elem(queue, b"") == v(6)
    assert (map_lookup_and_delete_elem(m, k(1)), map_lookup_and_delete_elem(queue, b"")) == (v(5), v(6))
    refused(Errno.ENOENT, lambda: map_lookup_and_delete_elem(m, k(1)))
    refused(Errno.ENOENT, lambda: map_lookup_and_delete_elem(queue, b""))
    refused(Errno.ENOTSUPP, lambda: map_lookup_and_delete_elem(ground.make("array"), k(1)))
    refused(Errno.EINVAL, lambda: map_get_next_key(queue, None))


def test_a_bloom_filter_is_asked_about_a_value() -> None:
    m = Ground().make("bloom_filter", key=0)
    map_update_elem(m, b"", v(1))
    assert map_lookup_elem(m, b"", value=v(1)) == v(1)
    refused(Errno.ENOENT, lambda: map_lookup_elem(m, b"", value=v(2)))
    refused(Errno.EOPNOTSUPP, lambda: map_get_next_key(m, None))
    refused(Errno.EOPNOTSUPP, lambda: map_delete_elem(m, b""))


def program(kind: str = "kprobe", text: str = "r0 = 0\nexit", maps: tuple[BpfMap, ...] = ()) -> Program:
    return Program("p", kind, assemble(text).insns, maps)


def test_the_first_program_of_an_array_decides_which_others_fit() -> None:
    """bpf_prog_map_compatible."""
    m = Ground().make("prog_array", value=4)
    first = program()
    first.id = 7
    map_update_elem(m, k(1), first)
    assert map_lookup_elem(m, k(1)) == k(7)
    refused(Errno.EINVAL, lambda: map_update_elem(m, k(2), program("tracepoint")))
    refused(Errno.EINVAL, lambda: map_update_elem(m, k(2), program(text="r2 = 0\ncall override_return\nexit")))
    compiled = program()
    compiled.address = 0x1234
    refused(Errno.EINVAL, lambda: map_update_elem(m, k(2), compiled))
    refused(Errno.EBADF, lambda: map_update_elem(m, k(2), k(3)))
    refused(Errno.ENOENT, lambda: map_lookup_elem(m, k(2)))


def test_a_program_that_jumps_must_fit_its_own_array() -> None:
    """bpf_check_tail_call."""
    m = Ground().make("prog_array", value=4)
    m.update_fd(k(0), program("tracepoint"))
    jumper = program(text="r2 = map[idx:0]\nr3 = 0\ncall tail_call\nr0 = 0\nexit", maps=(m,))
    with pytest.raises(LoadError) as error:
        jumper.check_tail_call()
    assert error.value.errno is Errno.EINVAL


def test_samples_come_out_of_a_perf_ring_in_order_around_its_end() -> None:
    ground = Ground()
    event = PerfEvent(Place(ground.memory, ground.arena, ground.host), 0, pages=1)
    for turn in range(50):
        for n in range(3):
            assert event.output(bytes([turn, n]) * 150) == 0
        read = event.consume()
        assert [type(record) for record in read] == [Sample] * 3
        assert [record.data[:300] for record in read if isinstance(record, Sample)] == [
            bytes([turn, n]) * 150 for n in range(3)
        ]
    assert event.wakeups == 150 and event.lost == 0


def test_samples_that_find_no_room_are_counted_and_told_of_before_the_next() -> None:
    ground = Ground()
    event = PerfEvent(Place(ground.memory, ground.arena, ground.host), 0, pages=1)
    codes = [event.output(bytes(1000)) for _ in range(6)]
    assert codes == [0, 0, 0, 0, -Errno.ENOSPC, -Errno.ENOSPC]
    assert len(event.consume()) == 4
    assert event.output(b"again") == 0
    assert event.consume() == [Lost(2), Sample(b"again".ljust(12, b"\0"))]
    assert event.lost == 2
    assert event.output(bytes(70_000)) == -Errno.E2BIG
    with pytest.raises(BadInput):
        PerfEvent(Place(ground.memory, ground.arena, ground.host), 0, pages=3)


def test_an_event_counts_what_it_was_opened_for() -> None:
    ground = Ground()
    place = Place(ground.memory, ground.arena, ground.host)
    ground.host.counted, ground.host.now = 100, 1000
    instructions = PerfEvent(place, 0, 0, PerfConfig.INSTRUCTIONS)
    clock = PerfEvent(place, 0, 0, PerfConfig.CPU_CLOCK)
    ground.host.counted, ground.host.now = 150, 1700
    assert instructions.read() == (50, 700, 700)
    assert clock.read() == (700, 700, 700)
    assert instructions.output(b"x") == -Errno.ENOSPC


def test_objects_have_names_in_the_bpf_file_system() -> None:
    """bpf_obj_do_pin, bpf_lookup."""
    fs, first, second = BpfFs(), object(), object()
    fs.pin("/sys/fs/bpf/counts", first)
    fs.mkdir("/sys/fs/bpf/tc/")
    fs.pin("/sys/fs/bpf//tc/./x", second)
    state = fs.save()
    assert fs.get("/sys/fs/bpf/counts") is first
    assert fs.paths_of(second) == ("/sys/fs/bpf/tc/x",)
    assert fs.listing() == ("counts", "tc/") and fs.listing("/sys/fs/bpf/tc") == ("x",)
    refused(Errno.EEXIST, lambda: fs.pin("/sys/fs/bpf/counts", second))
    refused(Errno.ENOENT, lambda: fs.pin("/sys/fs/bpf/none/x", second))
    refused(Errno.EPERM, lambda: fs.pin("/tmp/x", second))
    refused(Errno.EPERM, lambda: fs.pin("/sys/fs/bpf/../x", second))
    refused(Errno.EPERM, lambda: fs.pin("/sys/fs/bpf/a.b", second))
    refused(Errno.ENAMETOOLONG, lambda: fs.pin("/sys/fs/bpf/" + "a" * 256, second))
    refused(Errno.EACCES, lambda: fs.get("/sys/fs/bpf/tc"))
    refused(Errno.ENOENT, lambda: fs.get("/sys/fs/bpf/other"))
    refused(Errno.ENOTDIR, lambda: fs.listing("/sys/fs/bpf/counts"))
    refused(Errno.EPERM, lambda: fs.unlink("/sys/fs/bpf/tc"))
    fs.unlink("/sys/fs/bpf/counts")
    refused(Errno.ENOENT, lambda: fs.unlink("/sys/fs/bpf/counts"))
    fs.restore(state)
    assert fs.get("/sys/fs/bpf/counts") is first
