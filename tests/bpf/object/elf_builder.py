"""ELF files and BTF put together by hand, for what no compiler would write."""

import struct
from collections.abc import Sequence
from typing import NamedTuple

SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_NOBITS, SHT_REL = 1, 2, 3, 8, 9
CODE = 2 | 4
STB_GLOBAL, STT_FUNC = 1, 2


class Section(NamedTuple):
    name: str
    data: bytes = b""
    type: int = SHT_PROGBITS
    flags: int = 2
    size: int | None = None


class Symbol(NamedTuple):
    """``section`` is the position in the list of sections given to ``elf_file``."""

    name: str
    section: int
    value: int = 0
    size: int = 0
    info: int = STB_GLOBAL << 4 | STT_FUNC


def _strings(names: Sequence[str]) -> tuple[bytes, dict[str, int]]:
    table, places = b"\0", {"": 0}
    for name in names:
        places.setdefault(name, len(table))
        table += name.encode() + b"\0"
    return table, places


def elf_file(sections: Sequence[Section], symbols: Sequence[Symbol] = ()) -> bytes:
    """A relocatable BPF object with these sections, a symbol table and its strings."""
    names, places = _strings([symbol.name for symbol in symbols])
    table = bytes(24) + b"".join(
        struct.pack("<IBBHQQ", places[one.name], one.info, 0, one.section + 1, one.value, one.size) for one in symbols
    )
    whole = [
        *sections,
        Section(".symtab", table, SHT_SYMTAB, 0),
        Section(".strtab", names, SHT_STRTAB, 0),
    ]
    labels, where = _strings([section.name for section in whole] + [".shstrtab"])
    whole.append(Section(".shstrtab", labels, SHT_STRTAB, 0))
    body, headers = b"", bytes(64)
    for section in whole:
        link = len(sections) + 2 if section.type == SHT_SYMTAB else 0
        size = len(section.data) if section.size is None else section.size
        headers += struct.pack(
            "<IIQQQQIIQQ", where[section.name], section.type, section.flags, 0, 64 + len(body), size, link, 1, 8, 0
        )
        body += section.data
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", ident, 1, 247, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, len(whole) + 1, len(whole)
    )
    return header + body + headers


class Types:
    """BTF in the making; each method gives the id of the type that it added."""

    def __init__(self) -> None:
        self.body = b""
        self.text = b"\0"
        self.count = 0

    def name(self, text: str) -> int:
        at = len(self.text)
        self.text += text.encode() + b"\0"
        return at

    def add(self, kind: int, name: str = "", size: int = 0, vlen: int = 0, extra: bytes = b"") -> int:
        self.body += struct.pack("<III", self.name(name) if name else 0, kind << 24 | vlen, size) + extra
        self.count += 1
        return self.count

    def bytes(self) -> bytes:
        sizes = 0, len(self.body), len(self.body), len(self.text)
        return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, *sizes) + self.body + self.text


def btf_ext(relocations: Sequence[tuple[int, int, int]], section: int, access: int) -> bytes:
    """`.BTF.ext` with CO-RE relocations: slot, type id, kind; ``section`` and ``access`` are places of strings."""
    records = b"".join(struct.pack("<IIII", slot * 8, type_id, access, kind) for slot, type_id, kind in relocations)
    core = struct.pack("<III", 16, section, len(relocations)) + records
    return struct.pack("<HBBIIIIIII", 0xEB9F, 1, 0, 32, 0, 0, 0, 0, 0, len(core)) + core
