"""`.BTF.ext`: which function, which source line and which relocation against the kernel's types belongs to an
instruction.

Format: Linux Documentation/bpf/btf.rst section 4.1. Instruction offsets in it are bytes from the section's start.
"""

import struct
from dataclasses import dataclass, field

from kprobesim.bpf.object.errors import ObjectError
from kprobesim.image.btf import HEADER as BTF_HEADER

__all__ = ["BtfExt", "CoreRelo", "FuncInfo", "LineInfo"]

MAGIC = 0xEB9F
MAX_RECORDS = 1 << 20
_HEADER = struct.Struct("<HBBI")
_PARTS = struct.Struct("<IIII")
_CORE = struct.Struct("<II")
_GROUP = struct.Struct("<II")
_FUNC = struct.Struct("<II")
_LINE = struct.Struct("<IIII")
_RELO = struct.Struct("<IIII")
_MAX_NAME = 4096
_MAX_TEXT = 32 << 20


@dataclass(frozen=True, slots=True)
class FuncInfo:
    """A function begins at ``slot``; its BTF FUNC is ``type_id``. ``record`` is all of it, as in the file."""

    slot: int
    type_id: int
    record: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class LineInfo:
    """From ``slot`` on, instructions come from this place of the source.

    Attributes:
        slot: of the instruction.
        file: path, as the compiler was told it.
        text: the line itself, empty where the compiler had none.
        line, column: from 1; 0 where there is none.
        record: all of it, as in the file.
    """

    slot: int
    file: str
    text: str
    line: int
    column: int
    record: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class CoreRelo:
    """What instruction ``slot`` needs to know of the kernel's types.

    Attributes:
        slot: of the instruction.
        type_id: the type in the object's BTF that it starts from.
        access: indexes as text, ``0:1:2``.
        kind: ``enum bpf_core_relo_kind``.
    """

    slot: int
    type_id: int
    access: str
    kind: int


@dataclass(frozen=True)
class BtfExt:
    """All of it, by section name, in the order of the file, which is that of slots unless the file is odd."""

    functions: dict[str, list[FuncInfo]] = field(default_factory=dict)
    lines: dict[str, list[LineInfo]] = field(default_factory=dict)
    relocations: dict[str, list[CoreRelo]] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: bytes, btf_data: bytes, name: str) -> "BtfExt":
        """Read the section.

        Args:
            data: its bytes.
            btf_data: the bytes of ``.BTF``, which has the strings.
            name: of the file, for messages.

        Raises:
            ObjectError: it is damaged.
        """
        return _Reader(data, btf_data, name).read()


class _Reader:
    def __init__(self, data: bytes, btf_data: bytes, name: str) -> None:
        self.data = data
        self.name = name
        *_, header, _, _, offset, size = BTF_HEADER.unpack_from(btf_data)
        self.strings = btf_data[header + offset : header + offset + size]
        self.known: dict[int, str] = {}
        self.records = 0
        self.text_size = 0

    def fail(self, problem: str) -> ObjectError:
        return ObjectError(f"{self.name}: .BTF.ext {problem}.")

    def text(self, offset: int) -> str:
        if offset not in self.known:
            end = self.strings.find(b"\0", offset)
            if end < 0:
                raise self.fail(f"has a string at {offset}, past the end of the strings")
            self.known[offset] = self.strings[offset : min(end, offset + _MAX_NAME)].decode("utf-8", "replace")
            self.text_size += len(self.known[offset])
            if self.text_size > _MAX_TEXT:
                # Strings may overlap: a small file can name any amount of text.
                raise self.fail("has more text than is sensible")
        return self.known[offset]

    def maybe(self, offset: int) -> str:
        """Text that only the kernel asks for: whether there is any the verifier says."""
        return self.text(offset) if offset < len(self.strings) else ""

    def read(self) -> BtfExt:
        data = self.data
        if len(data) < _HEADER.size + _PARTS.size:
            raise self.fail("ends inside its header")
        magic, version, _, header = _HEADER.unpack_from(data)
        if magic != MAGIC or version != 1:
            raise self.fail(f"is not of version 1 (magic {magic:#x}, version {version})")
        if not _HEADER.size + _PARTS.size <= header <= len(data):
            raise self.fail(f"has a header of {header} bytes")
        func_at, func_size, line_at, line_size = _PARTS.unpack_from(data, _HEADER.size)
        found = BtfExt()
        for section, slot, record in self.part("func_info", header + func_at, func_size, _FUNC.size):
            type_id = _FUNC.unpack_from(record)[1]
            found.functions.setdefault(section, []).append(FuncInfo(slot, type_id, record))
        for section, slot, record in self.part("line_info", header + line_at, line_size, _LINE.size):
            _, file, text, where = _LINE.unpack_from(record)
            line = LineInfo(slot, self.maybe(file), self.maybe(text), where >> 10, where & 1023, record)
            found.lines.setdefault(section, []).append(line)
        if header >= _HEADER.size + _PARTS.size + _CORE.size:
            core_at, core_size = _CORE.unpack_from(data, _HEADER.size + _PARTS.size)
            for section, slot, record in self.part("core_relo", header + core_at, core_size, _RELO.size):
                _, type_id, access, kind = _RELO.unpack_from(record)
                found.relocations.setdefault(section, []).append(CoreRelo(slot, type_id, self.text(access), kind))
        return found

    def part(self, what: str, start: int, size: int, smallest: int) -> list[tuple[str, int, bytes]]:
        """One part as triples: section name, slot, record."""
        if size == 0:
            return []
        end = start + size
        if size < 4 or end > len(self.data):
            raise self.fail(f"has a {what} past its end")
        record_size = int.from_bytes(self.data[start : start + 4], "little")
        if record_size < smallest or record_size % 4 or record_size > 4096:
            raise self.fail(f"has {what} records of {record_size} bytes")
        at, found = start + 4, []
        while at < end:
            if at + _GROUP.size > end:
                raise self.fail(f"has a {what} that is cut off")
            name, count = _GROUP.unpack_from(self.data, at)
            at += _GROUP.size
            self.records += count
            if count == 0 or at + count * record_size > end or self.records > MAX_RECORDS:
                raise self.fail(f"has {count} {what} records in a section, which is not sensible")
            section = self.text(name)
            for number in range(count):
                record = self.data[at + number * record_size : at + (number + 1) * record_size]
                offset = int.from_bytes(record[:4], "little")
                if offset % 8:
                    raise self.fail(f"has a {what} record in the middle of an instruction, at byte {offset}")
                found.append((section, offset // 8, record))
            at += count * record_size
        return found
