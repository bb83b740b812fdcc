"""The assembler's ``.map``: all kinds, flags by name, sizes that go without saying."""

import pytest

from kprobesim.bpf import AsmError, MapSpec, assemble
from kprobesim.bpf.maps import CREATABLE, MapFlag, create_maps
from tests.bpf.mapping import Ground

LINES = """
    .map h hash key=4 value=8 max_entries=64 flags=BPF_F_NO_PREALLOC|rdonly
    .map q queue value=8 max_entries=4
    .map r ringbuf max_entries=4096
    .map u user_ringbuf max_entries=4096
    .map j prog_array max_entries=2
    .map e perf_event_array max_entries=2
    .map b bloom_filter value=8 max_entries=10 map_extra=3
    .map o array_of_maps max_entries=2 inner=h
    .map p hash_of_maps key=8 max_entries=2 inner=h
    .map s stack_trace key=4 value=64 max_entries=8 flags=0x8
    exit
"""


def test_every_kind_of_map_can_be_declared_and_made() -> None:
    maps = {spec.name: spec for spec in assemble(LINES).maps}
    assert maps["h"].flags == MapFlag.NO_PREALLOC | MapFlag.RDONLY
    assert maps["q"] == MapSpec("queue", 0, 8, 4, name="q")
    assert maps["r"] == MapSpec("ringbuf", 0, 0, 4096, name="r")
    assert maps["b"].map_extra == 3
    assert (maps["o"].inner, maps["p"].key_size, maps["p"].value_size) == ("h", 8, 4)
    ground = Ground()
    made = create_maps(maps.values(), ground.memory, ground.arena, ground.host)
    assert [m.id for m in made] == list(range(1, 11))
    assert {m.spec.type for m in made} <= CREATABLE


WRONG = [
    (".map m hash key=4 value=8 max_entries=4 flags=NO_PREALOC", "NO_PREALLOC"),
    (".map m hash key=4 value=8 max_entries=4 flags=RDONLY|", "flag"),
    (".map m array_of_maps max_entries=2 inner=none", "there is no map"),
    (".map m queue max_entries=2", "lacks value="),
    (".map m hash value=8 max_entries=2", "lacks key="),
]


@pytest.mark.parametrize(("line", "said"), WRONG)
def test_mistakes_are_pointed_at(line: str, said: str) -> None:
    with pytest.raises(AsmError) as error:
        assemble(line)
    assert said in str(error.value)


def test_a_function_of_the_program_is_named_by_its_label() -> None:
    by_name = assemble("r2 = func body\nr0 = 0\nexit\nbody:\nr0 = 0\nexit")
    by_distance = assemble("r2 = func[pc+3]\nr0 = 0\nexit\nr0 = 0\nexit")
    assert by_name.insns == by_distance.insns
