"""Constant blinding. Linux kernel/bpf/core.c: bpf_jit_blind_insn."""

import pytest
from click.testing import CliRunner

from kprobesim.bpf import Insn, Level, listing
from kprobesim.bpf.jit import blind_constants
from kprobesim.cli.bpf import command
from tests.bpf.jit.jit_rig import insns_of

MASK = 0x1000

CASES = [
    ("r1 += 1", ["r11 = 4097", "r11 ^= 4096", "r1 += r11"]),
    ("w1 /= 16", ["w11 = 4112", "w11 ^= 4096", "w1 /= w11"]),
    ("r1 s/= 16", ["r11 = 4112", "r11 ^= 4096", "r1 s/= r11"]),
    ("r1 = 0", ["r1 ^= r1"]),
    ("w1 = 0", ["r1 ^= r1"]),
    ("w1 = -1", ["w11 = -4097", "w11 ^= 4096", "w1 = w11"]),
    ("*(u8 *)(r10 -1) = 2", ["r11 = 4098", "r11 ^= 4096", "*(u8 *)(r10 -1) = r11"]),
    (
        "r1 = 0x100000002 ll",
        ["r11 = 4097", "r11 ^= 4096", "r11 <<= 32", "r1 = r11", "w11 = 4098", "w11 ^= 4096", "r1 |= r11"],
    ),
    ("r1 <<= 3", ["r1 <<= 3"]),
    ("r1 += r2", ["r1 += r2"]),
    ("exit", ["exit"]),
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_constants_are_made_in_ax(text: str, expected: list[str]) -> None:
    blinded = blind_constants(insns_of(text), lambda: MASK).insns
    assert [line.partition(") ")[2] for line in listing(blinded, Level.V4).splitlines()] == expected


def test_jumps_are_blinded_and_move_along() -> None:
    insns = insns_of("l: r1 += 5; if r1 == 5 goto l; if w1 & 3 goto +1; goto +0; exit")
    blinded, origin = blind_constants(insns, lambda: MASK)
    assert origin == (0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 4)
    assert blinded[5] == Insn(0x1D, 1, 11, -6)
    assert blinded[6:9] == (Insn(0xB4, 11, imm=0x1003), Insn(0xA4, 11, imm=0x1000), Insn(0x4E, 1, 11, 1))


def test_the_verifiers_own_ax_is_left_alone() -> None:
    insns = (Insn(0x07, 11, imm=1), Insn(0x18, 1, 4, 0, 1), Insn(0))
    assert blind_constants(insns, lambda: MASK).insns == insns


def test_the_constant_is_nowhere_in_the_code() -> None:
    program = "b4000000 58585858 9500000000000000"
    plain = CliRunner().invoke(command, ["jit"], input=program).output
    blinded = CliRunner().invoke(command, ["jit", "--harden", "7"], input=program).output
    assert "58 58 58 58" in plain and "58 58" not in blinded
    assert blinded == CliRunner().invoke(command, ["jit", "--harden", "7"], input=program).output
