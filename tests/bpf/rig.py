"""A bench to run programs on: 1 MiB of memory at a kernel-like address, an arena in it, a still environment."""

from dataclasses import dataclass

from kprobesim.bpf import (
    Arena,
    BenchEnvironment,
    BoundProgram,
    BpfMap,
    FlatMemory,
    Level,
    Program,
    assemble,
    create_maps,
)
from kprobesim.bpf.memory import GuestMemory

BASE = 0xFFFF_8880_0000_0000
CTX = BASE + 0x2000
TOP = BASE + 0x2000
ARENA = BASE + 0x4000
SIZE = 1 << 20


class CalledMemory:
    """The same memory without its window, so that every access is a call."""

    def __init__(self, flat: FlatMemory) -> None:
        self.flat = flat

    def read(self, addr: int, size: int) -> bytes:
        return self.flat.read(addr, size)

    def write(self, addr: int, data: bytes) -> None:
        self.flat.write(addr, data)


@dataclass
class Rig:
    program: Program
    memory: FlatMemory
    arena: Arena
    env: BenchEnvironment
    maps: dict[str, BpfMap]
    bound: BoundProgram

    def run(self) -> int:
        return self.bound.run(CTX, TOP)


def build_rig(text: str, *, level: Level = Level.V3, budget: int = 100_000, window: bool = True) -> Rig:
    source = assemble(text, level)
    memory = FlatMemory(BASE, SIZE)
    arena = Arena(ARENA, BASE + SIZE - ARENA)
    env = BenchEnvironment()
    maps = create_maps(source.maps, memory, arena, env)
    program = Program("test", source.type, source.insns, maps, source.license or "GPL", level)
    where: GuestMemory = memory if window else CalledMemory(memory)
    return Rig(program, memory, arena, env, {m.name: m for m in maps}, program.bind(where, env, budget))
