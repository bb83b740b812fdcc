"""Filters as text: what tcpdump prints, what bpf_asm reads and prints, and text that is neither."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kprobesim.bpf.classic import FORMS, Code, SockFilter, assemble_filter, format_filter, image, read_filter
from kprobesim.bpf.classic.isa import SKF_AD_OFF
from kprobesim.bpf.errors import AsmError
from kprobesim.errors import BadInput
from tests.bpf.classic.programs import insns_of, listings

LISTINGS = {expression: text for (option, expression), text in listings().items() if option == "-d"}
SAMPLE = insns_of("ldh [12]; jeq #0x800, l1, l0; l1: ldb [23]; ret #0x40000; l0: ret #0")


def test_there_are_the_listings_of_a_dozen_expressions() -> None:
    assert len(LISTINGS) == 12


@pytest.mark.parametrize("expression", LISTINGS)
def test_a_listing_of_tcpdump_is_read_and_printed_byte_for_byte(expression: str) -> None:
    insns = read_filter(LISTINGS[expression])
    assert format_filter(insns, "d") == LISTINGS[expression]
    for form in FORMS:
        assert read_filter(format_filter(insns, form)) == insns


def test_tcpdumps_dd_and_ddd_are_the_same_filter() -> None:
    found = listings()
    dd, ddd = found["-dd", "ip and tcp"], found["-ddd", "ip and tcp"]
    assert read_filter(dd) == read_filter(ddd)
    assert format_filter(read_filter(ddd), "dd") == dd and format_filter(read_filter(dd), "ddd") == ddd


def test_bpf_asms_two_outputs() -> None:
    assert format_filter(SAMPLE, "blob") == "5,40 0 0 12,21 0 2 2048,48 0 0 23,6 0 0 262144,6 0 0 0,\n"
    assert format_filter(SAMPLE, "c").splitlines() == [
        "{ 0x28,  0,  0, 0x0000000c },",
        "{ 0x15,  0,  2, 0x00000800 },",
        "{ 0x30,  0,  0, 0x00000017 },",
        "{ 0x06,  0,  0, 0x00040000 },",
        "{ 0x06,  0,  0, 0000000000 },",
    ]


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("ld #5", "(007) ld       #0x5"),
        ("ldx #-1", "(007) ldx      #0xffffffff"),
        ("ld M[5]", "(007) ld       M[5]"),
        ("stx M[15]", "(007) stx      M[15]"),
        ("add #-1", "(007) add      #-1"),
        ("and #-1", "(007) and      #0xffffffff"),
        ("lsh x", "(007) lsh      x"),
        ("neg", "(007) neg      "),
        ("tax", "(007) tax      "),
        ("ret a", "(007) ret      "),
        ("ret #-1", "(007) ret      #-1"),
        ("ret x", "(007) unimp    0xe"),
        ("ld #len", "(007) ld       #pktlen"),
        ("ldx #len", "(007) unimp    0x81"),
        ("ldb [x + -3]", "(007) ldb      [x + -3]"),
        ("ldxb 4*([14]&0xf)", "(007) ldxb     4*([14]&0xf)"),
        ("ldh #proto", "(007) ldh      [proto]"),
        ("ldb #vlan_avail", "(007) ldb      [vlanp]"),
        ("ld #rand", "(007) ld       [random]"),
        ("ld [-4056]", "(007) ld       [xor_x]"),
        ("ld [-4032]", "(007) ld       [-4032]"),
    ],
)
def test_lines_are_libpcaps(source: str, line: str) -> None:
    """Each line as bpf_image of libpcap 1.10.3 gave it for instruction 7."""
    (insn,) = assemble_filter(source)
    assert image(insn, 7) == line


def test_jumps_are_printed_with_their_targets() -> None:
    assert image(SockFilter(Code.JA, k=5), 7) == "(007) ja       13"
    assert image(SockFilter(Code.JEQ_X, 1, 2), 7) == "(007) jeq      x                jt 9\tjf 10"
    assert image(SockFilter(Code.JSET_K, 1, 2, 0x8000_0001), 7) == "(007) jset     #0x80000001      jt 9\tjf 10"


EXTENSIONS = {
    "proto": 0, "type": 4, "ifidx": 8, "nla": 12, "nlan": 16, "mark": 20, "queue": 24, "hatype": 28, "rxhash": 32,
    "cpu": 36, "vlan_tci": 44, "vlan_avail": 48, "vlan_pr": 48, "poff": 52, "rand": 56, "vlan_tpid": 60,
}  # fmt: skip


@pytest.mark.parametrize(("word", "number"), EXTENSIONS.items())
def test_extensions_have_a_word_with_or_without_a_hash(word: str, number: int) -> None:
    wanted = SKF_AD_OFF + number & 0xFFFF_FFFF
    assert assemble_filter(f"ld #{word}") == assemble_filter(f"LD {word.upper()}") == (SockFilter(0x20, k=wanted),)
    assert assemble_filter(f"ldb {word}")[0].code == 0x30 and assemble_filter(f"ldh {word}")[0].code == 0x28


@pytest.mark.parametrize(
    ("source", "insns"),
    [
        ("ldi #5", [(0x00, 0, 0, 5)]),
        ("ldi 5", [(0x00, 0, 0, 5)]),
        ("ldxi 0x10", [(0x01, 0, 0, 16)]),
        ("ld len", [(0x80, 0, 0, 0)]),
        ("ldx 4*([14]&0xf)", [(0xB1, 0, 0, 14)]),
        ("ld [%x + 4]", [(0x40, 0, 0, 4)]),
        ("add %x", [(0x0C, 0, 0, 0)]),
        ("ret %a", [(0x16, 0, 0, 0)]),
        ("ld #010", [(0x00, 0, 0, 8)]),
        ("ld #0b101", [(0x00, 0, 0, 5)]),
        ("jne #1, end; end: ret a", [(0x15, 0, 0, 1), (0x16, 0, 0, 0)]),
        ("jneq #1, end; tax; end: ret a", [(0x15, 0, 1, 1), (0x07, 0, 0, 0), (0x16, 0, 0, 0)]),
        ("jlt #1, end; tax; end: ret a", [(0x35, 0, 1, 1), (0x07, 0, 0, 0), (0x16, 0, 0, 0)]),
        ("jle x, end; tax; end: ret a", [(0x2D, 0, 1, 0), (0x07, 0, 0, 0), (0x16, 0, 0, 0)]),
        ("jgt #1, end; tax; end: ret a", [(0x25, 1, 0, 1), (0x07, 0, 0, 0), (0x16, 0, 0, 0)]),
        ("jmp end; tax; end: ret a", [(0x05, 0, 0, 1), (0x07, 0, 0, 0), (0x16, 0, 0, 0)]),
        ("end: ja end; ret a", [(0x05, 0, 0, 0xFFFF_FFFF), (0x16, 0, 0, 0)]),
    ],
)
def test_the_assemblers_language(source: str, insns: list[tuple[int, int, int, int]]) -> None:
    assert [tuple(insn) for insn in insns_of(source)] == insns


def test_comments_case_and_lines_mean_nothing() -> None:
    text = "# a line\n  LDH [12] ; a remark\n/* two\nlines */ jEq #0x800,Yes,no\r\nYes: ret #-1 no: ret #0"
    assert assemble_filter(text) == insns_of("ldh [12]; jeq #0x800, y1, n1; y1: ret #-1; n1: ret #0")


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("ldq [3]", 1, "no instruction 'ldq'"),
        ("ld [3]\nld [", 2, "ends too early"),
        ("ldh #5", 1, "no operand of ldh"),
        ("st [5]", 1, "M[NUMBER]"),
        ("jeq #5", 1, "ends too early"),
        ("jeq #5, nowhere\nret a", 1, "no label 'nowhere'"),
        ("a1: ret a\na1: ret a", 2, "label 'a1' already"),
        ("l1: jeq #1, l1, l1\nret a", 1, "goes forward"),
        ("jeq #1, far\n" + "tax\n" * 256 + "far: ret a", 1, "255 instructions"),
        ("ret a\nl1:", 2, "ends too early"),
        ("ld #0x100000000", 1, "32 bits"),
        ("ld #" + "9" * 100_000, 1, "32 bits"),
        ("ld #09", 1, "octal"),
        ("ld $5", 1, "no meaning"),
        ("ld #1 /* never closed", 1, "no meaning"),
        ("ldxb 5*([14]&0xf)", 1, "4*([NUMBER]&0xf)"),
        ("ldxb 4*([14]&0xff)", 1, "4*([NUMBER]&0xf)"),
        ("tax\n" * 4097, 4097, "at most 4096"),
        ("(000) ldh      [12]\n(002) ret      #0", 2, "001"),
        ("(000) jeq      #0x1             jt 0\tjf 1\n", 1, "goes forward"),
        ("(000) jeq      #0x1             jt 1", 1, "ends too early"),
    ],
)
def test_text_that_makes_no_sense_is_an_error_with_its_place(text: str, line: int, said: str) -> None:
    with pytest.raises(AsmError) as caught:
        read_filter(text)
    assert caught.value.line == line and said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no filter"),
        (" \n\t", "no filter"),
        ("{ 0x28, 0, 0 },", "Instruction 0"),
        ("{ 0x28, 0, 0, 12 },\n{ 0x6, 0, 0, ", "Instruction 1"),
        ("{ 0x10000, 0, 0, 0 },", "code is 0x10000"),
        ("{ 6, 256, 0, 0 },", "jt is 0x100"),
        ("{ 6, 0, 0, 4294967296 },", "k is"),
        ("3\n6 0 0 0\n6 0 0 0\n", "3 instructions, but 2"),
        ("1\n6 0 0 0\n6 0 0 0\n", "1 instructions, but 2"),
        ("2,6 0 0 0,6 0 x 0,", "not four numbers"),
        ("99999999\n6 0 0 0\n", "65,535"),
        ("{ 6, 0, 0, 0 },\n" * 65_536, "65,535"),
    ],
)
def test_records_that_make_no_sense_are_an_error(text: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_filter(text)
    assert said in str(caught.value)


LARGE = 1 << 18


@pytest.mark.parametrize(
    "text",
    [
        "{ 1, 2, 3, 4" + " " * LARGE + "x",
        "{ 6, 0, 0," + "\n" * LARGE + "0",
        "{" + "/*" * LARGE,
        "5" + "\n" * LARGE + "x",
        "jeq #1, " + "y" * LARGE,
        "z" * LARGE,
        "tax " * LARGE,
        "ld #" + "1" * LARGE,
        "x" * ((1 << 20) + 1),
    ],
)
def test_large_nonsense_is_refused_with_a_message_that_can_be_read(text: str) -> None:
    """None of these may be tried in every possible way: the run's time limit would end it."""
    with pytest.raises(BadInput) as caught:
        read_filter(text)
    assert len(caught.value.message) < 200


def test_a_header_and_missing_commas_do_not_disturb_c_records() -> None:
    text = "/* { op, jt, jf, k }, */\n{0x06,0,0,0xffffffff}"
    assert read_filter(text) == (SockFilter(6, k=0xFFFF_FFFF),)


U32 = st.integers(0, 0xFFFF_FFFF)
ANY = st.builds(SockFilter, st.integers(0, 0xFFFF), st.integers(0, 255), st.integers(0, 255), U32)


@given(st.lists(ANY, min_size=1, max_size=12))
def test_records_come_back_from_every_form_that_holds_records(insns: list[SockFilter]) -> None:
    for form in ("dd", "ddd", "c", "blob", "hex"):
        assert read_filter(format_filter(insns, form)) == tuple(insns)
    assert len(format_filter(insns, "d").splitlines()) == len(format_filter(insns, "asm").splitlines()) == len(insns)


_WITH_K = (0x00, 0x01, 0x02, 0x03, 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x60, 0x61, 0xB1, 0x06, 0x04, 0x54, 0xA4, 0x74)
_JUMPS = (0x15, 0x25, 0x35, 0x45)
STRAIGHT = st.one_of(
    st.builds(SockFilter, st.sampled_from(_WITH_K), st.just(0), st.just(0), U32),
    st.sampled_from((0x0C, 0x84, 0x9C, 0x07, 0x87, 0x16, 0x80)).map(SockFilter),
)


@given(st.lists(STRAIGHT, min_size=1, max_size=10), st.sampled_from(_JUMPS), U32, st.data())
def test_what_tcpdump_and_bpf_asm_can_write_comes_back_from_both(
    body: list[SockFilter], code: int, k: int, data: st.DataObject
) -> None:
    arms = [data.draw(st.integers(0, len(body) - 1)) for _ in range(3)]
    insns = (SockFilter(0x05, k=arms[2]), SockFilter(code, arms[0], arms[1], k), *body)
    assert read_filter(format_filter(insns, "d")) == insns
    assert assemble_filter(format_filter(insns, "asm")) == insns


@given(st.text(max_size=200))
def test_any_text_is_a_filter_or_an_error(text: str) -> None:
    try:
        insns = read_filter(text)
    except BadInput as problem:
        assert str(problem)
    else:
        assert all(insn.encode() for insn in insns)
