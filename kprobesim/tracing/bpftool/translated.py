"""A program as the verifier leaves it, which bpftool calls translated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kprobesim.bpf import Insn, Program, insn_text, prog_tag
from kprobesim.bpf.helpers import SKB_CALLS
from kprobesim.bpf.isa import BPF_TAIL_CALL, Pseudo, is_lddw
from kprobesim.bpf.jit import do_misc_fixups
from kprobesim.bpf.object import Function, LineInfo
from kprobesim.tracing.bpf_ids import ProgramTypes

__all__ = ["Translated", "translate"]

_TAIL_CALL: Final = 12
_CALL: Final = 0x85


@dataclass(frozen=True)
class Translated:
    """A translated program.

    Attributes:
        insns: as bpftool gets them: maps by their ids, the kernel's own opcodes as those that they were made of.
        functions: by the slot where they begin.
        lines: source lines by the slot where they begin.
        tags: of the functions, by slot.
    """

    insns: tuple[Insn, ...]
    functions: dict[int, Function]
    lines: dict[int, LineInfo]
    tags: dict[int, str]

    @property
    def size(self) -> int:
        """Bytes."""
        return 8 * len(self.insns)

    def text(self, slot: int) -> str:
        """An instruction as ``bpftool prog dump xlated`` prints it."""
        insn = self.insns[slot]
        text = insn_text(self.insns, slot, imm64=_imm64)
        if insn.code == _CALL and insn.src == 0 and insn.imm in SKB_CALLS:
            return f"(85) call bpf_{SKB_CALLS[insn.imm].name}#{insn.imm}"
        target = slot + 1 + insn.imm
        if insn.code == _CALL and insn.src == 1 and target in self.functions:
            return f"{text}#bpf_prog_{self.tags[target]}_{self.functions[target].name}"
        return text


def _imm64(insn: Insn, value: int) -> str:
    if insn.src == Pseudo.MAP_FD:
        return f"map[id:{insn.imm}]"
    if insn.src == Pseudo.MAP_VALUE:
        return f"map[id:{insn.imm}][0]+{value >> 32}"
    if insn.src == Pseudo.FUNC:
        return f"subprog[{insn.imm:+d}]"
    return f"{value:#x}"


def translate(program: Program, types: ProgramTypes | None, *, jited: bool) -> Translated:
    """The program after the verifier's rewriting; look-ups in arrays are written out where it became machine code."""
    insns, origin = do_misc_fixups(program.insns, program.array_lookups if jited else None)
    made = list(insns)
    for slot, insn in enumerate(insns):
        use = program.map_uses.get(origin[slot])
        if is_lddw(insn) and use is not None:
            kind = Pseudo.MAP_FD if use.offset is None else Pseudo.MAP_VALUE
            made[slot] = insn._replace(src=kind, imm=use.map.id)
            made[slot + 1] = insns[slot + 1]._replace(imm=use.offset or 0)
        elif insn.code == BPF_TAIL_CALL:
            made[slot] = Insn(_CALL, imm=_TAIL_CALL)
    first: dict[int, int] = {}
    for slot, old in enumerate(origin):
        first.setdefault(old, slot)
    functions = {first[one.slot]: one for one in types.functions if one.slot in first} if types else {}
    lines = {first[one.slot]: one for one in types.lines if one.slot in first} if types else {}
    starts = sorted(functions)
    ends = [*starts[1:], len(made)]
    tags = dict.fromkeys(starts or [0], program.tag)
    if len(starts) > 1:
        tags = {start: prog_tag(made[start:end]) for start, end in zip(starts, ends, strict=True)}
    return Translated(tuple(made), functions, lines, tags)
