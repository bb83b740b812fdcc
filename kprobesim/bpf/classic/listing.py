"""Classic, eBPF and x86-64, side by side."""

from dataclasses import dataclass
from itertools import zip_longest

from kprobesim.bpf.classic.disasm import image
from kprobesim.bpf.classic.program import Filter
from kprobesim.bpf.disasm import disassemble
from kprobesim.bpf.helpers import SkbCall
from kprobesim.bpf.isa import Insn
from kprobesim.bpf.jit.config import DEFAULT_CONFIG, JitConfig
from kprobesim.bpf.jit.program import JitProgram, jit_insns

__all__ = ["MACHINE_CODE_AT", "Native", "Row", "compile_filter", "ebpf_texts", "side_by_side", "side_by_side_text"]

MACHINE_CODE_AT = 0xFFFF_FFFF_C000_0008
_KERNEL_TEXT = 0xFFFF_FFFF_8180_0000
_FUNCTION_SIZE = 0x100
_CLASSIC_WIDTH, _EBPF_WIDTH, _BYTES_WIDTH = 43, 38, 30


@dataclass(frozen=True, slots=True)
class Native:
    """One x86-64 instruction: its address, its bytes, its text."""

    address: int
    raw: bytes
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """One eBPF instruction with where it comes from and what becomes of it.

    Attributes:
        pc: the classic instruction it was made from; None in the prologue.
        slot: its slot; None for the machine code's own prologue.
        insn: the eBPF instruction; None for the machine code's own prologue.
        text: its text.
        native: the machine code made of it.
    """

    pc: int | None
    slot: int | None
    insn: Insn | None
    text: str
    native: tuple[Native, ...]


def _function_at(number: int) -> int:
    return _KERNEL_TEXT + (number - SkbCall.LOAD_HELPER_8) * _FUNCTION_SIZE


def _function_name(address: int) -> str:
    names = {_function_at(call): call.function for call in SkbCall}
    return names.get(address, f"{address:#x}")


def compile_filter(program: Filter, address: int = MACHINE_CODE_AT, config: JitConfig = DEFAULT_CONFIG) -> JitProgram:
    """The machine code that the kernel's JIT makes of a filter.

    Args:
        program: the filter.
        address: where the code will be.
        config: the kernel and the CPU.
    """
    return jit_insns(
        program.resolved,
        address=address,
        call_address=_function_at,
        stack_depth=program.converted.stack_depth,
        from_cbpf=True,
        config=config,
    )


def ebpf_texts(program: Filter) -> dict[int, str]:
    """Slot -> the converted filter's instruction as text, with the names of the kernel's functions that it calls."""
    texts = {}
    for line in disassemble(program.resolved):
        named = line.insn.code == 0x85
        text = f"call {SkbCall(line.insn.imm).function}" if named else line.text
        texts[line.slot] = f"({line.insn.code:02x}) {text}"
    return texts


def side_by_side(program: Filter, address: int = MACHINE_CODE_AT) -> tuple[Row, ...]:
    """All of a filter: rows in the order of the eBPF, the machine code's own prologue first."""
    from kprobesim.bpf.jit.listing import listing

    texts = ebpf_texts(program)
    origin = {slot: pc for pc in range(len(program.insns)) for slot in program.converted.slots(pc)}
    rows = []
    for group in listing(compile_filter(program, address), symbolize=_function_name):
        native = tuple(
            Native(x86.address, x86.raw, x86.text if hasattr(x86, "text") else x86.message) for x86 in group.x86
        )
        if group.slot is None:
            rows.append(Row(None, None, None, "", native))
        else:
            rows.append(Row(origin.get(group.slot), group.slot, group.insn, texts[group.slot], native))
    return tuple(rows)


def side_by_side_text(program: Filter, address: int = MACHINE_CODE_AT) -> str:
    """The same as text in three columns; addresses of machine code count from its first byte."""
    lines = [_line("classic BPF", "eBPF", "x86-64")]
    before: int | None = -1
    for row in side_by_side(program, address):
        classic = ""
        if row.slot is None:
            classic = "prologue"
        elif row.pc is not None and row.pc != before:
            classic = image(program.checked[row.pc], row.pc).replace("\t", " ")
            before = row.pc
        ebpf = "" if row.slot is None else f"{row.slot:4}: {row.text}"
        natives = [f"{x86.address - address:4x}:  {x86.raw.hex(' '):<{_BYTES_WIDTH}} {x86.text}" for x86 in row.native]
        lines += [_line(*columns) for columns in zip_longest([classic], [ebpf], natives or [""], fillvalue="")]
    return "".join(f"{line}\n" for line in lines)


def _line(classic: str, ebpf: str, native: str) -> str:
    return f"{classic:<{_CLASSIC_WIDTH}} {ebpf:<{_EBPF_WIDTH}} {native}".rstrip()
