"""The words: nothing is missing in one language, every action and panel has its texts, widths are counted in cells."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from kprobesim.lab import Grain, Phase
from kprobesim.tui.actions import ACTIONS, PANELS, Place, entries
from kprobesim.tui.cells import fit, fit_right, row, wrap
from kprobesim.tui.motions import read_place
from kprobesim.tui.wording import TEXTS

WORDS = st.text(alphabet=string.ascii_letters + " ，。内核命中：（）", max_size=60)


def test_both_languages_have_the_same_texts_with_the_same_gaps() -> None:
    english, chinese = TEXTS.keys("en"), TEXTS.keys("zh")
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert _gaps(text) == _gaps(chinese[key]), key


def _gaps(text: str) -> set[str | None]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_every_action_panel_phase_and_grain_has_its_texts() -> None:
    keys = TEXTS.keys("en")
    wanted = [
        f"action.{entry.id}.{part}" for place in ACTIONS for entry in entries(place) for part in ("title", "help")
    ]
    wanted += [f"panel.{name}.{part}" for name in PANELS for part in ("title", "help")]
    wanted += [f"phase.{phase.name}" for phase in Phase]
    wanted += [f"grain.{grain.value}" for grain in Grain]
    assert [key for key in wanted if key not in keys] == []


@pytest.mark.parametrize("place", ACTIONS)
def test_no_key_is_bound_twice_on_one_screen(place: Place) -> None:
    keys = [key for entry in entries(place) for key in entry.keys.split("  ")]
    assert len(keys) == len(set(keys))


@given(WORDS, st.integers(2, 40))
def test_fitted_text_is_exactly_as_wide_as_asked(text: str, width: int) -> None:
    assert cell_len(fit(text, width)) == width
    assert cell_len(fit_right(text, width)) == width
    assert row(width, text, ("x", "bold")).cell_length == width


@given(WORDS, st.integers(2, 40))
def test_wrapped_lines_fit_and_lose_nothing_but_spaces(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_chinese_breaks_between_characters_but_not_before_a_full_stop() -> None:
    assert wrap("看清内核。", 8) == ["看清内", "核。"]
    assert wrap("a probe 命中了", 12) == ["a probe 命中", "了"]
    assert wrap("放在 %di、%si 里", 10) == ["放在 %di、", "%si 里"]
    assert wrap("过了五成 50%", 11) == ["过了五成", "50%"]


@pytest.mark.parametrize(
    ("typed", "place"),
    [("1,234", ("event", 1234)), ("i25", ("instruction", 25)), ("24.6ms", ("time", 24.6e6)), ("3 us", ("time", 3e3))],
)
def test_places_are_read_as_people_write_them(typed: str, place: tuple[str, float]) -> None:
    assert read_place(typed) == pytest.approx(place) if place[0] == "time" else read_place(typed) == place


def test_a_long_path_breaks_behind_its_slashes_and_a_short_one_does_not() -> None:
    path = "/sys/kernel/tracing/events/kprobes/my/enable"
    assert wrap(f"Write 1 to {path}.", 40) == [
        "Write 1 to /sys/kernel/tracing/events/",
        "kprobes/my/enable.",
    ]
    assert wrap("the read and write/read calls", 22) == ["the read and", "write/read calls"]
