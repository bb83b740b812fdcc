"""Which panels have room on a terminal, and how the keys of motions are counted."""

import time

import pytest

from kprobesim.lab import Lab
from kprobesim.tui.layout import layout_of
from kprobesim.tui.motions import Interrupt, Outcome
from kprobesim.tui.presses import Presses
from tests.tui.rig import LARGE, SMALL


@pytest.mark.parametrize(
    ("size", "selected", "reading", "single", "paired"),
    [
        (LARGE, "code", False, False, True),
        (LARGE, "code", True, True, True),
        ((180, 36), "code", True, False, True),
        ((120, 31), "code", False, True, True),
        (SMALL, "code", False, True, True),
        (SMALL, "verifier", False, True, False),
        (SMALL, "bpf", False, True, False),
        ((80, 36), "bpf", False, True, True),
        ((75, 36), "code", False, True, False),
    ],
)
def test_panels_stand_beside_each_other_as_far_as_they_have_room(
    size: tuple[int, int], selected: str, reading: bool, single: bool, paired: bool
) -> None:
    layout = layout_of(size, selected, reading=reading, maximised=False, large=False)
    assert (layout.single, layout.paired) == (single, paired)


def test_a_maximised_panel_is_alone_and_one_for_a_projector_may_have_its_neighbours() -> None:
    maximised = layout_of(LARGE, "code", reading=False, maximised=True, large=False)
    assert (maximised.single, maximised.paired) == (True, False)
    large = layout_of(LARGE, "code", reading=False, maximised=False, large=True)
    assert (large.single, large.paired) == (True, True)


def test_a_count_is_used_up_by_one_press_and_has_five_digits_at_most() -> None:
    def motion(lab: Lab, interrupt: Interrupt) -> Outcome:
        return Outcome()

    presses = Presses()
    assert presses.press(motion) is motion
    presses.begin_count()
    for digit in (1, 2, 3, 4, 5, 6):
        presses.add_digit(digit)
    typed = presses.count
    assert typed == "12345"
    assert presses.press(motion) is not motion
    assert presses.count is None
    assert presses.press(motion) is motion


def test_what_happened_before_another_key_was_pressed_ends_no_motion() -> None:
    made: list[Outcome] = []

    def motion(lab: Lab, interrupt: Interrupt) -> Outcome:
        made.append(Outcome())
        return made[-1]

    lab = Lab.open("tiny", boot=False)
    presses = Presses()
    presses.press(motion)
    happened = time.monotonic()
    presses.press(motion)
    presses.ended_by(motion, lambda: happened)(lab, lambda: False)
    assert not made, "the key is still held"
    presses.let_go()
    presses.press(motion)
    presses.ended_by(motion, lambda: happened)(lab, lambda: False)
    assert len(made) == 1
