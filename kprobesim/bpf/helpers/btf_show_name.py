"""What stands before a value that bpf_snprintf_btf prints: ``.comm = (char[])[``.

Follows Linux kernel/bpf/btf.c:btf_show_name.
"""

from kprobesim.image.btf import COMPOSITE, MAX_DEPTH, Btf, BtfKind, BtfMember

__all__ = ["show_name"]

_MOST_STEPS = 10
_LONGEST = 79
_QUALIFIERS = (BtfKind.CONST, BtfKind.VOLATILE, BtfKind.RESTRICT, BtfKind.TYPE_TAG)
_PREFIXES = {
    BtfKind.STRUCT: "struct",
    BtfKind.UNION: "union",
    BtfKind.ENUM: "enum",
    BtfKind.ENUM64: "enum",
}


def _skip_qualifiers(btf: Btf, type_id: int) -> int:
    for _ in range(MAX_DEPTH):
        entry = btf.type(type_id)
        if entry.kind not in _QUALIFIERS:
            break
        type_id = entry.target
    return type_id


def show_name(btf: Btf, type_id: int, member: BtfMember | None, names: bool) -> str:
    """The text.

    Args:
        btf: the types.
        type_id: as it was declared: a typedef is shown by its own name. A member has its own type.
        member: what it is a member of, if it is one.
        names: whether names are wanted; without them there are brackets only.
    """
    entry = btf.type(member.type_id if member else type_id)
    label, name, parens, pointers, arrays = member.name if member else "", "", "", 0, 0
    kinds = set()
    for _ in range(_MOST_STEPS):
        if entry.kind is BtfKind.TYPEDEF:
            name = name or entry.name
        elif entry.kind is BtfKind.ARRAY:
            parens, arrays = "[", arrays + 1
        elif entry.kind is BtfKind.PTR:
            pointers += 1
        else:
            break
        kinds.add(entry.kind)
        if not entry.target:
            # A pointer to void: the pointer itself is what is left.
            break
        entry = btf.type(_skip_qualifiers(btf, entry.target))
    else:
        return ""
    name = name or entry.name
    prefix = _PREFIXES.get(entry.kind, "")
    if entry.kind in COMPOSITE and BtfKind.ARRAY not in kinds:
        parens = "{"
    if BtfKind.PTR in kinds:
        parens = ""
    if BtfKind.TYPEDEF in kinds:
        prefix = ""
    if not names:
        return parens
    words = f"{prefix} {name}" if prefix and name else prefix + name
    before = f".{label} = " if label else ""
    stars = f" {'*' * pointers}" if pointers else ""
    return f"{before}({words}{stars}{'[]' * arrays}){parens}"[:_LONGEST]
