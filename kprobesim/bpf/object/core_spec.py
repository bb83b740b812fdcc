"""One access as the compiler recorded it, ``0:3:1``, and the same access found again in the kernel's types.

``0:3:1`` for a ``struct a *p`` is ``(&p[0])->fourth_member.second_member``. In the kernel's struct the members are
looked up by name: they may have moved, or into an anonymous struct. Follows Linux tools/lib/bpf/relo_core.c:
bpf_core_parse_spec, bpf_core_match_member and bpf_core_spec_match.
"""

from dataclasses import dataclass, field, replace
from enum import IntEnum

from kprobesim.bpf.object.btf_ext import CoreRelo
from kprobesim.bpf.object.core_types import COMPOSITE, ENUMS, Budget, TypeComparison, essential_name
from kprobesim.bpf.object.errors import ObjectError
from kprobesim.image import Btf, BtfKind, BtfMember, BtfType

__all__ = ["CoreKind", "Spec", "match_spec", "parse_spec"]

MAX_SPEC_LEN = 64
_KEYWORDS = {BtfKind.STRUCT: "struct", BtfKind.UNION: "union", BtfKind.ENUM: "enum", BtfKind.ENUM64: "enum"}


class CoreKind(IntEnum):
    """``enum bpf_core_relo_kind``: what an instruction wants to know."""

    FIELD_BYTE_OFFSET = 0
    FIELD_BYTE_SIZE = 1
    FIELD_EXISTS = 2
    FIELD_SIGNED = 3
    FIELD_LSHIFT_U64 = 4
    FIELD_RSHIFT_U64 = 5
    TYPE_ID_LOCAL = 6
    TYPE_ID_TARGET = 7
    TYPE_EXISTS = 8
    TYPE_SIZE = 9
    ENUMVAL_EXISTS = 10
    ENUMVAL_VALUE = 11
    TYPE_MATCHES = 12

    @property
    def of_field(self) -> bool:
        """Whether it is about a member."""
        return self <= CoreKind.FIELD_RSHIFT_U64

    @property
    def of_enum(self) -> bool:
        """Whether it is about a name of an enum."""
        return self in (CoreKind.ENUMVAL_EXISTS, CoreKind.ENUMVAL_VALUE)


@dataclass(frozen=True, slots=True)
class Accessor:
    """One step: the type it is taken in, the member's, element's or enumerator's number, the name if it has one."""

    type_id: int
    index: int
    name: str = ""


@dataclass(slots=True)
class Spec:
    """An access, resolved in one set of types.

    Attributes:
        btf: the types.
        root: the type it starts from.
        kind: what is asked.
        raw: every step, those through anonymous members included.
        named: the steps that a programmer sees.
        bit_offset: of the field.
    """

    btf: Btf
    root: int
    kind: CoreKind
    raw: list[Accessor] = field(default_factory=list)
    named: list[Accessor] = field(default_factory=list)
    bit_offset: int = 0

    def text(self) -> str:
        """The access as C would write it: ``struct task_struct.mm.start_code``."""
        entry = self.btf.type(self.root)
        keyword = _KEYWORDS.get(entry.kind, "")
        words = [f"{keyword} {entry.name}".lstrip()]
        for position, step in enumerate(self.named):
            if self.kind.of_enum:
                words.append(f"::{step.name}")
            elif step.name:
                words.append(f".{step.name}")
            elif position or step.index:
                words.append(f"[{step.index}]")
        return "".join(words)


def parse_spec(btf: Btf, relo: CoreRelo, kind: CoreKind, budget: Budget) -> Spec:
    """The access in the program's own types.

    Raises:
        ObjectError: the text is none, or leads to something that does not exist.
    """
    steps = relo.access.split(":")
    if len(steps) > MAX_SPEC_LEN or not all(step.isascii() and step.isdigit() and len(step) < 10 for step in steps):
        raise ObjectError(f"insn #{relo.slot}: {relo.access[:40]!r} is no access string.")
    budget.spend(len(steps))
    indexes = [int(step) for step in steps]
    spec = Spec(btf, relo.type_id, kind)
    entry = btf.strip(relo.type_id)
    first = indexes[0]
    if kind.of_enum:
        if entry.kind not in ENUMS or len(indexes) > 1 or first >= len(entry.enumerators):
            raise _bad(relo)
        step = Accessor(entry.id, first, entry.enumerators[first].name)
        spec.raw.append(step)
        spec.named.append(step)
        return spec
    if not kind.of_field:
        if indexes != [0]:
            raise _bad(relo)
        return spec
    spec.raw.append(Accessor(entry.id, first))
    spec.named.append(Accessor(entry.id, first))
    spec.bit_offset = first * btf.size_of(entry.id) * 8
    for index in indexes[1:]:
        entry = _descend(spec, entry, index, relo)
    return spec


def _bad(relo: CoreRelo) -> ObjectError:
    return ObjectError(f"insn #{relo.slot}: access {relo.access!r} does not fit type [{relo.type_id}].")


def _descend(spec: Spec, entry: BtfType, index: int, relo: CoreRelo) -> BtfType:
    btf = spec.btf
    if entry.kind in COMPOSITE:
        if index >= len(entry.members):
            raise _bad(relo)
        member = entry.members[index]
        spec.bit_offset += member.bit_offset
        step = Accessor(entry.id, index, member.name)
        spec.raw.append(step)
        if member.name:
            spec.named.append(step)
        return btf.strip(member.type_id)
    if entry.kind is not BtfKind.ARRAY:
        raise _bad(relo)
    element = btf.strip(entry.target)
    if index >= entry.count and not _is_flexible(spec, entry):
        raise _bad(relo)
    step = Accessor(element.id, index)
    spec.raw.append(step)
    spec.named.append(step)
    spec.bit_offset += index * btf.size_of(element.id) * 8
    return element


def _is_flexible(spec: Spec, array: BtfType) -> bool:
    """Whether an array may go on behind its end: the last member, with no or one element (is_flex_arr)."""
    last = spec.raw[-1]
    if array.count > 1 or not last.name:
        return False
    owner = spec.btf.type(last.type_id)
    return owner.kind is BtfKind.STRUCT and last.index == len(owner.members) - 1


def match_spec(local: Spec, target_id: int, compare: TypeComparison) -> Spec | None:
    """The same access from a type of the kernel; None where it has no such thing."""
    target = compare.target
    spec = Spec(target, target_id, local.kind)
    if local.kind is CoreKind.TYPE_MATCHES:
        return spec if compare.matching(local.root, target_id) else None
    if not local.kind.of_field and not local.kind.of_enum:
        return spec if compare.compatible(local.root, target_id) else None
    entry = target.strip(target_id)
    if local.kind.of_enum:
        return _match_enumerator(spec, entry, local.named[0].name, compare)
    for position, step in enumerate(local.named):
        if step.name:
            wanted = local.btf.type(step.type_id).members[step.index]
            found = _match_member(spec, entry, wanted, compare, MAX_SPEC_LEN)
            if found is None:
                return None
            entry = target.strip(found)
            continue
        if position:
            if entry.kind is not BtfKind.ARRAY or (step.index >= entry.count and not _is_flexible(spec, entry)):
                return None
            entry = target.strip(entry.target)
        spec.raw.append(replace(step, type_id=entry.id))
        spec.named.append(spec.raw[-1])
        spec.bit_offset += step.index * target.size_of(entry.id) * 8
    return spec


def _match_enumerator(spec: Spec, entry: BtfType, name: str, compare: TypeComparison) -> Spec | None:
    if entry.kind not in ENUMS:
        return None
    compare.budget.spend(len(entry.enumerators))
    for index, value in enumerate(entry.enumerators):
        if essential_name(value.name) == essential_name(name):
            step = Accessor(entry.id, index, value.name)
            spec.raw.append(step)
            spec.named.append(step)
            return spec
    return None


def _match_member(spec: Spec, entry: BtfType, wanted: BtfMember, compare: TypeComparison, depth: int) -> int | None:
    """Find a member by name, in anonymous members too; its type, with the steps to it put into ``spec``."""
    compare.budget.spend(1 + len(entry.members))
    if entry.kind not in COMPOSITE or depth <= 0:
        return None
    for index, member in enumerate(entry.members):
        step = Accessor(entry.id, index, member.name)
        if member.name == wanted.name:
            if not compare.compatible_fields(wanted.type_id, member.type_id):
                return None
            spec.raw.append(step)
            spec.named.append(step)
            spec.bit_offset += member.bit_offset
            return member.type_id
        if not member.name:
            before = len(spec.raw)
            spec.raw.append(step)
            spec.bit_offset += member.bit_offset
            found = _match_member(spec, compare.target.strip(member.type_id), wanted, compare, depth - 1)
            if found is not None:
                return found
            del spec.raw[before:]
            spec.bit_offset -= member.bit_offset
    return None
