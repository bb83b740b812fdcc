"""One instruction, its bytes. Sources: Linux 6.1 arch/x86/net/bpf_jit_comp.c, read and encoded by hand."""

import pytest

from kprobesim.bpf import Insn
from kprobesim.bpf.jit import JitConfig, JitError
from kprobesim.bpf.jit.registers import REG2HEX, X86_NAMES
from tests.bpf.jit.jit_rig import code_of, compiled

ARITHMETIC = [
    ("r1 += r2", "48 01 f7"),
    ("w1 += w2", "01 f7"),
    ("r7 -= r5", "4d 29 c5"),
    ("w0 |= w9", "44 09 f8"),
    ("w8 &= w3", "41 21 d6"),
    ("r6 ^= r10", "48 31 eb"),
    ("r0 += 127", "48 83 c0 7f"),
    ("r0 += 128", "48 05 80 00 00 00"),
    ("w0 -= 1000", "2d e8 03 00 00"),
    ("w0 ^= -129", "35 7f ff ff ff"),
    ("r5 &= 0x12345678", "49 81 e0 78 56 34 12"),
    ("w1 |= -1", "83 cf ff"),
    ("r3 = -r3", "48 f7 da"),
    ("w9 = -w9", "41 f7 df"),
    ("r1 *= 5", "48 6b ff 05"),
    ("w7 *= 300", "45 69 ed 2c 01 00 00"),
    ("r1 *= r7", "49 0f af fd"),
    ("r7 *= r1", "4c 0f af ef"),
    ("w2 *= w3", "0f af f2"),
]
MOVES = [
    ("r1 = r6", "48 89 df"),
    ("r6 = r6", ""),
    ("w6 = w6", "89 db"),
    ("w7 = w8", "45 89 f5"),
    ("r0 = 0", "31 c0"),
    ("w8 = 0", "45 31 f6"),
    ("r0 = 1", "b8 01 00 00 00"),
    ("r9 = 7", "41 bf 07 00 00 00"),
    ("r0 = -1", "48 c7 c0 ff ff ff ff"),
    ("r5 = -2", "49 c7 c0 fe ff ff ff"),
    ("w0 = -1", "b8 ff ff ff ff"),
    ("r1 = 0 ll", "31 ff"),
    ("r1 = 0xffffffff ll", "bf ff ff ff ff"),
    ("r1 = 0x100000000 ll", "48 bf 00 00 00 00 01 00 00 00"),
    ("r7 = -1 ll", "49 bd ff ff ff ff ff ff ff ff"),
]
SHIFTS = [
    ("r0 <<= 3", "48 c1 e0 03"),
    ("r0 <<= 1", "48 d1 e0"),
    ("w1 >>= 1", "d1 ef"),
    ("r9 s>>= 63", "49 c1 ff 3f"),
    ("r1 <<= r4", "48 d3 e7"),
    ("r1 >>= r2", "51 48 89 f1 48 d3 ef 59"),
    ("w5 s>>= w6", "51 48 89 d9 41 d3 f8 59"),
    ("r4 <<= r4", "49 89 cb 49 d3 e3 4c 89 d9"),
    ("r4 >>= r1", "49 89 cb 51 48 89 f9 49 d3 eb 59 4c 89 d9"),
]
DIVISIONS = [
    ("r0 /= r1", "52 31 d2 48 f7 f7 5a"),
    ("r0 %= r1", "52 31 d2 48 f7 f7 48 89 d0 5a"),
    ("w3 %= w1", "50 89 d0 31 d2 f7 f7 58"),
    ("r3 /= r1", "50 48 89 d0 31 d2 48 f7 f7 48 89 c2 58"),
    ("r1 /= r0", "50 52 49 89 c3 48 89 f8 31 d2 49 f7 f3 48 89 c7 5a 58"),
    ("w6 %= w3", "50 52 49 89 d3 89 d8 31 d2 41 f7 f3 89 d3 5a 58"),
    ("r7 /= 10", "50 52 49 c7 c3 0a 00 00 00 4c 89 e8 31 d2 49 f7 f3 49 89 c5 5a 58"),
    ("r0 %= -3", "52 49 c7 c3 fd ff ff ff 31 d2 49 f7 f3 48 89 d0 5a"),
]
BYTE_ORDER = [
    ("r1 = be16 r1", "66 c1 cf 08 0f b7 ff"),
    ("r7 = be16 r7", "66 41 c1 cd 08 45 0f b7 ed"),
    ("r1 = be32 r1", "0f cf"),
    ("r8 = be32 r8", "41 0f ce"),
    ("r1 = be64 r1", "48 0f cf"),
    ("r5 = be64 r5", "49 0f c8"),
    ("r1 = le16 r1", "0f b7 ff"),
    ("r1 = le32 r1", "89 ff"),
    ("r5 = le32 r5", "45 89 c0"),
    ("r5 = le64 r5", ""),
]
MEMORY = [
    ("r1 = *(u8 *)(r2 +0)", "48 0f b6 7e 00"),
    ("r5 = *(u16 *)(r10 -2)", "4c 0f b7 45 fe"),
    ("r0 = *(u32 *)(r1 +127)", "8b 47 7f"),
    ("r0 = *(u32 *)(r1 +128)", "8b 87 80 00 00 00"),
    ("r8 = *(u32 *)(r7 +0)", "45 8b 75 00"),
    ("r0 = *(u64 *)(r7 -129)", "49 8b 85 7f ff ff ff"),
    ("*(u8 *)(r10 -1) = r0", "88 45 ff"),
    ("*(u8 *)(r10 -1) = r1", "40 88 7d ff"),
    ("*(u8 *)(r10 -1) = r2", "40 88 75 ff"),
    ("*(u8 *)(r1 +0) = r10", "40 88 6f 00"),
    ("*(u8 *)(r7 +0) = r3", "41 88 55 00"),
    ("*(u8 *)(r6 +0) = r5", "44 88 43 00"),
    ("*(u16 *)(r1 +4) = r6", "66 89 5f 04"),
    ("*(u16 *)(r9 +4) = r6", "66 41 89 5f 04"),
    ("*(u32 *)(r10 -512) = r3", "89 95 00 fe ff ff"),
    ("*(u64 *)(r8 +8) = r9", "4d 89 7e 08"),
    ("*(u8 *)(r10 -1) = 258", "c6 45 ff 02"),
    ("*(u8 *)(r7 +0) = 1", "41 c6 45 00 01"),
    ("*(u16 *)(r5 +0) = 1", "66 41 c7 40 00 01 00"),
    ("*(u32 *)(r1 +0) = -1", "c7 47 00 ff ff ff ff"),
    ("*(u64 *)(r10 -8) = -1", "48 c7 45 f8 ff ff ff ff"),
    ("*(u64 *)(r8 +0) = 0", "49 c7 46 00 00 00 00 00"),
]
ATOMICS = [
    ("lock *(u64 *)(r10 -8) += r1", "f0 48 01 7d f8"),
    ("lock *(u32 *)(r1 +0) |= r2", "f0 09 77 00"),
    ("lock *(u32 *)(r7 +0) &= r5", "f0 45 21 45 00"),
    ("lock *(u64 *)(r1 +0) ^= r9", "f0 4c 31 7f 00"),
    ("r1 = atomic64_fetch_add((u64 *)(r10 -8), r1)", "f0 48 0f c1 7d f8"),
    ("r5 = atomic_xchg((u32 *)(r1 +0), r5)", "f0 44 87 47 00"),
    ("r0 = atomic64_cmpxchg((u64 *)(r1 +0), r0, r2)", "f0 48 0f b1 77 00"),
    (
        "r1 = atomic64_fetch_or((u64 *)(r10 -8), r1)",
        "49 89 c2 48 8b 45 f8 49 89 c3 49 09 fb f0 4c 0f b1 5d f8 75 ee 48 89 c7 4c 89 d0",
    ),
    (
        "r0 = atomic_fetch_and((u32 *)(r1 +0), r0)",
        "49 89 c2 8b 47 00 41 89 c3 45 21 d3 f0 44 0f b1 5f 00 75 ef 41 89 c2 4c 89 d0",
    ),
    (
        "r1 = atomic_fetch_xor((u32 *)(r0 +4), r1)",
        "49 89 c2 41 8b 42 04 41 89 c3 41 31 fb f0 45 0f b1 5a 04 75 ee 89 c7 4c 89 d0",
    ),
]
BEYOND_6_1 = [
    ("r1 = (s8)r2", "48 0f be fe"),
    ("w1 = (s8)w2", "40 0f be fe"),
    ("w7 = (s8)w8", "45 0f be ee"),
    ("r7 = (s16)r1", "4c 0f bf ef"),
    ("w1 = (s16)w0", "0f bf f8"),
    ("r1 = (s32)r7", "49 63 fd"),
    ("r1 = *(s8 *)(r2 +0)", "48 0f be 7e 00"),
    ("r1 = *(s16 *)(r7 +2)", "49 0f bf 7d 02"),
    ("r5 = *(s32 *)(r10 -4)", "4c 63 45 fc"),
    ("r0 = bswap16 r0", "66 c1 c8 08 0f b7 c0"),
    ("r0 = bswap32 r0", "0f c8"),
    ("r9 = bswap64 r9", "49 0f cf"),
    ("r0 s/= r1", "52 48 99 48 f7 ff 5a"),
    ("w0 s%= w1", "52 99 f7 ff 89 d0 5a"),
]
ALL = ARITHMETIC + MOVES + SHIFTS + DIVISIONS + BYTE_ORDER + MEMORY + ATOMICS + BEYOND_6_1


@pytest.mark.parametrize(("text", "expected"), ALL, ids=[text for text, _ in ALL])
def test_one_instruction(text: str, expected: str) -> None:
    assert code_of(text) == expected


COMPARISONS = [
    ("if r1 == r2", "48 39 f7 74"),
    ("if w1 != w7", "44 39 ef 75"),
    ("if r1 > 0", "48 85 ff 77"),
    ("if w8 s< 0", "45 85 f6 7c"),
    ("if r1 >= 127", "48 83 ff 7f 73"),
    ("if r0 < 128", "48 81 f8 80 00 00 00 72"),
    ("if w5 <= -1", "41 83 f8 ff 76"),
    ("if r1 s> -129", "48 81 ff 7f ff ff ff 7f"),
    ("if r1 s>= r5", "4c 39 c7 7d"),
    ("if w1 s<= w2", "39 f7 7e"),
    ("if r1 & r2", "48 85 f7 75"),
    ("if r1 & 1", "48 f7 c7 01 00 00 00 75"),
    ("if w7 & 0", "41 f7 c5 00 00 00 00 75"),
]


@pytest.mark.parametrize(("text", "expected"), COMPARISONS, ids=[text for text, _ in COMPARISONS])
def test_one_comparison_and_its_jump(text: str, expected: str) -> None:
    """Over one ``r0 = 1`` of five bytes."""
    assert code_of(f"{text} goto +1; r0 = 1") == f"{expected} 05"


def test_registers_are_where_linux_has_them() -> None:
    """Reference section 5."""
    names = [X86_NAMES[number] for number in REG2HEX]
    assert names == ["rax", "rdi", "rsi", "rdx", "rcx", "r8", "rbx", "r13", "r14", "r15", "rbp", "r10", "r11"]


def test_a_load_that_may_fault_is_checked_twice_and_listed() -> None:
    """emit_ldx with BPF_PROBE_MEM, and the exception table's entry: r14 is 8 bytes into struct pt_regs."""
    (image,) = compiled((Insn(0x39, 8, 1, 16), Insn(0x21, 1, 7, -200), Insn(0x95))).images
    first, second = (image.code[image.addrs[n] : image.addrs[n + 1]] for n in (0, 1))
    assert first.hex(" ") == (
        "49 bb 10 00 00 00 00 80 00 00 4c 39 df 72 0c 49 89 fb 49 81 c3 10 00 00 00 73 05 45 31 f6 eb 04 4c 8b 77 10"
    )
    assert second.hex(" ") == (
        "49 bb c8 00 00 00 00 80 00 00 4d 39 dd 72 0c 4d 89 eb 49 81 c3 38 ff ff ff 73 04 31 ff eb 07 "
        "41 8b bd 38 ff ff ff"
    )
    entries = [(entry.slot, entry.offset, entry.size, entry.register) for entry in image.extable]
    assert entries == [(0, image.addrs[1] - 4, 4, "r14"), (1, image.addrs[2] - 7, 7, "rdi")]
    assert image.extable[0].fixup == 8 << 8 | 4
    assert image.extable[1].fixup == 112 << 8 | 7
    table = compiled((Insn(0x39, 8, 1, 16), Insn(0x95))).images[0]
    at = table.extable_offset
    assert at % 4 == 0
    insn, fixup, kind = (int.from_bytes(table.extable_bytes()[n : n + 4], "little", signed=True) for n in (0, 4, 8))
    assert (at + insn, fixup, kind) == (table.addrs[1] - 4, 8 << 8 | 4, 7)


def test_five_level_page_tables_move_the_limit() -> None:
    code = code_of(Insn(0x39, 0, 1, 0), config=JitConfig(task_size_max=(1 << 56) - 4096))
    assert code.startswith("49 bb 00 00 00 00 00 00 00 01")


def test_speculation_barrier() -> None:
    assert code_of(Insn(0xC2)) == "0f ae e8"


@pytest.mark.parametrize("insn", [Insn(0xE4), Insn(0x30), Insn(0xDB, 1, 1, 0, 2), Insn(0x85), Insn(0x8D)])
def test_what_is_no_instruction_is_refused(insn: Insn) -> None:
    with pytest.raises(JitError, match="insn 0: "):
        compiled((insn, Insn(0x95)))


def test_half_a_load_is_refused() -> None:
    with pytest.raises(JitError, match="insn 1: the 64-bit load lacks its second half"):
        compiled((Insn(0xB7), Insn(0x18)))
