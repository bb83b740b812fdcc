"""Who set this? Found by running the past again, and the same as what every instruction of the way says."""

import functools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kprobesim.errors import BadInput
from kprobesim.lab import Lab, Moment, last_register_write, last_write
from tests.lab.experiment import rich, state_of

SLOW = settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@functools.cache
def life(cpus: int = 1) -> Lab:
    """One life for all tests; they only look."""
    return rich(cpus)


def at_hit(lab: Lab, number: int = 1) -> None:
    lab.seek([event for event in lab.events() if event.kind == "kprobe.hit"][number])


@SLOW
@given(which=st.integers(0, 60), cpus=st.sampled_from([1, 2]))
def test_the_writer_of_a_stack_word_gives_it_its_value_and_nobody_writes_it_after(which: int, cpus: int) -> None:
    lab = life(cpus)
    at_hit(lab)
    here, word = lab.moment, lab.stack(64)[which]
    writer = last_write(lab, word.address, 8)
    if writer is None:
        assert lab.moment == here
        return
    assert lab.moment == writer.moment <= here
    assert writer.new == word.value
    physical = lab.machine.ram.translate(lab.machine.root, word.address)
    if writer.event is None:
        assert int.from_bytes(lab.machine.ram.read(physical, 8), "little") == writer.old
    # From behind the write to where we were it keeps its value.
    lab.seek(Moment(writer.moment.insn + 1))
    while lab.moment < here:
        assert int.from_bytes(lab.machine.ram.read(physical, 8), "little") == word.value
        if here.insn - lab.moment.insn > 300:
            break
        lab.timeline.run(lab.moment.insn + 1)


@SLOW
@given(name=st.sampled_from(["rax", "rbx", "rsp", "rdi", "rip", "r12"]), cpus=st.sampled_from([1, 2]))
def test_the_writer_of_a_register_is_the_instruction_that_changed_it_last(name: str, cpus: int) -> None:
    lab = life(cpus)
    at_hit(lab)
    here, cpu, value = lab.moment, lab.cpu, lab.registers()[name]
    writer = last_register_write(lab, name)
    assert writer is not None
    assert (lab.moment, lab.registers(cpu)[name]) == (writer.moment, writer.old)
    assert writer.old != writer.new == value
    number = writer.moment.insn
    while number < here.insn:
        number += 1
        lab.timeline.run(number)
        assert lab.registers(cpu)[name] == value


def test_a_patched_byte_was_set_by_the_host_and_the_event_says_so() -> None:
    lab = life()
    at_hit(lab)
    address = lab.kernel.symbol("vfs_read")
    writer = last_write(lab, address, 1)
    assert writer is not None and writer.event is not None
    assert writer.event.kind == "text.poke"
    assert (writer.old, writer.new) == (writer.event.fields["old"][0], 0xCC)
    assert lab.moment == writer.event.moment


def test_asking_again_goes_to_the_write_before() -> None:
    lab = life()
    at_hit(lab)
    top = lab.stack(8)[2].address
    moments = [lab.moment]
    for _ in range(3):
        writer = last_write(lab, top, 8)
        assert writer is not None
        moments.append(writer.moment)
    assert moments == sorted(moments, reverse=True) and len(set(moments)) == 4


def test_what_nobody_wrote_is_told_and_the_machine_stays_exactly_where_it_is() -> None:
    lab = life()
    at_hit(lab)
    before, events = state_of(lab), lab.events()
    assert last_write(lab, lab.kernel.symbol("vfs_write") + 8, 4) is None
    assert last_write(lab, lab.stack(4)[1].address, 8, interrupt=lambda: True) is None
    assert state_of(lab) == before
    assert lab.events() == events


@pytest.mark.parametrize(("address", "size"), [(0x1234, 8), (0xFFFF_8880_0000_0FFC, 8), (0xFFFF_8880_0000_0000, 9)])
def test_what_is_no_place_in_memory_is_refused(address: int, size: int) -> None:
    lab = life()
    at_hit(lab)
    with pytest.raises(BadInput):
        last_write(lab, address, size)
    with pytest.raises(BadInput):
        last_register_write(lab, "r99")
