"""Verdicts and logs captured from a real Linux 6.1, played through the batch mode, where the files are at hand."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from kprobesim.bpf import answer

_CASES = Path(__file__).resolve().parents[4] / "shared" / "acceptance"
_POINTER = re.compile(r"0x(?:ff[0-9a-f]{14}|[0-9a-f]{16})")
_BACKTRACKING = re.compile(r"^(last_idx|regs=|parent |propagating|falling back)")
_FLOOR = {"verdict": 1.0, "errno": 1.0, "message": 1.0, "processed": 1.0, "states": 1.0, "log": 1.0}


def _mask(log: str) -> str:
    return _POINTER.sub("PTR", log)


def _message(log: str) -> str:
    lines = [line for line in log.split("\n") if line and not line.startswith("processed")]
    return _mask(lines[-1]) if lines else ""


def _states(log: str) -> list[str]:
    return [line for line in _mask(log).split("\n") if line and not _BACKTRACKING.match(line)]


def _judge(expect: dict[str, Any], got: dict[str, Any]) -> dict[str, bool]:
    marks = {
        "verdict": (expect["errno"] == 0) == (got["errno"] == 0),
        "errno": expect["errno"] == got["errno"],
    }
    if not expect["log_truncated"]:
        log, wanted = got["log"], expect["log"]
        if expect["errno"]:
            marks["message"] = _message(log) == _message(wanted)
        figures = [re.findall(r"processed (\d+) insns", text) for text in (log, wanted)]
        marks["processed"] = figures[0] == figures[1]
        marks["states"] = _states(log) == _states(wanted)
        marks["log"] = _mask(log) == _mask(wanted)
    return marks


@pytest.mark.parametrize("name", ["verifier", "align"])
def test_the_captured_cases_come_out_the_same(name: str) -> None:
    """V1 to V13 at once."""
    path = _CASES / f"{name}.jsonl"
    if not path.is_file():
        pytest.skip(f"the captured cases are not in {_CASES}")
    passed: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for line in path.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        for tier, ok in _judge(case["expect"], answer(case["request"])).items():
            passed[tier] += ok
            total[tier] += 1
    assert total["verdict"]
    assert {tier: passed[tier] / total[tier] >= floor for tier, floor in _FLOOR.items() if total[tier]} == {
        tier: True for tier in _FLOOR if total[tier]
    }
