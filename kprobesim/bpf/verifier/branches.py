"""Comparing numbers: is the outcome known, and if not, what does each outcome tell.

Follows Linux kernel/bpf/verifier.c: is_branch_taken, reg_set_min_max, reg_combine_min_max.
"""

from kprobesim.bpf.verifier.bounds import combine_32_into_64, combine_64_into_32, reg_bounds_sync
from kprobesim.bpf.verifier.reg import U32_MAX, U64_MAX, Reg, s32, s64
from kprobesim.bpf.verifier.reg_type import (
    PTR_TO_MAP_KEY,
    PTR_TO_MAP_VALUE,
    PTR_TO_SOCK_COMMON,
    PTR_TO_SOCKET,
    PTR_TO_TCP_SOCK,
    SCALAR_VALUE,
)
from kprobesim.bpf.verifier.tnum import Tnum, tnum_and, tnum_const, tnum_intersect, tnum_or

__all__ = [
    "FLIPPED",
    "JEQ",
    "JGE",
    "JGT",
    "JLE",
    "JLT",
    "JNE",
    "JSET",
    "combine_equal",
    "is_branch_taken",
    "reg_set_min_max",
]

JEQ, JGT, JGE, JSET, JNE, JSGT, JSGE = 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70
JLT, JLE, JSLT, JSLE = 0xA0, 0xB0, 0xC0, 0xD0
FLIPPED = {
    JEQ: JEQ,
    JNE: JNE,
    JSET: JSET,
    JGE: JLE,
    JGT: JLT,
    JLE: JGE,
    JLT: JGT,
    JSGE: JSLE,
    JSGT: JSLT,
    JSLE: JSGE,
    JSLT: JSGT,
}
"""The comparison with its operands swapped."""

_SIGNED = frozenset({JSGT, JSGE, JSLT, JSLE})
_NOT_NULL = frozenset({PTR_TO_SOCKET, PTR_TO_TCP_SOCK, PTR_TO_MAP_VALUE, PTR_TO_MAP_KEY, PTR_TO_SOCK_COMMON})


def _compare(op: int, low: int, high: int, value: int) -> bool | None:
    """An ordering, for a number in low..high."""
    if op in (JGT, JSGT):
        return True if low > value else False if high <= value else None
    if op in (JLT, JSLT):
        return True if high < value else False if low >= value else None
    if op in (JGE, JSGE):
        return True if low >= value else False if high < value else None
    return True if high <= value else False if low > value else None


def is_branch_taken(reg: Reg, value: int, op: int, is_jmp32: bool) -> bool | None:
    """Whether ``reg op value`` holds: True, False, or None for unknown. ``value`` may be given signed or unsigned."""
    if reg.type != SCALAR_VALUE:
        if reg.type not in _NOT_NULL or value & U64_MAX:
            return None
        return {JEQ: False, JNE: True}.get(op)
    known, unknown = reg.var_off
    if is_jmp32:
        value &= U32_MAX
        known &= U32_MAX
        unknown &= U32_MAX
    else:
        value &= U64_MAX
    if op in (JEQ, JNE):
        return None if unknown else (known == value) == (op == JEQ)
    if op == JSET:
        return True if known & value else None if (known | unknown) & value else False
    if op in _SIGNED:
        if is_jmp32:
            return _compare(op, reg.s32_min, reg.s32_max, s32(value))
        return _compare(op, reg.smin, reg.smax, s64(value))
    if is_jmp32:
        return _compare(op, reg.u32_min, reg.u32_max, value)
    return _compare(op, reg.umin, reg.umax, value)


def _is_power_of_2(number: int) -> bool:
    return number != 0 and number & (number - 1) == 0


def _raise_low(reg: Reg, field: str, value: int) -> None:
    if value > getattr(reg, field):
        setattr(reg, field, value)


def _lower_high(reg: Reg, field: str, value: int) -> None:
    if value < getattr(reg, field):
        setattr(reg, field, value)


_FIELDS = {
    (False, False): ("umin", "umax"),
    (False, True): ("u32_min", "u32_max"),
    (True, False): ("smin", "smax"),
    (True, True): ("s32_min", "s32_max"),
}


def _wrap(number: int, signed: bool, is_jmp32: bool) -> int:
    """C's arithmetic on the comparison's limits wraps."""
    if signed:
        return s32(number) if is_jmp32 else s64(number)
    return number & (U32_MAX if is_jmp32 else U64_MAX)


def _order(true: Reg, false: Reg, value: int, op: int, is_jmp32: bool) -> None:
    signed = op in _SIGNED
    low, high = _FIELDS[signed, is_jmp32]
    value = _wrap(value, signed, is_jmp32)
    if op in (JGE, JGT, JSGE, JSGT):
        strict = op in (JGT, JSGT)
        _lower_high(false, high, _wrap(value if strict else value - 1, signed, is_jmp32))
        _raise_low(true, low, _wrap(value + 1 if strict else value, signed, is_jmp32))
    else:
        strict = op in (JLT, JSLT)
        _raise_low(false, low, _wrap(value if strict else value + 1, signed, is_jmp32))
        _lower_high(true, high, _wrap(value - 1 if strict else value, signed, is_jmp32))


def _split(off: Tnum, is_jmp32: bool) -> Tnum:
    return Tnum(off.value & U32_MAX, off.mask & U32_MAX) if is_jmp32 else off


def reg_set_min_max(true: Reg, false: Reg, value: int, op: int, is_jmp32: bool) -> None:
    """Refine both outcomes of ``reg op value``.

    Args:
        true: the register where the comparison holds; changed.
        false: the register where it does not; changed.
        value: the constant, signed or unsigned.
        op: operation bits.
        is_jmp32: whether only low halves were compared.
    """
    if false.type != SCALAR_VALUE:
        return
    value &= U32_MAX if is_jmp32 else U64_MAX
    false_off, true_off = false.var_off, true.var_off
    if op in (JEQ, JNE):
        known = true if op == JEQ else false
        if is_jmp32:
            known.set_known32(value)
        else:
            known.set_known(value)
        false_off, true_off = false.var_off, true.var_off
    elif op == JSET:
        false.set_unbounded64()
        false.set_unbounded32()
        low = tnum_and(_split(false_off, is_jmp32), tnum_const(~value))
        false_off = _join(false_off, low) if is_jmp32 else low
        if _is_power_of_2(value):
            low = tnum_or(_split(true_off, is_jmp32), tnum_const(value))
            true_off = _join(true_off, low) if is_jmp32 else low
    elif op in FLIPPED:
        _order(true, false, value, op, is_jmp32)
    else:
        return
    false.var_off, true.var_off = false_off, true_off
    if is_jmp32:
        combine_32_into_64(false)
        combine_32_into_64(true)
    else:
        combine_64_into_32(false)
        combine_64_into_32(true)


def _join(off: Tnum, low: Tnum) -> Tnum:
    """The high half of ``off`` with another low half."""
    return Tnum(off.value >> 32 << 32 | low.value & U32_MAX, off.mask >> 32 << 32 | low.mask & U32_MAX)


def combine_equal(a: Reg, b: Reg) -> None:
    """Two registers turned out to be equal: each takes over the other's bounds (Linux's __reg_combine_min_max)."""
    a.umin = b.umin = max(a.umin, b.umin)
    a.umax = b.umax = min(a.umax, b.umax)
    a.smin = b.smin = max(a.smin, b.smin)
    a.smax = b.smax = min(a.smax, b.smax)
    a.var_off = b.var_off = tnum_intersect(a.var_off, b.var_off)
    reg_bounds_sync(a)
    reg_bounds_sync(b)
