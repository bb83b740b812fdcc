"""Stepping: the five grains forwards and backwards are mirrors, and no path to a moment changes what is there."""

import functools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kprobesim.lab import Grain, Lab, Moment
from tests.lab.experiment import State, only, rested, rich, state_of

SLOW = settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
GRAINS = st.sampled_from(list(Grain))
WALKS = st.lists(st.tuples(GRAINS, st.booleans()), min_size=1, max_size=6)


@functools.cache
def life(cpus: int = 1) -> Lab:
    """One life for all walks; they only look."""
    return rich(cpus)


@functools.cache
def hit_places(cpus: int) -> list[Moment]:
    """Before each hit but the last few: what follows those is not the same each time, see the test of flags."""
    lab = life(cpus)
    hits = [Moment(event.moment.insn) for event in lab.events() if event.kind in ("kprobe.hit", "rethook.handler")]
    return hits[:-3]


@functools.cache
def truth(cpus: int) -> dict[Moment, State]:
    """The state at each moment that a walk came by, as first seen."""
    return {}


def see(lab: Lab, cpus: int) -> tuple[Moment, bool]:
    """Where the machine is; the state there must be the same each time."""
    place = lab.moment, lab.machine.frozen is not None
    if lab.machine.frozen is not None or lab.moment.event == 0:
        now = state_of(lab)
        assert truth(cpus).setdefault(lab.moment, now) == now
    return place


@pytest.mark.parametrize("cpus", [1, 2, 4])
@pytest.mark.parametrize("grain", list(Grain))
@SLOW
@given(data=st.data())
def test_n_steps_forward_and_n_back_visit_the_same_moments_in_the_same_states(
    data: st.DataObject, grain: Grain, cpus: int
) -> None:
    lab = life(cpus)
    place = data.draw(st.sampled_from(hit_places(cpus)))
    lab.seek(Moment(place.insn + data.draw(st.integers(-60, 120))))
    lab.step(grain)
    forward = [see(lab, cpus)]
    for _ in range(data.draw(st.integers(1, 8))):
        if not lab.step(grain):
            break
        forward.append(see(lab, cpus))
    backward = [forward[-1]]
    for _ in forward[1:]:
        assert lab.step(grain, back=True)
        backward.append(see(lab, cpus))
    assert backward == forward[::-1]


@pytest.mark.parametrize("cpus", [1, 2])
@SLOW
@given(data=st.data())
def test_walks_of_all_grains_and_seeks_meet_the_same_states_and_lose_no_event(data: st.DataObject, cpus: int) -> None:
    lab = life(cpus)
    events = lab.events()
    known = [event for event in events if lab.start <= event.moment.insn <= hit_places(cpus)[-1].insn]
    lab.seek(data.draw(st.sampled_from(hit_places(cpus))))
    for grain, back in data.draw(WALKS):
        before = lab.moment
        moved = lab.step(grain, back=back)
        see(lab, cpus)
        assert lab.moment == before or (lab.moment < before) == back
        assert moved or lab.moment == before
        if data.draw(st.booleans()):
            here = lab.moment
            lab.seek(data.draw(st.sampled_from(known)))
            see(lab, cpus)
            lab.seek(here)
            see(lab, cpus)
    assert lab.events() == events


@SLOW
@given(place=st.integers(-80, 200), grain=GRAINS)
def test_a_step_back_after_a_step_forward_jumps_over_nothing(place: int, grain: Grain) -> None:
    lab = life()
    lab.seek(Moment(hit_places(1)[1].insn + place))
    begin = lab.moment
    lab.step(grain)
    after = lab.moment
    lab.step(grain, back=True)
    assert lab.moment <= begin < after
    while lab.moment <= begin:
        assert lab.step(grain)
    assert lab.moment == after


def test_no_step_back_leaves_the_experiment() -> None:
    lab = life()
    for grain in Grain:
        lab.seek(lab.start)
        assert not lab.step(grain, back=True)
        assert lab.moment == Moment(lab.start)
        for _ in range(3):
            lab.step(grain)
        for _ in range(5):
            lab.step(grain, back=True)
        assert lab.moment == Moment(lab.start), grain


def test_a_step_forward_at_the_end_stays_where_nothing_more_happens() -> None:
    lab = life()
    lab.seek_end()
    end = lab.moment
    for grain in Grain:
        lab.step(grain)
        assert lab.moment.insn == end.insn


def test_steps_in_the_present_reach_what_a_run_reaches() -> None:
    """Events are the same whether the machine ran at once, or in steps with looks back."""
    ran = rich()
    stepped = rich()
    stepped.seek_end()
    for lab in (ran, stepped):
        lab.seek_end()
        lab.type("cat /etc/motd")
    ran.run()
    for number in range(12):
        stepped.step(Grain.PHASE, count=3)
        stepped.step(list(Grain)[number % 5], back=True)
    stepped.seek_end()
    stepped.run()
    assert stepped.events() == ran.events()


def test_hits_are_stepped_from_one_to_the_next() -> None:
    lab = life()
    lab.seek(lab.start)
    seen = []
    while lab.step(Grain.HIT) and lab.machine.frozen is not None:
        assert lab.last_event is not None
        seen.append(lab.last_event)
    assert seen == [event for event in lab.events() if event.kind in ("kprobe.hit", "kprobe.miss", "rethook.handler")]


def test_bpf_steps_stop_at_every_instruction_of_a_program() -> None:
    lab = life()
    lab.seek(only(lab, "bpf.enter")[0])
    pcs: list[int] = []
    while lab.last_event is not None and lab.last_event.kind != "bpf.exit":
        view = lab.bpf_view()
        assert view is not None
        if not pcs or pcs[-1] != view.pc:
            pcs.append(view.pc)
        lab.step(Grain.BPF)
    assert pcs == [0, 1, 2, 3, 4, 5, 7, 8, 12, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23]
    lab.step(Grain.BPF)
    assert lab.last_event is not None and lab.last_event.kind == "bpf.enter"
    lab.step(Grain.BPF, back=True)
    assert lab.last_event is not None and lab.last_event.kind == "bpf.exit"


def test_line_steps_stop_where_a_line_begins() -> None:
    lab = life()
    lab.seek(only(lab, "kprobe.hit")[0].moment.insn)
    for _ in range(10):
        assert lab.step(Grain.LINE)
        line = lab.source_line(lab.registers()["rip"])
        assert line is not None
        lab.step(Grain.INSTRUCTION, back=True)
        assert lab.source_line(lab.registers()["rip"]) != line
        lab.step(Grain.INSTRUCTION)


def test_a_page_fault_pushes_the_same_flags_in_a_long_run_as_in_a_step() -> None:
    lab = life()
    for event in only(lab, "gate"):
        if event.moment.insn >= lab.start and event.fields["vector"] == 14:
            lab.seek(event.moment.insn)
            pushed = int.from_bytes(event.fields["frame"][-24:-16], "little")
            assert (pushed ^ lab.registers()["rflags"]) & 0x8D5 == 0


def test_a_long_step_can_be_interrupted() -> None:
    lab = rested()
    lab.type("spin 100000 &")
    asked: list[int] = []

    def interrupt() -> bool:
        asked.append(1)
        return len(asked) > 2

    lab.step(Grain.HIT, interrupt=interrupt)
    assert len(asked) == 3
