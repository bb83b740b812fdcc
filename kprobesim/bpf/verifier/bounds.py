"""Keeping the five views of a number in step: bits, signed and unsigned, 64 and 32 bits.

Follows Linux kernel/bpf/verifier.c: reg_bounds_sync and the functions around it.
"""

from kprobesim.bpf.verifier.reg import S32_MAX, S32_MIN, S64_MAX, U32_MAX, U64_MAX, Reg, s32, s64
from kprobesim.bpf.verifier.tnum import (
    Tnum,
    tnum_cast,
    tnum_intersect,
    tnum_range,
    tnum_subreg,
)

__all__ = [
    "assign_32_into_64",
    "coerce_reg_to_size",
    "combine_32_into_64",
    "combine_64_into_32",
    "reg_bounds_sync",
    "update_reg32_bounds",
    "update_reg_bounds",
    "zext_32_to_64",
]

_SIGN64 = 1 << 63
_SIGN32 = 1 << 31


def update_reg32_bounds(reg: Reg) -> None:
    """Tighten the 32-bit ranges by what the bits say."""
    value = reg.var_off.value & U32_MAX
    mask = reg.var_off.mask & U32_MAX
    low = s32(value | mask & _SIGN32)
    if low > reg.s32_min:
        reg.s32_min = low
    high = s32(value | mask & S32_MAX)
    if high < reg.s32_max:
        reg.s32_max = high
    if value > reg.u32_min:
        reg.u32_min = value
    if value | mask < reg.u32_max:
        reg.u32_max = value | mask


def _update_reg64_bounds(reg: Reg) -> None:
    value, mask = reg.var_off
    low = s64(value | mask & _SIGN64)
    if low > reg.smin:
        reg.smin = low
    high = s64(value | mask & S64_MAX)
    if high < reg.smax:
        reg.smax = high
    if value > reg.umin:
        reg.umin = value
    if value | mask < reg.umax:
        reg.umax = value | mask


def update_reg_bounds(reg: Reg) -> None:
    """Tighten all ranges by what the bits say (Linux's __update_reg_bounds)."""
    update_reg32_bounds(reg)
    _update_reg64_bounds(reg)


def _deduce32(reg: Reg) -> None:
    if reg.s32_min >= 0 or reg.s32_max < 0:
        low = max(reg.s32_min & U32_MAX, reg.u32_min)
        high = min(reg.s32_max & U32_MAX, reg.u32_max)
        reg.u32_min, reg.s32_min = low, s32(low)
        reg.u32_max, reg.s32_max = high, s32(high)
    elif s32(reg.u32_max) >= 0:
        reg.s32_min = s32(reg.u32_min)
        high = min(reg.s32_max & U32_MAX, reg.u32_max)
        reg.u32_max, reg.s32_max = high, s32(high)
    elif s32(reg.u32_min) < 0:
        low = max(reg.s32_min & U32_MAX, reg.u32_min)
        reg.u32_min, reg.s32_min = low, s32(low)
        reg.s32_max = s32(reg.u32_max)


def _deduce64(reg: Reg) -> None:
    if reg.smin >= 0 or reg.smax < 0:
        low = max(reg.smin & U64_MAX, reg.umin)
        high = min(reg.smax & U64_MAX, reg.umax)
        reg.umin, reg.smin = low, s64(low)
        reg.umax, reg.smax = high, s64(high)
    elif reg.umax <= S64_MAX:
        reg.smin = s64(reg.umin)
        high = min(reg.smax & U64_MAX, reg.umax)
        reg.umax, reg.smax = high, s64(high)
    elif reg.umin > S64_MAX:
        low = max(reg.smin & U64_MAX, reg.umin)
        reg.umin, reg.smin = low, s64(low)
        reg.smax = s64(reg.umax)


def _bound_offset(reg: Reg) -> None:
    whole = tnum_intersect(reg.var_off, tnum_range(reg.umin, reg.umax))
    low = tnum_intersect(tnum_subreg(whole), tnum_range(reg.u32_min, reg.u32_max))
    value = whole.value >> 32 << 32 | low.value
    mask = whole.mask >> 32 << 32 | low.mask
    reg.var_off = Tnum(value, mask & ~value)


def reg_bounds_sync(reg: Reg) -> None:
    """Let bits and ranges tighten each other."""
    update_reg_bounds(reg)
    _deduce32(reg)
    _deduce64(reg)
    _bound_offset(reg)
    update_reg_bounds(reg)


def assign_32_into_64(reg: Reg) -> None:
    """The high half is zero: take the 64-bit ranges from the 32-bit ones."""
    reg.umin, reg.umax = reg.u32_min, reg.u32_max
    if reg.s32_min >= 0 and reg.s32_max >= 0:
        reg.smin, reg.smax = reg.s32_min, reg.s32_max
    else:
        reg.smin, reg.smax = 0, U32_MAX


def combine_32_into_64(reg: Reg) -> None:
    """After the low half was refined (Linux's __reg_combine_32_into_64)."""
    if not (reg.var_off.value | reg.var_off.mask) >> 32:
        assign_32_into_64(reg)
    else:
        reg.set_unbounded64()
    reg_bounds_sync(reg)


def combine_64_into_32(reg: Reg) -> None:
    """After the whole was refined (Linux's __reg_combine_64_into_32)."""
    reg.set_unbounded32()
    if S32_MIN <= reg.smin <= S32_MAX and S32_MIN <= reg.smax <= S32_MAX:
        reg.s32_min, reg.s32_max = reg.smin, reg.smax
    if reg.umin <= U32_MAX and reg.umax <= U32_MAX:
        reg.u32_min, reg.u32_max = reg.umin, reg.umax
    reg_bounds_sync(reg)


def zext_32_to_64(reg: Reg) -> None:
    """Clear the high half."""
    reg.var_off = tnum_subreg(reg.var_off)
    assign_32_into_64(reg)


def coerce_reg_to_size(reg: Reg, size: int) -> None:
    """Keep the low ``size`` bytes, as a narrow load does."""
    reg.var_off = tnum_cast(reg.var_off, size)
    mask = (1 << 8 * size) - 1
    if reg.umin & ~mask == reg.umax & ~mask:
        reg.umin &= mask
        reg.umax &= mask
    else:
        reg.umin, reg.umax = 0, mask
    reg.smin, reg.smax = reg.umin, reg.umax
    if size < 4:
        combine_64_into_32(reg)
