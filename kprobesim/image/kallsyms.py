"""The kernel's symbols, sorted and looked up as Linux's kallsyms does it.

Linux ``kernel/kallsyms.c`` for the look-ups, ``scripts/kallsyms.c`` for which symbols there are and their order.
"""

import struct
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kprobesim.errors import ImageError
from kprobesim.image.elf import KernelImage, Section

__all__ = ["Kallsyms", "Symbol", "SymbolOverlay", "SymbolTable"]

KSYM_NAME_LEN = 512
MAX_SYMBOLS = 1 << 20
SYMBOL_RECORD = struct.Struct("<IBBHQQ")
SHN_LORESERVE = 0xFF00
STB_LOCAL, STB_WEAK = 0, 2
STT_SECTION, STT_FILE, STT_OBJECT, STT_FUNC, STT_TLS = 3, 4, 1, 2, 6
IGNORED_PREFIXES = ("$", ".L", "__crc_", "__kstrtab_", "__kstrtabns_")


@dataclass(frozen=True, slots=True)
class Symbol:
    """One line of ``/proc/kallsyms``.

    ``type_letter`` is nm's: t text, d data, b zeroed data, r read-only data, w weak text, v weak data; capital when
    global. ``elf_size`` is what the compiler noted in bytes, 0 for a label in assembly. ``module`` is empty for the
    kernel itself.
    """

    name: str
    address: int
    type_letter: str
    elf_size: int
    section: str
    module: str = ""

    @property
    def is_text(self) -> bool:
        """True for a function or a label in code."""
        return self.type_letter in "tTwW"

    def __str__(self) -> str:
        suffix = f"\t[{self.module}]" if self.module else ""
        return f"{self.address:016x} {self.type_letter} {self.name}{suffix}"


class SymbolTable(ABC):
    """What both the image's own symbols and the ones added at run time answer."""

    @abstractmethod
    def __iter__(self) -> Iterator[Symbol]:
        """In the order of ``/proc/kallsyms``."""

    @abstractmethod
    def lookup_name(self, name: str) -> list[Symbol]:
        """All symbols of this name, lowest address first; empty when there is none."""

    @abstractmethod
    def lookup_size_offset(self, address: int) -> tuple[Symbol, int, int] | None:
        """The symbol that holds an address.

        Returns:
            the symbol, the address's offset in it and its size, both in bytes; nothing when no symbol holds it. The
            size runs to the next symbol, so it includes padding (Linux kernel/kallsyms.c:kallsyms_lookup_size_offset).
        """

    def sprint_symbol(self, address: int) -> str:
        """``vfs_read+0x10/0x120``, or the bare address in hex (Linux kernel/kallsyms.c:sprint_symbol)."""
        found = self.lookup_size_offset(address)
        if found is None:
            return f"{address:#x}"
        symbol, offset, size = found
        module = f" [{symbol.module}]" if symbol.module else ""
        return f"{symbol.name}+{offset:#x}/{size:#x}{module}"

    def symbolize(self, address: int) -> str:
        """``vfs_read+0x10``, or the bare address in hex."""
        found = self.lookup_size_offset(address)
        return f"{found[0].name}+{found[1]:#x}" if found else f"{address:#x}"

    def near_names(self, name: str, count: int = 3) -> list[str]:
        """Up to ``count`` names that a person may have meant, best first."""
        import difflib

        return difflib.get_close_matches(name, {symbol.name for symbol in self}, count, 0.6)


class Kallsyms(SymbolTable):
    """The symbols of an image; nothing in it changes.

    Args:
        symbols: in any order.
        extents: for each loaded section its name, first address, end, and the end of the segment around it: a symbol
            reaches to the next one in the same segment, the last one to the end of its section.
    """

    def __init__(self, symbols: Iterable[Symbol], extents: Iterable[tuple[str, int, int, int]]) -> None:
        self._symbols = tuple(sorted(symbols, key=_order))
        self._addresses = [symbol.address for symbol in self._symbols]
        self._extents = {name: (end, limit) for name, _, end, limit in extents}
        self._by_name: dict[str, list[Symbol]] = {}
        for symbol in self._symbols:
            self._by_name.setdefault(symbol.name, []).append(symbol)

    @classmethod
    def from_image(cls, image: KernelImage) -> "Kallsyms":
        """Read ``.symtab``; without one there are no symbols.

        Raises:
            ImageError: the symbol table is damaged.
        """
        extents = []
        for section in image.sections_by_index:
            if section and section.is_loaded:
                segment = image.segment_at(section.address)
                extents.append(
                    (section.name, section.address, section.end, segment.virtual_end if segment else section.end)
                )
        return cls(_read_symbols(image), extents)

    def __iter__(self) -> Iterator[Symbol]:
        return iter(self._symbols)

    def __len__(self) -> int:
        return len(self._symbols)

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def lookup_name(self, name: str) -> list[Symbol]:
        """All symbols of this name, lowest address first; empty when there is none."""
        return list(self._by_name.get(name, ()))

    def lookup_size_offset(self, address: int) -> tuple[Symbol, int, int] | None:
        """The symbol that holds an address, the offset in it and its size; see :class:`SymbolTable`.

        Of several symbols at one address the first wins (Linux kernel/kallsyms.c:get_symbol_pos).
        """
        after = bisect_right(self._addresses, address)
        if after == 0:
            return None
        start = self._addresses[after - 1]
        first = after - 1
        while first and self._addresses[first - 1] == start:
            first -= 1
        symbol = self._symbols[first]
        end, limit = self._extents.get(symbol.section, (start + symbol.elf_size, start + symbol.elf_size))
        if after < len(self._addresses) and self._addresses[after] <= limit:
            end = self._addresses[after]
        if address >= end:
            return None
        return symbol, address - start, end - start


class SymbolOverlay(SymbolTable):
    """Symbols that come and go while the kernel runs, in front of an image's own.

    For ``kprobe_insn_page`` and JIT-compiled programs. Its entries are a plain tuple, so a checkpoint keeps
    ``added`` and gives it back to :meth:`replace`.
    """

    def __init__(self, base: SymbolTable) -> None:
        self.base = base
        self._added: tuple[Symbol, ...] = ()

    @property
    def added(self) -> tuple[Symbol, ...]:
        """The dynamic symbols, in the order in which they came."""
        return self._added

    def replace(self, symbols: Iterable[Symbol]) -> None:
        """Make these the dynamic symbols."""
        self._added = tuple(symbols)

    def add(self, name: str, address: int, size: int, *, type_letter: str = "t", module: str = "") -> Symbol:
        """Add one.

        Args:
            name: for example ``kprobe_insn_page``.
            address: of its first byte.
            size: in bytes.
            type_letter: as in :class:`Symbol`.
            module: what stands in brackets, for example ``__builtin__kprobes``.
        """
        symbol = Symbol(name, address, type_letter, size, "", module)
        self._added = (*self._added, symbol)
        return symbol

    def remove(self, symbol: Symbol) -> None:
        """Take one out; ValueError when it is not there."""
        kept = list(self._added)
        kept.remove(symbol)
        self._added = tuple(kept)

    def __iter__(self) -> Iterator[Symbol]:
        yield from self.base
        yield from self._added

    def lookup_name(self, name: str) -> list[Symbol]:
        """The image's symbols of this name, then the dynamic ones."""
        return self.base.lookup_name(name) + [symbol for symbol in self._added if symbol.name == name]

    def lookup_size_offset(self, address: int) -> tuple[Symbol, int, int] | None:
        """The dynamic symbol that holds an address, else the image's."""
        for symbol in self._added:
            if symbol.address <= address < symbol.address + symbol.elf_size:
                return symbol, address - symbol.address, symbol.elf_size
        return self.base.lookup_size_offset(address)


def _order(symbol: Symbol) -> tuple[int, bool, bool, int]:
    """Linux scripts/kallsyms.c:compare_symbols: address, weak last, linker-made last, fewer underscores first."""
    name = symbol.name
    linker_made = name.startswith(("__start_", "__stop_", "__end_"))
    linker_made |= name.startswith("__") and name.endswith(("_start", "_end"))
    underscores = len(name) - len(name.lstrip("_"))
    return symbol.address, symbol.type_letter in "wWvV", linker_made, underscores


def _read_symbols(image: KernelImage) -> Iterator[Symbol]:
    table, strings = image.sections.get(".symtab"), image.sections.get(".strtab")
    if table is None or strings is None:
        return
    records, names = table.data, strings.data
    if len(records) % SYMBOL_RECORD.size or len(records) > MAX_SYMBOLS * SYMBOL_RECORD.size:
        raise ImageError(f"{image.name}: .symtab has a size of {len(records)} bytes, which is not sensible.")
    # Unpacked here and not by pyelftools, which takes 30 us a symbol: this is on the way to the first screen.
    for name_offset, info, _, index, address, size in SYMBOL_RECORD.iter_unpack(records):
        kind, binding = info & 15, info >> 4
        if name_offset == 0 or index == 0 or kind in (STT_SECTION, STT_FILE, STT_TLS):
            continue
        end = names.find(b"\0", name_offset, name_offset + KSYM_NAME_LEN)
        if end <= name_offset:
            raise ImageError(f"{image.name}: a symbol's name is missing or longer than {KSYM_NAME_LEN} bytes.")
        name = names[name_offset:end].decode("utf-8", "replace")
        if name.startswith(IGNORED_PREFIXES):
            continue
        if index >= SHN_LORESERVE:
            # A linker script's `x = .` outside of a section is absolute, and still an address; `x = 3` is not.
            section = image.section_at(address)
        elif index < len(image.sections_by_index):
            section = image.sections_by_index[index]
        else:
            raise ImageError(f"{image.name}: symbol {name} is in section {index}, which does not exist.")
        if section is None or not section.is_loaded:
            continue
        yield Symbol(name, address, _letter(section, kind, binding), size, section.name)


def _letter(section: Section, kind: int, binding: int) -> str:
    """As ``nm`` and so kallsyms print it."""
    if binding == STB_WEAK:
        return "V" if kind == STT_OBJECT else "W"
    if section.is_text:
        letter = "t"
    elif not section.is_writable:
        letter = "r"
    else:
        letter = "b" if section.is_nobits else "d"
    return letter if binding == STB_LOCAL else letter.upper()
