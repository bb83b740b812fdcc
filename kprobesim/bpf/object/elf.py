"""The ELF side of a BPF object: sections, symbols, relocations. Nothing in the file is trusted.

A relocatable file for machine EM_BPF, 64 bits, little-endian. Format: System V gABI chapter 4; the relocation types are
those of Linux Documentation/bpf/llvm_reloc.rst.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from kprobesim.bpf.object.errors import ObjectError

__all__ = [
    "R_BPF_64_32",
    "R_BPF_64_64",
    "R_BPF_64_ABS64",
    "SHN_UNDEF",
    "STB_GLOBAL",
    "STB_LOCAL",
    "STB_WEAK",
    "STT_FUNC",
    "STT_NOTYPE",
    "STT_OBJECT",
    "STT_SECTION",
    "ElfObject",
    "ElfSection",
    "ElfSymbol",
    "Relocation",
]

MAX_FILE_SIZE = 4 << 20
MAX_SECTIONS = 4096
MAX_SYMBOLS = 1 << 16
MAX_RELOCATIONS = 1 << 17
MAX_NAME = 1024

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_REL = struct.Struct("<QQ")

EM_NONE, EM_BPF, ET_REL = 0, 247, 1
SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_NOBITS, SHT_REL = 1, 2, 3, 4, 8, 9
SHF_EXECINSTR = 4
SHN_UNDEF, SHN_LORESERVE = 0, 0xFF00
STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_SECTION = 0, 1, 2, 3
STV_INTERNAL, STV_HIDDEN = 1, 2
R_BPF_64_64, R_BPF_64_ABS64, R_BPF_64_32 = 1, 2, 10


@dataclass(frozen=True, slots=True)
class ElfSection:
    """A section; ``data`` is empty for one without bytes in the file, and ``size`` then what it takes in memory."""

    index: int
    name: str
    type: int
    flags: int
    size: int
    data: bytes
    link: int
    info: int

    @property
    def is_code(self) -> bool:
        """Whether it holds instructions."""
        return self.type == SHT_PROGBITS and bool(self.flags & SHF_EXECINSTR)

    @property
    def is_nobits(self) -> bool:
        """Whether it is all zeroes and not in the file, as ``.bss``."""
        return self.type == SHT_NOBITS


@dataclass(frozen=True, slots=True)
class ElfSymbol:
    """A symbol; ``section`` is SHN_UNDEF for an extern."""

    index: int
    name: str
    value: int
    size: int
    section: int
    type: int
    binding: int
    visibility: int

    @property
    def is_extern(self) -> bool:
        """Whether the kernel, and not this file, is to provide it."""
        return self.section == SHN_UNDEF and self.binding in (STB_GLOBAL, STB_WEAK) and bool(self.name)

    @property
    def is_hidden(self) -> bool:
        """Whether it is of no concern outside this file."""
        return self.visibility in (STV_INTERNAL, STV_HIDDEN)


@dataclass(frozen=True, slots=True)
class Relocation:
    """At ``offset`` bytes into the section, something depends on a symbol."""

    offset: int
    type: int
    symbol: ElfSymbol


@dataclass(frozen=True)
class ElfObject:
    """A file that passed every check of its outer form.

    Attributes:
        name: of the file, for messages.
        sections: by index; index 0 is the empty one.
        symbols: by index.
    """

    name: str
    sections: tuple[ElfSection, ...]
    symbols: tuple[ElfSymbol, ...]

    @classmethod
    def parse(cls, contents: bytes, name: str) -> "ElfObject":
        """Read a file.

        Args:
            contents: its bytes.
            name: for messages.

        Raises:
            ObjectError: it is no BPF object, or a table or section reaches past the file's end.
        """
        return _Reader(contents, name).read()

    @cached_property
    def by_name(self) -> dict[str, ElfSection]:
        """Sections by name, the first where a name is used twice."""
        found: dict[str, ElfSection] = {}
        for section in self.sections:
            found.setdefault(section.name, section)
        return found

    @cached_property
    def _tables(self) -> dict[int, list[ElfSection]]:
        """Sections with relocations, by the index of the section that they are for."""
        found: dict[int, list[ElfSection]] = {}
        for section in self.sections[1:]:
            if section.type in (SHT_REL, SHT_RELA):
                found.setdefault(section.info, []).append(section)
        return found

    def relocations(self, section: ElfSection) -> Iterator[Relocation]:
        """What is to be relocated in a section, in the file's order.

        Raises:
            ObjectError: an entry is outside of the section or has no symbol, or there are too many.
        """
        where = f"{self.name}: section {section.name}"
        for table in self._tables.get(section.index, ()):
            if table.type == SHT_RELA:
                raise ObjectError(f"{where} has relocations with addends; BPF's have none.")
            if len(table.data) % _REL.size or len(table.data) // _REL.size > MAX_RELOCATIONS:
                raise ObjectError(f"{where} has relocations that are cut off, or too many of them.")
            for number, (offset, info) in enumerate(_REL.iter_unpack(table.data)):
                symbol = info >> 32
                if symbol >= len(self.symbols):
                    raise ObjectError(f"{where}: relocation {number} is for symbol {symbol}, which does not exist.")
                if offset >= section.size:
                    raise ObjectError(f"{where}: relocation {number} is at offset {offset}, past the section's end.")
                yield Relocation(offset, info & 0xFFFFFFFF, self.symbols[symbol])

    def section_of(self, symbol: ElfSymbol) -> ElfSection | None:
        """The section that a symbol is in; None for an extern or an absolute one."""
        if 0 < symbol.section < len(self.sections):
            return self.sections[symbol.section]
        return None


class _Reader:
    def __init__(self, contents: bytes, name: str) -> None:
        self.contents = contents
        self.name = name
        self.taken = 0

    def fail(self, problem: str, hint: str = "") -> ObjectError:
        return ObjectError(f"{self.name} {problem}.", hint=hint)

    def read(self) -> ElfObject:
        offset, count, strings_index = self._header()
        headers = [_SECTION.unpack_from(self.contents, offset + number * _SECTION.size) for number in range(count)]
        bodies = [self._body(number, *header) for number, header in enumerate(headers)]
        if strings_index >= count:
            raise self.fail("has no table of section names")
        names = bodies[strings_index]
        sections = tuple(
            ElfSection(
                number, self._text(names, header[0], "section"), header[1], header[2], header[5], bodies[number],
                header[6], header[7],
            )
            for number, header in enumerate(headers)
        )  # fmt: skip
        return ElfObject(self.name, sections, self._symbols(sections))

    def _header(self) -> tuple[int, int, int]:
        contents = self.contents
        build = "Build it with clang -g -O2 -target bpf -c."
        if contents[:4] != b"\x7fELF":
            raise self.fail("is empty" if not contents else "is not an ELF file", build)
        if len(contents) > MAX_FILE_SIZE:
            raise self.fail(f"is larger than {MAX_FILE_SIZE >> 20} MiB")
        if len(contents) < _HEADER.size:
            raise self.fail("ends inside its ELF header")
        ident, kind, machine, *_, offset, _, _, _, _, entry_size, count, strings = _HEADER.unpack_from(contents)
        if ident[4] != 2 or ident[5] != 1:
            raise self.fail("is not a 64-bit little-endian ELF file", "Build it with -target bpfel.")
        if machine not in (EM_NONE, EM_BPF):
            raise self.fail(f"is for another processor (e_machine {machine}, BPF is {EM_BPF})", build)
        if kind != ET_REL:
            raise self.fail(f"is not an object file (e_type {kind})", build)
        if entry_size != _SECTION.size or not 0 < count <= MAX_SECTIONS:
            raise self.fail(f"has {count} section headers of {entry_size} bytes each, which is not sensible")
        if offset + count * entry_size > len(contents):
            raise self.fail("is cut off: its section headers are past its end")
        return offset, count, strings

    def _body(self, number: int, _name: int, kind: int, _flags: int, _addr: int, offset: int, size: int,
              *_: int) -> bytes:  # fmt: skip
        if number == 0 or kind == SHT_NOBITS:
            if size > MAX_FILE_SIZE:
                raise self.fail(f"has a section {number} of {size} zeroes, which is not sensible")
            return b""
        if offset + size > len(self.contents):
            raise self.fail(f"is cut off: section {number} is past its end")
        self.taken += size
        if self.taken > MAX_FILE_SIZE:
            raise self.fail("has sections that lie over each other")
        return self.contents[offset : offset + size]

    def _text(self, table: bytes, offset: int, what: str) -> str:
        if offset == 0 and not table:
            return ""
        if offset >= len(table):
            raise self.fail(f"has a {what} whose name is past the end of the names")
        end = table.find(b"\0", offset, offset + MAX_NAME)
        if end < 0:
            raise self.fail(f"has a {what} with a name without end")
        return table[offset:end].decode("utf-8", "replace")

    def _symbols(self, sections: tuple[ElfSection, ...]) -> tuple[ElfSymbol, ...]:
        tables = [section for section in sections if section.type == SHT_SYMTAB]
        if not tables:
            return ()
        table = tables[0]
        if table.link >= len(sections) or sections[table.link].type != SHT_STRTAB:
            raise self.fail("has symbols without a table of their names")
        if len(table.data) % _SYMBOL.size or len(table.data) // _SYMBOL.size > MAX_SYMBOLS:
            raise self.fail("has a symbol table that ends in the middle, or too many symbols")
        names = sections[table.link].data
        found = []
        for number, (name, info, other, section, value, size) in enumerate(_SYMBOL.iter_unpack(table.data)):
            if section < SHN_LORESERVE and section >= len(sections):
                raise self.fail(f"has a symbol {number} in section {section}, which does not exist")
            text = self._text(names, name, "symbol")
            found.append(ElfSymbol(number, text, value, size, section, info & 15, info >> 4, other & 3))
        return tuple(found)
