"""Records of 8 bytes, the table of variants, and the decode check."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kprobesim.bpf import Insn, Level, LoadError, check_program, decode, encode
from kprobesim.bpf.isa import lddw, lddw_value
from kprobesim.bpf.variants import VARIANTS, find
from kprobesim.linux_errno import Errno
from tests.bpf.generators import REG, S16, S32, insns

EXIT = Insn(0x95)


@given(st.builds(Insn, st.integers(0, 255), st.integers(0, 15), st.integers(0, 15), S16, S32))
def test_every_record_survives_encoding(insn: Insn) -> None:
    assert decode(encode([insn])) == (insn,)


@given(st.binary(max_size=80))
def test_every_multiple_of_eight_bytes_is_a_program_and_nothing_else(data: bytes) -> None:
    if len(data) % 8:
        with pytest.raises(ValueError, match="8-byte instructions"):
            decode(data)
    else:
        assert encode(decode(data)) == data


def test_fields_lie_where_the_rfc_puts_them() -> None:
    """RFC 9669 section 3.1: *(u64 *)(r10 -16) = r0."""
    assert Insn(0x7B, 10, 0, -16, 0).encode() == bytes.fromhex("7b0af0ff00000000")


@given(REG, st.integers(0, (1 << 64) - 1))
def test_a_64_bit_load_keeps_its_value(register: int, value: int) -> None:
    assert lddw_value(lddw(register, value), 0) == value


@pytest.mark.parametrize(("level", "count"), [(1, 98), (2, 106), (3, 150), (4, 170)])
def test_the_table_has_every_variant_of_each_level(level: int, count: int) -> None:
    """Reference appendix A, less the two rows that are no instructions in Linux (opcodes 00 and 8d)."""
    assert sum(v.level <= level for v in VARIANTS) == count


@given(insns())
def test_a_filled_in_variant_is_found_again(insn: Insn) -> None:
    assert find(insn, Level.V4) is not None


V4_ONLY = [
    ("37000100020000009500000000000000", "BPF_ALU uses reserved fields"),
    ("bf100800000000009500000000000000", "BPF_MOV uses reserved fields"),
    ("d7000000100000009500000000000000", "unknown opcode d7"),
    ("91a0f8ff000000009500000000000000", "unknown opcode 91"),
    ("06000000000000009500000000000000", "unknown opcode 06"),
]


@pytest.mark.parametrize(("program", "message"), V4_ONLY)
def test_linux_6_1_refuses_what_came_with_v4(program: str, message: str) -> None:
    check_program(decode(bytes.fromhex(program)), Level.V4)
    with pytest.raises(LoadError) as refused:
        check_program(decode(bytes.fromhex(program)), Level.V3)
    assert refused.value.message == message


E = "9500000000000000"
REFUSED = [
    # program, errno, message, slot; captured from Linux 6.1 except where noted
    ("ffffffffffffffff9500000000000000", Errno.EINVAL, "unknown opcode ff", 0),
    ("7fffffffffffffff9500000000000000", Errno.EINVAL, "BPF_ALU uses reserved fields", 0),
    ("bff00000000000009500000000000000", Errno.EINVAL, "R15 is invalid", 0),
    ("b70b0000000000009500000000000000", Errno.EINVAL, "R11 is invalid", 0),
    ("73aeffff000000009500000000000000", Errno.EINVAL, "R14 is invalid", 0),
    ("73faffff000000009500000000000000", Errno.EINVAL, "R15 is invalid", 0),
    ("b70a0000000000009500000000000000", Errno.EACCES, "frame pointer is read only", 0),
    ("dbaaf8ff010000009500000000000000", Errno.EACCES, "frame pointer is read only", 0),
    ("18000000000000009500000000000000", Errno.EINVAL, "invalid bpf_ld_imm64 insn", 0),
    ("18000000000000000000000000000000", Errno.EINVAL, "last insn is not an exit or jmp", 1),
    ("1800000000000000", Errno.EINVAL, "last insn is not an exit or jmp", 0),
    ("180001000100000000000000010000009500000000000000", Errno.EINVAL, "BPF_LD_IMM64 uses reserved fields", 0),
    ("150101000000000018" + "00" * 15 + "9500000000000000", Errno.EINVAL, "jump into the middle of ldimm64 insn 1", 0),
    ("15010300000000008510000002000000b7" + "00" * 7 + 2 * E, Errno.EINVAL, "jump out of range from insn 0 to 4", 0),
    ("0500fdff00000000", Errno.EINVAL, "jump out of range from insn 0 to -2", 0),
    ("85100000050000009500000000000000", Errno.EINVAL, "call to invalid destination", 0),
    ("85000100000000009500000000000000", Errno.EINVAL, "BPF_CALL uses reserved fields", 0),
    ("8530000000000000b7000000010000009500000000000000", Errno.EINVAL, "BPF_CALL uses reserved fields", 0),
    ("850000000f2700009500000000000000", Errno.EINVAL, "invalid func unknown#9999", 0),
    ("85000000ffffffff9500000000000000", Errno.EINVAL, "invalid func unknown#-1", 0),
    ("85000000000000009500000000000000", Errno.EINVAL, "unknown func bpf_unspec#0", 0),
    ("b7000000000000009501000000000000", Errno.EINVAL, "BPF_EXIT uses reserved fields", 1),
    ("b700000001000000d4000000180000009500000000000000", Errno.EINVAL, "BPF_END uses reserved fields", 1),
    ("84000000010000009500000000000000", Errno.EINVAL, "BPF_NEG uses reserved fields", 0),
    ("05010000000000009500000000000000", Errno.EINVAL, "BPF_JA uses reserved fields", 0),
    ("15100000000000009500000000000000", Errno.EINVAL, "BPF_JMP/JMP32 uses reserved fields", 0),
    ("79a0f8ff010000009500000000000000", Errno.EINVAL, "BPF_LDX uses reserved fields", 0),
    ("7a1af8ff000000009500000000000000", Errno.EINVAL, "BPF_ST uses reserved fields", 0),
    ("7b0af8ff010000009500000000000000", Errno.EINVAL, "BPF_STX uses reserved fields", 0),
    ("db1af8ff020000009500000000000000", Errno.EINVAL, "BPF_ATOMIC uses invalid atomic opcode 02", 0),
    ("f5000000000000009500000000000000", Errno.EINVAL, "unknown opcode f5", 0),
    ("b700000000000000", Errno.EINVAL, "last insn is not an exit or jmp", 0),
    ("", Errno.E2BIG, "", None),
]  # fmt: skip


@pytest.mark.parametrize(("program", "errno", "message", "slot"), REFUSED)
def test_the_decode_check_says_what_linux_says(program: str, errno: Errno, message: str, slot: int | None) -> None:
    """Reference 3.5 and the captured logs of Linux 6.1 (rejected encodings)."""
    with pytest.raises(LoadError) as refused:
        check_program(decode(bytes.fromhex(program)))
    assert (refused.value.errno, refused.value.message, refused.value.insn) == (errno, message, slot)


def test_a_program_may_have_4096_instructions_without_cap_bpf() -> None:
    program = (*[Insn(0xB7)] * 4095, EXIT)
    check_program(program, limit=4096)
    with pytest.raises(LoadError) as refused:
        check_program((Insn(0xB7), *program), limit=4096)
    assert refused.value.errno is Errno.E2BIG


@given(st.lists(st.builds(Insn, st.integers(0, 255), st.integers(0, 15), st.integers(0, 15), S16, S32), max_size=12))
def test_the_check_either_accepts_or_says_why(program: list[Insn]) -> None:
    try:
        check_program(program, Level.V4)
    except LoadError as refused:
        assert refused.message or refused.hint
