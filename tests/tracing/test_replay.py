"""Programs and maps when time goes back behind their load."""

import pytest

from kprobesim.errors import BadInput
from tests.lab.experiment import by_pid, only, rested, state_of


def test_a_program_replayed_from_before_its_load_finds_the_maps_of_that_life() -> None:
    lab = rested()
    beginning = lab.moment.insn
    lab.load_program(by_pid(), "by_pid")
    lab.attach("by_pid", "vfs_read")
    lab.type("cat /home/notes.txt")
    lab.run()
    moments = [event.moment for event in only(lab, "map.update")]
    assert len(moments) == 3
    lives = []
    for _ in range(3):
        lab.seek(beginning)
        assert lab.maps() == ()
        life = []
        for moment in moments:
            lab.seek(moment)
            assert lab.moment == moment
            life.append(state_of(lab))
        lab.seek(moments[0])
        life.append(state_of(lab))
        lives.append(life)
    assert lives[0] == lives[1] == lives[2]


def test_programs_that_declare_a_map_alike_share_it_and_others_are_refused() -> None:
    lab = rested()
    first = ".map seen hash key=4 value=8 max_entries=4\nr0 = 0\nexit"
    lab.load_program(first, "first")
    lab.load_program(first, "second")
    assert [view.name for view in lab.maps()] == ["seen"]
    with pytest.raises(BadInput, match="map named seen"):
        lab.load_program(first.replace("key=4", "key=8"), "third")
    assert sorted(lab.bpf.programs) == ["first", "second"]
