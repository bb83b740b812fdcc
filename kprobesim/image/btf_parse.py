"""Reading the bytes of a BTF section into records, trusting none of them."""

import struct
from collections.abc import Callable

from kprobesim.errors import ImageError
from kprobesim.image.btf import (
    HEADER,
    MAGIC,
    MAX_TYPES,
    SIZED,
    TYPE,
    BtfKind,
    BtfMember,
    BtfType,
    Enumerator,
    Parameter,
    Variable,
)

__all__ = ["parse_types"]

EXTRA = {
    BtfKind.INT: (struct.Struct("<I"), False),
    BtfKind.ARRAY: (struct.Struct("<III"), False),
    BtfKind.STRUCT: (struct.Struct("<III"), True),
    BtfKind.UNION: (struct.Struct("<III"), True),
    BtfKind.ENUM: (struct.Struct("<II"), True),
    BtfKind.FUNC_PROTO: (struct.Struct("<II"), True),
    BtfKind.VAR: (struct.Struct("<I"), False),
    BtfKind.DATASEC: (struct.Struct("<III"), True),
    BtfKind.DECL_TAG: (struct.Struct("<i"), False),
    BtfKind.ENUM64: (struct.Struct("<III"), True),
}
"""What follows a type's 12 bytes, and whether it comes vlen times."""

Text = Callable[[int], str]
Rows = list[tuple[int, ...]]


def parse_types(data: bytes, name: str) -> tuple[BtfType, ...]:
    """All types in order, void first.

    Raises:
        ImageError: a length, name or id does not fit.
    """
    if len(data) < HEADER.size:
        raise ImageError(f"{name}: the BTF ends inside its header.")
    magic, version, _, header, type_offset, type_size, string_offset, string_size = HEADER.unpack_from(data)
    if magic != MAGIC or version != 1:
        raise ImageError(f"{name}: this is not BTF version 1 (magic {magic:#x}, version {version}).")
    types, strings = header + type_offset, header + string_offset
    if header < HEADER.size or types + type_size > len(data) or strings + string_size > len(data):
        raise ImageError(f"{name}: the BTF's parts are past its end.")
    text = _strings(data[strings : strings + string_size], name)
    found = [BtfType(0, BtfKind.VOID, "void")]
    at, end = types, types + type_size
    while at < end:
        if len(found) > MAX_TYPES:
            raise ImageError(f"{name}: the BTF has more than {MAX_TYPES} types.")
        if at + TYPE.size > end:
            raise ImageError(f"{name}: BTF type {len(found)} is cut off.")
        name_offset, info, word = TYPE.unpack_from(data, at)
        at += TYPE.size
        try:
            kind = BtfKind(info >> 24 & 31)
        except ValueError:
            kind = BtfKind.VOID
        if kind is BtfKind.VOID:
            raise ImageError(f"{name}: BTF type {len(found)} has the unknown kind {info >> 24 & 31}.")
        rows: Rows = []
        if kind in EXTRA:
            layout, repeated = EXTRA[kind]
            count = info & 0xFFFF if repeated else 1
            if at + count * layout.size > end:
                raise ImageError(f"{name}: BTF type {len(found)} is cut off.")
            rows = list(layout.iter_unpack(data[at : at + count * layout.size]))
            at += count * layout.size
        if kind is BtfKind.FUNC:
            # A function has no rows: the count is its linkage.
            rows = [(info & 0xFFFF,)]
        found.append(_record(len(found), kind, text(name_offset), word, bool(info >> 31), rows, text))
    _check_ids(found, name)
    return tuple(found)


def _strings(table: bytes, name: str) -> Text:
    if not table or table[0] or table[-1]:
        raise ImageError(f"{name}: the BTF's strings do not begin and end with a zero byte.")
    known: dict[int, str] = {}

    def text(offset: int) -> str:
        if offset not in known:
            if offset >= len(table):
                raise ImageError(f"{name}: a BTF name is past the end of the strings.")
            # Linux's names have at most 128 bytes; the bound keeps damage from making a copy of everything each time.
            known[offset] = table[offset : min(table.index(b"\0", offset), offset + 1024)].decode("utf-8", "replace")
        return known[offset]

    return text


def _record(type_id: int, kind: BtfKind, name: str, word: int, flag: bool, rows: Rows, text: Text) -> BtfType:
    size, target = (word, 0) if kind in SIZED else (0, word)
    if kind is BtfKind.INT:
        bits = rows[0][0]
        return BtfType(
            type_id, kind, name, size, encoding=bits >> 24 & 15, bit_offset=bits >> 16 & 255, bits=bits & 255
        )
    if kind in (BtfKind.STRUCT, BtfKind.UNION):
        members = tuple(
            BtfMember(text(label), member, place & 0xFFFFFF if flag else place, place >> 24 if flag else 0)
            for label, member, place in rows
        )
        return BtfType(type_id, kind, name, size, flag=flag, members=members)
    if kind is BtfKind.ENUM:
        values = tuple(Enumerator(text(label), _signed(value, 32) if flag else value) for label, value in rows)
        return BtfType(type_id, kind, name, size, flag=flag, enumerators=values)
    if kind is BtfKind.ENUM64:
        wide = ((label, low | high << 32) for label, low, high in rows)
        values = tuple(Enumerator(text(label), _signed(value, 64) if flag else value) for label, value in wide)
        return BtfType(type_id, kind, name, size, flag=flag, enumerators=values)
    if kind is BtfKind.ARRAY:
        element, index_type, count = rows[0]
        return BtfType(type_id, kind, name, target=element, index_type=index_type, count=count)
    if kind is BtfKind.FUNC_PROTO:
        parameters = tuple(Parameter(text(label), parameter) for label, parameter in rows)
        return BtfType(type_id, kind, name, target=target, parameters=parameters)
    if kind is BtfKind.DATASEC:
        return BtfType(type_id, kind, name, size, variables=tuple(Variable(*row) for row in rows))
    if kind in (BtfKind.VAR, BtfKind.FUNC):
        return BtfType(type_id, kind, name, target=target, linkage=rows[0][0])
    if kind is BtfKind.DECL_TAG:
        return BtfType(type_id, kind, name, target=target, component=rows[0][0])
    return BtfType(type_id, kind, name, size, 0 if kind is BtfKind.FWD else target, flag)


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def _check_ids(types: list[BtfType], name: str) -> None:
    for entry in types:
        ids = [entry.target, entry.index_type]
        ids += [member.type_id for member in entry.members]
        ids += [parameter.type_id for parameter in entry.parameters]
        ids += [variable.type_id for variable in entry.variables]
        if max(ids) >= len(types):
            raise ImageError(f"{name}: BTF type {entry.id} refers to type {max(ids)}, which does not exist.")
