"""One program out of the code of an object: its own function, and behind it every function that it needs.

A static or global function stands once in section ``.text`` and is copied into each program that calls it. Follows
libbpf src/libbpf.c: bpf_object__reloc_code and bpf_object__append_subprog_code.
"""

from bisect import bisect_left
from dataclasses import replace

from kprobesim.bpf.check import BPF_COMPLEXITY_LIMIT_INSNS
from kprobesim.bpf.isa import Insn, Pseudo, is_lddw
from kprobesim.bpf.object.btf_ext import BtfExt, LineInfo
from kprobesim.bpf.object.code import Code, CodeFunction, Place
from kprobesim.bpf.object.errors import ObjectError
from kprobesim.bpf.object.records import Function, ObjectProgram
from kprobesim.bpf.object.sections import Target

__all__ = ["Linker"]

_CALL = 0x85
_TOTAL = 2 * BPF_COMPLEXITY_LIMIT_INSNS
_MAX_SUBPROGS = 256


class Linker:
    """Links the programs of one object.

    Args:
        code: of the object.
        ext: line and function records.
        file: for messages.
    """

    def __init__(self, code: Code, ext: BtfExt, file: str) -> None:
        self._code = code
        self._file = file
        self._total = 0
        self._lines: dict[int, list[LineInfo]] = {}
        self._types: dict[Place, int] = {}
        self._missing: dict[int, list[tuple[int, str]]] = {}
        for section, name in sorted({(place[0], made.section.name) for place, made in code.functions.items()}):
            self._lines[section] = ext.lines.get(name, [])
            self._types.update({(section, info.slot): info.type_id for info in ext.functions.get(name, ())})
        for (section, slot), what in sorted(code.unresolved.items()):
            self._missing.setdefault(section, []).append((slot, what))

    def link(self, program: CodeFunction, target: Target) -> ObjectProgram:
        """Make a program.

        Raises:
            ObjectError: a call that leads to no function, or more instructions than any kernel takes.
        """
        insns: list[Insn] = []
        starts: dict[Place, int] = {}
        order: list[CodeFunction] = []
        self._append(program, insns, starts, order)
        # Depth first, as libbpf does it: a function's callees come right behind it.
        waiting = [(program, program.start)]
        while waiting:
            function, slot = waiting.pop()
            section = function.section.index
            body = self._code.insns[section]
            while slot < function.end:
                callee = self._callee(function, slot)
                if callee is not None:
                    place = (callee.section.index, callee.start)
                    new = place not in starts
                    if new:
                        self._append(callee, insns, starts, order)
                    at = starts[section, function.start] + slot - function.start
                    insns[at] = insns[at]._replace(imm=starts[place] - at - 1)
                    if new:
                        waiting += [(function, slot + 1), (callee, callee.start)]
                        break
                slot += 2 if is_lddw(body[slot]) else 1
        return self._record(program, target, insns, starts, order)

    def _append(
        self, function: CodeFunction, insns: list[Insn], starts: dict[Place, int], order: list[CodeFunction]
    ) -> None:
        starts[function.section.index, function.start] = len(insns)
        order.append(function)
        insns += self._code.insns[function.section.index][function.start : function.end]
        self._spend(function.end - function.start)
        if len(order) > _MAX_SUBPROGS:
            raise ObjectError(f"{self._file}: prog '{order[0].name}': too many subprograms.")

    def _spend(self, size: int) -> None:
        """Copies of functions add up: a small file can ask for any number."""
        self._total += size
        if self._total > _TOTAL:
            raise ObjectError(f"{self._file}: the programs, with the functions that they call, are too large.")

    def _callee(self, function: CodeFunction, slot: int) -> CodeFunction | None:
        """The function that an instruction calls or takes the address of."""
        section = function.section.index
        insn = self._code.insns[section][slot]
        if not (insn.code == _CALL and insn.src == 1) and not (is_lddw(insn) and insn.src == Pseudo.FUNC):
            return None
        place = self._code.calls.get((section, slot))
        if place is None:
            if insn.code != _CALL:
                raise self._fail(function, slot, "missing subprog addr relo")
            # A call within the section needs no relocation.
            place = (section, slot + insn.imm + 1)
        callee = self._code.functions.get(place)
        if callee is None:
            raise self._fail(function, slot, "no function begins where the call leads to")
        return callee

    def _fail(self, function: CodeFunction, slot: int, problem: str) -> ObjectError:
        return ObjectError(f"{self._file}: prog '{function.name}': insn #{slot - function.start}: {problem}.")

    def _record(
        self, program: CodeFunction, target: Target, insns: list[Insn], starts: dict[Place, int],
        order: list[CodeFunction],
    ) -> ObjectProgram:  # fmt: skip
        functions: list[Function] = []
        lines: list[LineInfo] = []
        unresolved: dict[int, str] = {}
        for function in order:
            section, start = function.section.index, starts[function.section.index, function.start]
            shift = start - function.start
            type_id = self._types.get((section, function.start), 0)
            functions.append(Function(start, function.name, type_id, function.is_global))
            known = self._lines.get(section, [])
            for line in known[bisect_left(known, function.start, key=lambda line: line.slot) :]:
                if line.slot >= function.end:
                    break
                lines.append(replace(line, slot=line.slot + shift))
            missing = self._missing.get(section, [])
            for slot, what in missing[bisect_left(missing, (function.start, "")) :]:
                if slot >= function.end:
                    break
                unresolved[slot + shift] = what
        self._spend(len(lines))
        return ObjectProgram(program.name, target, tuple(insns), tuple(functions), tuple(lines), unresolved)
