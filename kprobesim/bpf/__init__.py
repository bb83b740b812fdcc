"""The in-kernel virtual machine: isa, assembler, disassembler, interpreter, maps and helpers.

A round through it::

    source = assemble(text)
    memory = FlatMemory(0x10000, 1 << 16)
    arena = Arena(0x12000, 0xE000)
    maps = create_maps(source.maps, memory, arena)
    program = Program("count", source.type, source.insns, maps, source.license)
    bound = program.bind(memory, BenchEnvironment())
    r0 = bound.run(ctx=0x11000, stack_top=0x11000)

It knows nothing of kprobes; what attaches programs stands above it. Program itself only checks
that instructions exist (see ``check``); whether Linux would load a program is for ``kprobesim.bpf.verifier`` to say.
"""

from kprobesim.bpf.asm import Assembly, assemble
from kprobesim.bpf.batch import answer
from kprobesim.bpf.check import BPF_COMPLEXITY_LIMIT_INSNS, BPF_MAXINSNS, check_program
from kprobesim.bpf.compiler import FRAME_SIZE, MAX_CALL_FRAMES
from kprobesim.bpf.disasm import Line, disassemble, insn_text, listing, source_imm64
from kprobesim.bpf.environment import BenchEnvironment, Environment
from kprobesim.bpf.errors import AsmError, BpfFault, BudgetExceeded, LoadError, MemoryFault, RunError
from kprobesim.bpf.helper_names import HELPER_IDS, HELPER_NAMES, helper_text
from kprobesim.bpf.helpers import HELPERS, Helper, HelperContext, helpers_for
from kprobesim.bpf.interpreter import DEFAULT_BUDGET, BoundProgram, Execution, Frame, run
from kprobesim.bpf.isa import Insn, Level, decode, encode
from kprobesim.bpf.maps import MAP_TYPES, ArrayMap, BpfMap, HashMap, MapSpec, UpdateFlag, create_map, create_maps
from kprobesim.bpf.memory import Arena, ArenaFull, FlatMemory, GuestMemory, WindowedMemory
from kprobesim.bpf.program import PROG_TYPES, Program, prog_tag

__all__ = [
    "BPF_COMPLEXITY_LIMIT_INSNS",
    "BPF_MAXINSNS",
    "DEFAULT_BUDGET",
    "FRAME_SIZE",
    "HELPERS",
    "HELPER_IDS",
    "HELPER_NAMES",
    "MAP_TYPES",
    "MAX_CALL_FRAMES",
    "PROG_TYPES",
    "Arena",
    "ArenaFull",
    "ArrayMap",
    "AsmError",
    "Assembly",
    "BenchEnvironment",
    "BoundProgram",
    "BpfFault",
    "BpfMap",
    "BudgetExceeded",
    "Environment",
    "Execution",
    "FlatMemory",
    "Frame",
    "GuestMemory",
    "HashMap",
    "Helper",
    "HelperContext",
    "Insn",
    "Level",
    "Line",
    "LoadError",
    "MapSpec",
    "MemoryFault",
    "Program",
    "RunError",
    "UpdateFlag",
    "WindowedMemory",
    "answer",
    "assemble",
    "check_program",
    "create_map",
    "create_maps",
    "decode",
    "disassemble",
    "encode",
    "helper_text",
    "helpers_for",
    "insn_text",
    "listing",
    "prog_tag",
    "run",
    "source_imm64",
]
