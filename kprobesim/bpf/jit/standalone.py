"""Unchecked programs on a bench, one after another: what ``bpf exec --jit`` and ``bpf batch`` ask for."""

from functools import lru_cache

from kprobesim.bpf.check import subprograms
from kprobesim.bpf.compiler import MAX_CALL_FRAMES
from kprobesim.bpf.environment import BenchEnvironment
from kprobesim.bpf.jit.bench import Bench, JitedProgram
from kprobesim.bpf.memory import FlatMemory
from kprobesim.bpf.program import Program

__all__ = ["run_jited"]

_BASE = 0xFFFF_8880_0001_0000
_PAGE = 4096
_FRAMES_BELOW = 1 << 14
"""For functions that functions call, with what each pushes."""
_ABOVE = 16


@lru_cache(maxsize=1)
def _bench(size: int) -> Bench:
    # Making the CPU takes longer than most programs run.
    return Bench(FlatMemory(_BASE, size))


def run_jited(program: Program, content: bytes, size: int, stack: int) -> int:
    """Run once; R0. R1 is the address of ``size`` bytes that begin with ``content`` (0 without), R2 their number.

    Args:
        program: of any level.
        content: first bytes of the memory; the rest is zero.
        size: bytes of memory.
        stack: bytes of stack of each function.

    Raises:
        RunError: see JitedProgram.run.
        JitError: see jit_insns.
    """
    functions = len(subprograms(program.insns))
    stack_top = _BASE + _FRAMES_BELOW + (stack + 7 & ~7) * min(functions, MAX_CALL_FRAMES)
    data = stack_top + _ABOVE
    needed = data + size - _BASE
    bench = _bench(1 << max(needed - 1, _PAGE).bit_length())
    bench.memory.write(_BASE, bytes(needed))
    bench.memory.write(data, content)
    bench.clear()
    jited = JitedProgram(program, bench, BenchEnvironment(), stack_depth=stack)
    return jited.run(data if size else 0, stack_top, size)
