"""What the verifier accepts does no harm: random programs, run both ways behind a fence.

``KPROBESIM_FUZZ_PROGRAMS=200000 pytest tests/bpf/verifier/test_verifier_soundness.py`` plays that many;
``python -m tests.bpf.verifier.soundness.play`` does so without pytest and shows how far it is.
"""

import os

import pytest

from kprobesim.bpf import Insn, assemble
from kprobesim.bpf.verifier import prune, region
from kprobesim.bpf.verifier.env import Env
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
        return super().verify(assemble("r0 = 0\n" * (len(insns) - 1) + "exit\n").insns, [])


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


def test_a_verifier_that_allows_a_byte_too_much_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    inside = region._inside

    def loose(env: Env, regno: int, off: int, size: int, limit: int, zero_ok: bool) -> bool:
        return inside(env, regno, off, size, limit + 1, zero_ok)

    monkeypatch.setattr(region, "_inside", loose)
    with pytest.raises(Trouble, match="where no memory is"):
        play_many(40, seed=8)


def test_a_verifier_that_prunes_too_much_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prune, "_regsafe", lambda env, old, cur, ids: True)
    with pytest.raises(Trouble):
        play_many(40, seed=8)
