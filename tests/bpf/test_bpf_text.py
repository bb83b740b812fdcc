"""The kernel's text of instructions, and the assembler that reads it back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kprobesim.bpf import AsmError, Insn, Level, assemble, decode, disassemble, insn_text, listing, source_imm64
from kprobesim.bpf.isa import Pseudo, lddw
from tests.bpf.generators import S32, insns

# the kernel's text of a call has no room for the offset that calls of kernel functions have
printable = insns().map(lambda insn: insn._replace(off=0) if insn.code == 0x85 else insn)

CAPTURED = [
    # record, and what Linux 6.1 printed for it
    ("7b0af0ff00000000", "(7b) *(u64 *)(r10 -16) = r0"),
    ("7a0af8ff05000000", "(7a) *(u64 *)(r10 -8) = 5"),
    ("620afcff44332211", "(62) *(u32 *)(r10 -4) = 287454020"),
    ("8500000001000000", "(85) call bpf_map_lookup_elem#1"),
    ("850000000f270000", "(85) call unknown#9999"),
    ("8530000000000000", "(85) call unknown#0"),
    ("8510000002000000", "(85) call pc+2"),
    ("0500060000000000", "(05) goto pc+6"),
    ("0500fbff00000000", "(05) goto pc-5"),
    ("6401000002000000", "(64) w1 <<= 2"),
    ("8700000000000000", "(87) r0 = -r0"),
    ("c701000020000000", "(c7) r1 s>>= 32"),
    ("dc00000010000000", "(dc) r0 = be16 r0"),
    ("d400000018000000", "(d4) r0 = le24 r0"),
    ("c503fdfffdffffff", "(c5) if r3 s< 0xfffffffd goto pc-3"),
    ("ae87010000000000", "(ae) if w7 < w8 goto pc+1"),
    ("db30000000000000", "(db) lock *(u64 *)(r0 +0) += r3"),
    ("db01f8ff40000000", "(db) lock *(u64 *)(r1 -8) |= r0"),
    ("db1af8fff1000000", "(db) r0 = atomic64_cmpxchg((u64 *)(r10 -8), r0, r1)"),
    ("c31afcff01000000", "(c3) r1 = atomic_fetch_add((u32 *)(r10 -4), r1)"),
    ("db1af8ffe1000000", "(db) r1 = atomic64_xchg((u64 *)(r10 -8), r1)"),
    ("3000000000000000", "(30) r0 = *(u8 *)skb[0]"),
    ("0600000000000000", "(06) if w0 jmp 0x0 goto pc+0"),
    ("9500000000000000", "(95) exit"),
    ("c200000000000000", "(c2) nospec"),
    ("9900000000000000", "BUG_ldx_99"),
    ("d700000010000000", "BUG_alu64_d7"),
]


@pytest.mark.parametrize(("record", "text"), CAPTURED)
def test_instructions_read_as_linux_6_1_prints_them(record: str, text: str) -> None:
    """Reference 3.5; the two BUG texts are kernel/bpf/disasm.c's."""
    assert insn_text(decode(bytes.fromhex(record)), 0) == text


V4_TEXT = [
    ("0600000003000000", "gotol pc+3"),
    ("37000100feffffff", "r0 s/= -2"),
    ("9c10010000000000", "w0 s%= w1"),
    ("bf10080000000000", "r0 = (s8)r1"),
    ("bc10100000000000", "w0 = (s16)w1"),
    ("d700000020000000", "r0 = bswap32 r0"),
    ("91a0f8ff00000000", "r0 = *(s8 *)(r10 -8)"),
]


@pytest.mark.parametrize(("record", "text"), V4_TEXT)
def test_v4_instructions_have_their_own_text(record: str, text: str) -> None:
    assert insn_text(decode(bytes.fromhex(record)), 0, Level.V4, code=False) == text


@given(st.lists(printable, min_size=1, max_size=8))
@settings(max_examples=300)
def test_the_assembler_reads_back_every_instruction(program: list[Insn]) -> None:
    assert list(assemble(listing(program, Level.V4), Level.V4).insns) == program


@given(st.integers(0, 10), st.sampled_from(list(Pseudo)), S32, S32)
def test_the_assembler_reads_back_every_64_bit_load(dst: int, src: Pseudo, low: int, high: int) -> None:
    single = src in (Pseudo.FUNC, Pseudo.MAP_FD, Pseudo.MAP_IDX)
    program = lddw(dst, (0 if single else high & 0xFFFFFFFF) << 32 | low & 0xFFFFFFFF, src)
    assert assemble(listing(program, Level.V4, source_imm64)).insns == program


@given(printable)
@settings(max_examples=300)
def test_text_without_opcodes_means_the_same(insn: Insn) -> None:
    text = insn_text([insn], 0, Level.V4, code=False)
    assert assemble(text, Level.V4).insns == (insn,)


def test_records_come_before_printing() -> None:
    lines = list(disassemble(assemble("r1 = 5 ll\nexit").insns))
    assert [(line.slot, line.slots, line.text) for line in lines] == [(0, 2, "r1 = 0x5"), (2, 1, "exit")]


def test_labels_maps_helpers_and_headers_are_understood() -> None:
    source = assemble(
        """
        .type kprobe
        .license Dual MIT/GPL   ; with a comment
        .map counts hash key=4 value=8 max_entries=0x40
        start: r1 = map counts          # by name
               r2 = map[counts]
               call map_lookup_elem
               call bpf_map_lookup_elem#1
               if r0 == 0 goto out
               goto start
        out:   exit
        """
    )
    assert (source.type, source.license, source.maps[0].max_entries) == ("kprobe", "Dual MIT/GPL", 64)
    assert source.labels == {"start": 0, "out": 8}
    assert source.insns[0] == Insn(0x18, 1, Pseudo.MAP_IDX)
    assert source.insns[4] == source.insns[5] == Insn(0x85, imm=1)
    assert (source.insns[6].off, source.insns[7].off) == (1, -8)
    assert source.lines[0] == source.lines[1] == 5


def test_local_functions_are_called_by_label() -> None:
    source = assemble("call double\nexit\ndouble: r0 = r1\nr0 += r1\nexit")
    assert source.insns[0] == Insn(0x85, src=1, imm=1)


NUMBERS = [
    ("r0 = -1", Insn(0xB7, imm=-1)),
    ("w0 = 0xffffffff", Insn(0xB4, imm=-1)),
    ("r0 &= 0x7fffffff", Insn(0x57, imm=0x7FFFFFFF)),
    ("if r0 == 0xffffffff goto +1", Insn(0x15, off=1, imm=-1)),
    ("*(u32 *)(r1 +0) = 0xffffffff", Insn(0x62, 1, imm=-1)),
    ("r2 = *(u8 *)(r1 + 0x10)", Insn(0x71, 2, 1, 16)),
]


@pytest.mark.parametrize(("text", "insn"), NUMBERS)
def test_numbers_may_be_decimal_hex_or_negative(text: str, insn: Insn) -> None:
    assert assemble(text).insns == (insn,)


def test_a_number_beyond_32_bits_takes_two_slots() -> None:
    assert assemble("r0 = 0xffffffff").insns == lddw(0, 0xFFFFFFFF)
    assert assemble("r0 = 0x1122334455667788 ll").insns == lddw(0, 0x1122334455667788)


MISTAKES = [
    # text, column, part of the message
    ("r0 = map cuonts\n.map counts hash key=4 value=8 max_entries=1", 10, "Did you mean 'counts'?"),
    ("call map_lokup_elem", 6, "Did you mean 'map_lookup_elem'?"),
    ("call bpf_map_update_elem#1", 6, "helper 1 is bpf_map_lookup_elem"),
    ("goto outt\nout: exit", 6, "Did you mean 'out'?"),
    ("r11 = ", 6, "Expected a register or a number"),
    ("r0 += w1", 7, "w1 is 32 bits wide here"),
    ("r1 = *(u63 *)(r10 -8)", 8, "Did you mean 'u64'?"),
    ("r1 = *(u64 *)(r10 -8", 21, "Expected ')'"),
    ("r1 &= 0xffffffff", 7, "does not fit a signed 32-bit immediate"),
    ("(bf) r0 = 5", 6, "this is instruction b7, but the line says bf"),
    (".mpa x hash", 1, "Did you mean '.map'?"),
    (".map x hsah key=4", 8, "Did you mean 'hash'?"),
    (".map x hash key=4 value=8", 26, "lacks max_entries="),
    (".map x hash kye=4", 13, "Did you mean 'key'?"),
    (".type kprobes", 7, "Did you mean 'kprobe'?"),
    ("r0 s/= r1", 1, "It arrived with ISA level v4"),
    ("if r0 = 5 goto +1", 7, "is no comparison"),
    ("r0 ? 5", 4, "'?' has no meaning here"),
    ("exit now", 6, "is left over"),
    ("a: r0 = 0\na: exit", 1, "is there twice"),
    ("xeit", 1, "Did you mean 'exit'?"),
    ("r1 = map[id:3]", 10, "Ids are given by a running system"),
    ("*(u64 *)(r10 -40000) = 1", 14, "does not fit 16 bits"),
]


@pytest.mark.parametrize(("text", "column", "part"), MISTAKES)
def test_a_mistake_is_shown_where_it_is(text: str, column: int, part: str) -> None:
    with pytest.raises(AsmError) as refused:
        assemble(text)
    assert part in str(refused.value)
    assert refused.value.column == column
    assert str(refused.value).endswith(" " * (column + 1) + "^")


@given(st.text(alphabet="r0123456789 =+-*/<>&|^!()[]u64goticalexp:#;.\n", max_size=60))
def test_any_text_is_assembled_or_refused(text: str) -> None:
    try:
        assemble(text)
    except AsmError as refused:
        assert 1 <= refused.line <= text.count("\n") + 1
