"""Helpers from programs, run at once and step by step with the same results. Reference bpf.md section 4 (helpers)."""

import struct

import pytest

from kprobesim.bpf import HELPER_IDS, HELPERS, BoundProgram, Program, RunError, assemble
from kprobesim.bpf.maps import PerfConfig, PerfEvent, Place
from kprobesim.bpf.maps.perf_buffer import Sample
from kprobesim.linux_errno import Errno
from tests.bpf.rig import CTX, TOP, Rig, build_rig

KERNEL, USER = 0xFFFF_8880_1234_0000, 0x7000_0000


def both(text: str, **attributes: object) -> tuple[int, Rig]:
    """R0 as a signed number and the bench, after a run in each of the two ways; they must agree."""
    results = []
    for stepped in (False, True):
        rig = build_rig(text)
        for name, value in attributes.items():
            setattr(rig.env, name, value)
        r0 = rig.bound.start(CTX, TOP).run() if stepped else rig.run()
        results.append((r0 - (r0 >> 63 << 64), rig.memory.read(TOP - 64, 64), rig.env.told))
    assert results[0] == results[1]
    return results[0][0], rig


def call(rig: Rig, name: str, *args: int) -> int:
    """A helper called directly."""
    return int(HELPERS[HELPER_IDS[name]].function(rig.bound.helpers, *args))


LOOP = """
    r6 = 0
    *(u64 *)(r10 -8) = r6
    r1 = {count}
    r2 = func body
    r3 = r10
    r3 += -8
    r4 = {flags}
    call loop
    r1 = *(u64 *)(r10 -8)
    r0 <<= 16
    r0 += r1
    exit
body:
    r3 = *(u64 *)(r2 +0)
    r3 += r1
    *(u64 *)(r2 +0) = r3
    r0 = 0
    if r1 == {stop} goto last
    exit
last:
    r0 = 1
    exit
"""


def test_a_loop_calls_its_function_with_the_index_and_the_context() -> None:
    """V12: bpf_loop."""
    assert both(LOOP.format(count=10, flags=0, stop=99))[0] == 10 << 16 | 45
    assert both(LOOP.format(count=10, flags=0, stop=3))[0] == 4 << 16 | 6
    assert both(LOOP.format(count=0, flags=0, stop=3))[0] == 0
    assert both(LOOP.format(count=5, flags=1, stop=3))[0] == -Errno.EINVAL << 16
    assert both(LOOP.format(count=(8 << 20) + 1, flags=0, stop=3))[0] == -Errno.E2BIG << 16


def test_a_loop_counts_against_the_budget_alike_in_both_ways() -> None:
    rig = build_rig(LOOP.format(count=50, flags=0, stop=99), budget=200)
    with pytest.raises(RunError):
        rig.run()
    with pytest.raises(RunError):
        rig.bound.start(CTX, TOP).run()
    rig = build_rig(LOOP.format(count=50, flags=0, stop=99))
    execution = rig.bound.start(CTX, TOP)
    execution.run()
    assert rig.bound.run_counted(CTX, TOP)[1] == execution.executed


NESTED = """
    r6 = 7
    r1 = 3
    r2 = func outer
    r3 = 0
    r4 = 0
    call loop
    r0 += r6
    exit
outer:
    r6 = r1
    r1 = 2
    r2 = func inner
    r3 = 0
    r4 = 0
    call loop
    r0 = 0
    exit
inner:
    r6 = 99
    r0 = 0
    exit
"""


def test_callbacks_nest_and_keep_their_callers_registers() -> None:
    assert both(NESTED)[0] == 10


FOR_EACH = """
    .map counts {kind} key=4 value=8 max_entries=4
    r1 = map counts
    r2 = func each
    r3 = r10
    r3 += -8
    r4 = 0
    *(u64 *)(r10 -8) = 0
    call for_each_map_elem
    r1 = *(u64 *)(r10 -8)
    r0 <<= 16
    r0 += r1
    exit
each:
    r5 = *(u32 *)(r2 +0)
    r6 = *(u64 *)(r3 +0)
    r6 += 1
    *(u64 *)(r3 +0) = r6
    r7 = *(u64 *)(r4 +0)
    r7 += r5
    *(u64 *)(r4 +0) = r7
    r0 = 0
    exit
"""


@pytest.mark.parametrize("kind", ["hash", "array", "percpu_array", "percpu_hash", "lru_hash"])
def test_each_element_of_a_map_is_visited_with_its_live_value(kind: str) -> None:
    rig = build_rig(FOR_EACH.format(kind=kind))
    m = rig.maps["counts"]
    keys = [n.to_bytes(4, "little") for n in range(4)]
    for key in keys:
        m.update_elem(key, bytes(8))
    for turn in (1, 2):
        assert (rig.run() if turn == 1 else rig.bound.start(CTX, TOP).run()) == 4 << 16 | 6
        assert {m.read_value(key) for key in keys} == {turn.to_bytes(8, "little")}


def test_a_tail_call_goes_on_in_the_other_program_with_the_same_context() -> None:
    rig = build_rig(
        ".map jumps prog_array max_entries=3\nr6 = r1\nr2 = map jumps\nr3 = *(u64 *)(r1 +0)\ncall tail_call\n"
        "r0 = 7\nexit"
    )
    other = Program("other", "kprobe", assemble("r0 = *(u64 *)(r1 +8)\nexit").insns)
    assert rig.maps["jumps"].update_fd((1).to_bytes(4, "little"), other) == 0  # type: ignore[attr-defined]
    for index, expected in ((0, 7), (1, 42), (2, 7), (3, 7), (1 << 32 | 1, 42)):
        rig.memory.write(CTX, struct.pack("<2Q", index, 42))
        assert rig.run() == rig.bound.start(CTX, TOP).run() == expected
    execution = rig.bound.start(CTX, TOP)
    execution.run()
    assert isinstance(execution.bound, BoundProgram) and execution.bound.program is other


def test_a_program_can_tail_call_itself_33_times() -> None:
    """MAX_TAIL_CALL_CNT: 34 executions (section 2, limits)."""
    text = (
        ".map jumps prog_array max_entries=1\nr2 = *(u64 *)(r1 +0)\nr2 += 1\n*(u64 *)(r1 +0) = r2\n"
        "r2 = map jumps\nr3 = 0\ncall tail_call\nr0 = 5\nexit"
    )
    rig = build_rig(text)
    rig.maps["jumps"].update_fd(bytes(4), rig.program)  # type: ignore[attr-defined]
    for turn in (1, 2, 3):
        assert (rig.bound.start(CTX, TOP).run() if turn == 2 else rig.run()) == 5
        assert rig.memory.read(CTX, 8) == (34 * turn).to_bytes(8, "little")


RESERVE = """
    .map ring ringbuf max_entries=4096
    r1 = map ring
    r2 = 16
    r3 = 0
    call ringbuf_reserve
    if r0 == 0 goto out
    r1 = 77
    *(u64 *)(r0 +0) = r1
    *(u64 *)(r0 +8) = r1
    r1 = r0
    r2 = 0
    call {end}
    r0 = 1
out:
    exit
"""


def test_a_record_is_seen_once_it_is_submitted_and_skipped_if_discarded() -> None:
    """Section 4: RINGBUF, 8-byte header {len|BUSY|DISCARD, pgoff}."""
    result, rig = both(RESERVE.format(end="ringbuf_submit"))
    ring = rig.maps["ring"]
    assert result == 1 and [kind for kind, _ in rig.env.told] == ["ringbuf.submit"]
    assert ring.consume() == [struct.pack("<2Q", 77, 77)]  # type: ignore[attr-defined]
    result, rig = both(RESERVE.format(end="ringbuf_discard"))
    ring = rig.maps["ring"]
    assert ring.consume() == [] and ring.consumer_pos == 24  # type: ignore[attr-defined]


def test_the_header_names_the_page_and_the_ring_is_mapped_twice() -> None:
    rig = build_rig(RESERVE.format(end="ringbuf_submit"))
    ring = rig.maps["ring"]
    for _ in range(180):
        rig.run()
        ring.consume()  # type: ignore[attr-defined]
    sample = ring.reserve(100)  # type: ignore[attr-defined]
    while sample + 100 < ring.ring + 4 * 4096:  # type: ignore[attr-defined]
        ring.commit(sample, 0, discard=True)  # type: ignore[attr-defined]
        ring.consume()  # type: ignore[attr-defined]
        sample = ring.reserve(100)  # type: ignore[attr-defined]
    length, pg_off = struct.unpack("<2I", rig.memory.read(sample - 8, 8))
    assert length == 100 | 1 << 31 and pg_off == 3
    rig.memory.write(sample, bytes(range(100)))
    wrapped = sample + 100 - (ring.ring + 4 * 4096)  # type: ignore[attr-defined]
    first_page = ring.ring + 3 * 4096  # type: ignore[attr-defined]
    assert rig.memory.read(first_page, wrapped) == bytes(range(100))[-wrapped:]
    assert rig.bound.helpers.ring_of(sample) is ring


def test_output_to_a_full_ring_is_eagain_and_wakes_only_who_has_caught_up() -> None:
    rig = build_rig(".map ring ringbuf max_entries=4096\nr1 = map ring\nr0 = 0\nexit")
    ring = rig.maps["ring"]
    assert call(rig, "ringbuf_output", ring.address, TOP - 64, 64, 4) == -Errno.EINVAL
    results = [call(rig, "ringbuf_output", ring.address, TOP - 64, 1000, 0) for _ in range(5)]
    assert results == [0, 0, 0, 0, -Errno.EAGAIN]
    assert ring.wakeups == 1  # type: ignore[attr-defined]
    assert [kind for kind, _ in rig.env.told] == ["ringbuf.submit"] * 4 + ["ringbuf.full"]
    queries = [call(rig, "ringbuf_query", ring.address, what) for what in range(5)]
    assert queries == [4032, 4096, 0, 4032, 0]


DYNPTR = """
    .map ring ringbuf max_entries=4096
    r1 = map ring
    r2 = 24
    r3 = 0
    r4 = r10
    r4 += -16
    call ringbuf_reserve_dynptr
    *(u64 *)(r10 -24) = 5
    r1 = r10
    r1 += -16
    r2 = {offset}
    r3 = r10
    r3 += -24
    r4 = 8
    r5 = 0
    call dynptr_write
    r6 = r0
    r1 = r10
    r1 += -16
    r2 = 0
    call ringbuf_submit_dynptr
    r0 = r6
    exit
"""


def test_a_dynptr_writes_inside_its_bounds_only() -> None:
    assert both(DYNPTR.format(offset=16))[0] == 0
    result, rig = both(DYNPTR.format(offset=17))
    assert result == -Errno.E2BIG
    assert len(rig.maps["ring"].consume()[0]) == 24  # type: ignore[attr-defined]


def test_a_dynptr_of_memory_reads_and_gives_slices() -> None:
    rig = build_rig("r0 = 0\nexit")
    data, dynptr, out = TOP - 64, TOP - 128, TOP - 160
    rig.memory.write(data, bytes(range(32)))
    assert call(rig, "dynptr_from_mem", data, 32, 1, dynptr) == -Errno.EINVAL
    assert call(rig, "dynptr_data", dynptr, 0, 1) == 0
    assert call(rig, "dynptr_read", out, 4, dynptr, 0, 0) == -Errno.EINVAL
    assert call(rig, "dynptr_from_mem", data, 1 << 24, 0, dynptr) == -Errno.E2BIG
    assert call(rig, "dynptr_from_mem", data, 32, 0, dynptr) == 0
    assert call(rig, "dynptr_read", out, 4, dynptr, 28, 0) == 0
    assert rig.memory.read(out, 4) == bytes(range(28, 32))
    assert call(rig, "dynptr_read", out, 5, dynptr, 28, 0) == -Errno.E2BIG
    assert call(rig, "dynptr_data", dynptr, 8, 8) == data + 8
    assert call(rig, "dynptr_data", dynptr, 30, 8) == 0


DRAIN = """
    .map orders user_ringbuf max_entries=4096
    r1 = map orders
    r2 = func each
    r3 = r10
    r3 += -8
    r4 = 0
    *(u64 *)(r10 -8) = 0
    call user_ringbuf_drain
    r1 = *(u64 *)(r10 -8)
    r0 <<= 16
    r0 += r1
    exit
each:
    r6 = r2
    r3 = r1
    r1 = r10
    r1 += -8
    r2 = 8
    r4 = 0
    r5 = 0
    call dynptr_read
    r1 = *(u64 *)(r10 -8)
    r2 = *(u64 *)(r6 +0)
    r2 += r1
    *(u64 *)(r6 +0) = r2
    r0 = 0
    exit
"""


def test_a_program_drains_what_user_space_has_put_in() -> None:
    for stepped in (False, True):
        rig = build_rig(DRAIN)
        ring = rig.maps["orders"]
        for n in (5, 6, 7):
            assert ring.produce(n.to_bytes(8, "little"))  # type: ignore[attr-defined]
        assert (rig.bound.start(CTX, TOP).run() if stepped else rig.run()) == 3 << 16 | 18
        assert ring.query(0) == 0  # type: ignore[attr-defined]


@pytest.mark.parametrize(("position", "header"), [(12, 0), (16, 100), (1 << 40, 1 << 29)])
def test_nonsense_from_user_space_is_refused(position: int, header: int) -> None:
    rig = build_rig(DRAIN)
    ring = rig.maps["orders"]
    rig.memory.write(ring._block + 2 * 4096, position.to_bytes(8, "little"))  # type: ignore[attr-defined]
    rig.memory.write(ring._block + 3 * 4096, header.to_bytes(4, "little"))  # type: ignore[attr-defined]
    result = rig.run()
    assert result - (1 << 64) in (-Errno.EINVAL << 16, -Errno.E2BIG << 16)


def test_perf_event_output_says_what_linux_says() -> None:
    """Section 4: perf_event_output flags BPF_F_CURRENT_CPU."""
    rig = build_rig(".map events perf_event_array max_entries=2\nr1 = map events\nr0 = 0\nexit")
    events = rig.maps["events"]
    place = Place(rig.memory, rig.arena, rig.env)
    current = 0xFFFFFFFF

    def output(flags: int) -> int:
        return call(rig, "perf_event_output", CTX, events.address, flags, TOP - 8, 8)

    assert output(1 << 32) == -Errno.EINVAL
    assert output(2) == -Errno.E2BIG
    assert output(current) == -Errno.ENOENT
    events.update_fd(bytes(4), PerfEvent(place, 1))  # type: ignore[attr-defined]
    assert output(current) == -Errno.EOPNOTSUPP
    events.update_fd(bytes(4), PerfEvent(place, 0, 0, PerfConfig.INSTRUCTIONS))  # type: ignore[attr-defined]
    assert output(current) == -Errno.EINVAL
    assert call(rig, "perf_event_read", events.address, current) == 0
    rig.env.counted = 9
    assert call(rig, "perf_event_read_value", events.address, 0, TOP - 24, 24) == 0
    assert struct.unpack("<3Q", rig.memory.read(TOP - 24, 24)) == (9, 0, 0)
    assert call(rig, "perf_event_read_value", events.address, 1, TOP - 24, 24) == -Errno.ENOENT
    event = PerfEvent(place, 0, 1)
    events.update_fd(bytes(4), event)  # type: ignore[attr-defined]
    assert output(current) == 0
    assert [kind for kind, _ in rig.env.told] == ["perf.output"]
    assert len(event.consume()) == 1


def test_stacks_are_copied_or_kept_by_id() -> None:
    rig = build_rig(".map stacks stack_trace key=4 value=16 max_entries=8\nr1 = map stacks\nr0 = 0\nexit")
    rig.env.frames, rig.env.user_frames = [10, 20, 30], None
    stacks = rig.maps["stacks"].address
    number = call(rig, "get_stackid", CTX, stacks, 0)
    assert rig.maps["stacks"].read_value(number.to_bytes(4, "little")) == struct.pack("<2Q", 10, 20)
    assert call(rig, "get_stackid", CTX, stacks, 1 << 8) == -Errno.EFAULT
    assert call(rig, "get_stackid", CTX, stacks, 1 << 12) == -Errno.EINVAL
    assert call(rig, "get_stack", CTX, TOP - 64, 32, 1) == 16
    assert rig.memory.read(TOP - 64, 32) == struct.pack("<4Q", 20, 30, 0, 0)
    assert call(rig, "get_stack", CTX, TOP - 64, 30, 0) == -Errno.EINVAL
    assert call(rig, "get_stack", CTX, TOP - 64, 32, 4) == -Errno.EFAULT
    assert rig.memory.read(TOP - 64, 32) == bytes(32)


NUMBERS = [
    (b"123", 0, 3, 123), (b" -45x", 10, 4, -45), (b"0x1f", 0, 4, 31), (b"1f", 16, 2, 31), (b"010", 0, 3, 8),
    (b"9223372036854775807", 0, 19, (1 << 63) - 1), (b"-9223372036854775808", 0, 20, -1 << 63),
    (b"9223372036854775808", 0, -Errno.ERANGE, 0), (b"99999999999999999999", 0, -Errno.ERANGE, 0),
    (b"x", 0, -Errno.EINVAL, 0), (b"-", 0, -Errno.EINVAL, 0), (b"5", 7, -Errno.EINVAL, 0), (b"5", 32, -Errno.EINVAL, 0),
]  # fmt: skip


@pytest.mark.parametrize(("text", "flags", "result", "value"), NUMBERS)
def test_texts_become_numbers(text: bytes, flags: int, result: int, value: int) -> None:
    rig = build_rig("r0 = 0\nexit")
    rig.memory.write(TOP - 64, text)
    assert call(rig, "strtol", TOP - 64, len(text), flags, TOP - 8) == result
    assert struct.unpack("<q", rig.memory.read(TOP - 8, 8)) == (value,)


def test_unsigned_numbers_have_no_minus() -> None:
    rig = build_rig("r0 = 0\nexit")
    rig.memory.write(TOP - 64, b"-1 18446744073709551615")
    assert call(rig, "strtoul", TOP - 64, 2, 0, TOP - 8) == -Errno.EINVAL
    assert call(rig, "strtoul", TOP - 61, 20, 0, TOP - 8) == 20
    assert rig.memory.read(TOP - 8, 8) == b"\xff" * 8


def test_strings_are_compared_up_to_a_length() -> None:
    rig = build_rig("r0 = 0\nexit")
    rig.memory.write(TOP - 64, b"bash\0\0\0\0bath\0\0\0\0")
    for size, expected in ((3, -1), (2, 0), (8, -1)):
        assert call(rig, "strncmp", TOP - 64, size, TOP - 56) == expected
    assert call(rig, "strncmp", TOP - 56, 8, TOP - 64) == 1
    assert call(rig, "strncmp", TOP - 64, 8, TOP - 64) == 0


def test_snprintf_gives_the_length_it_would_need() -> None:
    rig = build_rig("r0 = 0\nexit")
    rig.memory.write(TOP - 64, b"pid %d of %s\0")
    rig.env.kernel[KERNEL] = b"bash".ljust(600, b"\0")
    rig.memory.write(TOP - 32, struct.pack("<2Q", 42, KERNEL))
    assert call(rig, "snprintf", TOP - 128, 32, TOP - 64, TOP - 32, 16) == 15
    assert rig.memory.read(TOP - 128, 15) == b"pid 42 of bash\0"
    assert call(rig, "snprintf", TOP - 128, 4, TOP - 64, TOP - 32, 16) == 15
    assert rig.memory.read(TOP - 128, 4) == b"pid\0"
    assert call(rig, "snprintf", TOP - 128, 4, TOP - 64, TOP - 32, 15) == -Errno.EINVAL
    assert call(rig, "snprintf", TOP - 128, 4, TOP - 64, TOP - 32, 8) == -Errno.EINVAL


def test_vprintk_prints_names_addresses_and_up_to_twelve_numbers() -> None:
    rig = build_rig("r0 = 0\nexit")
    rig.env.symbols[KERNEL] = "vfs_read"
    rig.env.kernel[USER] = bytes([192, 168, 0, 1])
    rig.memory.write(TOP - 256, b"%ps %pS %pI4 %pi4 %px %lld\0")
    rig.memory.write(TOP - 128, struct.pack("<6Q", KERNEL, KERNEL, USER, USER, 255, (1 << 64) - 1))
    assert call(rig, "trace_vprintk", TOP - 256, 27, TOP - 128, 48) > 0
    assert rig.env.printed == ["vfs_read vfs_read+0x0 192.168.0.1 192.168.000.001 00000000000000ff -1"]
    assert call(rig, "trace_vprintk", TOP - 256, 27, TOP - 128, 104) == -Errno.EINVAL
    assert call(rig, "trace_vprintk", TOP - 256, 27, 0, 8) == -Errno.EINVAL


def test_arguments_that_do_not_fit_512_bytes_are_enospc() -> None:
    rig = build_rig("r0 = 0\nexit")
    rig.env.kernel[KERNEL] = b"x" * 600
    rig.memory.write(TOP - 64, b"%s%s\0")
    rig.memory.write(TOP - 32, struct.pack("<2Q", KERNEL, KERNEL))
    assert call(rig, "trace_vprintk", TOP - 64, 5, TOP - 32, 16) == -Errno.ENOSPC


def test_user_memory_is_written_where_it_is_a_users() -> None:
    rig = build_rig("r0 = 0\nexit")
    rig.env.user[USER] = bytes(8)
    rig.memory.write(TOP - 8, b"12345678")
    assert call(rig, "probe_write_user", USER + 2, TOP - 8, 4) == 0
    assert rig.env.user[USER] == b"\0\x001234\0\0"
    assert call(rig, "probe_write_user", USER + 6, TOP - 8, 4) == -Errno.EFAULT
    assert call(rig, "probe_write_user", KERNEL, TOP - 8, 4) == -Errno.EPERM
    assert call(rig, "copy_from_user", TOP - 16, 4, USER + 2) == 0
    assert call(rig, "copy_from_user_task", TOP - 16, 4, USER + 2, KERNEL, 1) == -Errno.EINVAL
    assert call(rig, "copy_from_user_task", TOP - 16, 4, USER + 6, KERNEL, 0) == -Errno.EFAULT
    assert rig.memory.read(TOP - 16, 4) == bytes(4)


def test_the_task_in_its_namespace() -> None:
    rig = build_rig("r0 = 0\nexit")
    rig.env.pid_tgid = 7 << 32 | 8
    assert call(rig, "get_ns_current_pid_tgid", 4, 0xEFFFFFFC, TOP - 8, 8) == 0
    assert struct.unpack("<2I", rig.memory.read(TOP - 8, 8)) == (8, 7)
    assert call(rig, "get_ns_current_pid_tgid", 5, 0xEFFFFFFC, TOP - 8, 8) == -Errno.EINVAL
    assert rig.memory.read(TOP - 8, 8) == bytes(8)


def test_arguments_of_a_traced_function_stand_in_its_context() -> None:
    rig = build_rig("r0 = 0\nexit")
    rig.memory.write(CTX - 8, struct.pack("<4Q", 2, 11, 22, 33))
    assert call(rig, "get_func_arg_cnt", CTX) == 2
    assert call(rig, "get_func_arg", CTX, 1, TOP - 32) == 0
    assert rig.memory.read(TOP - 32, 1) == b"\x16"
    assert call(rig, "get_func_arg", CTX, 2, TOP - 32) == -Errno.EINVAL
    assert call(rig, "get_func_ret", CTX, TOP - 32) == 0
    assert rig.memory.read(TOP - 32, 1) == b"\x21"


def test_queues_and_percpu_values_from_a_program() -> None:
    rig = build_rig(
        ".map q queue value=8 max_entries=2\n.map p percpu_array key=4 value=8 max_entries=1\n"
        "r1 = map q\nr1 = map p\nr0 = 0\nexit"
    )
    q, p = rig.maps["q"].address, rig.maps["p"].address
    rig.memory.write(TOP - 8, (5).to_bytes(8, "little"))
    assert call(rig, "map_push_elem", q, TOP - 8, 0) == 0
    assert call(rig, "map_peek_elem", q, TOP - 16) == call(rig, "map_pop_elem", q, TOP - 16) == 0
    assert rig.memory.read(TOP - 16, 1) == b"\5"
    assert call(rig, "map_pop_elem", q, TOP - 16) == -Errno.ENOENT
    assert rig.memory.read(TOP - 16, 8) == bytes(8)
    rig.memory.write(TOP - 8, bytes(8))
    assert call(rig, "map_lookup_percpu_elem", p, TOP - 8, 0) == rig.maps["p"].lookup_elem(bytes(4))
    assert call(rig, "map_lookup_percpu_elem", p, TOP - 8, 1) == 0
    assert [kind for kind, _ in rig.env.told] == ["map.push", "map.pop"]


def test_a_program_looks_into_a_map_of_maps() -> None:
    rig = build_rig(
        ".map inner hash key=4 value=8 max_entries=4\n.map outer array_of_maps max_entries=2 inner=inner\n"
        "r1 = map outer\n*(u32 *)(r10 -4) = 1\nr2 = r10\nr2 += -4\ncall map_lookup_elem\nif r0 == 0 goto out\n"
        "r1 = r0\nr2 = r10\nr2 += -4\ncall map_lookup_elem\nif r0 == 0 goto out\nr0 = *(u64 *)(r0 +0)\nout: exit"
    )
    assert rig.run() == 0
    inner = rig.maps["inner"]
    inner.update_elem((1).to_bytes(4, "little"), (9).to_bytes(8, "little"))
    assert rig.maps["outer"].update_fd((1).to_bytes(4, "little"), inner) == 0  # type: ignore[attr-defined]
    assert rig.run() == rig.bound.start(CTX, TOP).run() == 9


def test_a_sampled_event_tells_how_long_it_is_on() -> None:
    """bpf_perf_prog_read_value: the clock's event counts nanoseconds, and is never taken off the CPU."""
    rig = build_rig("r0 = 0\nexit\n")
    rig.env.now, rig.env.kernel[KERNEL] = 500, bytes(184) + struct.pack("<Q", 200)
    assert call(rig, "perf_prog_read_value", KERNEL, TOP - 24, 24) == 0
    assert struct.unpack("<3Q", rig.memory.read(TOP - 24, 24)) == (300, 300, 300)
    assert call(rig, "perf_prog_read_value", KERNEL, TOP - 24, 16) == -Errno.EINVAL
    assert struct.unpack("<3Q", rig.memory.read(TOP - 24, 24)) == (0, 0, 300)


def test_samples_have_no_branch_records() -> None:
    rig = build_rig("r0 = 0\nexit\n")
    assert call(rig, "read_branch_records", KERNEL, 0, 0, 1) == -Errno.ENOENT
    assert call(rig, "read_branch_records", KERNEL, TOP - 24, 24, 0) == -Errno.ENOENT
    assert call(rig, "read_branch_records", KERNEL, TOP - 24, 24, 2) == -Errno.EINVAL


def test_a_packet_is_put_behind_the_data_of_a_sample() -> None:
    """bpf_skb_output: the flags' upper half says how much of it."""
    rig = build_rig(".map events perf_event_array max_entries=1\nr1 = map events\nr0 = 0\nexit\n")
    events = rig.maps["events"]
    event = PerfEvent(Place(rig.memory, rig.arena, rig.env), 0, 1)
    events.update_fd(bytes(4), event)  # type: ignore[attr-defined]
    skb = bytearray(232)
    skb[112:116], skb[208:216] = struct.pack("<I", 6), struct.pack("<Q", KERNEL + 4096)
    rig.env.kernel |= {KERNEL: bytes(skb), KERNEL + 4096: b"packet"}
    rig.memory.write(TOP - 8, b"metadata")

    def output(flags: int, skb_at: int = KERNEL) -> int:
        return call(rig, "skb_output", skb_at, events.address, flags, TOP - 8, 8)

    assert output(4 << 32) == 0
    assert output(7 << 32) == -Errno.EFAULT
    assert output(1 << 52) == -Errno.EINVAL
    assert output(0, skb_at=0) == -Errno.EFAULT
    assert output(1) == -Errno.E2BIG
    assert output(0xFFFFFFFF) == 0
    first = event.consume()[0]
    assert isinstance(first, Sample)
    assert first.data[:12] == b"metadatapack"
