"""Writes small ELF files, right ones and wrong ones, without a compiler."""

import struct
import zlib
from dataclasses import dataclass, field

TEXT_BASE = 0xFFFFFFFF81000000
PHYSICAL_BASE = 0x100000
ALLOC, WRITE, EXEC, COMPRESSED = 2, 1, 4, 0x800
LOCAL, GLOBAL, WEAK = 0, 1, 2
NOTYPE, OBJECT, FUNC = 0, 1, 2


@dataclass
class WrittenSection:
    name: str
    data: bytes = b""
    address: int = 0
    flags: int = 0
    kind: int = 1
    size: int | None = None


@dataclass
class WrittenSymbol:
    name: str
    address: int
    section: str
    size: int = 0
    kind: int = FUNC
    binding: int = GLOBAL
    index: int | None = None


@dataclass
class WrittenSegment:
    virtual: int
    data: bytes
    physical: int = PHYSICAL_BASE
    memory_size: int | None = None
    file_size: int | None = None
    flags: int = 5
    offset: int | None = None


@dataclass
class ElfWriter:
    """An ELF in the making: fill the lists, then ``build()``."""

    entry: int = TEXT_BASE
    machine: int = 62
    kind: int = 2
    elf_class: int = 2
    byte_order: int = 1
    segments: list[WrittenSegment] = field(default_factory=list)
    sections: list[WrittenSection] = field(default_factory=list)
    symbols: list[WrittenSymbol] = field(default_factory=list)

    def build(self) -> bytes:
        sections = [WrittenSection("", kind=0), *self.sections]
        names = [section.name for section in sections]
        strings, records = b"\0", struct.pack("<IBBHQQ", 0, 0, 0, 0, 0, 0)
        for symbol in self.symbols:
            index = names.index(symbol.section) if symbol.index is None else symbol.index
            records += struct.pack(
                "<IBBHQQ", len(strings), symbol.binding << 4 | symbol.kind, 0, index, symbol.address, symbol.size
            )
            strings += symbol.name.encode() + b"\0"
        sections += [WrittenSection(".symtab", records, kind=2), WrittenSection(".strtab", strings, kind=3)]
        labels = b"\0"
        label_offsets = []
        sections.append(WrittenSection(".shstrtab", kind=3))
        for section in sections:
            label_offsets.append(len(labels))
            labels += section.name.encode() + b"\0"
        sections[-1].data = labels

        body = bytearray(64 + 56 * len(self.segments))
        program = b""
        for segment in self.segments:
            offset = len(body) if segment.offset is None else segment.offset
            body += segment.data
            in_file = len(segment.data) if segment.file_size is None else segment.file_size
            in_memory = in_file if segment.memory_size is None else segment.memory_size
            program += struct.pack(
                "<IIQQQQQQ", 1, segment.flags, offset, segment.virtual, segment.physical, in_file, in_memory, 4096
            )
        headers = b""
        for section, label in zip(sections, label_offsets, strict=True):
            size = len(section.data) if section.size is None else section.size
            entry_size, link = (24, len(sections) - 2) if section.kind == 2 else (0, 0)
            headers += struct.pack(
                "<IIQQQQIIQQ",
                label,
                section.kind,
                section.flags,
                section.address,
                len(body),
                size,
                link,
                1,
                1,
                entry_size,
            )
            body += section.data
        header = b"\x7fELF" + bytes([self.elf_class, self.byte_order, 1, 0]) + bytes(8)
        header += struct.pack("<HHIQQQI", self.kind, self.machine, 1, self.entry, 64, len(body), 0)
        header += struct.pack("<HHHHHH", 64, 56, len(self.segments), 64, len(sections), len(sections) - 1)
        body[: 64 + len(program)] = header + program
        return bytes(body) + headers


def compressed(data: bytes) -> bytes:
    """A section's data as ``-gz=zlib`` writes it."""
    return struct.pack("<IIQQ", 1, 0, len(data), 1) + zlib.compress(data)


def small_kernel() -> ElfWriter:
    """Two functions, read-only data, data and zeroed data; one symbol of each letter."""
    text = b"\x55\x48\x89\xe5\xe8\x07\x00\x00\x00\x5d\xc3".ljust(16, b"\xcc") + b"\x31\xc0\xc3".ljust(16, b"\xcc")
    data = bytes(range(32))
    base = TEXT_BASE + 0x1000
    return ElfWriter(
        segments=[
            WrittenSegment(TEXT_BASE, text),
            WrittenSegment(base, data, PHYSICAL_BASE + 0x1000, memory_size=64, flags=6),
        ],
        sections=[
            WrittenSection(".text", text, TEXT_BASE, ALLOC | EXEC),
            WrittenSection(".rodata", data[:16], base, ALLOC),
            WrittenSection(".data", data[16:], base + 16, ALLOC | WRITE),
            WrittenSection(".bss", b"", base + 32, ALLOC | WRITE, kind=8, size=32),
            WrittenSection(".comment", b"made by hand"),
        ],
        symbols=[
            WrittenSymbol("vfs_read", TEXT_BASE, ".text", 11),
            WrittenSymbol("helper", TEXT_BASE + 16, ".text", 3, binding=LOCAL),
            WrittenSymbol("table", base, ".rodata", 16, OBJECT),
            WrittenSymbol("jiffies", base + 16, ".data", 8, OBJECT),
            WrittenSymbol("counter", base + 32, ".bss", 8, OBJECT, LOCAL),
            WrittenSymbol("note", 3, ".comment", 0, NOTYPE),
        ],
    )
