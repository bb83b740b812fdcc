"""From a program's text to the listing of its machine code: ``kprobesim bpf jit``."""

from collections.abc import Sequence
from random import Random

from kprobesim.bpf.asm import assemble
from kprobesim.bpf.helper_names import HELPER_NAMES
from kprobesim.bpf.isa import Level, decode
from kprobesim.bpf.jit.blinding import blind_constants
from kprobesim.bpf.jit.fixups import do_misc_fixups
from kprobesim.bpf.jit.listing import listing_text
from kprobesim.bpf.jit.program import jit_insns
from kprobesim.bpf.maps import BpfMap, MapSpec, create_maps
from kprobesim.bpf.memory import Arena, FlatMemory
from kprobesim.bpf.program import Program
from kprobesim.errors import BadInput

__all__ = ["maps_to_show", "show_jited", "show_program"]

_HELPERS = 0xFFFF_FFFF_8120_0000
_HELPER_SIZE = 0x100
_MAPS = 0xFFFF_8880_0000_0000
_MAP_MEMORY = 1 << 24
_TEXT_END = 1 << 64


def show_jited(text: str, address: int, stack_depth: int | None = None, harden: int | None = None) -> str:
    """The listing of a program given as text; for the rest see ``show_program``.

    Args:
        text: assembly, or hex digits with blanks as one likes.
        address, stack_depth, harden: see show_program.

    Raises:
        BadInput: text that is no program, or an address that is out of reach.
        LoadError: instructions that make no program.
        JitError: see jit_insns.
    """
    return show_program(_program(text), address, stack_depth, harden)


def show_program(program: Program, address: int, stack_depth: int | None = None, harden: int | None = None) -> str:
    """The listing of a program.

    Args:
        program: it.
        address: where the code will be.
        stack_depth: of every function; None: what the instructions show.
        harden: blind constants with random numbers from this seed; None does not.

    Raises:
        BadInput: an address that calls into the kernel's text would not reach.
        JitError: see jit_insns.
    """
    if not 0 <= address < _TEXT_END or abs(address - _HELPERS) >= 1 << 31:
        raise BadInput(
            f"calls from {address:#x} would not reach the kernel's text.",
            hint="Modules and BPF programs are between 0xffffffffa0000000 and 0xffffffffff000000.",
        )
    insns = do_misc_fixups(program.resolved).insns
    if harden is not None:
        numbers = Random(harden)
        insns = blind_constants(insns, lambda: numbers.getrandbits(32)).insns
    jited = jit_insns(
        insns,
        address=address,
        call_address=lambda number: _HELPERS + number * _HELPER_SIZE,
        stack_depth=stack_depth,
    )
    return listing_text(jited, symbolize=_helper_name)


def _program(text: str) -> Program:
    digits = "".join(text.split())
    try:
        insns = decode(bytes.fromhex(digits))
    except ValueError:
        source = assemble(text, Level.V4)
        return Program("shown", source.type, source.insns, maps_to_show(source.maps), source.license, Level.V4)
    return Program("shown", "kprobe", insns, level=Level.V4)


def maps_to_show(specs: Sequence[MapSpec]) -> list[BpfMap]:
    """Maps in a memory of their own, so that a program that names them has addresses to show.

    Raises:
        LoadError: a map that the kernel would refuse.
    """
    memory = FlatMemory(_MAPS, _MAP_MEMORY)
    arena = Arena(_MAPS + 64, _MAP_MEMORY - 64)
    return create_maps(specs, memory, arena)


def _helper_name(address: int) -> str:
    number, rest = divmod(address - _HELPERS, _HELPER_SIZE)
    return f"{address:#x}" if rest or not 0 < number < len(HELPER_NAMES) else f"bpf_{HELPER_NAMES[number]}+0x0"
