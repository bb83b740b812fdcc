"""Converted filters on a bench: the packet in guest memory, the eBPF interpreted or as x86-64 code."""

from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING

from kprobesim.bpf.classic.interpreter import run_filter
from kprobesim.bpf.classic.program import Filter
from kprobesim.bpf.classic.seccomp import SECCOMP_DATA_SIZE, SeccompData
from kprobesim.bpf.environment import Environment
from kprobesim.bpf.interpreter import BoundInsns, Execution
from kprobesim.bpf.memory import FlatMemory, GuestMemory
from kprobesim.bpf.skb import Skb, place_skb, placed_size
from kprobesim.errors import BadInput

if TYPE_CHECKING:
    from kprobesim.bpf.jit.bench import JitedProgram

__all__ = ["LARGEST_PACKET", "Engine", "FilterBench"]

LARGEST_PACKET = 1 << 20
"""Bytes of the largest packet that fits on the bench."""

_BASE = 0xFFFF_8880_0001_0000
_STACK_TOP = _BASE + 0x2000
_CONTEXT = _BASE + 0x3000
_SIZE = 1 << 21
_JIT_SIZE = 1 << 16
_MASK32 = 0xFFFFFFFF


class Engine(Enum):
    """What runs a filter."""

    CLASSIC = "classic"
    EBPF = "ebpf"
    JIT = "jit"


class _Cpu:
    """A CPU that programs take turns on: making one takes longer than most filters run."""

    def __init__(self, size: int) -> None:
        from kprobesim.bpf.jit.bench import Bench  # the emulator takes 100 ms to import

        self.bench = Bench(FlatMemory(_BASE, size))
        self.owner: FilterBench | None = None


@lru_cache(maxsize=2)
def _cpu(size: int) -> _Cpu:
    return _Cpu(size)


class FilterBench:
    """A filter ready to run over packets, one after another.

    Args:
        program: the filter.
        env: the machine around it.
        engine: how to run it; the results are the same.
    """

    def __init__(self, program: Filter, env: Environment, engine: Engine = Engine.EBPF) -> None:
        self.program = program
        self.env = env
        self.engine = engine
        self._bound: BoundInsns | None = None
        self._jited: JitedProgram | None = None
        self._memory: FlatMemory | None = None

    def run(self, context: Skb | SeccompData) -> int:
        """What the filter returns for this packet or system call, unsigned 32 bits.

        Raises:
            BadInput: a packet of more than LARGEST_PACKET bytes, or with header offsets that no sk_buff can hold.
        """
        if self.engine is Engine.CLASSIC:
            return run_filter(self.program, context, self.env)
        if self.engine is Engine.JIT:
            return self._run_jited(context)
        bound = self._interpreted(context)
        return bound.run(_CONTEXT, _STACK_TOP) & _MASK32

    def start(self, context: Skb | SeccompData) -> Execution:
        """The converted filter, ready to be stepped."""
        return self._interpreted(context).start(_CONTEXT, _STACK_TOP)

    def _interpreted(self, context: Skb | SeccompData) -> BoundInsns:
        if self._memory is None or self._bound is None:
            self._memory = FlatMemory(_BASE, _SIZE)
            self._bound = BoundInsns(self.program, self._memory, self.env)
        _place(self._memory, context)
        return self._bound

    def _run_jited(self, context: Skb | SeccompData) -> int:
        from kprobesim.bpf.jit.bench import JitedProgram

        small = _CONTEXT + _needed(context) <= _BASE + _JIT_SIZE
        cpu = _cpu(_JIT_SIZE if small else _SIZE)
        _place(cpu.bench.memory, context)
        if self._jited is None or cpu.owner is not self:
            cpu.bench.clear()
            depth = self.program.converted.stack_depth
            self._jited = JitedProgram(self.program, cpu.bench, self.env, stack_depth=depth, from_cbpf=True)
            cpu.owner = self
        return self._jited.run(_CONTEXT, _STACK_TOP) & _MASK32


def _needed(context: Skb | SeccompData) -> int:
    return placed_size(context) if isinstance(context, Skb) else SECCOMP_DATA_SIZE


def _place(memory: GuestMemory, context: Skb | SeccompData) -> None:
    if isinstance(context, SeccompData):
        memory.write(_CONTEXT, context.encode())
        return
    size = placed_size(context)
    if size > LARGEST_PACKET:
        raise BadInput(f"The packet takes {size:,} bytes; at most {LARGEST_PACKET:,} fit on the bench.")
    place_skb(memory, _CONTEXT, context)
