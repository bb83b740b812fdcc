"""Errors in what is believed of numbers."""

from typing import Any

from kprobesim.bpf.verifier import (
    alu,
    branches,
    env,
    jumps,
    scalar,
)
from kprobesim.bpf.verifier.reg import U32_MAX, Reg, known_reg
from kprobesim.bpf.verifier.reg_type import SCALAR_VALUE
from kprobesim.bpf.verifier.tnum import Tnum, tnum_add, tnum_const
from tests.bpf.verifier.soundness.plant import Errors, Put, nothing

__all__ = ["NUMBERS"]

NUMBERS = Errors()


# Comparisons


def _shifted(put: Put, ops: tuple[int, ...], true_by: int, false_by: int, jmp32: bool | None = None) -> None:
    """The bound that one edge learns is off by so much."""
    order = branches._order

    def wrong(true: Reg, false: Reg, value: int, op: int, is_jmp32: bool) -> None:
        if op not in ops or jmp32 not in (None, is_jmp32):
            order(true, false, value, op, is_jmp32)
            return
        order(true, false.copy(), value + true_by, op, is_jmp32)
        order(true.copy(), false, value + false_by, op, is_jmp32)

    put(branches, "_order", wrong)


@NUMBERS
def less_than_taken_edge_too_low(put: Put) -> None:
    _shifted(put, (branches.JLT, branches.JSLT), -1, 0)


@NUMBERS
def greater_equal_other_edge_too_low(put: Put) -> None:
    _shifted(put, (branches.JGE, branches.JSGE), 0, -1)


@NUMBERS
def less_equal_other_edge_too_high(put: Put) -> None:
    _shifted(put, (branches.JLE, branches.JSLE), 0, 1)


@NUMBERS
def greater_than_32_other_edge_too_low(put: Put) -> None:
    _shifted(put, (branches.JGT, branches.JSGT), 0, -1, jmp32=True)


@NUMBERS
def narrow_comparison_taken_for_wide(put: Put) -> None:
    refine = branches.reg_set_min_max
    put(jumps, "reg_set_min_max", lambda true, false, value, op, is_jmp32: refine(true, false, value, op, False))


@NUMBERS
def signed_comparison_decided_unsigned(put: Put) -> None:
    unsigned = {0x60: 0x20, 0x70: 0x30, 0xC0: 0xA0, 0xD0: 0xB0}
    decide = branches.is_branch_taken

    def wrong(reg: Reg, value: int, op: int, is_jmp32: bool) -> bool | None:
        return decide(reg, value, unsigned.get(op, op), is_jmp32)

    put(jumps, "is_branch_taken", wrong)


@NUMBERS
def boundary_of_a_decided_jump(put: Put) -> None:
    compare = branches._compare

    def wrong(op: int, low: int, high: int, value: int) -> bool | None:
        return True if op in (branches.JLT, branches.JSLT) and high <= value else compare(op, low, high, value)

    put(branches, "_compare", wrong)


@NUMBERS
def jset_learns_a_bit_when_several_are_asked(put: Put) -> None:
    put(branches, "_is_power_of_2", lambda number: number != 0)


@NUMBERS
def not_equal_teaches_the_wrong_edge(put: Put) -> None:
    refine = branches.reg_set_min_max

    def wrong(true: Reg, false: Reg, value: int, op: int, is_jmp32: bool) -> None:
        refine(true, false, value, branches.JEQ if op == branches.JNE else op, is_jmp32)

    put(jumps, "reg_set_min_max", wrong)


@NUMBERS
def swapped_operands_keep_the_operator(put: Put) -> None:
    put(jumps, "FLIPPED", {op: op for op in branches.FLIPPED})


# Numbers


@NUMBERS
def high_half_not_cleared(put: Put) -> None:
    """32-bit arithmetic leaves what was known of 64 bits."""
    put(scalar, "zext_32_to_64", nothing)
    put(alu, "zext_32_to_64", nothing)


@NUMBERS
def low_half_keeps_old_bounds(put: Put) -> None:
    """A shift to the right leaves what was known of the low half."""
    put(Reg, "set_unbounded32", nothing)


@NUMBERS
def whole_keeps_old_bounds(put: Put) -> None:
    put(Reg, "set_unbounded64", nothing)


@NUMBERS
def narrow_copy_keeps_its_id(put: Put) -> None:
    """After ``w1 = w2`` the two count as equal."""

    mov = alu._mov

    def wrong(verifier: Any, insn: Any) -> None:
        frame = verifier.frame
        number = 0
        if insn.code == 0xBC and frame.values[insn.src].type == SCALAR_VALUE:
            source = frame.own(insn.src)
            number = source.id = source.id or verifier.new_id()
        mov(verifier, insn)
        if number:
            frame.values[insn.dst].id = number

    put(alu, "_mov", wrong)


@NUMBERS
def changed_number_keeps_its_id(put: Put) -> None:
    """After ``r1 = r2; r1 += 1`` the two still count as equal."""
    adjust = alu._adjust_reg_min_max_vals

    def wrong(verifier: Any, insn: Any) -> None:
        number = verifier.frame.values[insn.dst].id
        kind = verifier.frame.values[insn.dst].type
        adjust(verifier, insn)
        if kind == SCALAR_VALUE and verifier.frame.values[insn.dst].type == SCALAR_VALUE:
            verifier.frame.own(insn.dst).id = number

    put(alu, "_adjust_reg_min_max_vals", wrong)


@NUMBERS
def addition_of_bits_without_carry(put: Put) -> None:
    def wrong(a: Tnum, b: Tnum) -> Tnum:
        mask = a.mask | b.mask
        return Tnum((a.value + b.value) & ((1 << 64) - 1) & ~mask, mask)

    put(scalar, "tnum_add", wrong)


@NUMBERS
def subtraction_of_bits_without_borrow(put: Put) -> None:
    def wrong(a: Tnum, b: Tnum) -> Tnum:
        mask = a.mask | b.mask
        return Tnum((a.value - b.value) & ((1 << 64) - 1) & ~mask, mask)

    put(scalar, "tnum_sub", wrong)


@NUMBERS
def product_forgets_unknown_bits(put: Put) -> None:
    def wrong(a: Tnum, b: Tnum) -> Tnum:
        return tnum_add(tnum_const(a.value * b.value), Tnum(0, a.mask | b.mask))

    put(scalar, "tnum_mul", wrong)


@NUMBERS
def sum_may_overflow(put: Put) -> None:
    add = scalar._add

    def wrong(dst: Reg, src: Reg) -> None:
        low, high = dst.umin + src.umin, dst.umax + src.umax
        add(dst, src)
        if high >> 64:
            dst.umin, dst.umax = low & ((1 << 64) - 1), high & ((1 << 64) - 1)

    put(scalar, "_OPERATIONS", scalar._OPERATIONS | {(0x00, 64): wrong})


@NUMBERS
def difference_takes_the_wrong_end(put: Put) -> None:
    def wrong(dst: Reg, src: Reg) -> None:
        most = dst.umax - src.umax
        least = dst.umin - src.umin
        scalar._sub(dst, src)
        if 0 <= least <= most:
            dst.umin, dst.umax = least, most

    put(scalar, "_OPERATIONS", scalar._OPERATIONS | {(0x10, 64): wrong})


@NUMBERS
def product_may_overflow(put: Put) -> None:
    mul = scalar._mul

    def wrong(dst: Reg, src: Reg) -> None:
        high = (dst.umax & U32_MAX) * (src.umax & U32_MAX)
        mul(dst, src)
        dst.umax = min(dst.umax, high)

    put(scalar, "_OPERATIONS", scalar._OPERATIONS | {(0x20, 64): wrong})


@NUMBERS
def or_is_no_more_than_its_operands(put: Put) -> None:
    def wrong(value: int, mask: int, low: int, high: int, src_low: int, src_high: int) -> tuple[int, int]:
        return max(low, src_low), max(high, src_high)

    put(scalar, "_or_limits", wrong)


@NUMBERS
def xor_is_no_more_than_its_operands(put: Put) -> None:
    def wrong(value: int, mask: int, low: int, high: int, src_low: int, src_high: int) -> tuple[int, int]:
        return value, max(high, src_high)

    put(scalar, "_xor_limits", wrong)


@NUMBERS
def left_shift_may_overflow(put: Put) -> None:
    shift = scalar._lsh64

    def wrong(dst: Reg, src: Reg) -> None:
        high = (dst.umax & U32_MAX) << src.umax
        shift(dst, src)
        dst.umax = min(dst.umax, high)

    put(scalar, "_OPERATIONS", scalar._OPERATIONS | {(0x60, 64): wrong})


@NUMBERS
def right_shift_one_too_far(put: Put) -> None:
    shift = scalar._rsh64

    def wrong(dst: Reg, src: Reg) -> None:
        shift(dst, src)
        dst.umax >>= 1

    put(scalar, "_OPERATIONS", scalar._OPERATIONS | {(0x70, 64): wrong})


@NUMBERS
def narrow_right_shift_of_the_whole(put: Put) -> None:
    def wrong(dst: Reg, src: Reg) -> None:
        scalar._rsh64(dst, src)
        dst.u32_max = min(dst.u32_max, dst.umax & 0xFFFFFFFF)

    put(scalar, "_OPERATIONS", scalar._OPERATIONS | {(0x70, 32): wrong})


@NUMBERS
def arithmetic_shift_brings_in_zeros(put: Put) -> None:
    put(scalar, "_OPERATIONS", scalar._OPERATIONS | {(0xC0, 64): scalar._rsh64, (0xC0, 32): scalar._rsh32})


@NUMBERS
def shift_count_not_masked(put: Put) -> None:
    """A count in a register that is too big shifts everything out, as the CPU does not."""
    adjust = scalar.adjust_scalar

    def wrong(op: int, bits: int, dst: Reg, src: Reg, precise: bool) -> None:
        if op in (0x60, 0x70) and src.var_off.is_const and src.umin >= bits:
            dst.set_known(0)
        else:
            adjust(op, bits, dst, src, precise)

    put(alu, "adjust_scalar", wrong)


@NUMBERS
def negation_changes_nothing(put: Put) -> None:
    unary = alu._unary

    def wrong(verifier: Any, insn: Any) -> None:
        before = verifier.frame.values[insn.dst]
        unary(verifier, insn)
        if insn.code & 0xF0 == 0x80 and before.type == SCALAR_VALUE:
            verifier.frame.values[insn.dst] = before

    put(alu, "_unary", wrong)


@NUMBERS
def byte_swap_changes_nothing(put: Put) -> None:
    unary = alu._unary

    def wrong(verifier: Any, insn: Any) -> None:
        before = verifier.frame.values[insn.dst]
        unary(verifier, insn)
        if insn.code & 0xF0 == 0xD0 and before.type == SCALAR_VALUE:
            verifier.frame.values[insn.dst] = before

    put(alu, "_unary", wrong)


@NUMBERS
def immediate_not_sign_extended(put: Put) -> None:
    put(alu, "known_reg", lambda value: known_reg(value & 0xFFFFFFFF))


@NUMBERS
def word_taken_for_a_byte_when_loaded(put: Put) -> None:
    narrow = env.Env._narrow
    put(env.Env, "_narrow", lambda verifier, size: narrow(verifier, 1 if size == 2 else size))
