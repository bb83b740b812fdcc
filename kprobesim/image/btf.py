"""BTF: the kernel's types, as the section ``.BTF`` describes them.

Format: Linux Documentation/bpf/btf.rst and include/uapi/linux/btf.h; kinds 1 (INT) to 19 (ENUM64).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from kprobesim.errors import ImageError
from kprobesim.image.elf import KernelImage

__all__ = ["Btf", "BtfKind", "BtfMember", "BtfType", "Enumerator", "MemberPlace", "Parameter", "Variable"]

MAGIC = 0xEB9F
HEADER = struct.Struct("<HBBIIIII")
TYPE = struct.Struct("<III")
MAX_TYPES = 1 << 18
MAX_DEPTH = 32
"""How deep types may refer to each other (Linux kernel/bpf/btf.c:MAX_RESOLVE_DEPTH)."""
POINTER_SIZE = 8
MAX_TYPE_SIZE = 1 << 40


class BtfKind(IntEnum):
    """``BTF_KIND_*``; VOID is type id 0."""

    VOID = 0
    INT = 1
    PTR = 2
    ARRAY = 3
    STRUCT = 4
    UNION = 5
    ENUM = 6
    FWD = 7
    TYPEDEF = 8
    VOLATILE = 9
    CONST = 10
    RESTRICT = 11
    FUNC = 12
    FUNC_PROTO = 13
    VAR = 14
    DATASEC = 15
    FLOAT = 16
    DECL_TAG = 17
    TYPE_TAG = 18
    ENUM64 = 19


SIZED = (BtfKind.INT, BtfKind.STRUCT, BtfKind.UNION, BtfKind.ENUM, BtfKind.ENUM64, BtfKind.FLOAT, BtfKind.DATASEC)
MODIFIERS = (BtfKind.TYPEDEF, BtfKind.VOLATILE, BtfKind.CONST, BtfKind.RESTRICT, BtfKind.TYPE_TAG)
COMPOSITE = (BtfKind.STRUCT, BtfKind.UNION)
INT_SIGNED, INT_CHAR, INT_BOOL = 1, 2, 4


@dataclass(frozen=True, slots=True)
class BtfMember:
    """A struct's or union's member; ``bit_size`` is 0 unless it is a bit field."""

    name: str
    type_id: int
    bit_offset: int
    bit_size: int = 0


@dataclass(frozen=True, slots=True)
class Enumerator:
    """One name of an enum and its value."""

    name: str
    value: int


@dataclass(frozen=True, slots=True)
class Parameter:
    """A function's parameter; a nameless one of type 0 at the end stands for ``...``."""

    name: str
    type_id: int


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a DATASEC: its VAR's id, its offset in the section and its size in bytes."""

    type_id: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class BtfType:
    """One type; which fields mean something depends on ``kind``.

    ``size`` is in bytes, for INT, STRUCT, UNION, ENUM, ENUM64, FLOAT and DATASEC. ``target`` is the type that PTR,
    TYPEDEF, the qualifiers, ARRAY (its element), FUNC (its prototype), FUNC_PROTO (what it returns), VAR and the tags
    refer to. ``flag`` is kind_flag: a signed enum, a FWD of a union. ``encoding``, ``bits`` and ``bit_offset`` belong
    to INT, ``count`` and ``index_type`` to ARRAY, ``linkage`` to FUNC and VAR, ``component`` to DECL_TAG.
    """

    id: int
    kind: BtfKind
    name: str
    size: int = 0
    target: int = 0
    flag: bool = False
    members: tuple[BtfMember, ...] = ()
    enumerators: tuple[Enumerator, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    variables: tuple[Variable, ...] = ()
    encoding: int = 0
    bits: int = 0
    bit_offset: int = 0
    count: int = 0
    index_type: int = 0
    linkage: int = 0
    component: int = -1

    @property
    def is_signed(self) -> bool:
        """True for a signed INT or enum."""
        return bool(self.encoding & INT_SIGNED) if self.kind is BtfKind.INT else self.flag


@dataclass(frozen=True, slots=True)
class MemberPlace:
    """Where a member is: its byte offset, the bits it has there (0 and 0 unless a bit field), its size and type.

    A bit field's ``bit_offset`` counts from the least significant bit of the byte at ``offset``.
    """

    offset: int
    bit_offset: int
    bit_size: int
    size: int
    type_id: int


@dataclass(frozen=True)
class Btf:
    """All types of an image; ``types[0]`` is void and ids are indexes."""

    types: tuple[BtfType, ...]
    _by_name: dict[str, list[int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        names: dict[str, list[int]] = {}
        for entry in self.types:
            if entry.name:
                names.setdefault(entry.name, []).append(entry.id)
        object.__setattr__(self, "_by_name", names)

    @classmethod
    def from_image(cls, image: KernelImage) -> "Btf":
        """Read ``.BTF``; an image without one has only void.

        Raises:
            ImageError: it is damaged.
        """
        section = image.sections.get(".BTF")
        return cls.parse(section.data, image.name) if section else cls((BtfType(0, BtfKind.VOID, "void"),))

    @classmethod
    def parse(cls, data: bytes, name: str = "BTF") -> "Btf":
        """Read BTF.

        Args:
            data: the section's bytes.
            name: what to call it in messages.

        Raises:
            ImageError: it is damaged: every id, name and length in it is checked.
        """
        from kprobesim.image.btf_parse import parse_types

        return cls(parse_types(data, name))

    def __len__(self) -> int:
        return len(self.types)

    def __iter__(self) -> Iterator[BtfType]:
        return iter(self.types)

    def type(self, type_id: int) -> BtfType:
        """The type of an id.

        Raises:
            ImageError: there is none.
        """
        if not 0 <= type_id < len(self.types):
            raise ImageError(f"BTF has no type {type_id}; the last one is {len(self.types) - 1}.")
        return self.types[type_id]

    def find(self, name: str, *kinds: BtfKind) -> BtfType | None:
        """The first type of this name and, where given, of one of these kinds."""
        for type_id in self._by_name.get(name, ()):
            if not kinds or self.types[type_id].kind in kinds:
                return self.types[type_id]
        return None

    def strip(self, type_id: int) -> BtfType:
        """The type behind typedefs, qualifiers and tags (Linux kernel/bpf/btf.c:btf_type_skip_modifiers).

        Raises:
            ImageError: they go round in a circle.
        """
        entry = self.type(type_id)
        for _ in range(MAX_DEPTH):
            if entry.kind not in MODIFIERS:
                return entry
            entry = self.type(entry.target)
        raise ImageError(f"BTF type {type_id} refers to itself.")

    def size_of(self, type_id: int) -> int:
        """A type's size in bytes; 0 for void, functions and types that are only declared.

        Raises:
            ImageError: it refers to itself, or is too large to be true.
        """
        count = 1
        for _ in range(MAX_DEPTH):
            entry = self.strip(type_id)
            if entry.kind is BtfKind.VAR:
                type_id = entry.target
            elif entry.kind is BtfKind.ARRAY:
                count, type_id = count * entry.count, entry.target
            else:
                size = count * (POINTER_SIZE if entry.kind is BtfKind.PTR else entry.size)
                if size > MAX_TYPE_SIZE:
                    raise ImageError(f"BTF type {type_id} is {size} bytes large, which is not sensible.")
                return size
        raise ImageError(f"BTF type {type_id} contains itself.")

    def struct_member(self, struct: str | int, path: str) -> MemberPlace | None:
        """Find a member, through anonymous structs and unions and through arrays.

        Args:
            struct: the name of a struct, union or typedef, or a type id.
            path: ``"f_path.dentry"``, with ``[3]`` after an array.

        Returns:
            where it is, from the start of ``struct``; nothing when a name in the path is unknown, or the path goes
            through a pointer.

        Raises:
            ImageError: the types refer to themselves.
        """
        start = self.find(struct, *COMPOSITE, BtfKind.TYPEDEF) if isinstance(struct, str) else self.type(struct)
        if start is None:
            return None
        type_id, offset, bit_size = start.id, 0, 0
        for step in path.replace("[", ".[").split("."):
            entry = self.strip(type_id)
            if step.startswith("["):
                index = step[1:-1]
                if entry.kind is not BtfKind.ARRAY or step[-1] != "]" or not (index.isascii() and index.isdigit()):
                    return None
                offset += int(index[:12]) * self.size_of(entry.target) * 8
                type_id, bit_size = entry.target, 0
                continue
            found = self._member(entry, step, set(), MAX_DEPTH)
            if found is None:
                return None
            offset, type_id, bit_size = offset + found.bit_offset, found.type_id, found.bit_size
        return MemberPlace(offset // 8, offset % 8, bit_size, self.size_of(type_id), type_id)

    def _member(self, entry: BtfType, name: str, seen: set[int], depth: int) -> BtfMember | None:
        """A member by name, its offset counted from the outermost struct; ``seen`` are types searched in vain."""
        if depth == 0:
            raise ImageError(f"BTF type {entry.id} contains itself.")
        if entry.id in seen:
            return None
        seen.add(entry.id)
        for member in entry.members:
            if member.name == name and name:
                return member
            if not member.name:
                inner = self._member(self.strip(member.type_id), name, seen, depth - 1)
                if inner:
                    return BtfMember(name, inner.type_id, member.bit_offset + inner.bit_offset, inner.bit_size)
        return None

    def function(self, name: str) -> tuple[tuple[Parameter, ...], int] | None:
        """A function's parameters and the id of the type it returns; nothing for an unknown name."""
        func = self.find(name, BtfKind.FUNC)
        if func is None or self.type(func.target).kind is not BtfKind.FUNC_PROTO:
            return None
        proto = self.type(func.target)
        return proto.parameters, proto.target

    def type_name(self, type_id: int) -> str:
        """A type as C writes it without a variable: ``const char *``, ``struct file *``, ``int [4]``."""
        from kprobesim.image.btf_format import declare

        return declare(self, type_id, "")

    def format_c(self, type_id: int) -> str:
        """A type's C definition, the way ``bpftool btf dump ... format c`` prints it, without comments."""
        from kprobesim.image.btf_format import define

        return define(self, type_id)
