"""All types of an image as one C header: what a BPF program includes as ``vmlinux.h``.

Structs are declared first by name, then every type after those that it contains. Follows the form of
``bpftool btf dump file vmlinux format c``; accesses to these structs are recorded for CO-RE.
"""

from kprobesim.errors import ImageError
from kprobesim.image.btf import COMPOSITE, MAX_DEPTH, Btf, BtfKind, BtfType
from kprobesim.image.btf_format import define

__all__ = ["c_header"]

_ENUMS = (BtfKind.ENUM, BtfKind.ENUM64)
_ALIASES = (BtfKind.CONST, BtfKind.VOLATILE, BtfKind.RESTRICT, BtfKind.TYPE_TAG, BtfKind.DECL_TAG)
_DECLARED = (*COMPOSITE, BtfKind.FWD)
_BUILT_IN = "__builtin_va_list"
_BASICS = {
    "bool": "_Bool",
    "__u8": "unsigned char",
    "__u16": "unsigned short",
    "__u32": "unsigned int",
    "__u64": "unsigned long long",
    "__s8": "signed char",
    "__s16": "short",
    "__s32": "int",
    "__s64": "long long",
}
"""Types that every program uses, for kernels that have no use for them."""


def c_header(btf: Btf) -> str:
    """The header's text.

    Raises:
        ImageError: a type contains itself.
    """
    writer = _Writer(btf)
    for entry in btf:
        if entry.kind in (*COMPOSITE, *_ENUMS, BtfKind.TYPEDEF):
            writer.write(entry, MAX_DEPTH)
    declared = sorted({f"{_keyword(entry)} {entry.name};" for entry in btf if entry.kind in _DECLARED and entry.name})
    missing = [f"typedef {text} {name};" for name, text in _BASICS.items() if not btf.find(name, BtfKind.TYPEDEF)]
    return "\n\n".join(
        [
            "#ifndef __VMLINUX_H__\n#define __VMLINUX_H__",
            "#pragma clang attribute push (__attribute__((preserve_access_index)), apply_to = record)",
            "\n".join(missing),
            "\n".join(declared),
            *writer.parts,
            "#pragma clang attribute pop\n\n#endif\n",
        ]
    )


def _keyword(entry: BtfType) -> str:
    return "union" if entry.kind is BtfKind.UNION or (entry.kind is BtfKind.FWD and entry.flag) else "struct"


class _Writer:
    """Types written so far; two of one name would not compile, so the first is taken."""

    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self.parts: list[str] = []
        self.done: set[int] = set()
        self.names: set[tuple[bool, str]] = set()
        # Types that another one spells out: an enum without a name that is none of them stands by itself.
        self.inside = {entry.target for entry in btf}
        self.inside |= {member.type_id for entry in btf for member in entry.members}

    def write(self, entry: BtfType, depth: int) -> None:
        """Write a type after everything that it needs to be complete."""
        if entry.id in self.done:
            return
        if depth <= 0:
            raise ImageError(f"BTF type {entry.id} contains itself.")
        if entry.kind is not BtfKind.PTR:
            self.done.add(entry.id)
        self._needs(entry, depth)
        named = entry.kind in (*COMPOSITE, BtfKind.TYPEDEF) or entry.kind in _ENUMS
        if not named or (not entry.name and entry.kind not in _ENUMS) or entry.name == _BUILT_IN:
            return
        if entry.kind in _ENUMS and not entry.name and entry.id in self.inside:
            return
        key = (entry.kind is BtfKind.TYPEDEF, entry.name)
        if entry.name and key in self.names:
            return
        self.names.add(key)
        self.parts.append(define(self.btf, entry.id))

    def _needs(self, entry: BtfType, depth: int) -> None:
        btf = self.btf
        if entry.kind in COMPOSITE:
            for member in entry.members:
                self.write(btf.type(member.type_id), depth - 1)
        elif entry.kind is BtfKind.ARRAY or entry.kind in _ALIASES or entry.kind is BtfKind.TYPEDEF:
            self.write(btf.type(entry.target), depth - 1)
        elif entry.kind is BtfKind.PTR:
            target = btf.type(entry.target)
            for _ in range(MAX_DEPTH):
                if target.kind is not BtfKind.PTR and target.kind not in _ALIASES:
                    break
                target = btf.type(target.target)
            # A pointer needs only the name of what it points to: a struct's is declared, a typedef's is not.
            if target.kind in (BtfKind.TYPEDEF, BtfKind.FUNC_PROTO, BtfKind.ARRAY) or not target.name:
                self.write(target, depth - 1)
        elif entry.kind is BtfKind.FUNC_PROTO:
            for type_id in (entry.target, *(parameter.type_id for parameter in entry.parameters)):
                self.write(btf.type(type_id), depth - 1)
