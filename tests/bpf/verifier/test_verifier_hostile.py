"""Programs and requests that are meant to take long or to break something: an answer comes, and soon."""

from typing import Any

import pytest

from kprobesim.bpf import answer, assemble
from kprobesim.bpf.verifier import verify
from kprobesim.bpf.verifier.explain import explain
from kprobesim.linux_errno import Errno
from tests.bpf.verifier.bench import check

ENDLESS = "r0 = 0\nagain:\nr0 += 1\ngoto again\n"


def test_a_loop_without_end_stops_at_the_limit_of_instructions() -> None:
    verdict = check(ENDLESS, log_level=1, stop_after=5000)
    assert verdict.errno == Errno.E2BIG
    assert "BPF program is too large. Processed 5001 insn" in verdict.log


def test_a_log_that_is_full_ends_the_walk() -> None:
    verdict = check(ENDLESS, log_size=4096)
    assert verdict.errno == Errno.ENOSPC
    assert len(verdict.log) == 4095
    assert verdict.stats.insn_processed < 200


def test_figures_alone_do_not_fill_a_log() -> None:
    verdict = check("r0 = 0\nexit\n", log_level=4, log_size=4096)
    assert verdict.errno == 0
    assert "processed 2 insns" in verdict.log


def test_a_refusal_after_a_very_long_walk_is_explained_without_its_path() -> None:
    verdict = verify(assemble(ENDLESS).insns, "kprobe", log_level=0, stop_after=110_000)
    found = explain(verdict)
    assert found is not None
    assert found.message == "BPF program is too large. Processed 110001 insn"
    assert found.facts == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"maps": [1]},
        {"maps": {"0": 5}},
        {"maps": {"x": "HASH"}},
        {"maps": {"0": "NOPE"}},
        {"flags": {}},
        {"flags": float("inf")},
        {"log_level": "much"},
        {"insns": ["95"]},
        {"insns": "b7"},
        {"license": [1]},
        {"prog_type": 5},
    ],
)
def test_a_request_that_makes_no_sense_is_answered(fields: dict[str, Any]) -> None:
    reply = answer({"id": 1, "op": "verify", "insns": "b7000000000000009500000000000000"} | fields)
    assert reply["id"] == 1
    assert reply["error"]
