"""Verify a few lines of assembly and look at what was said."""

from typing import Any

from kprobesim.bpf import assemble
from kprobesim.bpf.verifier import LEVEL2, Verdict, verify_assembly

MAPS = """
.map counts hash key=8 value=16 max_entries=4
.map table array key=4 value=48 max_entries=1
.map readonly array key=4 value=48 max_entries=1 flags=0x80
.map ring ringbuf key=0 value=0 max_entries=4096
.map jumps prog_array key=4 value=4 max_entries=4
.map stacks stack_trace key=4 value=8 max_entries=1
"""

LOOKUP = """
    *(u64 *)(r10 -8) = 0
    r2 = r10
    r2 += -8
    r1 = map counts
    call bpf_map_lookup_elem
"""
"""R0 is a value of ``counts``, 16 bytes, or NULL."""


def check(text: str, **options: Any) -> Verdict:
    options.setdefault("log_level", LEVEL2)
    return verify_assembly(assemble(MAPS + text), **options)


def message(verdict: Verdict) -> str:
    """The log's last line before the figures, for a rejected program."""
    assert verdict.rejected is not None, verdict.log
    lines = [line for line in verdict.log.splitlines() if line]
    assert lines[-1].startswith("processed ")
    assert verdict.rejected.message == lines[-2]
    return lines[-2]


def accepted(text: str, **options: Any) -> Verdict:
    verdict = check(text, **options)
    assert verdict.rejected is None, verdict.log
    return verdict


def refused(text: str, expected: str, errno: int = 13, **options: Any) -> Verdict:
    verdict = check(text, **options)
    assert message(verdict) == expected
    assert verdict.errno == errno
    return verdict
