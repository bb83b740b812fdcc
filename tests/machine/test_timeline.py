"""Forwards and backwards: the same machine, whichever way one came."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kprobesim.errors import GuestError
from kprobesim.machine import Event, Machine, Moment, Stop, Timeline
from tests.guests.board import DATA, Guest
from tests.machine.busy import Busy

END = 6_000
TYPED_AT = 2_000

Action = Callable[[Busy], object]


def lived(busy: Busy) -> Busy:
    """A whole life: something is typed on the way."""
    busy.timeline.run(TYPED_AT)
    busy.type(b"xy")
    busy.timeline.run(END)
    return busy


REFERENCE: dict[int, tuple[list[Event], dict[str, object]]] = {}


def reference(cpus: int) -> tuple[list[Event], dict[str, object]]:
    if cpus not in REFERENCE:
        busy = lived(Busy(cpus))
        REFERENCE[cpus] = list(busy.machine.log), busy.state()
    return REFERENCE[cpus]


def travel(timeline: Timeline, action: str, insn: int) -> None:
    if action == "seek":
        timeline.seek(Moment(insn))
    elif action == "event":
        event = timeline.machine.log[insn % len(timeline.machine.log)]
        timeline.seek(event.moment)
        assert timeline.machine.moment == event.moment
        assert timeline.machine.seq == event.seq + 1
    elif action == "moments":
        timeline.moments_of(insn)
    elif action == "next":
        timeline.run(END, stop_kinds=["console", "trap"])
    else:
        timeline.seek_end()


JOURNEYS = st.lists(
    st.tuples(st.sampled_from(["seek", "event", "moments", "next", "end"]), st.integers(1, END - 1)), max_size=6
)


@settings(max_examples=40, deadline=None)
@given(
    cpus=st.integers(1, 4),
    slice_size=st.sampled_from([1, 7, 100, 1_000_000]),
    spacing=st.sampled_from([50, 999, 2_000_000]),
    journey=JOURNEYS,
)
def test_a_life_is_the_same_however_it_is_cut_and_travelled(
    cpus: int, slice_size: int, spacing: int, journey: list[tuple[str, int]]
) -> None:
    busy = lived(Busy(cpus, slice_size=slice_size, spacing=spacing))
    for action, insn in journey:
        travel(busy.timeline, action, insn)
    busy.timeline.seek_end()
    log, state = reference(cpus)
    assert list(busy.machine.log) == log
    assert busy.state() == state


@settings(max_examples=25, deadline=None)
@given(cpus=st.integers(1, 3), spacing=st.sampled_from([100, 2_000_000]), data=st.data())
def test_each_place_looks_the_same_from_both_sides(cpus: int, spacing: int, data: st.DataObject) -> None:
    busy = Busy(cpus, spacing=spacing)
    busy.timeline.run(3_000)
    insn = data.draw(st.integers(1, 2_990))
    busy.timeline.seek(Moment(insn))
    here = busy.state()
    busy.timeline.seek(Moment(insn + 1))
    after = busy.state()
    busy.timeline.seek(Moment(insn))
    assert busy.state() == here
    busy.timeline.run(insn + 1)
    assert busy.state() == after


@pytest.mark.parametrize("cpus", [1, 3])
def test_every_event_can_be_gone_to_and_shows_the_registers_of_its_instruction(cpus: int) -> None:
    busy = Busy(cpus)
    busy.timeline.run(400)
    for event in list(busy.machine.log):
        busy.timeline.seek(event.moment)
        assert busy.machine.frozen is not None
        assert (busy.machine.moment, busy.machine.seq) == (event.moment, event.seq + 1)
        if event.kind == "gate":
            assert busy.machine.registers()["rip"] == event.fields["handler"]


def test_moments_of_an_instruction_are_its_clean_state_its_events_and_their_steps() -> None:
    busy = Busy(1)
    busy.timeline.run(1_000)
    call = next(event for event in busy.machine.log if event.kind == "count")
    insn = call.moment.insn
    busy.timeline.seek(Moment(500))
    before = busy.state()
    assert busy.timeline.moments_of(insn) == [
        Moment(insn), Moment(insn, 1), Moment(insn, 1, 1), Moment(insn, 1, 2),
    ]  # fmt: skip
    assert busy.state() == before


def test_a_moment_past_the_last_of_its_instruction_is_the_clean_state_after_it() -> None:
    busy = Busy(1)
    busy.timeline.run(1_000)
    busy.timeline.seek(Moment(500, 77))
    assert busy.machine.moment == Moment(501)


def test_both_ways_of_counting_agree() -> None:
    log, state = reference(2)
    busy = lived(Busy(2, counting_hook=True))
    assert list(busy.machine.log) == log
    assert busy.state() == state


def test_a_run_ends_at_exactly_the_instruction_asked_for(counting_hook: bool) -> None:
    guest = Guest()
    guest.code.label("again").op("inc %rbx").jmp("again")
    machine = guest.boot(counting_hook=counting_hook)
    start = 16
    for limit in (start, start + 1, start + 2, start + 9, start + 1_001):
        assert machine.run(limit) is Stop.LIMIT
        assert machine.retired == limit
        assert machine.registers()["rbx"] == (limit - start + 1) // 2


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
def test_each_repetition_of_a_string_instruction_counts_and_can_be_stopped_at(size: int, counting_hook: bool) -> None:
    guest = Guest()
    guest.code.mov("rdi", DATA).mov("rcx", 100).op("rep stosb", "hlt")
    machine = guest.boot(counting_hook=counting_hook)
    machine.slice = size
    left = []
    for limit in range(18, 22):
        machine.run(limit)
        left.append(machine.registers()["rcx"])
    assert left == [100, 99, 98, 97]
    machine.run(10_000)
    assert machine.registers()["rcx"] == 0


def test_the_same_seed_gives_the_same_life_and_another_seed_other_turns() -> None:
    logs = []
    for seed in (1, 1, 2):
        busy = Busy(3, seed=seed)
        busy.timeline.run(END)
        logs.append(list(busy.machine.log))
    assert logs[0] == logs[1]
    assert logs[0] != logs[2]


# Stopping at events


def test_stopping_at_an_event_freezes_right_behind_it_and_goes_on_from_there() -> None:
    busy = Busy(1)
    places = []
    while busy.timeline.run(1_000, stop_kinds=["count"]) is Stop.MOMENT:
        assert busy.machine.log[busy.machine.seq - 1].kind == "count"
        places.append(busy.machine.moment)
    busy.timeline.seek_end()
    assert places == [event.moment for event in busy.machine.log if event.kind == "count"]


def test_two_events_of_one_instruction_are_two_stops() -> None:
    busy = Busy(1)
    stops = []
    while busy.timeline.run(200, stop_kinds=["trap", "gate"]) is Stop.MOMENT:
        stops.append(busy.machine.moment)
    assert stops == [event.moment for event in busy.machine.log if event.kind in ("trap", "gate")]


def test_a_frozen_machine_shows_the_state_inside_the_instruction() -> None:
    guest = Guest()
    guest.gate(0x40, "handler")
    guest.code.label("trap").interrupt(0x40).label("behind").op("hlt").label("handler").op("iretq")
    machine = guest.boot()
    timeline = Timeline(machine)
    timeline.run(1_000, stop_kinds=["trap"])
    assert machine.registers()["rip"] == guest.address("behind")
    timeline.run(1_000, stop_kinds=["gate"])
    assert machine.registers()["rip"] == guest.address("handler")


# Inputs


def test_inputs_are_replayed_at_the_same_place() -> None:
    busy = lived(Busy(1))
    after = busy.state()
    assert b"x" in busy.machine.devices.output
    busy.timeline.seek(Moment(100))
    assert busy.machine.devices.output.count(b"x") == 0
    busy.timeline.run(END)
    assert busy.state() == after


def test_several_inputs_at_one_place_keep_their_order() -> None:
    busy = Busy(1)
    busy.timeline.run(500)
    for text in (b"1", b"2", b"3"):
        busy.type(text)
    busy.timeline.run(1_500)
    after = busy.state()
    busy.timeline.seek(Moment(500, 2))
    assert bytes(busy.machine.devices.input) == b"1"
    busy.timeline.seek_end()
    assert busy.state() == after


def test_a_new_input_in_the_past_starts_another_future() -> None:
    busy = lived(Busy(1, spacing=300))
    busy.timeline.seek(Moment(1_000))
    busy.type(b"z")
    assert busy.timeline.head == 1_000
    assert not busy.timeline.in_past
    assert [step.insn for step in busy.timeline.inputs] == [1_000]
    busy.timeline.run(END)
    assert busy.machine.devices.output.count(b"x") == 0
    fresh = Busy(1)
    fresh.timeline.run(1_000)
    fresh.type(b"z")
    fresh.timeline.run(END)
    assert busy.state() == fresh.state()
    assert list(busy.machine.log) == list(fresh.machine.log)


def test_an_input_that_fails_leaves_present_and_future_as_they_were() -> None:
    busy = lived(Busy(1, spacing=300))
    log = list(busy.machine.log)
    busy.timeline.seek(Moment(1_000))
    before = busy.state()

    def fail() -> None:
        busy.machine.ram.write(DATA, b"half done")
        busy.machine.emit("count", total=0)
        raise LookupError("no such symbol")

    with pytest.raises(LookupError):
        busy.timeline.input("fail", fail)
    assert busy.state() == before
    assert busy.timeline.in_past
    busy.timeline.seek_end()
    assert busy.state() == reference(1)[1]
    assert list(busy.machine.log) == log


def test_an_input_that_fails_while_the_host_waits_for_the_guest_leaves_all_as_it_was() -> None:
    busy = lived(Busy(2, spacing=300))
    timeline, machine = busy.timeline, busy.machine
    insn = 900
    timeline.seek(Moment(insn))
    while not machine.suspended:
        insn += 1
        timeline.seek(Moment(insn))
    before = machine.registers()

    def failing() -> None:
        busy.machine.ram.write(DATA, b"gone")
        raise KeyError

    for _ in range(2):
        with pytest.raises(KeyError):
            timeline.input("fails", failing)
        assert (machine.moment, machine.registers(), machine.suspended) == (Moment(insn), before, True)
    timeline.seek_end()
    log, state = reference(2)
    assert list(machine.log) == log
    assert busy.state() == state


def test_an_input_from_the_middle_of_an_instruction_waits_for_its_end() -> None:
    busy = Busy(1)
    busy.timeline.run(1_000, stop_kinds=["count"])
    insn = busy.machine.moment.insn
    busy.type(b"q")
    assert busy.timeline.inputs[0].insn == insn + 1


# The end of a life


def fallen(message: str = "oh no") -> Guest:
    guest = Guest()
    guest.code.op("inc %rbx").hypercall(5, "words").label("words").raw(message.encode().hex() + "00")
    return guest


def test_before_a_panic_one_can_go_back_and_look() -> None:
    machine = fallen().boot()
    timeline = Timeline(machine)
    with pytest.raises(GuestError):
        timeline.run()
    panic = machine.log[-1]
    assert timeline.moments_of(panic.moment.insn) == [Moment(panic.moment.insn), panic.moment]
    timeline.seek(Moment(panic.moment.insn - 1))
    assert machine.failure is None
    with pytest.raises(GuestError):
        timeline.run()
    assert len(machine.log) == 1


def test_what_a_handler_raises_ends_the_run_but_not_the_machine() -> None:
    """Ctrl-C arrives so, too."""
    busy = Busy(1)
    calls = busy.machine.devices.hypercalls
    count = calls[20]

    def interrupted(*_: object) -> int:
        calls[20] = count
        raise KeyboardInterrupt

    busy.timeline.run(500)
    calls[20] = interrupted
    with pytest.raises(KeyboardInterrupt):
        busy.timeline.run(TYPED_AT)
    busy.timeline.run(TYPED_AT)
    busy.type(b"xy")
    busy.timeline.run(END)
    log, state = reference(1)
    assert list(busy.machine.log) == log
    assert busy.state() == state


def test_going_ahead_over_checkpoints_brings_all_of_the_console_output() -> None:
    busy = Busy(1, spacing=100)
    busy.timeline.run(END)
    printed = busy.machine.devices.output
    busy.timeline.seek(busy.machine.log[2].moment)
    busy.timeline.seek(Moment(END))
    assert busy.machine.devices.output == printed


# Code changed by the host


def poked(cpus: int) -> tuple[Machine, Guest]:
    """All CPUs run the same loop: ``inc %rax`` and a jump back."""
    guest = Guest()
    for number in range(1, cpus):
        guest.code.hypercall(2, number, "loop")
    guest.code.mov("rax", 0).label("loop").op("inc %rbx").jmp("loop")
    return guest.boot(cpus=cpus, ram_size=2 << 20), guest


@pytest.mark.parametrize("cpus", [1, 3])
def test_changed_code_is_seen_by_every_engine_at_once(cpus: int) -> None:
    machine, guest = poked(cpus)
    machine.run(20_000)
    place = guest.address("loop")
    machine.text_poke(place, b"\x48\xff\xc8", symbol="loop")  # dec %rax
    before = [machine.registers(number) for number in range(cpus)]
    machine.run(40_000)
    after = [machine.registers(number) for number in range(cpus)]
    assert all(new["rax"] != old["rax"] for old, new in zip(before, after, strict=True))
    assert all(abs(new["rbx"] - old["rbx"]) <= 1 for old, new in zip(before, after, strict=True))
    poke = machine.log[-1]
    assert (poke.kind, poke.fields["old"], poke.fields["new"]) == ("text.poke", b"\x48\xff\xc3", b"\x48\xff\xc8")


def test_going_back_over_a_change_of_code_runs_the_old_code() -> None:
    machine, guest = poked(1)
    timeline = Timeline(machine)
    timeline.run(1_000)
    old = machine.registers()
    timeline.input("poke", lambda: machine.text_poke(guest.address("loop"), b"\x48\xff\xc8", symbol="loop"))
    timeline.run(2_000)
    timeline.seek(Moment(900))
    timeline.seek(Moment(1_000))
    assert machine.registers() == old
