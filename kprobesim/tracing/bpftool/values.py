"""Bytes as the value that their BTF type says they are. Follows what bpftool's btf_dumper.c shows."""

from __future__ import annotations

from typing import Any

from kprobesim.bpf.object import ObjectError
from kprobesim.image import Btf, BtfKind, BtfMember, BtfType

__all__ = ["hex_bytes", "hex_list", "value_of"]

MAX_DEPTH = 32
MAX_PIECES = 200_000
_CHAR, _BOOL = 2, 4


class _Formatted:
    """One conversion; ``pieces`` bounds it, for types may unfold without end."""

    def __init__(self, btf: Btf, plain: bool) -> None:
        self.btf = btf
        self.plain = plain
        self.pieces = 0

    def value(self, type_id: int, data: bytes, depth: int = MAX_DEPTH) -> Any:
        self.pieces += 1
        if depth <= 0 or self.pieces > MAX_PIECES:
            raise ObjectError("The value's type unfolds without end.")
        entry = self.btf.strip(type_id)
        if entry.kind is BtfKind.INT:
            return self.integer(entry, data)
        if entry.kind is BtfKind.PTR:
            number = int.from_bytes(data[:8], "little")
            return f"{number:#x}" if self.plain else number
        if entry.kind in (BtfKind.ENUM, BtfKind.ENUM64):
            number = int.from_bytes(data[: entry.size], "little", signed=entry.is_signed)
            return next((value.name for value in entry.enumerators if value.value == number), number)
        if entry.kind is BtfKind.ARRAY:
            return self.array(entry, data, depth)
        if entry.kind in (BtfKind.STRUCT, BtfKind.UNION):
            return {
                member.name or "(anon)": self.member(member, data, depth) for member in entry.members
            }  # fmt: skip
        if entry.kind is BtfKind.DATASEC:
            return {entry.name: [self.variable(one.type_id, data[one.offset :], depth) for one in entry.variables]}
        return hex_list(data[: entry.size])

    def variable(self, type_id: int, data: bytes, depth: int) -> Any:
        var = self.btf.type(type_id)
        return {var.name: self.value(var.target, data[: self.btf.size_of(var.target)], depth - 1)}

    def integer(self, entry: BtfType, data: bytes) -> Any:
        size = entry.size
        if entry.encoding & _BOOL:
            return bool(data[0]) if data else False
        if entry.encoding & _CHAR and data:
            letter = chr(data[0])
            if letter.isascii() and letter.isprintable():
                return letter
            return f"0x{data[0]:x}" if self.plain else f"\\u00{data[0]:02x}"
        return int.from_bytes(data[:size], "little", signed=entry.is_signed)

    def member(self, member: BtfMember, data: bytes, depth: int) -> Any:
        at = member.bit_offset // 8
        if not member.bit_size:
            return self.value(member.type_id, data[at : at + self.btf.size_of(member.type_id)], depth - 1)
        whole = int.from_bytes(data[at : at + 16], "little") >> member.bit_offset % 8
        number = whole & (1 << member.bit_size) - 1
        if self.btf.strip(member.type_id).is_signed and number >> member.bit_size - 1:
            number -= 1 << member.bit_size
        return number

    def array(self, entry: BtfType, data: bytes, depth: int) -> Any:
        element = self.btf.strip(entry.target)
        if element.kind is BtfKind.INT and element.size == 1 and (element.name == "char" or element.encoding & _CHAR):
            text, zero, _ = data[: entry.count].partition(b"\0")
            if zero and all(0x1F < letter < 0x7F for letter in text):
                return text.decode("ascii")
        size = self.btf.size_of(entry.target)
        return [
            self.value(entry.target, data[number * size : (number + 1) * size], depth - 1)
            for number in range(min(entry.count, len(data) // size if size else 0))
        ]


def value_of(btf: Btf, type_id: int, data: bytes, *, plain: bool) -> Any:
    """Bytes as a JSON value.

    Args:
        btf: the types.
        type_id: of the value.
        data: its bytes.
        plain: as text for people rather than for programs: addresses in hex.

    Raises:
        ObjectError: the type unfolds without end.
        ImageError: it refers to itself.
    """
    return _Formatted(btf, plain).value(type_id, data)


def hex_bytes(data: bytes) -> str:
    """Bytes as bpftool prints them: sixteen on a line, a wider gap after eight."""
    lines = []
    for at in range(0, len(data), 16):
        halves = (data[at : at + 8], data[at + 8 : at + 16])
        lines.append("  ".join(half.hex(" ") for half in halves if half))
    return "\n".join(lines)


def hex_list(data: bytes) -> list[str]:
    """Bytes as ``["0x00","0x01"]``."""
    return [f"0x{byte:02x}" for byte in data]
