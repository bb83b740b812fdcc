"""What the verifier accepts does no harm: random programs, run both ways behind a fence.

``KPROBESIM_FUZZ_PROGRAMS=200000 pytest tests/bpf/verifier/test_verifier_soundness.py`` plays that many;
``python -m tests.bpf.verifier.soundness.play`` does so without pytest and shows how far it is.
"""

import os
from dataclasses import replace

import pytest

from kprobesim.bpf import Insn, assemble
from tests.bpf.verifier.soundness.planted import ERRORS, found_after
from tests.bpf.verifier.soundness.play import Player, Trouble, play_many

PROGRAMS = int(os.environ.get("KPROBESIM_FUZZ_PROGRAMS", "400"))


@pytest.mark.timeout(0)
def test_accepted_programs_keep_to_their_own() -> None:
    tally = play_many(PROGRAMS, seed=7)
    assert tally["accepted"] > PROGRAMS // 4
    assert tally["refused"] > PROGRAMS // 4


class _Credulous(Player):
    """Accepts everything, to see that the fence holds."""

    def verify(self, insns: tuple[Insn, ...], metas: object) -> object:  # type: ignore[override]
        verdict = super().verify(assemble("r0 = 0\n" * (len(insns) - 1) + "exit\n").insns, [])
        return replace(verdict, _again=None)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("r0 = *(u64 *)(r10 -8)\nexit\n", "the interpreter says"),
        ("*(u64 *)(r1 +0) = 0\nr0 = 0\nexit\n", "the interpreter says"),
        ("r1 = 0x1000ll\nr0 = *(u64 *)(r1 +0)\nexit\n", "the interpreter says"),
    ],
)
def test_the_fence_notices_what_must_not_be(text: str, what: str) -> None:
    with pytest.raises(Trouble, match=what):
        _Credulous().play(assemble(text).insns, [bytes(168)])


@pytest.mark.parametrize(
    "name",
    [
        "boundary_of_a_decided_jump",
        "subtraction_of_bits_without_borrow",
        "negation_changes_nothing",
        "one_byte_too_many",
        "lookup_never_null",
        "every_store_counts_as_zero",
        "records_need_not_be_given_back",
        "references_not_compared",
        "loops_that_may_not_end",
    ],
)
def test_a_planted_error_is_found(name: str) -> None:
    assert found_after(ERRORS[name], 600, seed=1) is not None


def test_planting_leaves_the_verifier_as_it_was() -> None:
    found_after(ERRORS["negation_changes_nothing"], 20, seed=1)
    play_many(20, seed=1)
