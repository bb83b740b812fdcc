"""The interpreter and the machine code of the same programs do the same."""

from functools import cache, partial
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from kprobesim.bpf import BenchEnvironment, FlatMemory, Insn, Level, Program
from kprobesim.bpf.jit.bench import Bench, JitedProgram
from tests.bpf.jit.checked import CTX_SIZE, STACK, checked_programs

BASE = 0xFFFF_8880_0000_0000
SIZE = 0x8000
TOP = BASE + 0x4000
CTX = BASE + 0x5000
PATTERN = bytes(n * 37 & 0xFF for n in range(SIZE))


@cache
def bench() -> Bench:
    return Bench(FlatMemory(BASE, SIZE))


def program(insns: tuple[Insn, ...]) -> Program:
    return Program("random", "kprobe", insns, level=Level.V4)


def interpreted(insns: tuple[Insn, ...]) -> tuple[int, bytes, bytes, object]:
    memory, env = FlatMemory(BASE, SIZE), BenchEnvironment()
    memory.write(BASE, PATTERN)
    result = program(insns).bind(memory, env).run(CTX, TOP, CTX_SIZE)
    return result, memory.read(TOP - STACK, STACK), memory.read(CTX, CTX_SIZE), env.save()


def jited(insns: tuple[Insn, ...], seed: int | None = None) -> tuple[int, bytes, bytes, object]:
    memory, env = bench().memory, BenchEnvironment()
    memory.write(BASE, PATTERN)
    bench().clear()
    random32 = None if seed is None else partial(Random(seed).getrandbits, 32)
    result = JitedProgram(program(insns), bench(), env, random32=random32).run(CTX, TOP, CTX_SIZE)
    return result, memory.read(TOP - STACK, STACK), memory.read(CTX, CTX_SIZE), env.save()


@given(checked_programs())
@settings(max_examples=300, deadline=None)
def test_interpreter_and_machine_code_agree(insns: tuple[Insn, ...]) -> None:
    """R0 (into which all registers went), stack, context, and what the helpers left behind."""
    assert jited(insns) == interpreted(insns)


@given(checked_programs(), st.integers(0, 1 << 32))
@settings(max_examples=150, deadline=None)
def test_blinded_code_does_the_same(insns: tuple[Insn, ...], seed: int) -> None:
    """net.core.bpf_jit_harden."""
    assert jited(insns, seed) == interpreted(insns)
