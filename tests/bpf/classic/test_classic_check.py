"""What Linux takes for a classic filter, instruction by instruction (reference: bpf.md sections 7 and 8)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kprobesim.bpf.classic import (
    SECCOMP_DATA_SIZE,
    Code,
    Filter,
    FilterMode,
    SockFilter,
    bpf_check_classic,
    chk_code_allowed,
    seccomp_check_filter,
)
from kprobesim.bpf.errors import LoadError
from tests.bpf.classic.programs import accepts, insns_of

SOCKET, SECCOMP = FilterMode.SOCKET, FilterMode.SECCOMP
RET = SockFilter(Code.RET_K)
STORED = tuple(SockFilter(Code.ST, k=cell) for cell in range(16))

LOADS = (
    *("ld [0]", "ldh [0]", "ldb [0]", "ld [x + 0]", "ldh [x + 0]", "ldb [x + 0]"),
    *("ld #len", "ld #1", "ld M[1]", "ldx #len", "ldx #1", "ldx M[1]", "ldxb 4*([0]&0xf)", "st M[1]", "stx M[1]"),
)
ALU = tuple(
    f"{name} {operand}"
    for name in ("add", "sub", "mul", "div", "mod", "and", "or", "xor", "lsh", "rsh")
    for operand in ("#1", "x")
)
JUMPS = tuple(f"{name} {operand}, l" for name in ("jeq", "jgt", "jge", "jset") for operand in ("#1", "x"))
REST = ("neg", "tax", "txa", "ja l", "ret #1", "ret a")
NO_SECCOMP = {
    *("ldh [0]", "ldb [0]", "ld [x + 0]", "ldh [x + 0]", "ldb [x + 0]", "ldxb 4*([0]&0xf)", "mod #1", "mod x"),
}

# Largest constant that is taken; those above are refused.
LARGEST_K = {
    Code.LSH_K: 31, Code.RSH_K: 31, Code.ST: 15, Code.STX: 15, Code.LD_MEM: 15, Code.LDX_MEM: 15, Code.JA: 0,
}  # fmt: skip
ANCILLARIES = range(0, 64, 4)
ABSOLUTE = (Code.LD_W_ABS, Code.LD_H_ABS, Code.LD_B_ABS)
AD_OFF = 0xFFFF_F000


def one(text: str) -> SockFilter:
    return insns_of(f"{text}; ll: ret #0" if " l" not in text else f"{text.replace(' l', ' ll')}; ll: ret #0")[0]


def around(insn: SockFilter) -> tuple[SockFilter, ...]:
    """The instruction where all of M[] is written and one instruction follows."""
    return (*STORED, insn, RET)


def test_49_opcodes_are_allowed_and_none_of_the_other_65487() -> None:
    """47 of them on their own: a read of M[] needs a store before it."""
    known = {one(text).code for text in (*LOADS, *ALU, *JUMPS, *REST)}
    assert len(known) == 49
    assert {code for code in range(1 << 16) if chk_code_allowed(code)} == known


@pytest.mark.parametrize("text", [*LOADS, *ALU, *JUMPS, *REST])
def test_a_known_instruction_is_taken_for_sockets_and_mostly_for_seccomp(text: str) -> None:
    insn = one(text)
    assert accepts(around(insn))
    assert accepts(around(insn), SECCOMP) == (text not in NO_SECCOMP)


@pytest.mark.parametrize("code", [*sorted(set(range(256)) - set(Code)), 0x0E, 0x21, 0x100, 0xFFFF])
def test_an_unknown_opcode_is_refused_wherever_it_stands(code: int) -> None:
    insn = SockFilter(code)
    for mode in FilterMode:
        assert not accepts((insn, RET), mode)
        assert not accepts((RET, insn), mode)
        assert not accepts((RET, insn, RET), mode), "also where nothing leads"


@pytest.mark.parametrize(("code", "largest"), LARGEST_K.items())
def test_constants_end_where_shifts_cells_and_programs_end(code: Code, largest: int) -> None:
    assert accepts(around(SockFilter(code, k=largest)))
    for more in (largest + 1, largest + 2, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF):
        assert not accepts(around(SockFilter(code, k=more)))
        assert not accepts(around(SockFilter(code, k=more)), SECCOMP)


@pytest.mark.parametrize("code", [Code.DIV_K, Code.MOD_K])
def test_division_by_the_constant_0_is_refused(code: Code) -> None:
    assert not accepts(around(SockFilter(code, k=0)))
    assert accepts(around(SockFilter(code, k=0xFFFF_FFFF)))


@pytest.mark.parametrize("code", [Code.DIV_X, Code.MOD_X, Code.LSH_X, Code.RSH_X])
def test_what_x_holds_is_not_the_checkers_business(code: Code) -> None:
    assert accepts((SockFilter(Code.LDX_IMM, k=0), SockFilter(code), RET))


@pytest.mark.parametrize("code", ABSOLUTE)
def test_from_ad_off_on_only_ancillary_loads_are_known_whatever_their_size(code: Code) -> None:
    taken = [k for k in range(AD_OFF - 8, AD_OFF + 128) if accepts((SockFilter(code, k=k), RET))]
    assert taken == [*range(AD_OFF - 8, AD_OFF), *(AD_OFF + fact for fact in ANCILLARIES)]
    assert not accepts((SockFilter(code, k=0xFFFF_FFFF), RET))
    assert accepts((SockFilter(code, k=0x8000_0000), RET)), "elsewhere the load itself fails"


@pytest.mark.parametrize("code", [Code.LD_W_IND, Code.LD_H_IND, Code.LD_B_IND, Code.LDX_B_MSH])
def test_indirect_loads_may_have_any_constant(code: Code) -> None:
    assert all(accepts((SockFilter(code, k=k), RET)) for k in (0, AD_OFF, AD_OFF + 1, 0xFFFF_FFFF, 0x8000_0000))


@pytest.mark.parametrize("code", [code for code in Code if code & 7 == 5 and code != Code.JA])
def test_both_arms_of_a_jump_must_land_inside(code: Code) -> None:
    for jt, jf in ((0, 0), (1, 0), (0, 1), (1, 1)):
        assert accepts((SockFilter(code, jt, jf), RET, RET))
    for jt, jf in ((2, 0), (0, 2), (255, 255)):
        assert not accepts((SockFilter(code, jt, jf), RET, RET))


def test_a_jump_of_4_billion_would_go_back_and_is_refused() -> None:
    assert not accepts((RET, SockFilter(Code.JA, k=0xFFFF_FFFE), RET))


@pytest.mark.parametrize("code", [code for code in Code if code not in (Code.RET_K, Code.RET_A)])
def test_the_last_instruction_returns(code: Code) -> None:
    assert not accepts((*STORED, SockFilter(code)))


@pytest.mark.parametrize(("length", "taken"), [(0, False), (1, True), (4096, True), (4097, False)])
def test_a_filter_has_1_to_4096_instructions(length: int, taken: bool) -> None:
    for mode in FilterMode:
        assert accepts((SockFilter(Code.TAX),) * (length - 1) + (RET,) * min(length, 1), mode) == taken


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("ld M[0]; ret a", False),
        ("st M[0]; ld M[0]; ret a", True),
        ("stx M[0]; ldx M[0]; ret a", True),
        ("st M[0]; ld M[1]; ret a", False),
        ("jeq #0, l1, l2; l1: st M[3]; l2: ld M[3]; ret a", False),
        ("jeq #0, l1, l2; l1: st M[3]; ja l3; l2: stx M[3]; l3: ld M[3]; ret a", True),
        ("jeq #0, l1, l2; l1: st M[3]; ret #1; l2: ld M[3]; ret a", False),
        ("jeq #0, l1, l2; l1: st M[3]; tax; l2: ld M[3]; ret a", False),
        ("ja l1; ld M[5]; l1: ret a", True),
        ("ret #0; ld M[5]; ret a", False),
        ("st M[5]; ja l1; l1: ld M[5]; ret a", True),
    ],
)
def test_a_cell_is_written_on_every_way_to_its_read(text: str, taken: bool) -> None:
    """Behind an unconditional jump nothing is asked for, behind a return it is: the mask pass knows jumps only."""
    assert accepts(insns_of(text)) == taken


def test_seccomp_reads_words_of_seccomp_data() -> None:
    taken = [k for k in range(128) if accepts((SockFilter(Code.LD_W_ABS, k=k), RET), SECCOMP)]
    assert taken == list(range(0, SECCOMP_DATA_SIZE, 4))
    assert not accepts((SockFilter(Code.LD_W_ABS, k=AD_OFF), RET), SECCOMP)


def test_seccomp_rewrites_loads_and_keeps_the_rest() -> None:
    given_ = insns_of("ld [4]; ld #len; ldx #len; add x; ret a")
    bpf_check_classic(given_)
    assert seccomp_check_filter(given_) == (
        SockFilter(Code.LDX_W_ABS, k=4),
        SockFilter(Code.LD_IMM, k=64),
        SockFilter(Code.LDX_IMM, k=64),
        *given_[3:],
    )
    assert Filter(given_, SECCOMP).insns == given_


def test_a_jump_over_too_much_ebpf_passes_the_check_and_fails_the_conversion() -> None:
    middle = (SockFilter(Code.LDX_B_MSH),) * 4094
    program = (SockFilter(Code.JA, k=4094), *middle, RET)
    bpf_check_classic(program)
    assert not accepts(program)
    assert accepts((SockFilter(Code.JA, k=1000), *middle[:2000], RET))


def test_the_error_names_the_instruction() -> None:
    with pytest.raises(LoadError) as caught:
        Filter((RET, SockFilter(Code.DIV_K), RET))
    assert caught.value.insn == 1 and "divides by the constant 0" in str(caught.value)


RECORDS = st.builds(
    SockFilter,
    st.one_of(st.sampled_from([int(code) for code in Code]), st.integers(0, 0xFFFF)),
    st.integers(0, 6),
    st.integers(0, 6),
    st.one_of(st.integers(0, 40), st.integers(0, 0xFFFF_FFFF), st.integers(AD_OFF - 2, 0xFFFF_FFFF)),
)


@given(st.lists(RECORDS, max_size=8))
def test_any_records_are_taken_or_refused_and_seccomp_takes_no_more_than_sockets(records: list[SockFilter]) -> None:
    program = (*records, RET)
    assert accepts(program) or not accepts(program, SECCOMP)
