"""Helpers and maps on the machine: what they read of it, what they do to it, and that all of it goes back."""

import pytest

from kprobesim.bpf import LoadError
from kprobesim.bpf.maps import Sample
from kprobesim.errors import LinuxError
from kprobesim.lab import Lab
from kprobesim.linux_errno import Errno
from tests.lab.experiment import only, rested, state_of

RING = """
    .license GPL
    .map ring ringbuf max_entries=4096
    r6 = r1
    r1 = map ring
    r2 = 16
    r3 = 0
    call ringbuf_reserve
    if r0 == 0 goto out
    r7 = r0
    call get_current_pid_tgid
    *(u64 *)(r7 +0) = r0
    r1 = *(u64 *)(r6 +96)
    *(u64 *)(r7 +8) = r1
    r1 = r7
    r2 = 0
    call ringbuf_submit
out:
    r0 = 0
    exit
"""


def commanded(lab: Lab, command: str = "cat /etc/motd") -> None:
    lab.type(command)
    lab.run()


def numbers(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 8)]


@pytest.mark.parametrize("jit", [0, 1])
def test_records_reach_user_space_through_a_ring_that_is_mapped_twice(jit: int) -> None:
    lab = rested()
    lab.bpf.jit.set_enabled(jit)
    lab.load_program(RING, "ring")
    lab.attach("ring", "vfs_read")
    assert (lab.bpf.jited("ring") is not None) == bool(jit)
    for _ in range(40):
        commanded(lab, "cat /etc/motd | wc")
        told = [event.fields for event in only(lab, "ringbuf.submit")]
        assert told
    submitted = len(only(lab, "ringbuf.submit"))
    first = lab.bpf.user.read_ringbuf("ring")
    ring = lab.bpf.maps["ring"]
    assert len(first) == min(submitted, 170) and all(len(sample) == 16 for sample in first)
    assert only(lab, "ringbuf.full") or submitted <= 170
    for _ in range(20):
        commanded(lab)
        for sample in lab.bpf.user.read_ringbuf("ring"):
            assert numbers(sample)[0] >> 32 > 0
    assert ring.producer_pos > 4096  # type: ignore[attr-defined]


def test_going_back_takes_records_and_ring_positions_back() -> None:
    lab = rested()
    lab.load_program(RING, "ring")
    lab.attach("ring", "vfs_read")
    commanded(lab)
    event = only(lab, "ringbuf.submit")[1]
    lab.seek(event)
    there = state_of(lab), list(lab.bpf.maps["ring"].records())  # type: ignore[attr-defined]
    assert len(there[1]) == 2
    lab.run()
    lab.seek(event)
    assert (state_of(lab), list(lab.bpf.maps["ring"].records())) == there  # type: ignore[attr-defined]


STACK = """
    .license GPL
    .map stacks stack_trace key=4 value=256 max_entries=64
    .map ids array key=4 value=8 max_entries=1
    r2 = map stacks
    r3 = {flags}
    call get_stackid
    r6 = r0
    *(u32 *)(r10 -4) = 0
    r2 = r10
    r2 += -4
    r1 = map ids
    call map_lookup_elem
    if r0 == 0 goto out
    *(u64 *)(r0 +0) = r6
out:
    r0 = 0
    exit
"""


def names(lab: Lab, trace: bytes) -> list[str]:
    return [lab.kernel.kallsyms.symbolize(address) for address in numbers(trace) if address]


def trace_of(where: str, flags: int = 0, *, returns: bool = False) -> tuple[Lab, list[str]]:
    lab = rested()
    lab.load_program(STACK.format(flags=flags), "stack")
    lab.attach("stack", where, returns=returns)
    commanded(lab)
    (number,) = numbers(lab.bpf.maps["ids"].read_value(bytes(4)) or b"")
    trace = lab.bpf.maps["stacks"].read_value(number.to_bytes(8, "little")[:4])
    assert trace is not None
    return lab, names(lab, trace)


def test_a_stack_trace_at_a_functions_entry_names_all_callers() -> None:
    """Acceptance 04: kstack of vfs_read, from the probed function out to the system call's entry."""
    for where in ("vfs_read", "vfs_read+1"):
        _, found = trace_of(where)
        functions = [name.split("+")[0] for name in found]
        assert functions[0] == "vfs_read"
        assert functions[1:4] == ["ksys_read", "__x64_sys_read", "do_syscall_64"] or functions[1:3] == [
            "__x64_sys_read",
            "do_syscall_64",
        ]
        assert functions[-1].startswith("entry_SYSCALL_64")


def test_a_stack_trace_shows_real_callers_where_a_return_probe_waits() -> None:
    """KRP-10."""
    lab = rested()
    lab.load_program("r0 = 0\nexit", "nothing")
    lab.attach("nothing", "vfs_read", returns=True)
    lab.load_program(STACK.format(flags=0), "stack")
    lab.attach("stack", "vfs_read+1")
    commanded(lab)
    traces = [value for _, value in lab.bpf.maps["stacks"].items()]
    assert traces
    for trace in traces:
        assert not any("rethook" in name for name in names(lab, trace))


def test_a_users_stack_begins_at_the_system_call() -> None:
    lab = rested()
    lab.load_program(STACK.format(flags=1 << 8), "stack")
    lab.attach("stack", "vfs_read")
    commanded(lab)
    traces = [value for _, value in lab.bpf.maps["stacks"].items()]
    assert traces and all(0 < numbers(trace)[0] < 1 << 47 for trace in traces)


PERF = """
    .license GPL
    .map events perf_event_array max_entries=4
    *(u64 *)(r10 -8) = 77
    r2 = map events
    r3 = -1
    r3 <<= 32
    r3 >>= 32
    r4 = r10
    r4 += -8
    r5 = 8
    call perf_event_output
    r0 = 0
    exit
"""


@pytest.mark.parametrize("jit", [0, 1])
def test_samples_reach_user_space_through_a_perf_ring(jit: int) -> None:
    lab = rested()
    lab.bpf.jit.set_enabled(jit)
    lab.load_program(PERF, "perf")
    lab.attach("perf", "vfs_read")
    lab.bpf.user.open_perf_buffer("events", pages=1)
    commanded(lab)
    told = only(lab, "perf.output")
    read = lab.bpf.user.read_perf_buffer("events")
    assert len(told) == len(read) > 0
    assert all(cpu == 0 and isinstance(record, Sample) and record.data[0] == 77 for cpu, record in read)


OVERRIDE = ".license GPL\nr2 = -2\ncall override_return\nr0 = 0\nexit"


@pytest.mark.parametrize("jit", [0, 1])
def test_an_overridden_system_call_fails_without_having_run(jit: int) -> None:
    """BPF-07, bpf_override_return: needs the function's entry and the error injection list."""
    lab = rested()
    lab.bpf.jit.set_enabled(jit)
    lab.load_program(OVERRIDE, "fail")
    attachment = lab.attach("fail", "__x64_sys_openat")
    commanded(lab)
    assert "No such file" in lab.console
    assert only(lab, "bpf.override")
    lab.detach(attachment)
    before = len(only(lab, "bpf.override"))
    commanded(lab)
    assert len(only(lab, "bpf.override")) == before


@pytest.mark.parametrize("where", ["vfs_read", "__x64_sys_openat+1"])
def test_what_may_not_fail_is_not_made_to_fail(where: str) -> None:
    lab = rested()
    lab.load_program(OVERRIDE, "fail")
    with pytest.raises(LinuxError) as refused:
        lab.attach("fail", where)
    assert refused.value.errno is Errno.EINVAL
    assert not lab.bpf.attachments


def test_a_signal_ends_the_task_that_is_hit() -> None:
    lab = rested()
    lab.load_program(
        ".license GPL\n.map comm array key=4 value=16 max_entries=1\n"
        "r1 = r10\nr1 += -16\nr2 = 16\ncall get_current_comm\n"
        "r1 = *(u32 *)(r10 -16)\nif r1 != 0x746163 goto out\nr1 = 9\ncall send_signal\nout: r0 = 0\nexit",
        "kill",
    )
    lab.attach("kill", "vfs_read")
    shown = lab.console
    commanded(lab)
    (signal,) = {event.fields["sig"] for event in only(lab, "bpf.signal")}
    assert signal == 9
    assert "Welcome" not in lab.console[len(shown) :]
    commanded(lab, "echo alive")
    assert "alive" in lab.console


TAIL = """
    .map jumps prog_array max_entries=2
    r2 = map jumps
    r3 = 1
    call tail_call
    r0 = 1
    exit
"""
COUNT = """
    .map counts array key=4 value=8 max_entries=1
    *(u32 *)(r10 -4) = 0
    r2 = r10
    r2 += -4
    r1 = map counts
    call map_lookup_elem
    if r0 == 0 goto out
    r1 = 1
    lock *(u64 *)(r0 +0) += r1
out:
    r0 = 2
    exit
"""


@pytest.mark.parametrize("jit", [0, 1])
def test_a_tail_call_goes_on_in_another_program(jit: int) -> None:
    lab = rested()
    lab.bpf.jit.set_enabled(jit)
    jumper = lab.load_program(TAIL, "jumper")
    target = lab.load_program(COUNT, "target")
    assert jumper is not target
    lab.attach("jumper", "vfs_read")
    commanded(lab)
    before = [event.fields["r0"] for event in only(lab, "bpf.exit")]
    lab.bpf.user.store("jumps", (1).to_bytes(4, "little"), lab.bpf.programs["target"])
    commanded(lab)
    after = [event.fields["r0"] for event in only(lab, "bpf.exit")][len(before) :]
    assert set(before) == {1} and set(after) == {2}
    assert numbers(lab.bpf.maps["counts"].read_value(bytes(4)) or b"") == [len(after)]


LOOP = """
    r1 = 5
    r2 = func body
    r3 = r10
    r3 += -8
    *(u64 *)(r10 -8) = 0
    r4 = 0
    call loop
    r0 = *(u64 *)(r10 -8)
    exit
body:
    r3 = *(u64 *)(r2 +0)
    r3 += r1
    *(u64 *)(r2 +0) = r3
    r0 = 0
    exit
"""


@pytest.mark.parametrize("jit", [0, 1])
def test_a_loops_function_runs_interpreted_or_on_the_cpu(jit: int) -> None:
    lab = rested()
    lab.bpf.jit.set_enabled(jit)
    lab.load_program(LOOP, "loop")
    assert (lab.bpf.jited("loop") is not None) == bool(jit)
    lab.attach("loop", "vfs_read")
    commanded(lab)
    assert {event.fields["r0"] for event in only(lab, "bpf.exit")} == {10}
    last = only(lab, "bpf.exit")[-1]
    lab.seek(last)
    here = state_of(lab)
    lab.run()
    lab.seek(last)
    assert state_of(lab) == here


def test_maps_of_all_kinds_go_back() -> None:
    text = """
        .license GPL
        .map queue queue value=8 max_entries=8
        .map lru lru_hash key=8 value=8 max_entries=4
        .map percpu percpu_hash key=8 value=8 max_entries=64
        .map stacks stack_trace key=4 value=64 max_entries=64
        r2 = map stacks
        r3 = 0
        call get_stackid
        call ktime_get_ns
        *(u64 *)(r10 -8) = r0
        r1 = map queue
        r2 = r10
        r2 += -8
        r3 = 2
        call map_push_elem
        r1 = map lru
        r2 = r10
        r2 += -8
        r3 = r2
        r4 = 0
        call map_update_elem
        r1 = map percpu
        r2 = r10
        r2 += -8
        r3 = r2
        r4 = 0
        call map_update_elem
        r0 = 0
        exit
    """
    lab = rested(cpus=2)
    lab.load_program(text, "all")
    lab.attach("all", "vfs_read")
    commanded(lab, "cat /home/notes.txt | wc")
    exits = only(lab, "bpf.exit")
    middle = exits[len(exits) // 2]

    def contents() -> object:
        queue = lab.bpf.maps["queue"].values()  # type: ignore[attr-defined]
        return state_of(lab), queue, [list(m.items()) for m in lab.bpf.maps.values()]

    lab.seek(middle)
    there = contents()
    lab.run()
    assert contents() != there
    lab.seek(middle)
    assert contents() == there


def test_a_ring_that_does_not_fit_leaves_the_page_tables_alone() -> None:
    lab = rested()
    lab.load_program(".map small ringbuf max_entries=4096\nr1 = map small\nr0 = 0\nexit", "one")
    free = lab.bpf.maps["small"].arena.size - lab.bpf.maps["small"].arena.used
    size = 1 << free.bit_length() - 1
    hog = f".map hog array key=4 value={free - size - 65536} max_entries=1\nr1 = map hog\nr0 = 0\nexit"
    lab.load_program(hog, "two")
    before = lab.read(lab.kernel.symbol("init_top_pgt"), 4096), lab.bpf.maps["small"].arena.used
    with pytest.raises(LoadError) as refused:
        lab.load_program(f".map big ringbuf max_entries={2 * size}\nr1 = map big\nr0 = 0\nexit", "three")
    assert refused.value.errno is Errno.ENOMEM
    assert (lab.read(lab.kernel.symbol("init_top_pgt"), 4096), lab.bpf.maps["small"].arena.used) == before


def test_a_map_of_a_thousand_million_elements_is_refused_at_once() -> None:
    lab = rested()
    for line in ("hash key=4 value=8", "array key=4 value=8", "percpu_array key=4 value=8", "lru_hash key=4 value=8"):
        with pytest.raises(LoadError) as refused:
            lab.load_program(f".map m {line} max_entries=1000000000\nr1 = map m\nr0 = 0\nexit", "huge")
        assert refused.value.errno in (Errno.ENOMEM, Errno.E2BIG)
