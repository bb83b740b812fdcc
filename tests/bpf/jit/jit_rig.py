"""From assembly text to machine code, and to a bench that runs it."""

from dataclasses import dataclass

from kprobesim.bpf import Arena, BenchEnvironment, BpfMap, FlatMemory, Insn, Level, Program, assemble, create_map
from kprobesim.bpf.jit import DEFAULT_CONFIG, JitConfig, JitProgram, jit_insns
from kprobesim.bpf.jit.bench import Bench, JitedProgram

ENTRY = 0xFFFF_FFFF_C000_0008
HELPERS = 0xFFFF_FFFF_8100_0000

BASE = 0xFFFF_8880_0000_0000
SIZE = 1 << 16
TOP = BASE + 0x4000
CTX = BASE + 0x5000
ARENA = BASE + 0x6000


def insns_of(text: str) -> tuple[Insn, ...]:
    """The instructions of a program written on one line."""
    return assemble(text.replace("; ", "\n"), Level.V4).insns


def compiled(
    insns: tuple[Insn, ...] | str, stack_depth: int | None = None, config: JitConfig = DEFAULT_CONFIG
) -> JitProgram:
    """Machine code of instructions, or of text."""
    if isinstance(insns, str):
        insns = insns_of(insns)
    return jit_insns(
        insns, address=ENTRY, call_address=lambda number: HELPERS + number, stack_depth=stack_depth, config=config
    )


def code_of(insn: Insn | str, stack_depth: int | None = None, config: JitConfig = DEFAULT_CONFIG) -> str:
    """Machine code, in hex, of the first instruction of a program; a single instruction needs no exit."""
    insns = insns_of(insn) if isinstance(insn, str) else (insn,)
    image = compiled((*insns, Insn(0x95)), stack_depth, config).images[0]
    width = 2 if insns[0].code == 0x18 else 1
    return image.code[image.addrs[0] : image.addrs[width]].hex(" ")


@dataclass
class JitRig:
    """A program, its machine code and its surroundings."""

    jited: JitedProgram
    env: BenchEnvironment
    maps: dict[str, BpfMap]
    memory: FlatMemory

    def run(self) -> int:
        return self.jited.run(CTX, TOP)


def build_jit_rig(text: str, budget: int = 100_000) -> JitRig:
    """A bench with 64 KiB of memory, a program on it, its maps in the memory."""
    source = assemble(text.replace("; ", "\n"), Level.V4)
    memory = FlatMemory(BASE, SIZE)
    arena = Arena(ARENA, BASE + SIZE - ARENA)
    maps = [create_map(spec, memory, arena, number) for number, spec in enumerate(source.maps, 1)]
    program = Program("test", source.type, source.insns, maps, source.license or "GPL", Level.V4)
    env = BenchEnvironment()
    return JitRig(JitedProgram(program, Bench(memory), env, budget), env, {m.name: m for m in maps}, memory)
