"""What the host does later: when it comes, and that it comes again on every way to the same moment."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kprobesim.machine import Machine, Moment, Stop, Timeline
from tests.guests.board import Guest

NS = 20


class Clockwork:
    """Counts how often it was called, and asks to be called again."""

    def __init__(self, machine: Machine, period: int, times: int) -> None:
        self.machine, self.period, self.times = machine, period, times
        self.called = 0

    def wind(self) -> None:
        self.machine.schedule(self.machine.ns + self.period, self.tick)

    def tick(self) -> None:
        self.called += 1
        self.machine.emit("input", text=f"tick {self.called}")
        if self.called < self.times:
            self.wind()

    def save(self) -> object:
        return self.called

    def restore(self, state: Any) -> None:
        self.called = state


def counting() -> Guest:
    """A guest that counts in RAX for ever."""
    guest = Guest()
    guest.code.label("loop").op("inc %rax").jmp("loop")
    return guest


def wound(period: int = 1_000, times: int = 5) -> tuple[Timeline, Clockwork]:
    machine = counting().boot()
    clockwork = Clockwork(machine, period, times)
    timeline = Timeline(machine, [clockwork])
    timeline.input("wind", clockwork.wind)
    return timeline, clockwork


def test_work_comes_at_its_instant_and_takes_the_place_of_one_instruction() -> None:
    timeline, clockwork = wound(period=1_000 * NS, times=1)
    machine = timeline.machine
    timeline.run(1_000)
    assert clockwork.called == 0
    before = machine.registers()
    timeline.run(1_001)
    assert clockwork.called == 1
    assert machine.registers() == before
    assert machine.ns == 1_001 * NS


def test_of_two_pieces_for_one_instant_the_one_asked_for_first_comes_first() -> None:
    machine = counting().boot()
    told: list[str] = []
    machine.schedule(100, lambda: told.append("first"))
    machine.schedule(100, lambda: told.append("second"))
    machine.schedule(50, lambda: told.append("earlier"))
    machine.run(100)
    assert told == ["earlier", "first", "second"]


def test_work_that_was_cancelled_does_not_come() -> None:
    timeline, clockwork = wound()
    timeline.input("stop", lambda: timeline.machine.cancel(clockwork.tick))
    timeline.run(10_000)
    assert clockwork.called == 0


def test_while_all_cpus_wait_the_clock_skips_to_the_work() -> None:
    guest = Guest()
    guest.code.op("cli", "hlt")
    machine = guest.boot()
    clockwork = Clockwork(machine, 1_000_000, 3)
    timeline = Timeline(machine, [clockwork])
    timeline.input("wind", clockwork.wind)
    assert timeline.run(10_000) is Stop.IDLE
    assert clockwork.called == 3
    assert machine.ns >= 3_000_000


def test_what_is_done_after_idle_work_is_done_after_it_again() -> None:
    """An input after the work must not come before it when the past is lived again."""
    guest = Guest()
    guest.code.op("cli", "hlt")
    machine = guest.boot()
    clockwork = Clockwork(machine, 1_000_000, 1)
    timeline = Timeline(machine, [clockwork])
    timeline.input("wind", clockwork.wind)
    timeline.run(10_000)
    order: list[int] = []
    timeline.input("look", lambda: order.append(clockwork.called))
    log = list(machine.log)
    timeline.seek(Moment(0))
    assert clockwork.called == 0
    timeline.seek_end()
    assert list(machine.log) == log
    assert order == [1, 1]


def test_a_held_cpu_stays_where_it_is_and_the_others_go_on() -> None:
    machine = counting().boot()
    machine.cpus[0].held = True
    assert machine.run(100) is Stop.IDLE
    state = machine.save()
    machine.cpus[0].held = False
    machine.run(100)
    machine.restore(state)
    assert machine.cpus[0].held


@settings(max_examples=30, deadline=None)
@given(
    period=st.integers(1, 3_000),
    cuts=st.lists(st.integers(1, 700), max_size=8),
    journey=st.lists(st.integers(0, 4_000), max_size=5),
)
def test_however_a_run_is_cut_and_travelled_the_work_comes_at_the_same_moments(
    period: int, cuts: list[int], journey: list[int]
) -> None:
    plain, _ = wound(period=period, times=20)
    plain.run(4_000)
    events = list(plain.machine.log)
    timeline, clockwork = wound(period=period, times=20)
    for cut in cuts:
        timeline.run(timeline.machine.retired + cut)
    timeline.run(4_000)
    for place in journey:
        timeline.seek(Moment(place))
        assert clockwork.called == sum(event.moment.insn < place for event in events[1:])
    timeline.seek_end()
    assert list(timeline.machine.log) == events
    assert timeline.machine.registers() == plain.machine.registers()
