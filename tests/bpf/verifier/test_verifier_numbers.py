"""V7: what is known of a number always holds of the number."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from kprobesim.bpf.isa import Op
from kprobesim.bpf.verifier import tnum
from kprobesim.bpf.verifier.bounds import coerce_reg_to_size, reg_bounds_sync
from kprobesim.bpf.verifier.branches import FLIPPED, combine_equal, is_branch_taken, reg_set_min_max
from kprobesim.bpf.verifier.reg import Reg, known_reg, s32, s64, unknown_reg
from kprobesim.bpf.verifier.scalar import adjust_scalar
from kprobesim.bpf.verifier.tnum import Tnum

M64, M32 = (1 << 64) - 1, (1 << 32) - 1
EDGES = [0, 1, 2, 7, 31, 32, 63, 64, 0x7FFFFFFF, 0x80000000, M32, 1 << 32, (1 << 63) - 1, 1 << 63, M64, M64 - 1]
U64 = st.one_of(st.integers(0, M64), st.sampled_from(EDGES), st.integers(0, 300), st.integers(M64 - 300, M64))


def holds(reg: Reg, number: int) -> bool:
    """Whether all views of the register allow the number."""
    return (
        reg.var_off.contains(number)
        and reg.umin <= number <= reg.umax
        and reg.smin <= s64(number) <= reg.smax
        and reg.u32_min <= number & M32 <= reg.u32_max
        and reg.s32_min <= s32(number) <= reg.s32_max
    )


@st.composite
def tnums(draw: st.DrawFn) -> tuple[Tnum, int]:
    """A tristate number and one of its values."""
    number, mask = draw(U64), draw(U64)
    return Tnum(number & ~mask, mask), number


@st.composite
def regs(draw: st.DrawFn) -> tuple[Reg, int]:
    """A register and a number that it may hold."""
    number = draw(U64)
    reg = unknown_reg()
    kind = draw(st.sampled_from(["unknown", "bits", "ranges", "both", "constant"]))
    if kind == "constant":
        return known_reg(number), number
    if kind in ("bits", "both"):
        mask = draw(U64)
        reg.var_off = Tnum(number & ~mask, mask)
    if kind in ("ranges", "both"):
        reg.umin = draw(st.integers(0, number))
        reg.umax = draw(st.integers(number, M64))
        reg.smin = draw(st.integers(-(1 << 63), s64(number)))
        reg.smax = draw(st.integers(s64(number), (1 << 63) - 1))
        reg.u32_min = draw(st.integers(0, number & M32))
        reg.u32_max = draw(st.integers(number & M32, M32))
        reg.s32_min = draw(st.integers(-(1 << 31), s32(number)))
        reg.s32_max = draw(st.integers(s32(number), (1 << 31) - 1))
    reg_bounds_sync(reg)
    assert holds(reg, number)
    return reg, number


@given(tnums(), tnums(), st.integers(0, 63))
def test_tristate_arithmetic_covers_every_value(a: tuple[Tnum, int], b: tuple[Tnum, int], shift: int) -> None:
    (x, i), (y, j) = a, b
    assert tnum.tnum_add(x, y).contains(i + j & M64)
    assert tnum.tnum_sub(x, y).contains(i - j & M64)
    assert tnum.tnum_mul(x, y).contains(i * j & M64)
    assert tnum.tnum_and(x, y).contains(i & j)
    assert tnum.tnum_or(x, y).contains(i | j)
    assert tnum.tnum_xor(x, y).contains(i ^ j)
    assert tnum.tnum_lshift(x, shift).contains(i << shift & M64)
    assert tnum.tnum_rshift(x, shift).contains(i >> shift)
    assert tnum.tnum_arshift(x, shift, 64).contains(s64(i) >> shift & M64)
    low = tnum.tnum_subreg(x)
    assert tnum.tnum_arshift(low, shift & 31, 32).contains(s32(i) >> (shift & 31) & M32)
    assert low.contains(i & M32)
    assert tnum.tnum_cast(x, 2).contains(i & 0xFFFF)


@given(tnums())
def test_a_tristate_number_has_no_known_bit_under_its_mask(a: tuple[Tnum, int]) -> None:
    x, _ = a
    for result in (tnum.tnum_add(x, x), tnum.tnum_sub(x, x), tnum.tnum_mul(x, x), tnum.tnum_or(x, x)):
        assert not result.value & result.mask
        assert 0 <= result.value <= M64
        assert 0 <= result.mask <= M64


@given(U64, U64, U64)
def test_a_range_of_tristate_numbers_covers_its_members(low: int, high: int, number: int) -> None:
    low, number, high = sorted((low, number, high))
    assert tnum.tnum_range(low, high).contains(number)


@given(tnums(), tnums())
def test_tnum_in_means_what_it_says(a: tuple[Tnum, int], b: tuple[Tnum, int]) -> None:
    (x, _), (y, j) = a, b
    if tnum.tnum_in(x, y):
        assert x.contains(j)
    assert tnum.tnum_in(x, x)


def compute(op: Op, bits: int, a: int, b: int) -> int:
    """What the processor computes."""
    mask = M64 if bits == 64 else M32
    a, b = a & mask, b & mask
    count = b & bits - 1
    signed = s64(a) if bits == 64 else s32(a)
    results = {
        Op.ADD: a + b,
        Op.SUB: a - b,
        Op.MUL: a * b,
        Op.OR: a | b,
        Op.AND: a & b,
        Op.XOR: a ^ b,
        Op.LSH: a << count,
        Op.RSH: a >> count,
        Op.ARSH: signed >> count,
        Op.DIV: a // b if b else 0,
        Op.MOD: a % b if b else a,
    }
    return results[op] & mask


TRACKED = [Op.ADD, Op.SUB, Op.MUL, Op.OR, Op.AND, Op.LSH, Op.RSH, Op.XOR, Op.ARSH, Op.DIV, Op.MOD]


@given(regs(), regs(), st.sampled_from(TRACKED), st.sampled_from([32, 64]))
def test_every_operation_at_every_width_keeps_the_result_inside(
    a: tuple[Reg, int], b: tuple[Reg, int], op: Op, bits: int
) -> None:
    (dst, i), (src, j) = a, b
    result = dst.copy()
    adjust_scalar(op, bits, result, src, precise=False)
    # 32-bit operations by an unknown number leave the register unknown as a whole, which covers any result.
    assert holds(result, compute(op, bits, i, j))


JUMPS: dict[int, Callable[[int, int], bool]] = {
    0x10: lambda a, b: a == b,
    0x50: lambda a, b: a != b,
    0x20: lambda a, b: a > b,
    0x30: lambda a, b: a >= b,
    0xA0: lambda a, b: a < b,
    0xB0: lambda a, b: a <= b,
    0x40: lambda a, b: bool(a & b),
}
SIGNED = {0x60: JUMPS[0x20], 0x70: JUMPS[0x30], 0xC0: JUMPS[0xA0], 0xD0: JUMPS[0xB0]}


def outcome(op: int, a: int, b: int, narrow: bool) -> bool:
    if op in SIGNED:
        view = s32 if narrow else s64
        return SIGNED[op](view(a), view(b))
    keep = M32 if narrow else M64
    return JUMPS[op](a & keep, b & keep)


@given(regs(), U64, st.sampled_from(sorted(FLIPPED)), st.booleans())
def test_the_edge_that_is_taken_keeps_the_number(a: tuple[Reg, int], constant: int, op: int, narrow: bool) -> None:
    reg, number = a
    holds_now = outcome(op, number, constant, narrow)
    predicted = is_branch_taken(reg, constant, op, narrow)
    assert predicted in (None, holds_now)
    if predicted is None:
        true, false = reg.copy(), reg.copy()
        reg_set_min_max(true, false, constant, op, narrow)
        assert holds(true if holds_now else false, number)


@given(regs(), st.data())
def test_equal_registers_share_what_is_known(a: tuple[Reg, int], data: st.DataObject) -> None:
    reg, number = a
    mask = data.draw(U64)
    other = unknown_reg()
    other.var_off = Tnum(number & ~mask, mask)
    reg_bounds_sync(other)
    first, second = reg.copy(), other
    combine_equal(first, second)
    assert holds(first, number)
    assert holds(second, number)


@given(regs(), st.sampled_from([1, 2, 4]))
def test_a_narrow_load_keeps_its_low_bytes(a: tuple[Reg, int], size: int) -> None:
    reg, number = a
    narrow = reg.copy()
    coerce_reg_to_size(narrow, size)
    kept = number & (1 << 8 * size) - 1
    assert narrow.var_off.contains(kept)
    assert narrow.umin <= kept <= narrow.umax
