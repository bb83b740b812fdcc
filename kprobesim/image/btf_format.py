"""BTF types as C source, in bpftool's style."""

from kprobesim.errors import ImageError
from kprobesim.image.btf import MAX_DEPTH, Btf, BtfKind, BtfType

__all__ = ["declare", "define"]

KEYWORDS = {
    BtfKind.STRUCT: "struct",
    BtfKind.UNION: "union",
    BtfKind.ENUM: "enum",
    BtfKind.ENUM64: "enum",
}
QUALIFIERS = {BtfKind.CONST: "const", BtfKind.VOLATILE: "volatile", BtfKind.RESTRICT: "restrict"}
MAX_STEPS = 20_000


def declare(btf: Btf, type_id: int, name: str) -> str:
    """A variable's declaration without the semicolon: ``struct dentry *dentry``, ``int (*fn)(void *, int)``.

    Args:
        btf: the types.
        type_id: of the variable.
        name: of the variable, or nothing for the bare type.

    Raises:
        ImageError: the type refers to itself, or unfolds without end.
    """
    return _Printer(btf).declare(type_id, name, "", MAX_DEPTH)


def define(btf: Btf, type_id: int) -> str:
    """A type's definition with its semicolon; a struct's, union's or enum's with its members.

    Raises:
        ImageError: the type refers to itself, or unfolds without end.
    """
    printer, entry = _Printer(btf), btf.type(type_id)
    if entry.kind in KEYWORDS:
        return printer.body(entry, "", MAX_DEPTH) + ";"
    if entry.kind is BtfKind.TYPEDEF:
        return f"typedef {printer.declare(entry.target, entry.name, '', MAX_DEPTH)};"
    if entry.kind is BtfKind.DATASEC:
        lines = [f"{printer.declare(variable.type_id, '', '', MAX_DEPTH)};" for variable in entry.variables]
        return "\n".join([f"/* section {entry.name} */", *lines])
    return f"{printer.declare(type_id, '', '', MAX_DEPTH)};"


class _Printer:
    """One answer in the making; ``steps`` bounds it, for damaged BTF can double at each level."""

    def __init__(self, btf: Btf) -> None:
        self.btf = btf
        self.steps = 0

    def declare(self, type_id: int, name: str, indent: str, depth: int) -> str:
        self.steps += 1
        if depth <= 0 or self.steps > MAX_STEPS:
            raise ImageError(f"BTF type {type_id} refers to itself.")
        entry = self.btf.type(type_id)

        def inner(text: str) -> str:
            return self.declare(entry.target, text, indent, depth - 1)

        if entry.kind is BtfKind.PTR:
            around = self.btf.type(entry.target).kind in (BtfKind.ARRAY, BtfKind.FUNC_PROTO)
            return inner(f"(*{name})" if around else f"*{name}")
        if entry.kind is BtfKind.ARRAY:
            return inner(f"{name}[{entry.count or ''}]")
        if entry.kind is BtfKind.FUNC_PROTO:
            return inner(f"{name}({self.parameters(entry, depth)})")
        if entry.kind in QUALIFIERS:
            word = QUALIFIERS[entry.kind]
            # `*const p` but `const char *p`: a qualifier of a pointer stands on the pointer's side of the star.
            on_pointer = self.btf.type(entry.target).kind is BtfKind.PTR
            return inner(f"{word} {name}".rstrip()) if on_pointer else f"{word} {inner(name)}"
        if entry.kind in (BtfKind.VAR, BtfKind.FUNC):
            return inner(name or entry.name)
        if entry.kind in (BtfKind.TYPE_TAG, BtfKind.DECL_TAG):
            return inner(name)
        return f"{self.base(entry, indent, depth)} {name}".rstrip()

    def base(self, entry: BtfType, indent: str, depth: int) -> str:
        if entry.kind in KEYWORDS:
            return f"{KEYWORDS[entry.kind]} {entry.name}" if entry.name else self.body(entry, indent, depth)
        if entry.kind is BtfKind.FWD:
            return f"{'union' if entry.flag else 'struct'} {entry.name}"
        return entry.name or "void"

    def body(self, entry: BtfType, indent: str, depth: int) -> str:
        inner = indent + "\t"
        if entry.kind in (BtfKind.ENUM, BtfKind.ENUM64):
            lines = [f"{inner}{value.name} = {value.value}," for value in entry.enumerators]
            self.steps += len(lines)
        else:
            lines = []
            for member in entry.members:
                bits = f": {member.bit_size}" if member.bit_size else ""
                lines.append(f"{inner}{self.declare(member.type_id, member.name, inner, depth - 1)}{bits};")
        head = f"{KEYWORDS[entry.kind]} {entry.name}".rstrip()
        return "\n".join([f"{head} {{", *lines, f"{indent}}}"])

    def parameters(self, entry: BtfType, depth: int) -> str:
        if not entry.parameters:
            return "void"
        return ", ".join(
            self.declare(parameter.type_id, parameter.name, "", depth - 1) if parameter.type_id else "..."
            for parameter in entry.parameters
        )
