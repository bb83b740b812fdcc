"""What arithmetic does to bounds: one function for each operation and width.

Each changes its first argument, a Reg of the caller's own. Ranges that may wrap are forgotten. Follows Linux
kernel/bpf/verifier.c: scalar_min_max_add and its relatives, adjust_scalar_min_max_vals.
"""

from collections.abc import Callable

from kprobesim.bpf.isa import Op
from kprobesim.bpf.verifier.bounds import reg_bounds_sync, update_reg32_bounds, update_reg_bounds, zext_32_to_64
from kprobesim.bpf.verifier.reg import S32_MAX, S32_MIN, S64_MAX, S64_MIN, U32_MAX, U64_MAX, Reg
from kprobesim.bpf.verifier.tnum import (
    tnum_add,
    tnum_and,
    tnum_arshift,
    tnum_lshift,
    tnum_mul,
    tnum_or,
    tnum_rshift,
    tnum_sub,
    tnum_subreg,
    tnum_xor,
)

__all__ = ["adjust_scalar", "is_tracked"]

_U16_MAX = 0xFFFF


def _signed32(dst: Reg, low: int, high: int) -> None:
    """Take the range if no end wrapped, else forget it."""
    if S32_MIN <= low <= S32_MAX and S32_MIN <= high <= S32_MAX:
        dst.s32_min, dst.s32_max = low, high
    else:
        dst.s32_min, dst.s32_max = S32_MIN, S32_MAX


def _signed64(dst: Reg, low: int, high: int) -> None:
    if S64_MIN <= low <= S64_MAX and S64_MIN <= high <= S64_MAX:
        dst.smin, dst.smax = low, high
    else:
        dst.smin, dst.smax = S64_MIN, S64_MAX


def _add(dst: Reg, src: Reg) -> None:
    _signed32(dst, dst.s32_min + src.s32_min, dst.s32_max + src.s32_max)
    low, high = dst.u32_min + src.u32_min, dst.u32_max + src.u32_max
    dst.u32_min, dst.u32_max = (low, high) if low <= U32_MAX and high <= U32_MAX else (0, U32_MAX)
    _signed64(dst, dst.smin + src.smin, dst.smax + src.smax)
    low, high = dst.umin + src.umin, dst.umax + src.umax
    dst.umin, dst.umax = (low, high) if low <= U64_MAX and high <= U64_MAX else (0, U64_MAX)
    dst.var_off = tnum_add(dst.var_off, src.var_off)


def _sub(dst: Reg, src: Reg) -> None:
    _signed32(dst, dst.s32_min - src.s32_max, dst.s32_max - src.s32_min)
    if dst.u32_min < src.u32_max:
        dst.u32_min, dst.u32_max = 0, U32_MAX
    else:
        dst.u32_min, dst.u32_max = dst.u32_min - src.u32_max, dst.u32_max - src.u32_min & U32_MAX
    _signed64(dst, dst.smin - src.smax, dst.smax - src.smin)
    if dst.umin < src.umax:
        dst.umin, dst.umax = 0, U64_MAX
    else:
        dst.umin, dst.umax = dst.umin - src.umax, dst.umax - src.umin & U64_MAX
    dst.var_off = tnum_sub(dst.var_off, src.var_off)


def _mul(dst: Reg, src: Reg) -> None:
    dst.var_off = tnum_mul(dst.var_off, src.var_off)
    if src.s32_min < 0 or dst.s32_min < 0 or src.u32_max > _U16_MAX or dst.u32_max > _U16_MAX:
        dst.set_unbounded32()
    else:
        dst.u32_min = dst.u32_min * src.u32_min & U32_MAX
        dst.u32_max = dst.u32_max * src.u32_max & U32_MAX
        _as_unsigned32(dst, dst.u32_max <= S32_MAX)
    if src.smin < 0 or dst.smin < 0 or src.umax > U32_MAX or dst.umax > U32_MAX:
        dst.set_unbounded64()
    else:
        dst.umin = dst.umin * src.umin & U64_MAX
        dst.umax = dst.umax * src.umax & U64_MAX
        _as_unsigned64(dst, dst.umax <= S64_MAX)


def _known_subreg(reg: Reg) -> bool:
    return not reg.var_off.mask & U32_MAX


def _as_unsigned32(dst: Reg, positive: bool) -> None:
    """The signed range is the unsigned one if neither operand was negative."""
    if positive:
        # Linux assigns u32 to s32: a bound beyond S32_MAX turns negative.
        dst.s32_min = dst.u32_min - (dst.u32_min >> 31 << 32)
        dst.s32_max = dst.u32_max - (dst.u32_max >> 31 << 32)
    else:
        dst.s32_min, dst.s32_max = S32_MIN, S32_MAX


def _as_unsigned64(dst: Reg, positive: bool) -> None:
    if positive:
        dst.smin = dst.umin - (dst.umin >> 63 << 64)
        dst.smax = dst.umax - (dst.umax >> 63 << 64)
    else:
        dst.smin, dst.smax = S64_MIN, S64_MAX


_Limits = Callable[[int, int, int, int, int, int], tuple[int, int]]


def _bitwise(dst: Reg, src: Reg, limits: _Limits) -> None:
    """And, or, xor: bounds from the bits, which are the result's by now."""
    value, mask = dst.var_off.value & U32_MAX, dst.var_off.mask & U32_MAX
    if not mask and _known_subreg(src):
        dst.set_known32(value)
    else:
        positive = dst.s32_min >= 0 and src.s32_min >= 0
        dst.u32_min, dst.u32_max = limits(value, mask, dst.u32_min, dst.u32_max, src.u32_min, src.u32_max)
        _as_unsigned32(dst, positive)
    if dst.var_off.is_const and src.var_off.is_const:
        _become_known(dst, dst.var_off.value)
        return
    value, mask = dst.var_off
    positive = dst.smin >= 0 and src.smin >= 0
    dst.umin, dst.umax = limits(value, mask, dst.umin, dst.umax, src.umin, src.umax)
    _as_unsigned64(dst, positive)
    update_reg_bounds(dst)


def _become_known(dst: Reg, value: int) -> None:
    """A constant; ids are gone too, as with Linux's __mark_reg_known."""
    dst.off = dst.extent = dst.id = dst.ref_obj_id = 0
    dst.map, dst.btf = None, ""
    dst.set_known(value)


def _and_limits(value: int, mask: int, low: int, high: int, src_low: int, src_high: int) -> tuple[int, int]:
    return value, min(high, src_high)


def _or_limits(value: int, mask: int, low: int, high: int, src_low: int, src_high: int) -> tuple[int, int]:
    return max(low, src_low), value | mask


def _xor_limits(value: int, mask: int, low: int, high: int, src_low: int, src_high: int) -> tuple[int, int]:
    return value, value | mask


def _and(dst: Reg, src: Reg) -> None:
    dst.var_off = tnum_and(dst.var_off, src.var_off)
    _bitwise(dst, src, _and_limits)


def _or(dst: Reg, src: Reg) -> None:
    dst.var_off = tnum_or(dst.var_off, src.var_off)
    _bitwise(dst, src, _or_limits)


def _xor(dst: Reg, src: Reg) -> None:
    dst.var_off = tnum_xor(dst.var_off, src.var_off)
    _bitwise(dst, src, _xor_limits)


def _lsh_bounds32(dst: Reg, low: int, high: int) -> None:
    dst.s32_min, dst.s32_max = S32_MIN, S32_MAX
    if high > 31 or dst.u32_max > 1 << (31 - high):
        dst.u32_min, dst.u32_max = 0, U32_MAX
    else:
        dst.u32_min = dst.u32_min << low & U32_MAX
        dst.u32_max = dst.u32_max << high & U32_MAX


def _lsh32(dst: Reg, src: Reg) -> None:
    shift = src.u32_min
    _lsh_bounds32(dst, shift, src.u32_max)
    dst.var_off = tnum_subreg(tnum_lshift(tnum_subreg(dst.var_off), shift))
    dst.set_unbounded64()
    update_reg32_bounds(dst)


def _lsh64(dst: Reg, src: Reg) -> None:
    low, high = src.umin, src.umax
    if low == 32 and high == 32:
        dst.smax, dst.smin = dst.s32_max << 32, dst.s32_min << 32
    else:
        dst.smin, dst.smax = S64_MIN, S64_MAX
    if dst.umax > 1 << (63 - high):
        dst.umin, dst.umax = 0, U64_MAX
    else:
        dst.umin = dst.umin << low & U64_MAX
        dst.umax = dst.umax << high & U64_MAX
    _lsh_bounds32(dst, low, high)
    dst.var_off = tnum_lshift(dst.var_off, low)
    update_reg_bounds(dst)


def _rsh32(dst: Reg, src: Reg) -> None:
    dst.s32_min, dst.s32_max = S32_MIN, S32_MAX
    dst.var_off = tnum_rshift(tnum_subreg(dst.var_off), src.u32_min)
    dst.u32_min >>= src.u32_max
    dst.u32_max >>= src.u32_min
    dst.set_unbounded64()
    update_reg32_bounds(dst)


def _rsh64(dst: Reg, src: Reg) -> None:
    dst.smin, dst.smax = S64_MIN, S64_MAX
    dst.var_off = tnum_rshift(dst.var_off, src.umin)
    dst.umin >>= src.umax
    dst.umax >>= src.umin
    dst.set_unbounded32()
    update_reg_bounds(dst)


def _arsh32(dst: Reg, src: Reg) -> None:
    shift = src.u32_min
    dst.s32_min >>= shift
    dst.s32_max >>= shift
    dst.var_off = tnum_arshift(tnum_subreg(dst.var_off), shift, 32)
    dst.u32_min, dst.u32_max = 0, U32_MAX
    dst.set_unbounded64()
    update_reg32_bounds(dst)


def _arsh64(dst: Reg, src: Reg) -> None:
    shift = src.umin
    dst.smin >>= shift
    dst.smax >>= shift
    dst.var_off = tnum_arshift(dst.var_off, shift, 64)
    dst.umin, dst.umax = 0, U64_MAX
    dst.set_unbounded32()
    update_reg_bounds(dst)


_EITHER_WIDTH = {Op.ADD: _add, Op.SUB: _sub, Op.MUL: _mul, Op.AND: _and, Op.OR: _or, Op.XOR: _xor}
_SHIFTS = {(Op.LSH, 32): _lsh32, (Op.LSH, 64): _lsh64, (Op.RSH, 32): _rsh32, (Op.RSH, 64): _rsh64}
_SHIFTS |= {(Op.ARSH, 32): _arsh32, (Op.ARSH, 64): _arsh64}
_FROM_UNKNOWN = frozenset({Op.ADD, Op.SUB, Op.AND})
_OPERATIONS: dict[tuple[int, int], Callable[[Reg, Reg], None]] = {
    (int(op), bits): function for op, function in _EITHER_WIDTH.items() for bits in (32, 64)
}
_OPERATIONS |= {(int(op), bits): function for (op, bits), function in _SHIFTS.items()}
_SHIFT_OPS = frozenset({int(Op.LSH), int(Op.RSH), int(Op.ARSH)})


def _is_contradictory(src: Reg, bits: int) -> bool:
    """Whether the operand's views disagree, which only happens on paths that cannot be taken."""
    if bits == 32:
        known = _known_subreg(src)
        return (
            (known and (src.s32_min != src.s32_max or src.u32_min != src.u32_max))
            or src.s32_min > src.s32_max
            or src.u32_min > src.u32_max
        )
    known = src.var_off.is_const
    return (known and (src.smin != src.smax or src.umin != src.umax)) or src.smin > src.smax or src.umin > src.umax


def is_tracked(op: int, bits: int, src: Reg) -> bool:
    """Whether anything will be known of the result."""
    if _is_contradictory(src, bits):
        return False
    known = _known_subreg(src) if bits == 32 else src.var_off.is_const
    return known or op in _FROM_UNKNOWN


def adjust_scalar(op: int, bits: int, dst: Reg, src: Reg, precise: bool) -> None:
    """Make ``dst`` the result of ``dst op src``.

    Args:
        op: operation bits of the opcode.
        bits: 32 or 64; 32 clears the high half.
        dst: the first operand, and the result.
        src: the second operand; not changed.
        precise: what an unknown result starts out as.
    """
    if not is_tracked(op, bits, src):
        dst.set_unknown(precise)
        return
    function = _OPERATIONS.get((op, bits))
    if function is None or (op in _SHIFT_OPS and src.umax >= bits):
        dst.set_unknown(precise)
    else:
        function(dst, src)
    if bits == 32:
        zext_32_to_64(dst)
    reg_bounds_sync(dst)
