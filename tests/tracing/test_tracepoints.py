"""Listening to tracepoints from the host: raw arguments, records for programs, and order."""

import struct

import pytest

from kprobesim.errors import LinuxError
from kprobesim.lab import Lab
from kprobesim.linux_errno import Errno
from kprobesim.machine import VCpu
from kprobesim.tracing.kernel_events import TracepointEvent


@pytest.fixture
def lab() -> Lab:
    lab = Lab.open()
    lab.run()
    return lab


def test_raw_arguments_are_what_the_kernel_passed(lab: Lab) -> None:
    """As in struct bpf_raw_tracepoint_args: unsigned, each cut to its type's size, more than three of them too."""
    seen: list[tuple[int, ...]] = []
    tracepoints = lab.tracing.kernel_events.tracepoints
    lab.timeline.input("listen", lambda: tracepoints.register("sched_switch", lambda cpu, args: seen.append(args)))
    lab.type("echo hello")
    lab.run()
    assert seen
    init_task = lab.kernel.symbol("init_task")
    preempt, prev, following, prev_state = seen[0]
    assert (preempt, prev, prev_state) == (0, init_task, 0)
    assert following > 1 << 63
    assert all(len(args) == 4 and args[0] in (0, 1) and args[3] < 1 << 32 for args in seen)


def test_sizes_of_arguments_are_those_of_the_kernels_types(lab: Lab) -> None:
    tracepoints = lab.tracing.kernel_events.tracepoints
    assert tracepoints.argument_sizes("sched_switch") == (1, 8, 8, 4)
    assert tracepoints.argument_sizes("signal_generate") == (4, 8, 8, 4, 4)
    assert all(tracepoints.argument_sizes(name) for name in tracepoints.by_name)
    with pytest.raises(LinuxError) as caught:
        tracepoints.argument_sizes("no_such")
    assert caught.value.errno is Errno.ENOENT


def test_a_program_gets_the_record_of_an_event_that_is_off(lab: Lab) -> None:
    """What a program of type TRACEPOINT reads: 8 bytes of common fields, then the fields of the format file."""
    records: list[bytes] = []
    event = lab.tracing.events.find("sched", "sched_process_exec")
    assert isinstance(event, TracepointEvent)

    def handler(cpu: VCpu, record: bytes, regs: int) -> None:
        records.append(record)

    lab.timeline.input("attach", lambda: event.attach(handler))
    lab.type("cat /etc/hostname")
    lab.run()
    assert len(records) == 1
    number, flags, count, pid = struct.unpack_from("<HBBi", records[0])
    location, exec_pid, old_pid = struct.unpack_from("<Iii", records[0], 8)
    assert (number, flags, count) == (event.id, 0, 0)
    assert pid == exec_pid == old_pid
    assert records[0][location & 0xFFFF :][: location >> 16] == b"/bin/cat\0"
    assert len(lab.tracing.events.trace.buffers[0]) == 0
    lab.timeline.input("detach", lambda: event.detach(handler))
    assert (
        lab.manager.kprobes.jump_labels.static_key_count(lab.tracing.kernel_events.tracepoints.find(event.name).key)
        == 0
    )


def test_a_higher_priority_is_called_first_and_equals_in_order(lab: Lab) -> None:
    called: list[str] = []
    tracepoints = lab.tracing.kernel_events.tracepoints

    def named(name: str) -> object:
        return lambda cpu, args: called.append(name)

    def listen() -> None:
        for name, prio in (("first", 10), ("second", 10), ("urgent", 20)):
            tracepoints.register("sched_process_exit", named(name), prio)  # type: ignore[arg-type]

    lab.timeline.input("listen", listen)
    lab.type("true")
    lab.run()
    assert called == ["urgent", "first", "second"]


def test_registering_twice_and_leaving_what_one_never_joined(lab: Lab) -> None:
    tracepoints = lab.tracing.kernel_events.tracepoints

    def listener(cpu: VCpu, args: tuple[int, ...]) -> None:
        """Nothing."""

    lab.timeline.input("listen", lambda: tracepoints.register("sched_switch", listener))
    with pytest.raises(LinuxError) as caught:
        tracepoints.register("sched_switch", listener)
    assert caught.value.errno is Errno.EEXIST
    with pytest.raises(LinuxError) as caught:
        tracepoints.unregister("sched_waking", listener)
    assert caught.value.errno is Errno.ENOENT
