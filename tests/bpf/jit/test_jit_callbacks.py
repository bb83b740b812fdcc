"""Machine code whose helpers call functions of the program, and that writes into a ring mapped twice."""

import pytest

from kprobesim.bpf import BpfFault, RunError
from tests.bpf.jit.jit_rig import build_jit_rig
from tests.bpf.test_bpf_helper_kinds import FOR_EACH, LOOP, NESTED, RESERVE


def test_a_loops_function_is_called_by_the_cpu() -> None:
    """V12."""
    assert build_jit_rig(LOOP.format(count=10, flags=0, stop=99)).run() == 10 << 16 | 45
    assert build_jit_rig(LOOP.format(count=10, flags=0, stop=3)).run() == 4 << 16 | 6


def test_callbacks_nest() -> None:
    assert build_jit_rig(NESTED).run() == 10


def test_elements_are_visited() -> None:
    rig = build_jit_rig(FOR_EACH.format(kind="hash"))
    keys = [n.to_bytes(4, "little") for n in range(4)]
    for key in keys:
        rig.maps["counts"].update_elem(key, bytes(8))
    assert rig.run() == 4 << 16 | 6
    assert {rig.maps["counts"].read_value(key) for key in keys} == {(1).to_bytes(8, "little")}


def test_a_loop_without_end_uses_the_budget_up() -> None:
    rig = build_jit_rig(LOOP.format(count=5_000_000, flags=0, stop=-1), budget=20_000)
    with pytest.raises(RunError):
        rig.run()


def test_a_callback_that_is_no_function_is_a_fault() -> None:
    rig = build_jit_rig("r1 = 3\nr2 = 0x1234 ll\nr3 = 0\nr4 = 0\ncall loop\nexit")
    with pytest.raises(BpfFault):
        rig.run()


def test_the_cpu_writes_into_the_ring() -> None:
    rig = build_jit_rig(RESERVE.format(end="ringbuf_submit"))
    ring = rig.maps["ring"]
    for _ in range(500):
        assert rig.run() == 1
        assert ring.consume() == [(77).to_bytes(8, "little") * 2]  # type: ignore[attr-defined]
