"""Look-ups in arrays, written out: an element's address is simple enough to need no call.

Follows Linux kernel/bpf/arraymap.c:array_map_gen_lookup. Done where the verifier has found that a call of
``bpf_map_lookup_elem`` asks the same array on every path, and only for programs that become machine code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from kprobesim.bpf.isa import Class, Insn, Op
from kprobesim.bpf.maps.base import HEAD_SIZE, round_up8

if TYPE_CHECKING:
    from kprobesim.bpf.verifier import MapMeta

__all__ = ["ArrayLookup", "array_lookups", "map_gen_lookup"]

_F_INNER_MAP: Final = 1 << 12
_LOOKUP: Final = 1
_R0, _MAP, _INDEX = 0, 1, 2
_LOAD_U32: Final = 0x61
_JGE, _JA = 0x35, 0x05
_BY_REG: Final = 8


class ArrayLookup(NamedTuple):
    """An array that is always the same at some call.

    Attributes:
        elem_size: bytes from one element to the next.
        max_entries: how many there are.
    """

    elem_size: int
    max_entries: int


def array_lookups(insns: Sequence[Insn], helper_maps: Mapping[int, MapMeta]) -> dict[int, ArrayLookup]:
    """The look-ups of a verified program that can be written out.

    Args:
        insns: the program.
        helper_maps: the maps at its calls, as `Verdict` has them.
    """
    return {
        slot: ArrayLookup(round_up8(found.value_size), found.max_entries)
        for slot, found in helper_maps.items()
        if insns[slot].imm == _LOOKUP and found.type == "array" and not found.flags & _F_INNER_MAP
    }


def map_gen_lookup(lookup: ArrayLookup) -> tuple[Insn, ...]:
    """The instructions that take the place of the call: R0 is the element's address, or 0 past the end."""
    size = lookup.elem_size
    scale = Insn(Class.ALU64 | Op.MUL, _R0, imm=size)
    if size & (size - 1) == 0:
        scale = Insn(Class.ALU64 | Op.LSH, _R0, imm=size.bit_length() - 1)
    return (
        Insn(Class.ALU64 | Op.ADD, _MAP, imm=HEAD_SIZE),
        Insn(_LOAD_U32, _R0, _INDEX),
        Insn(_JGE, _R0, off=3, imm=lookup.max_entries),
        scale,
        Insn(Class.ALU64 | Op.ADD | _BY_REG, _R0, _MAP),
        Insn(_JA, off=1),
        Insn(Class.ALU64 | Op.MOV, _R0),
    )
