"""Arithmetic against an oracle written another way: signed and unsigned numbers of a fixed width."""

from ctypes import c_int32, c_int64, c_uint32, c_uint64

from hypothesis import given, settings
from hypothesis import strategies as st

from kprobesim.bpf import BenchEnvironment, FlatMemory, Insn, Level, Program
from kprobesim.bpf.isa import Class, Op, lddw
from tests.bpf.generators import S32

EDGES = [0, 1, 2, 31, 32, 63, 64, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1]
WORD = st.one_of(st.sampled_from(EDGES), st.integers(0, (1 << 64) - 1))
ARITHMETIC = [op for op in Op if op not in (Op.END, Op.NEG)]
COMPARISONS = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xA0, 0xB0, 0xC0, 0xD0]


def run(*insns: Insn) -> int:
    memory = FlatMemory(0x1000, 0x1000)
    program = Program("x", "kprobe", insns, level=Level.V4)
    bound = program.bind(memory, BenchEnvironment())
    result = bound.run(0, 0x2000)
    assert bound.start(0, 0x2000).run() == result
    return result


def truncated(a: int, b: int) -> int:
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def oracle(op: Op, wide: bool, signed_division: bool, a: int, b: int) -> int:
    unsigned, signed = (c_uint64, c_int64) if wide else (c_uint32, c_int32)
    ua, ub, sa, sb = unsigned(a).value, unsigned(b).value, signed(a).value, signed(b).value
    count = ub % (64 if wide else 32)
    if op in (Op.DIV, Op.MOD) and ub == 0:
        result = 0 if op is Op.DIV else ua
    elif op is Op.DIV:
        result = ua // ub if not signed_division else truncated(sa, sb)
    elif op is Op.MOD:
        result = ua % ub if not signed_division else sa - sb * truncated(sa, sb)
    else:
        result = {
            Op.ADD: ua + ub,
            Op.SUB: ua - ub,
            Op.MUL: ua * ub,
            Op.OR: ua | ub,
            Op.AND: ua & ub,
            Op.XOR: ua ^ ub,
            Op.MOV: ub,
            Op.LSH: ua << count,
            Op.RSH: ua >> count,
            Op.ARSH: sa >> count,
        }[op]
    return unsigned(result).value


@given(st.sampled_from(ARITHMETIC), st.booleans(), st.booleans(), WORD, WORD, S32, st.booleans())
@settings(max_examples=400, deadline=None)
def test_arithmetic_agrees_with_the_oracle(
    op: Op, wide: bool, signed: bool, a: int, b: int, imm: int, by_reg: bool
) -> None:
    """Reference section 1, points 1 to 3: sign-extended immediates, zero-extended halves, masked shift counts."""
    off = int(signed and op in (Op.DIV, Op.MOD))
    code = (Class.ALU64 if wide else Class.ALU) | op | (8 if by_reg else 0)
    insn = Insn(code, 0, 1, off) if by_reg else Insn(code, 0, 0, off, imm)
    result = run(*lddw(0, a), *lddw(1, b), insn, Insn(0x95))
    assert result == oracle(op, wide, bool(off), a, b if by_reg else imm)


@given(st.sampled_from(COMPARISONS), st.booleans(), WORD, WORD, S32, st.booleans())
@settings(max_examples=400, deadline=None)
def test_comparisons_agree_with_the_oracle(op: int, wide: bool, a: int, b: int, imm: int, by_reg: bool) -> None:
    unsigned, signed = (c_uint64, c_int64) if wide else (c_uint32, c_int32)
    other = b if by_reg else imm
    ua, ub, sa, sb = unsigned(a).value, unsigned(other).value, signed(a).value, signed(other).value
    taken = {
        0x10: ua == ub, 0x20: ua > ub, 0x30: ua >= ub, 0x40: bool(ua & ub), 0x50: ua != ub, 0x60: sa > sb,
        0x70: sa >= sb, 0xA0: ua < ub, 0xB0: ua <= ub, 0xC0: sa < sb, 0xD0: sa <= sb,
    }[op]  # fmt: skip
    code = (Class.JMP if wide else Class.JMP32) | op | (8 if by_reg else 0)
    jump = Insn(code, 2, 1, 1) if by_reg else Insn(code, 2, 0, 1, imm)
    body = (*lddw(2, a), *lddw(1, b), Insn(0xB7, imm=1), jump, Insn(0xB7), Insn(0x95))
    assert run(*body) == int(taken)
