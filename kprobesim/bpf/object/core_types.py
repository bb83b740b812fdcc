"""Are a program's idea of a type and the kernel's type the same thing? Three degrees of yes.

``compatible_fields`` is for a member on the way to a field, ``compatible`` for whole types named by
``bpf_core_type_exists()``, ``matching`` for ``bpf_core_type_matches()``. Names are compared up to ``___``: what follows
is a flavour, by which a program declares one kernel struct in several versions. Follows Linux
tools/lib/bpf/relo_core.c, which documents these rules, and kernel/bpf/btf.c.
"""

import re

from kprobesim.bpf.object.errors import ObjectError
from kprobesim.image import Btf, BtfKind, BtfType

__all__ = ["COMPOSITE", "ENUMS", "Budget", "TypeComparison", "essential_name", "same_kind"]

MAX_DEPTH = 32
COMPOSITE = (BtfKind.STRUCT, BtfKind.UNION)
ENUMS = (BtfKind.ENUM, BtfKind.ENUM64)
_OPAQUE = (BtfKind.VOID, *COMPOSITE, *ENUMS, BtfKind.FWD)
_CHAR_OR_BOOL = 6
_FLAVOUR = re.compile(r"(.*[^_])___[^_]", re.DOTALL)


class Budget:
    """How much comparing one file may cause: types that refer to each other in many ways would take for ever."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def spend(self, steps: int = 1) -> None:
        """So many steps; ObjectError when there are none left."""
        self.steps -= steps
        if self.steps < 0:
            raise ObjectError("Comparing the program's types with the kernel's takes too long.")


def essential_name(name: str) -> str:
    """A type's name without its flavour: ``task_struct`` for ``task_struct___old``."""
    found = _FLAVOUR.match(name)
    return found.group(1) if found else name


def same_kind(first: BtfKind, second: BtfKind) -> bool:
    """Whether two kinds are the same; enums of 32 and of 64 bits are."""
    return first is second or (first in ENUMS and second in ENUMS)


class TypeComparison:
    """Compares types of a program with the kernel's.

    Args:
        local: the program's types.
        target: the kernel's.
        budget: of steps.
    """

    def __init__(self, local: Btf, target: Btf, budget: Budget) -> None:
        self.local = local
        self.target = target
        self.budget = budget

    def compatible_fields(self, local_id: int, target_id: int) -> bool:
        """Whether a member of one type can stand for one of the other (bpf_core_fields_are_compat)."""
        for _ in range(MAX_DEPTH):
            self.budget.spend()
            ours, theirs = self.local.strip(local_id), self.target.strip(target_id)
            if ours.kind in COMPOSITE and theirs.kind in COMPOSITE:
                return True
            if not same_kind(ours.kind, theirs.kind):
                return False
            if ours.kind in (BtfKind.PTR, BtfKind.FLOAT):
                return True
            if ours.kind is BtfKind.FWD or ours.kind in ENUMS:
                names = essential_name(ours.name), essential_name(theirs.name)
                return not all(names) or names[0] == names[1]
            if ours.kind is BtfKind.INT:
                return not ours.bit_offset and not theirs.bit_offset
            if ours.kind is not BtfKind.ARRAY:
                return False
            local_id, target_id = ours.target, theirs.target
        return False

    def compatible(self, local_id: int, target_id: int, depth: int = MAX_DEPTH) -> bool:
        """Whether two types are of the same shape, by kinds (bpf_core_types_are_compat)."""
        self.budget.spend()
        ours, theirs = self.local.strip(local_id), self.target.strip(target_id)
        if depth <= 0 or not same_kind(ours.kind, theirs.kind):
            return False
        if ours.kind in _OPAQUE:
            return True
        if ours.kind is BtfKind.INT:
            return not ours.bit_offset and not theirs.bit_offset
        if ours.kind is BtfKind.FUNC_PROTO:
            return len(ours.parameters) == len(theirs.parameters) and all(
                self.compatible(one, other, depth - 1)
                for one, other in zip(_signature(ours), _signature(theirs), strict=True)
            )
        if ours.kind in (BtfKind.PTR, BtfKind.ARRAY):
            return self.compatible(ours.target, theirs.target, depth - 1)
        return False

    def matching(self, local_id: int, target_id: int, *, behind_pointer: bool = False, depth: int = MAX_DEPTH) -> bool:
        """Whether all that the program says of a type is so in the kernel's (bpf_core_types_match)."""
        self.budget.spend()
        ours, theirs = self.local.strip(local_id), self.target.strip(target_id)
        if depth <= 0 or essential_name(ours.name) != essential_name(theirs.name):
            return False
        kinds = {ours.kind, theirs.kind}
        if behind_pointer and BtfKind.FWD in kinds and kinds <= {BtfKind.FWD, *COMPOSITE}:
            union = [kind.flag if kind.kind is BtfKind.FWD else kind.kind is BtfKind.UNION for kind in (ours, theirs)]
            return union[0] == union[1]
        if not same_kind(ours.kind, theirs.kind):
            return False
        return self._match_same_kind(ours, theirs, behind_pointer, depth)

    def _match_same_kind(self, ours: BtfType, theirs: BtfType, behind_pointer: bool, depth: int) -> bool:
        self.budget.spend(len(theirs.members) + len(theirs.enumerators) + len(ours.enumerators))
        if ours.kind in ENUMS:
            there = {essential_name(value.name) for value in theirs.enumerators}
            return {essential_name(value.name) for value in ours.enumerators} <= there
        if ours.kind in COMPOSITE:
            return behind_pointer or self._match_members(ours, theirs, depth)
        if ours.kind is BtfKind.INT:
            kinds = ours.encoding & _CHAR_OR_BOOL == theirs.encoding & _CHAR_OR_BOOL
            return ours.size == theirs.size and ours.is_signed == theirs.is_signed and kinds
        if ours.kind is BtfKind.PTR:
            return self.matching(ours.target, theirs.target, behind_pointer=True, depth=depth - 1)
        if ours.kind is BtfKind.ARRAY:
            return ours.count == theirs.count and self.matching(ours.target, theirs.target, depth=depth - 1)
        if ours.kind is BtfKind.FUNC_PROTO:
            return len(ours.parameters) == len(theirs.parameters) and all(
                self.matching(one, other, behind_pointer=behind_pointer, depth=depth - 1)
                for one, other in zip(_signature(ours), _signature(theirs), strict=True)
            )
        return ours.kind in (BtfKind.VOID, BtfKind.FWD, BtfKind.FLOAT)

    def _match_members(self, ours: BtfType, theirs: BtfType, depth: int) -> bool:
        there: dict[str, list[int]] = {}
        for member in theirs.members:
            there.setdefault(essential_name(member.name), []).append(member.type_id)
        return len(ours.members) <= len(theirs.members) and all(
            any(
                self.matching(member.type_id, type_id, depth=depth - 1)
                for type_id in there.get(essential_name(member.name), ())
            )
            for member in ours.members
        )


def _signature(proto: BtfType) -> list[int]:
    """The types of what a function takes, and of what it returns."""
    return [*(parameter.type_id for parameter in proto.parameters), proto.target]
