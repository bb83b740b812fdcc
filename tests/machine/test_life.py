"""A life can be left for another one and taken up again."""

from hypothesis import given, settings
from hypothesis import strategies as st

from kprobesim.machine import Moment
from tests.machine.busy import Busy

END = 4_000
TYPED_AT = 1_500


def lived() -> Busy:
    busy = Busy(1)
    busy.timeline.run(TYPED_AT)
    busy.type(b"xy")
    busy.timeline.run(END)
    return busy


@settings(max_examples=30, deadline=None)
@given(st.integers(1, END), st.integers(1, END), st.booleans(), st.integers(0, 3))
def test_a_life_taken_up_again_is_the_same_to_the_byte(here: int, there: int, types: bool, events: int) -> None:
    busy = lived()
    timeline = busy.timeline
    timeline.seek(Moment(here, events) if events else Moment(here))
    life, moment, state, log = timeline.life(), busy.machine.moment, busy.state(), list(busy.machine.log)
    timeline.seek(Moment(there))
    if types:
        busy.type(b"another life")
    timeline.run(END + 500)
    timeline.live(life)
    assert busy.machine.moment == moment
    assert busy.state() == state
    assert list(busy.machine.log)[: len(log)] == log
    assert timeline.inputs == list(life.inputs)
