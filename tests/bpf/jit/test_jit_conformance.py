"""The conformance programs that the project is measured with, where they are at hand."""

import json
from pathlib import Path

import pytest

from kprobesim.bpf import answer

CASES = Path(__file__).resolve().parents[4] / "shared" / "acceptance" / "conformance.jsonl"


@pytest.mark.skipif(not CASES.exists(), reason=f"{CASES.name} is not beside this checkout")
def test_conformance() -> None:
    failed = []
    count = 0
    with CASES.open() as lines:
        for case in map(json.loads, lines):
            if case["request"].get("engine") != "jit":
                continue
            count += 1
            if int(answer(case["request"]).get("r0", "-1"), 16) != case["expect"]["r0"]:
                failed.append(case["name"])
    assert count > 300
    assert not failed
