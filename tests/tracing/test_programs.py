"""Programs on probes: order of events, return probes, faults, removal. Follows trace_call_bpf."""

import pytest

from kprobesim.bpf.verifier import Rejected
from tests.lab.experiment import by_pid, kinds_of, only, rested


def test_a_run_is_told_from_enter_to_exit_and_detaching_restores_the_byte() -> None:
    lab = rested()
    address = lab.kernel.symbol("vfs_read")
    original = lab.read(address, 1)
    lab.load_program(by_pid(), "by_pid")
    attachment = lab.attach("by_pid", "vfs_read")
    assert lab.read(address, 1) == b"\xcc"
    lab.type("cat /etc/motd")
    lab.run()
    first = only(lab, "bpf.enter")[0].seq
    told = kinds_of(lab.events(first, first + 6))
    assert told == ["bpf.enter", "bpf.helper", "bpf.helper", "bpf.helper", "map.update", "bpf.exit"]
    lab.detach(attachment)
    assert lab.read(address, 1) == original
    hits = len(only(lab, "kprobe.hit"))
    lab.type("cat /etc/motd")
    lab.run()
    assert len(only(lab, "kprobe.hit")) == hits


def test_a_return_probe_sees_the_return_value_and_func_ip_is_the_function() -> None:
    """BPF-09: from a kretprobe too; inside a function it is 0."""
    lab = rested()
    lab.load_program("r0 = *(u64 *)(r1 +80)\nexit", "ax")
    lab.load_program(".license GPL\ncall bpf_get_func_ip\nexit", "ip")
    lab.attach("ax", "vfs_write", returns=True)
    lab.attach("ip", "vfs_write", returns=True)
    lab.attach("ip", "vfs_write+1")
    lab.type("echo four")
    lab.run()
    results: dict[str, list[int]] = {"ax": [], "ip": []}
    for event in only(lab, "bpf.exit"):
        results[event.fields["prog"]].append(event.fields["r0"])
    assert set(results["ax"]) == {5}
    assert set(results["ip"]) == {0, lab.kernel.symbol("vfs_write")}


def test_a_program_that_never_ends_is_stopped_and_the_kernel_goes_on() -> None:
    lab = rested()
    lab.load_program("again: r0 = 0\ngoto again\nexit", "loop", verified=False)
    lab.attach("loop", "vfs_write")
    lab.type("echo still here")
    lab.run()
    assert lab.console.endswith("still here\n")
    faults = only(lab, "bpf.fault")
    assert faults and not only(lab, "bpf.exit")
    lab.seek(faults[0])
    assert lab.last_event == faults[0]


def test_the_verifier_refuses_a_program_before_it_can_run_and_nothing_stays_behind() -> None:
    lab = rested()
    before = lab.moment, lab.event_count
    with pytest.raises(Rejected, match=r"R1 invalid mem access|invalid bpf_context access") as refusal:
        lab.load_program(".map m hash key=4 value=8 max_entries=1\nr1 = *(u64 *)(r1 +1000)\nr0 = 0\nexit", "reader")
    assert refusal.value.insn == 0
    assert (lab.moment, lab.event_count) == before
    assert not lab.bpf.programs and not lab.maps()
