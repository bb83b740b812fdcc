"""Three ways to run a filter, one result; the long run: ``python -m tests.bpf.classic.agreement --count 100000``."""

import os
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bpf.classic.agreement import disagreement, random_filter, random_packet

EXAMPLES = int(os.environ.get("KPROBESIM_CLASSIC_EXAMPLES", "60"))


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 1 << 31))
def test_classic_interpreter_ebpf_and_machine_code_agree(rng: Random, seed: int) -> None:
    program = random_filter(rng)
    for _ in range(2):
        assert disagreement(program, random_packet(rng), seed) == ""
