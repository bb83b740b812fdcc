"""Instructions and encodings as Linux 6.1 took, printed, ran or refused them; the captured log, where it is at hand.

The programs that were taken are assembled from the very lines the kernel printed of them.
"""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from kprobesim.bpf import Insn, assemble, decode, encode
from kprobesim.bpf.batch import run_hex
from kprobesim.bpf.verifier import LEVEL2, MapMeta, Verdict, verify

_CAPTURED = Path(__file__).resolve().parents[4] / "shared" / "acceptance" / "linux-6.1" / "11_bpf_isa.txt"
_LINE = re.compile(r"(\d+): \([0-9a-f]{2}\) (.*?)(?:\s*; .*)?")
_JUMP = re.compile(r"goto pc\+([0-9]+)")
_POINTER = re.compile(r"0xff[0-9a-f]{14}")
_NEVER_PRINTED = "exit"
"""Instructions that were jumped over are in no log."""

EXIT = "9500000000000000"
REFUSED = {
    "unknown opcode 0xff": "ff00000000000000" + EXIT,
    "unknown opcode 0x06": "0600000000000000" + EXIT,
    "BPF_ALU reserved field: mov": "b701000000000000" + "bf10080000000000" + EXIT,
    "signed div": "b700000007000000" + "3700010002000000" + EXIT,
    "register 11": "b70b000000000000" + EXIT,
    "lddw second half": "1800000001000000" + "b700000000000000" + EXIT,
    "lddw last insn": "1800000001000000",
    "jump into middle of lddw": "b700000000000000"
    + "0500010000000000"
    + "1800000001000000"
    + "0000000000000000"
    + EXIT,
    "empty program": "",
    "exit with r1 dest set": "b700000000000000" + "9501000000000000",
    "call with src_reg=1": "b700000000000000" + "8510000000000000" + EXIT,
    "store imm to r10-520": "7a0af8fd00000000" + "b700000000000000" + EXIT,
    "endian bad size 24": "b700000001000000" + "d400000018000000" + EXIT,
}


class Captured(NamedTuple):
    title: str
    errno: int
    log: str
    retval: int | None


def captured() -> list[Captured]:
    sections = re.split(r"^## ", _CAPTURED.read_text(encoding="utf-8"), flags=re.M)[1:]
    found = []
    for section in sections:
        title, load, rest = re.sub(r"\n(#####|\[oracle).*\n*", "\n", section).split("\n", 2)
        log, _, run = rest.partition("RUN: ")
        errno = re.search(r"errno=(\d+)", load)
        retval = re.match(r"retval=(0x[0-9a-f]+)", run)
        found.append(
            Captured(title, int(errno[1]) if errno else 0, log.rstrip("\n"), int(retval[1], 16) if retval else None)
        )
    return found


def from_the_log(log: str) -> tuple[Insn, ...]:
    """The program whose instructions the kernel printed."""
    printed: dict[int, str] = {}
    for line in log.split("\n"):
        match = _LINE.fullmatch(line)
        if match:
            printed.setdefault(int(match[1]), _POINTER.sub("map values", match[2]))
    insns: list[Insn] = []
    declared = ".map values array key=4 value=8 max_entries=4\n"
    jumped_to = [number + 1 + int(far[1]) for number, text in printed.items() if (far := _JUMP.search(text))]
    while len(insns) <= max([*printed, *jumped_to]):
        insns += assemble(declared + printed.get(len(insns), _NEVER_PRINTED) + "\n").insns
    return tuple(insns)


def verdict_on(insns: tuple[Insn, ...]) -> Verdict:
    values = MapMeta("array", 4, 8, 4, name="values", address=0xFF11000000000000)
    return verify(insns, "socket_filter", lambda slot, insn: values, log_level=LEVEL2)


@pytest.fixture(scope="module")
def cases() -> list[Captured]:
    if not _CAPTURED.is_file():
        pytest.skip(f"the captured logs are not in {_CAPTURED.parent}")
    return captured()


def test_what_was_taken_is_taken_with_the_same_log(cases: list[Captured]) -> None:
    taken = [case for case in cases if not case.errno]
    assert len(taken) == 27
    for case in taken:
        verdict = verdict_on(from_the_log(case.log))
        assert _POINTER.sub("PTR", verdict.log).rstrip("\n") == _POINTER.sub("PTR", case.log), case.title


def test_what_was_refused_is_refused_with_the_same_words_and_errno(cases: list[Captured]) -> None:
    refused = [case for case in cases if case.errno]
    assert len(refused) == len(REFUSED)
    for case in refused:
        code = next(code for title, code in REFUSED.items() if case.title.startswith(title))
        verdict = verdict_on(tuple(decode(bytes.fromhex(code))))
        assert (verdict.errno, verdict.log.rstrip("\n")) == (case.errno, case.log), case.title


def test_what_ran_returns_the_same(cases: list[Captured]) -> None:
    """Of programs that need no packet and no map, and that do not return an address."""
    outside = ("LD_ABS", "array map", "mov r0,r10")
    inside = [case for case in cases if case.retval is not None and not case.title.startswith(outside)]
    assert len(inside) == 23
    for case in inside:
        code = encode(from_the_log(case.log)).hex()
        for engine in ("interp", "jit"):
            assert run_hex(code, engine=engine) & 0xFFFFFFFF == case.retval, (case.title, engine)
