"""Classic to eBPF, slot by slot (reference: bpf.md section 7)."""

import pytest

from kprobesim.bpf import listing
from kprobesim.bpf.classic import Filter, FilterMode, SockFilter, bpf_convert_filter
from kprobesim.bpf.classic.listing import compile_filter, side_by_side, side_by_side_text
from kprobesim.bpf.errors import LoadError
from kprobesim.bpf.helpers import SkbCall
from tests.bpf.classic.programs import insns_of

PROLOGUE = ("w0 ^= w0", "w7 ^= w7", "r6 = r1")
PACKET_PROLOGUE = (
    *PROLOGUE, "r8 = *(u64 *)(r6 +208)", "r9 = *(u32 *)(r6 +112)", "r2 = *(u32 *)(r6 +116)", "w9 -= w2",
)  # fmt: skip
FAILS = ("if r0 s>= 0x0 goto pc+2", "w0 ^= w0", "exit")
CALLS = {f"unknown#{int(call)}": call.function for call in SkbCall}


def texts(source: str) -> list[str]:
    """eBPF of the filter, without slots and opcodes."""
    lines = listing(Filter(insns_of(source)).resolved).splitlines()
    found = [line.split(") ", 1)[1] for line in lines]
    return [f"call {CALLS[text.split()[1]]}" if text.startswith("call") else text for text in found]


def middle(source: str, prologue: tuple[str, ...] = PROLOGUE) -> list[str]:
    """eBPF between the prologue and the two slots of ``ret #0``."""
    found = texts(f"{source}; ret #0")
    assert tuple(found[: len(prologue)]) == prologue and found[-2:] == ["w0 = 0", "exit"]
    return found[len(prologue) : -2]


@pytest.mark.parametrize(
    ("classic", "ebpf"),
    [
        ("ld #7", ["w0 = 7"]),
        ("ld #-1", ["w0 = -1"]),
        ("ldx #7", ["w7 = 7"]),
        ("ld #len", ["r0 = *(u32 *)(r6 +112)"]),
        ("ldx #len", ["r7 = *(u32 *)(r6 +112)"]),
        ("tax", ["r7 = r0"]),
        ("txa", ["r0 = r7"]),
        ("st M[0]; ldx M[0]", ["*(u32 *)(r10 -4) = r0", "r7 = *(u32 *)(r10 -4)"]),
        ("stx M[15]; ld M[15]", ["*(u32 *)(r10 -64) = r7", "r0 = *(u32 *)(r10 -64)"]),
        ("add #5", ["w0 += 5"]),
        ("lsh x", ["w0 <<= w7"]),
        ("neg", ["w0 = -w0"]),
        ("div #3", ["w0 /= 3"]),
        ("div x", ["w7 = w7", "if r7 != 0x0 goto pc+2", "w0 ^= w0", "exit", "w0 /= w7"]),
        ("mod x", ["w7 = w7", "if r7 != 0x0 goto pc+2", "w0 ^= w0", "exit", "w0 %= w7"]),
        ("ld #proto", ["r0 = *(u16 *)(r6 +180)", "r0 = be16 r0"]),
        ("ldb #type", ["r0 = *(u8 *)(r6 +128)", "w0 &= 7"]),
        ("ld #mark", ["r0 = *(u32 *)(r6 +168)"]),
        ("ld #queue", ["r0 = *(u16 *)(r6 +124)"]),
        ("ld #rxhash", ["r0 = *(u32 *)(r6 +148)"]),
        ("ld #vlan_tci", ["r0 = *(u16 *)(r6 +154)"]),
        ("ld #vlan_avail", ["r0 = *(u8 *)(r6 +130)", "w0 &= 1"]),
        ("ld #vlan_tpid", ["r0 = *(u16 *)(r6 +152)", "r0 = be16 r0"]),
        ("ld #ifidx", ["r2 = *(u64 *)(r6 +16)", "if r2 != 0x0 goto pc+1", "exit", "r0 = *(u32 *)(r2 +216)"]),
        ("ld #hatype", ["r2 = *(u64 *)(r6 +16)", "if r2 != 0x0 goto pc+1", "exit", "r0 = *(u16 *)(r2 +296)"]),
        ("ld #cpu", ["r1 = r6", "r2 = r0", "r3 = r7", "call bpf_get_raw_cpu_id"]),
        ("ld #rand", ["r1 = r6", "r2 = r0", "r3 = r7", "call bpf_user_rnd_u32"]),
        ("ld #poff", ["r1 = r6", "r2 = r0", "r3 = r7", "call bpf_skb_get_pay_offset"]),
        ("ld #nla", ["r1 = r6", "r2 = r0", "r3 = r7", "call bpf_skb_get_nlattr"]),
        ("ld #nlan", ["r1 = r6", "r2 = r0", "r3 = r7", "call bpf_skb_get_nlattr_nest"]),
        ("ld [-4056]", ["w0 ^= w7"]),
    ],
)
def test_instructions_that_need_no_packet(classic: str, ebpf: list[str]) -> None:
    assert middle(classic) == ebpf


def load(offset: str, width: int) -> list[str]:
    return ["r1 = r6", "r2 = r8", "r3 = r9", f"r4 = {offset}", f"call bpf_skb_load_helper_{width}", *FAILS]


@pytest.mark.parametrize(
    ("classic", "ebpf"),
    [
        (
            "ldh [12]",
            [
                *("r2 = r9", "r2 -= 12", "if r2 s< 0x2 goto pc+3", "r0 = *(u16 *)(r8 +12)", "r0 = be16 r0"),
                *("goto pc+8", *load("12", 16)),
            ],
        ),
        ("ldb [0]", ["r2 = r9", "if r2 s< 0x1 goto pc+2", "r0 = *(u8 *)(r8 +0)", "goto pc+8", *load("0", 8)]),
        (
            "ld [32768]",
            [
                *("r2 = r9", "r2 -= 32768", "if r2 s< 0x4 goto pc+5", "r2 = r8", "r2 += 32768"),
                *("r0 = *(u32 *)(r2 +0)", "r0 = be32 r0", "goto pc+8", *load("32768", 32)),
            ],
        ),
        ("ld [-1048576]", load("-1048576", 32)),
        (
            "ldb [x + 4]",
            ["r1 = r6", "r2 = r8", "r3 = r9", "r4 = r7", "r4 += 4", "call bpf_skb_load_helper_8", *FAILS],
        ),
        ("ldb [x + 0]", ["r1 = r6", "r2 = r8", "r3 = r9", "r4 = r7", "call bpf_skb_load_helper_8", *FAILS]),
        (
            "ldxb 4*([14]&0xf)",
            [
                *("r7 = r0", "r2 = r9", "r2 -= 14", "if r2 s< 0x1 goto pc+2", "r0 = *(u8 *)(r8 +14)", "goto pc+8"),
                *(*load("14", 8), "w0 &= 15", "w0 <<= 2", "r2 = r7", "r7 = r0", "r0 = r2"),
            ],
        ),
    ],
)
def test_loads_from_the_packet_try_the_linear_part_first(classic: str, ebpf: list[str]) -> None:
    assert middle(classic, PACKET_PROLOGUE) == ebpf


@pytest.mark.parametrize(
    ("classic", "ebpf"),
    [
        ("jeq #5, l1, l0; l0: tax; l1: txa", ["if r0 == 0x5 goto pc+1"]),
        ("jeq #5, l0, l1; l0: tax; l1: txa", ["if r0 != 0x5 goto pc+1"]),
        ("jgt x, l0, l1; l0: tax; l1: txa", ["if r0 <= r7 goto pc+1"]),
        ("jge #5, l0, l1; l0: tax; l1: txa", ["if r0 < 0x5 goto pc+1"]),
        ("jset #5, l0, l1; l0: tax; l1: txa", ["if r0 & 0x5 goto pc+1", "goto pc+1"]),
        ("jset #5, l1, l0; l0: tax; l1: txa", ["if r0 & 0x5 goto pc+1"]),
        ("jgt #5, l1, l1; l0: tax; l1: txa", ["if r0 > 0x5 goto pc+2", "goto pc+1"]),
        ("jeq #-1, l1, l0; l0: tax; l1: txa", ["w2 = -1", "if r0 == r2 goto pc+1"]),
        ("jge #0x80000000, l0, l1; l0: tax; l1: txa", ["w2 = -2147483648", "if r0 < r2 goto pc+1"]),
        ("ja l1; l0: tax; l1: txa", ["goto pc+1"]),
    ],
)
def test_jumps_have_one_arm_where_there_is_a_test_for_it(classic: str, ebpf: list[str]) -> None:
    assert middle(classic) == [*ebpf, "r7 = r0", "r0 = r7"]


def test_arithmetic_with_a_constant_still_names_x() -> None:
    insn = Filter(insns_of("add #5; ret a")).resolved[3]
    assert (insn.dst, insn.src, insn.imm) == (0, 7, 5)


def test_the_stack_is_as_deep_as_the_last_cell_stored() -> None:
    assert Filter(insns_of("st M[0]; ret a")).converted.stack_depth == 4
    assert Filter(insns_of("st M[2]; stx M[15]; st M[3]; ret a")).converted.stack_depth == 64
    assert Filter(insns_of("ret a")).converted.stack_depth == 0


def test_seccomps_loads_read_the_context() -> None:
    program = Filter(insns_of("ld [4]; ldx #len; ret a"), FilterMode.SECCOMP)
    lines = listing(program.resolved).splitlines()
    assert lines[3:] == ["3: (61) r0 = *(u32 *)(r6 +4)", "4: (b4) w7 = 64", "5: (95) exit"]


def test_every_slot_belongs_to_the_prologue_or_to_one_instruction() -> None:
    converted = Filter(insns_of("ldh [12]; jeq #1, l1, l0; l0: ret #0; l1: ret a")).converted
    slots = [slot for pc in range(-1, 4) for slot in converted.slots(pc)]
    assert slots == list(range(len(converted.insns))) and len(converted.slots(-1)) == 7


def test_an_empty_filter_and_one_too_long_are_not_converted() -> None:
    for length in (0, 4097):
        with pytest.raises(LoadError):
            bpf_convert_filter((SockFilter(0x06),) * length)


def test_machine_code_has_the_prologue_of_a_classic_filter() -> None:
    """No nop for tail calls behind the five-byte nop, and r7, r6, r8, r9 kept if they are used."""
    code = compile_filter(Filter(insns_of("ret a"))).memory().hex(" ")
    assert code.startswith("0f 1f 44 00 00 55 48 89 e5 53 41 55 31 c0 45 31 ed 48 89 fb 41 5d 5b c9 c3")


def test_the_listing_shows_each_instruction_once_in_all_three_languages() -> None:
    program = Filter(insns_of("ldb [23]; jeq #6, l1, l0; l0: ret #0; l1: ret #-1"))
    text = side_by_side_text(program)
    for pc, words in enumerate(("ldb      [23]", "jeq      #0x6", "ret      #0", "ret      #-1")):
        assert text.count(f"({pc:03}) {words}") == 1
    assert "call bpf_skb_load_helper_8" in text and "<bpf_skb_load_helper_8>" in text
    rows = side_by_side(program)
    assert [row.slot for row in rows[1:]] == list(range(len(program.resolved)))
    code = b"".join(native.raw for row in rows for native in row.native)
    assert code == compile_filter(program).images[0].code
