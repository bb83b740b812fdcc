"""One program out of the code of an object: its own function, and behind it every function that it needs.

A static or global function stands once in section ``.text`` and is copied into each program that calls it. Follows
libbpf src/libbpf.c: bpf_object__reloc_code and bpf_object__append_subprog_code.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from kprobesim.bpf.check import BPF_COMPLEXITY_LIMIT_INSNS
from kprobesim.bpf.isa import Insn, Pseudo, is_lddw
from kprobesim.bpf.object.btf_ext import BtfExt, FuncInfo, LineInfo
from kprobesim.bpf.object.code import Code, CodeFunction, Place
from kprobesim.bpf.object.errors import ObjectError
from kprobesim.bpf.object.records import Function, ObjectProgram
from kprobesim.bpf.object.sections import Target

__all__ = ["Linker"]

_CALL = 0x85
_TOTAL = 2 * BPF_COMPLEXITY_LIMIT_INSNS
_MAX_SUBPROGS = 256
_Info = TypeVar("_Info", bound=FuncInfo | LineInfo)


class _Records(Generic[_Info]):
    """The records of one kind that belong to one section, in the file's order.

    Attributes:
        cost: how many of them must be looked at to find those of one function.
    """

    def __init__(self, records: Sequence[_Info]) -> None:
        self._records = records
        self._slots = [info.slot for info in records]
        self.cost = 0 if self._slots == sorted(self._slots) else len(records)

    def of(self, function: CodeFunction) -> Sequence[_Info]:
        """Those of a function, as libbpf's adjust_prog_btf_ext_info finds them: all between its first and its last."""
        if not self.cost:
            first, last = (bisect_left(self._slots, edge) for edge in (function.start, function.end))
            return self._records[first:last]
        first = last = 0
        for number, slot in enumerate(self._slots):
            if slot >= function.end:
                break
            if slot >= function.start:
                first, last = first if last else number, number + 1
        return self._records[first:last]


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
        self._lines: dict[int, _Records[LineInfo]] = {}
        self._infos: dict[int, _Records[FuncInfo]] = {}
        self._types: dict[Place, int] = {}
        self._missing: dict[int, list[tuple[int, str]]] = {}
        for section, name in sorted({(place[0], made.section.name) for place, made in code.functions.items()}):
            self._lines[section] = _Records(ext.lines.get(name, []))
            infos = ext.functions.get(name, [])
            self._infos[section] = _Records(infos)
            self._types.update({(section, info.slot): info.type_id for info in infos})
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
        infos: list[FuncInfo] = []
        lines: list[LineInfo] = []
        unresolved: dict[int, str] = {}
        for function in order:
            section, start = function.section.index, starts[function.section.index, function.start]
            shift = start - function.start
            type_id = self._types.get((section, function.start), 0)
            functions.append(Function(start, function.name, type_id, function.is_global))
            # What the program's own function has none of, it is loaded without.
            if function is program or infos:
                infos += self._shifted(self._infos[section], function, shift, "function", function is program)
            if function is program or lines:
                lines += self._shifted(self._lines[section], function, shift, "line", function is program)
            missing = self._missing.get(section, [])
            for slot, what in missing[bisect_left(missing, (function.start, "")) :]:
                if slot >= function.end:
                    break
                unresolved[slot + shift] = what
        return ObjectProgram(
            program.name, target, tuple(insns), tuple(functions), tuple(lines), unresolved, tuple(infos)
        )

    def _shifted(
        self, records: _Records[_Info], function: CodeFunction, shift: int, what: str, may_lack: bool
    ) -> list[_Info]:
        """A function's records, counted from the program's start."""
        self._spend(records.cost)
        found = records.of(function)
        self._spend(len(found))
        if not found and not may_lack:
            raise ObjectError(f"{self._file}: prog '{function.name}': missing .BTF.ext {what} info.")
        return [replace(info, slot=info.slot + shift) for info in found]
