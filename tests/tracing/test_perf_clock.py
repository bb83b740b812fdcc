"""Programs of type PERF_EVENT: a sample at each tick."""

import pytest

from kprobesim.errors import LinuxError
from kprobesim.lab import Lab
from kprobesim.linux_errno import Errno
from tests.lab.experiment import only, rested, state_of
from tests.tracing.bpftool.tool import out

# rip of what was interrupted, and the period behind the registers.
SAMPLE = """
.type perf_event
.license GPL
r6 = *(u64 *)(r1 +128)
r7 = *(u64 *)(r1 +168)
r0 = r6
if r7 == 4000000 goto out
r0 = 0
out:
exit
"""
BUSY = "cat /home/notes.txt | wc; sleep 1; cat /bin/sh | wc"


def sampled(jit: int, cpus: int = 1) -> Lab:
    lab = rested(cpus)
    lab.set_bpf_jit(jit)
    lab.load_program(SAMPLE, "sample")
    lab.attach("sample", "cpu-clock")
    lab.type(BUSY)
    lab.run()
    return lab


@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("jit", [0, 1])
def test_each_tick_of_a_busy_cpu_is_a_sample_of_what_it_has_interrupted(jit: int, cpus: int) -> None:
    lab = sampled(jit, cpus)
    ips = [event.fields["r0"] for event in only(lab, "bpf.exit")]
    interrupted = {event.fields["rip"] for event in only(lab, "trap") if event.fields["name"].startswith("IRQ")}
    assert ips and set(ips) <= interrupted


def test_when_nobody_samples_the_tick_does_not_ask() -> None:
    lab = sampled(0)
    assert len(only(lab, "static_key.enable")) == 1
    assert out("link show", lab) == "1: perf_event  prog 1  \n"
    link = lab.attached("sample")
    assert link is not None
    count = len(only(lab, "bpf.enter"))
    lab.detach(link)
    lab.type(BUSY)
    lab.run()
    assert len(only(lab, "bpf.enter")) == count
    assert len(only(lab, "static_key.disable")) == 1


def test_going_back_takes_the_samples_back() -> None:
    lab = sampled(1)
    end = state_of(lab)
    enter = only(lab, "bpf.enter")[-1]
    lab.seek(enter)
    assert lab.last_event == enter
    lab.seek_end()
    assert state_of(lab) == end


def test_there_is_one_event_to_sample_by() -> None:
    lab = rested()
    lab.load_program(SAMPLE, "sample")
    with pytest.raises(LinuxError) as caught:
        lab.attach("sample", "cache-misses")
    assert caught.value.errno is Errno.ENOENT
    lab.load_program("r0 = 0\nexit", "plain")
    with pytest.raises(LinuxError) as caught:
        lab.attach("plain", "cpu-clock", kind="perf_event")
    assert caught.value.errno is Errno.EINVAL


READS = """
.type perf_event
.license GPL
r2 = r10
r2 += -24
r3 = 24
call bpf_perf_prog_read_value
r0 = *(u64 *)(r10 -24)
r1 = *(u64 *)(r10 -8)
if r0 == r1 goto out
r0 = 0
out:
exit
"""


@pytest.mark.parametrize("jit", [0, 1])
def test_a_sample_tells_for_how_long_its_event_has_counted(jit: int) -> None:
    """Section 4: bpf_perf_prog_read_value."""
    lab = rested()
    lab.set_bpf_jit(jit)
    lab.load_program(READS, "reads")
    start = lab.ns
    lab.attach("reads", "cpu-clock")
    lab.type(BUSY)
    lab.run()
    samples = [(event.fields["r0"], event.ns) for event in only(lab, "bpf.exit")]
    assert samples
    assert all(0 <= ns - start - counted < 10_000 for counted, ns in samples)
    lab.seek(only(lab, "bpf.exit")[-1])
    lab.seek_end()
    assert [event.fields["r0"] for event in only(lab, "bpf.exit")] == [counted for counted, _ in samples]
