"""Tristate numbers: what is known of each bit of a 64-bit value.

A bit set in ``mask`` is unknown; the others are as in ``value``, which is zero where the mask is set. Every operation
gives the bits that all possible operands agree on, or fewer. Follows Linux kernel/bpf/tnum.c, function by function.
"""

from typing import NamedTuple

__all__ = [
    "UNKNOWN",
    "ZERO",
    "Tnum",
    "tnum_add",
    "tnum_and",
    "tnum_arshift",
    "tnum_cast",
    "tnum_clear_subreg",
    "tnum_const",
    "tnum_const_subreg",
    "tnum_in",
    "tnum_intersect",
    "tnum_is_aligned",
    "tnum_lshift",
    "tnum_mul",
    "tnum_or",
    "tnum_range",
    "tnum_rshift",
    "tnum_sub",
    "tnum_subreg",
    "tnum_xor",
]

_M64 = (1 << 64) - 1
_M32 = (1 << 32) - 1
_HIGH = _M64 ^ _M32


class Tnum(NamedTuple):
    """``value`` where known, ``mask`` where not; both unsigned 64 bits."""

    value: int
    mask: int

    def __str__(self) -> str:
        """As the log prints it: ``(0x0; 0xff)``."""
        return f"({self.value:#x}; {self.mask:#x})"

    @property
    def is_const(self) -> bool:
        """Whether every bit is known."""
        return not self.mask

    def contains(self, number: int) -> bool:
        """Whether the unsigned ``number`` is one of the possible values."""
        return not (number ^ self.value) & ~self.mask & _M64


UNKNOWN = Tnum(0, _M64)
ZERO = Tnum(0, 0)


def tnum_const(value: int) -> Tnum:
    """All bits known."""
    return Tnum(value & _M64, 0)


def tnum_range(low: int, high: int) -> Tnum:
    """The bits that all of ``low``..``high`` share."""
    bits = (low ^ high).bit_length()
    if bits > 63:
        return UNKNOWN
    delta = (1 << bits) - 1
    return Tnum(low & ~delta, delta)


def tnum_lshift(a: Tnum, shift: int) -> Tnum:
    """``a << shift``."""
    return Tnum(a.value << shift & _M64, a.mask << shift & _M64)


def tnum_rshift(a: Tnum, shift: int) -> Tnum:
    """``a >> shift``, zeros come in."""
    return Tnum(a.value >> shift, a.mask >> shift)


def tnum_arshift(a: Tnum, shift: int, bits: int) -> Tnum:
    """``a s>> shift`` as a number of ``bits`` bits: the sign comes in, known or not."""
    value, mask = a
    if bits == 32:
        value, mask = value & _M32, mask & _M32
        value -= value >> 31 << 32
        mask -= mask >> 31 << 32
        return Tnum(value >> shift & _M32, mask >> shift & _M32)
    value -= value >> 63 << 64
    mask -= mask >> 63 << 64
    return Tnum(value >> shift & _M64, mask >> shift & _M64)


def tnum_add(a: Tnum, b: Tnum) -> Tnum:
    """``a + b``: a carry out of an unknown bit makes the next one unknown."""
    value = a.value + b.value
    carried = (a.mask + b.mask + value) ^ value
    mask = (carried | a.mask | b.mask) & _M64
    return Tnum(value & _M64 & ~mask, mask)


def tnum_sub(a: Tnum, b: Tnum) -> Tnum:
    """``a - b``."""
    value = a.value - b.value & _M64
    borrowed = (value + a.mask) ^ (value - b.mask)
    mask = (borrowed | a.mask | b.mask) & _M64
    return Tnum(value & ~mask, mask)


def tnum_and(a: Tnum, b: Tnum) -> Tnum:
    """``a & b``."""
    value = a.value & b.value
    return Tnum(value, (a.value | a.mask) & (b.value | b.mask) & ~value)


def tnum_or(a: Tnum, b: Tnum) -> Tnum:
    """``a | b``."""
    value = a.value | b.value
    return Tnum(value, (a.mask | b.mask) & ~value)


def tnum_xor(a: Tnum, b: Tnum) -> Tnum:
    """``a ^ b``."""
    mask = a.mask | b.mask
    return Tnum((a.value ^ b.value) & ~mask, mask)


def tnum_mul(a: Tnum, b: Tnum) -> Tnum:
    """``a * b``: long multiplication, with the known product and the unknown bits added up apart."""
    product = Tnum(a.value * b.value & _M64, 0)
    unknown = ZERO
    value, mask = a
    shifted = b
    while value or mask:
        if value & 1:
            unknown = tnum_add(unknown, Tnum(0, shifted.mask))
        elif mask & 1:
            unknown = tnum_add(unknown, Tnum(0, shifted.value | shifted.mask))
        value >>= 1
        mask >>= 1
        shifted = tnum_lshift(shifted, 1)
    return tnum_add(product, unknown)


def tnum_intersect(a: Tnum, b: Tnum) -> Tnum:
    """What is known when both hold. Where they contradict each other, the bit counts as a known 1."""
    mask = a.mask & b.mask
    return Tnum((a.value | b.value) & ~mask, mask)


def tnum_cast(a: Tnum, size: int) -> Tnum:
    """The low ``size`` bytes, the rest zero."""
    keep = (1 << 8 * size) - 1
    return Tnum(a.value & keep, a.mask & keep)


def tnum_is_aligned(a: Tnum, size: int) -> bool:
    """Whether every possible value is a multiple of ``size``, a power of two."""
    return not size or not (a.value | a.mask) & (size - 1)


def tnum_in(a: Tnum, b: Tnum) -> bool:
    """Whether every value of ``b`` is one of ``a``."""
    if b.mask & ~a.mask:
        return False
    return a.value == b.value & ~a.mask


def tnum_subreg(a: Tnum) -> Tnum:
    """The low half, zero-extended."""
    return Tnum(a.value & _M32, a.mask & _M32)


def tnum_clear_subreg(a: Tnum) -> Tnum:
    """The high half, the low one zero."""
    return Tnum(a.value & _HIGH, a.mask & _HIGH)


def tnum_const_subreg(a: Tnum, value: int) -> Tnum:
    """The high half of ``a`` above the constant ``value``."""
    return Tnum(a.value & _HIGH | value & _M32, a.mask & _HIGH)
