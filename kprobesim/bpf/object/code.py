"""The code of an object, section by section: functions, and what each instruction refers to.

Follows libbpf src/libbpf.c: bpf_object__add_programs and bpf_program__record_reloc.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kprobesim.bpf.isa import Insn, Pseudo, decode, is_lddw, lddw
from kprobesim.bpf.object.btf_ext import BtfExt
from kprobesim.bpf.object.core_relo import CoreRelocator
from kprobesim.bpf.object.elf import (
    STB_LOCAL,
    STT_FUNC,
    ElfObject,
    ElfSection,
    ElfSymbol,
    Relocation,
)
from kprobesim.bpf.object.errors import ObjectError

__all__ = ["Code", "CodeFunction", "Extern", "Place", "read_code"]

Extern = Callable[[ElfSymbol, int, Insn], tuple[Insn, ...]]
"""What an instruction that refers to something of the kernel becomes: gets symbol, slot and instruction."""

Place = tuple[int, int]
"""A section's index and a slot in it."""

_CALL = 0x85


@dataclass(frozen=True, slots=True)
class CodeFunction:
    """A function: ``start`` and ``end`` are slots of its section."""

    name: str
    section: ElfSection
    start: int
    end: int
    is_global: bool


@dataclass
class Code:
    """All code of a file, relocated but for calls.

    Attributes:
        insns: by section index, one entry per slot.
        functions: where they begin.
        programs: those that stand in sections with a name of their own, in the file's order.
        calls: instructions that name a function by a relocation -> the function's place.
        unresolved: instructions that need what the kernel lacks -> what that is.
    """

    insns: dict[int, list[Insn]] = field(default_factory=dict)
    functions: dict[Place, CodeFunction] = field(default_factory=dict)
    programs: list[CodeFunction] = field(default_factory=list)
    calls: dict[Place, Place] = field(default_factory=dict)
    unresolved: dict[Place, str] = field(default_factory=dict)


def read_code(
    elf: ElfObject,
    ext: BtfExt,
    relocator: CoreRelocator | None,
    map_numbers: Mapping[Place, int],
    data_numbers: Mapping[int, int],
    extern: Extern,
) -> Code:
    """Read all code sections.

    Args:
        elf: the file.
        ext: what ``.BTF.ext`` says.
        relocator: for relocations against the kernel's types; None leaves the compiler's answers.
        map_numbers: section index and byte offset of a map in ``.maps`` -> its number.
        data_numbers: section index of variables -> number of the map they are in.
        extern: resolves what the kernel provides.

    Raises:
        ObjectError: code, functions or relocations that make no sense.
    """
    code = Code()
    for section in elf.sections:
        if section.is_code and section.index and section.data:
            if len(section.data) % 8:
                raise ObjectError(f"{elf.name}: section {section.name} ends in the middle of an instruction.")
            code.insns[section.index] = list(decode(section.data))
    _find_functions(elf, code)
    for index, insns in code.insns.items():
        section = elf.sections[index]
        if relocator is not None:
            _relocate_types(elf, section, ext, relocator, code)
        for relocation in elf.relocations(section):
            where = f"{elf.name}: section {section.name}, relocation at byte {relocation.offset}"
            if relocation.offset % 8:
                raise ObjectError(f"{where} is in the middle of an instruction.")
            slot = relocation.offset // 8
            refer = _Reference(elf, code, where, insns, index, slot, relocation)
            refer.resolve(map_numbers, data_numbers, extern)
    return code


def _find_functions(elf: ElfObject, code: Code) -> None:
    for symbol in elf.symbols:
        if symbol.type != STT_FUNC or symbol.section not in code.insns:
            continue
        section = elf.sections[symbol.section]
        if symbol.value % 8 or symbol.size % 8 or not symbol.size or symbol.value + symbol.size > section.size:
            raise ObjectError(f"{elf.name}: function {symbol.name!r} reaches out of its section {section.name}.")
        is_program = section.name != ".text"
        if is_program and symbol.binding == STB_LOCAL:
            raise ObjectError(
                f"{elf.name}: sec '{section.name}': program '{symbol.name}' is static and not supported.",
                hint="A program with a SEC() of its own cannot be static.",
            )
        is_global = symbol.binding != STB_LOCAL and not symbol.is_hidden
        start = symbol.value // 8
        function = CodeFunction(symbol.name, section, start, start + symbol.size // 8, is_global)
        if code.functions.setdefault((section.index, start), function) is not function:
            raise ObjectError(f"{elf.name}: two functions begin at byte {symbol.value} of section {section.name}.")
        if is_program:
            code.programs.append(function)
    code.programs.sort(key=lambda function: (function.section.index, function.start))


def _relocate_types(elf: ElfObject, section: ElfSection, ext: BtfExt, relocator: CoreRelocator, code: Code) -> None:
    insns = code.insns[section.index]
    for relo in ext.relocations.get(section.name, ()):
        if relo.slot >= len(insns):
            raise ObjectError(f"{elf.name}: section {section.name} has no instruction {relo.slot} to relocate.")
        missing = relocator.apply(insns, relo)
        if missing:
            code.unresolved[section.index, relo.slot] = missing


@dataclass(slots=True)
class _Reference:
    """One relocation, about to be resolved."""

    elf: ElfObject
    code: Code
    where: str
    insns: list[Insn]
    index: int
    slot: int
    relocation: Relocation

    def fail(self, problem: str, hint: str = "") -> ObjectError:
        return ObjectError(f"{self.where}: {problem}.", hint=hint)

    def resolve(self, map_numbers: Mapping[Place, int], data_numbers: Mapping[int, int], extern: Extern) -> None:
        insn, symbol = self.insns[self.slot], self.relocation.symbol
        if (self.index, self.slot) in self.code.unresolved:
            return
        if insn.code == _CALL:
            self.call(insn, symbol, extern)
            return
        if not is_lddw(insn) or self.slot + 1 >= len(self.insns):
            raise self.fail(f"invalid relo for insn with code {insn.code:#x}")
        if symbol.is_extern:
            self.put(extern(symbol, self.slot, insn))
            return
        section = self.elf.section_of(symbol)
        if section is None:
            raise self.fail(f"'{symbol.name}' is in no section")
        offset = symbol.value + insn.imm
        if section.is_code:
            if offset % 8:
                raise self.fail(f"bad subprog addr relo against '{symbol.name}' at offset {offset}")
            self.code.calls[self.index, self.slot] = (section.index, offset // 8)
            self.insns[self.slot] = insn._replace(src=Pseudo.FUNC)
        elif section.index in data_numbers:
            if not 0 <= offset < 1 << 31:
                raise self.fail(f"'{symbol.name}' is at offset {offset} of section {section.name}")
            first = insn._replace(src=Pseudo.MAP_IDX_VALUE, imm=data_numbers[section.index])
            self.put((first, self.insns[self.slot + 1]._replace(imm=offset)))
        elif (section.index, offset) in map_numbers:
            self.put(lddw(insn.dst, map_numbers[section.index, offset], Pseudo.MAP_IDX))
        else:
            raise self.fail(f"'{symbol.name or section.name}' is neither a map nor a variable nor a function")

    def put(self, insns: tuple[Insn, ...]) -> None:
        self.insns[self.slot : self.slot + len(insns)] = insns

    def call(self, insn: Insn, symbol: ElfSymbol, extern: Extern) -> None:
        if symbol.is_extern:
            self.put(extern(symbol, self.slot, insn))
            return
        section = self.elf.section_of(symbol)
        if insn.src != 1:
            raise self.fail("incorrect bpf_call opcode")
        if section is None or not section.is_code or symbol.value % 8:
            raise self.fail(f"bad call relo against '{symbol.name}'")
        # A static function may be named by its section: the immediate then leads from the section's start to it.
        self.code.calls[self.index, self.slot] = (section.index, symbol.value // 8 + insn.imm + 1)
