"""How a trace event's fields lie in its records: as the C compiler lays out ``struct trace_event_raw_NAME``.

Follows Linux 6.1 include/trace/stages: TP_STRUCT__entry becomes a structure behind ``struct trace_entry``; a string
is a location there, its text lies behind the fixed part.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from kprobesim.tracing.event_filter import FilterField
from kprobesim.tracing.trace_event import COMMON_SIZE

__all__ = ["Layout", "Value"]

Value = int | bytes

# What is_signed_type() says of each, and its size in bytes.
_TYPES: Final[dict[str, tuple[bool, int]]] = {
    "char": (True, 1), "bool": (False, 1), "short": (True, 2), "int": (True, 4), "pid_t": (True, 4),
    "clockid_t": (True, 4), "enum hrtimer_mode": (False, 4), "long": (True, 8), "s64": (True, 8), "u64": (False, 8),
    "unsigned long": (False, 8), "size_t": (False, 8), "void *": (False, 8), "const void *": (False, 8),
}  # fmt: skip
_CODES: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}
_LOC: Final = struct.Struct("<I")
_STRING: Final = "__string"


class Layout:
    """The fixed part of an event's records.

    Args:
        declarations: ``TYPE NAME``, ``TYPE NAME[LENGTH]`` or ``__string NAME``, in the order of TP_STRUCT__entry.

    Attributes:
        fields: as the format file lists them.
        size: of the fixed part in bytes, the common fields included.
    """

    def __init__(self, declarations: Sequence[str]) -> None:
        fields: list[FilterField] = []
        reading, writing = "<", "<"
        at, alignment = COMMON_SIZE, 4
        for declaration in declarations:
            kind, _, name = declaration.rpartition(" ")
            name, bracket, length = name.partition("[")
            count = int(length[:-1]) if bracket else 0
            signed, size = (True, 4) if kind == _STRING else _TYPES[kind]
            padding = -at % size
            code = f"{padding}x" if padding else ""
            if kind == _STRING:
                fields.append(FilterField(name, "__data_loc char[]", at + padding, 4, True, True))
                code += "I"
            elif bracket:
                shown = f"{kind}[{count}]"
                fields.append(FilterField(name, shown, at + padding, size * count, signed, kind == "char", count))
                code += f"{size * count}s"
            else:
                fields.append(FilterField(name, kind, at + padding, size, signed))
                code += _CODES[size]
            writing += code
            reading += code.lower() if signed and not bracket and kind != _STRING else code
            at += padding + size * (count or 1)
            alignment = max(alignment, size)
        self.fields: Final = tuple(fields)
        self._end: Final = at
        self.size: Final = at + -at % alignment
        self._masks = tuple((1 << 8 * field.size) - 1 for field in fields)
        self._writing, self._reading = struct.Struct(writing), struct.Struct(reading)

    def pack(self, values: Sequence[Value]) -> bytes:
        """The bytes behind the common fields.

        Args:
            values: one for each field: a number, whose upper bits are cut off; the bytes of an array, cut or filled up
                with zeros; the text of a string, without its NUL.
        """
        numbers: list[Value] = []
        texts = b""
        for field, mask, value in zip(self.fields, self._masks, values, strict=True):
            if isinstance(value, int):
                numbers.append(value & mask)
            elif field.type.startswith("__data_loc"):
                numbers.append(len(value) + 1 << 16 | self._end + len(texts))
                texts += value + b"\0"
            else:
                numbers.append(value)
        return (self._writing.pack(*numbers) + texts).ljust(self.size - COMMON_SIZE, b"\0")

    def unpack(self, record: bytes) -> list[Value]:
        """The values of a whole record's fields: numbers with their sign, strings without NUL, arrays as they are."""
        found: list[Value] = list(self._reading.unpack_from(record, COMMON_SIZE))
        for number, field in enumerate(self.fields):
            value = found[number]
            if field.type.startswith("__data_loc"):
                assert isinstance(value, int)
                found[number] = record[value & 0xFFFF :][: value >> 16].split(b"\0")[0]
            elif field.is_text:
                assert isinstance(value, bytes)
                found[number] = value.split(b"\0")[0]
        return found
