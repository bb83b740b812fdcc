"""Instructions: boundaries, parts, branches, and text as objdump prints it."""

import re
import shutil
import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kprobesim.image import (
    MAX_INSN_SIZE,
    BranchKind,
    DecodeError,
    Instruction,
    OpcodeMap,
    decode_one,
    decode_range,
    instruction_boundaries,
)

A = 0xFFFFFFFF81000100


def one(text: str, address: int = A) -> Instruction:
    found = decode_one(bytes.fromhex(text), address)
    assert isinstance(found, Instruction), text
    assert found.size == len(bytes.fromhex(text)), text
    return found


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("55", "push   %rbp"),
        ("4889e5", "mov    %rsp,%rbp"),
        ("c3", "ret"),
        ("c9", "leave"),
        ("c745fcffffffff", "movl   $0xffffffff,-0x4(%rbp)"),
        ("83c0f8", "add    $0xfffffff8,%eax"),
        ("4883ec80", "sub    $0xffffffffffffff80,%rsp"),
        ("488b4608", "mov    0x8(%rsi),%rax"),
        ("48837d0000", "cmpq   $0x0,0x0(%rbp)"),
        ("41ffd4", "call   *%r12"),
        ("ff5008", "call   *0x8(%rax)"),
        ("ffe0", "jmp    *%rax"),
        ("0f1f440000", "nopl   0x0(%rax,%rax,1)"),
        ("662e0f1f840000000000", "cs nopw 0x0(%rax,%rax,1)"),
        ("6690", "xchg   %ax,%ax"),
        ("f3480fb8c1", "popcnt %rcx,%rax"),
        ("0fb64704", "movzbl 0x4(%rdi),%eax"),
        ("4863c7", "movslq %edi,%rax"),
        ("4c8d3c8500000000", "lea    0x0(,%rax,4),%r15"),
        ("65488b042500000000", "mov    %gs:0x0,%rax"),
        ("f0480fb10f", "lock cmpxchg %rcx,(%rdi)"),
        ("f348ab", "rep stos %rax,%es:(%rdi)"),
        ("a4", "movsb  %ds:(%rsi),%es:(%rdi)"),
        ("e7b8", "out    %eax,$0xb8"),
        ("ec", "in     (%dx),%al"),
        ("d1e0", "shl    %eax"),
        ("48d33f", "sarq   %cl,(%rdi)"),
        ("48cf", "iretq"),
        ("9c", "pushf"),
        ("0f20d8", "mov    %cr3,%rax"),
        ("48ba8877665544332211", "movabs $0x1122334455667788,%rdx"),
        ("488b0510000000", f"mov    0x10(%rip),%rax        # {A + 0x17:#x}"),
        ("e800000000", f"call   {A + 5:#x}"),
    ],
)
def test_text_is_what_objdump_prints(code: str, text: str) -> None:
    assert one(code).text == text


def test_targets_are_named_when_a_symbolizer_is_given() -> None:
    def name(address: int) -> str:
        return f"vfs_read+{address - A:#x}" if address >= A else f"{address:#x}"

    found = decode_range(bytes.fromhex("e8fbffffffe8f0ffffff488b0500000000"), A, name)
    assert [insn.text for insn in found if isinstance(insn, Instruction)] == [
        f"call   {A:#x} <vfs_read+0x0>",
        f"call   {A - 6:#x}",
        f"mov    0x0(%rip),%rax        # {A + 17:#x} <vfs_read+0x11>",
    ]


@pytest.mark.parametrize(
    ("code", "prefixes", "rex", "opcode_map", "opcode", "modrm"),
    [
        ("55", "", 0, OpcodeMap.ONE_BYTE, 0x55, None),
        ("4889e5", "", 0x48, OpcodeMap.ONE_BYTE, 0x89, 0xE5),
        ("2e67488b00", "2e67", 0x48, OpcodeMap.ONE_BYTE, 0x8B, 0x00),
        ("f0480fb10f", "f0", 0x48, OpcodeMap.TWO_BYTE, 0xB1, 0x0F),
        ("66f3480fb8c1", "66f3", 0x48, OpcodeMap.TWO_BYTE, 0xB8, 0xC1),
        ("f3660f38f6c1", "f366", 0, OpcodeMap.MAP_0F38, 0xF6, 0xC1),
        ("660f3a0fc108", "66", 0, OpcodeMap.MAP_0F3A, 0x0F, 0xC1),
        ("c4e2f0f2c2", "", 0x48, OpcodeMap.MAP_0F38, 0xF2, 0xC2),
        ("f30f1efa", "f3", 0, OpcodeMap.TWO_BYTE, 0x1E, 0xFA),
        ("402e8400", "2e", 0, OpcodeMap.ONE_BYTE, 0x84, 0x00),
        ("f3c3", "f3", 0, OpcodeMap.ONE_BYTE, 0xC3, None),
    ],
)
def test_prefixes_and_opcode(
    code: str, prefixes: str, rex: int, opcode_map: OpcodeMap, opcode: int, modrm: int | None
) -> None:
    """Section 2.5: can_boost() asks for the map, the opcode and the prefixes 2E and 67."""
    encoding = one(code).encoding
    assert encoding.prefixes.hex() == prefixes
    assert (encoding.rex, encoding.map, encoding.opcode, encoding.modrm) == (rex, opcode_map, opcode, modrm)


@pytest.mark.parametrize(
    ("code", "displacement", "immediate"),
    [
        ("488b4608", (3, 1), (0, 0)),
        ("c745fcffffffff", (2, 1), (3, 4)),
        ("660f1f840000000000", (5, 4), (0, 0)),
        ("4881c400010000", (0, 0), (3, 4)),
        ("48ba8877665544332211", (0, 0), (2, 8)),
        ("48a11122334455667788", (2, 8), (0, 0)),
        ("67a111223344", (2, 4), (0, 0)),
        ("c8100001", (0, 0), (1, 3)),
        ("c20800", (0, 0), (1, 2)),
        ("488b04c500000000", (4, 4), (0, 0)),
        ("488b0424", (0, 0), (0, 0)),
        ("0f2005", (0, 0), (0, 0)),
        ("74fe", (0, 0), (1, 1)),
        ("0f84fcffffff", (0, 0), (2, 4)),
    ],
)
def test_displacement_and_immediate_are_located(
    code: str, displacement: tuple[int, int], immediate: tuple[int, int]
) -> None:
    """REG-16: only the displacement bytes of a copied instruction are rewritten."""
    encoding = one(code).encoding
    assert (encoding.displacement_offset, encoding.displacement_size) == displacement
    assert (encoding.immediate_offset, encoding.immediate_size) == immediate


@pytest.mark.parametrize("code", ["488b0510000000", "c60510000000ff", "48c7051000000078563412", "ff2510000000"])
def test_rip_relative_counts_from_the_next_instruction(code: str) -> None:
    """REG-16: the absolute target is what stays the same in the slot."""
    found = one(code)
    assert found.is_rip_relative
    assert found.rip_target == A + found.size + 0x10


@pytest.mark.parametrize("code", ["488b4510", "488b042510000000", "0f2005", "4889c5", "e810000000"])
def test_other_operands_are_not_rip_relative(code: str) -> None:
    found = one(code)
    assert not found.is_rip_relative
    assert found.rip_target is None


@pytest.mark.parametrize(
    ("code", "kind", "distance"),
    [
        ("e8fb000000", BranchKind.CALL, 0x100),
        ("eb05", BranchKind.JUMP, 7),
        ("e9fbffffff", BranchKind.JUMP, 0),
        ("74fe", BranchKind.CONDITIONAL, 0),
        ("0f8f00010000", BranchKind.CONDITIONAL, 0x106),
        ("e2fe", BranchKind.LOOP, 0),
        ("67e3fd", BranchKind.LOOP, 0),
        ("c3", BranchKind.RETURN, None),
        ("c21000", BranchKind.RETURN, None),
        ("cb", BranchKind.FAR_RETURN, None),
        ("48cf", BranchKind.INTERRUPT_RETURN, None),
        ("41ffd4", BranchKind.CALL_INDIRECT, None),
        ("ff5008", BranchKind.CALL_INDIRECT, None),
        ("ffe0", BranchKind.JUMP_INDIRECT, None),
        ("ff18", BranchKind.FAR_CALL_INDIRECT, None),
        ("ff28", BranchKind.FAR_JUMP_INDIRECT, None),
        ("0f05", BranchKind.SYSTEM_CALL, None),
        ("480f07", BranchKind.SYSTEM_RETURN, None),
        ("ff30", None, None),
        ("fa", None, None),
        ("0f94c0", None, None),
        ("c5f877", None, None),
    ],
)
def test_branches(code: str, kind: BranchKind | None, distance: int | None) -> None:
    """Sections 2.2 and 2.3: which instructions are emulated and which are refused hangs on this."""
    found = one(code)
    assert found.branch is kind
    assert found.branch_target == (None if distance is None else A + distance)


def test_an_indirect_branch_names_its_register() -> None:
    """Section 2.2: call *reg honours REX.B; section 2.3: a memory operand is refused."""
    assert one("41ffd4").encoding.rm_register == 12
    assert one("ffd0").encoding.rm_register == 0
    assert one("ff10").encoding.rm_register is None
    assert one("ff10").encoding.mod == 0
    assert one("ff10").encoding.reg == 2


def test_a_target_wraps_at_the_end_of_the_address_space() -> None:
    assert one("eb10", (1 << 64) - 4).branch_target == 0x0E


@pytest.mark.parametrize("code", ["", "06", "0f04", "48", "e80000"])
def test_bytes_that_are_no_instruction_give_an_error_record(code: str) -> None:
    """REG-13: a decode error on the way to the probe is -EILSEQ."""
    found = decode_one(bytes.fromhex(code), A)
    assert found == DecodeError(A, bytes.fromhex(code))
    assert f"{A:#x}" in found.message


def test_a_range_ends_at_the_first_bad_byte() -> None:
    found = decode_range(bytes.fromhex("554889e506c3"), A)
    assert [type(item) for item in found] == [Instruction, Instruction, DecodeError]
    assert found[-1] == DecodeError(A + 4, b"\x06\xc3")


def test_boundaries_are_where_instructions_begin() -> None:
    """REG-13: linear decode from the symbol's start; overshoot is refused."""
    walk = instruction_boundaries(bytes.fromhex("554889e5e8000000005dc3"), A)
    assert walk.starts == (A, A + 1, A + 4, A + 9, A + 10)
    assert walk.end == A + 11
    assert walk.error is None
    assert A + 4 in walk
    assert A + 5 not in walk
    assert A + 11 in walk
    assert A - 1 not in walk


def test_bad_bytes_are_themselves_at_a_boundary() -> None:
    """REG-13, REG-15: can_probe() decodes what stands before; the copy then finds that the bytes are bad."""
    walk = instruction_boundaries(bytes.fromhex("5506c3"), A)
    assert walk.error == DecodeError(A + 1, b"\x06\xc3")
    assert A + 1 in walk
    assert A + 2 not in walk


def test_an_empty_function_has_one_boundary() -> None:
    walk = instruction_boundaries(b"", A)
    assert walk.starts == ()
    assert walk.error is None
    assert A in walk


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=20))
def test_any_bytes_decode_to_a_record_whose_parts_fit(code: bytes) -> None:
    found = decode_one(code, A)
    if isinstance(found, DecodeError):
        return
    encoding = found.encoding
    assert 1 <= found.size <= MAX_INSN_SIZE
    assert found.raw == code[: found.size]
    assert encoding.immediate_size >= 0
    for offset, size in (
        (encoding.displacement_offset, encoding.displacement_size),
        (encoding.immediate_offset, encoding.immediate_size),
    ):
        assert offset + size <= found.size
    assert found.text
    assert found.end in instruction_boundaries(found.raw, A)


def test_threads_decode_side_by_side() -> None:
    code = bytes.fromhex("554889e5e8000000005dc3") * 50
    expected = decode_range(code, A)
    wrong: list[int] = []

    def work(number: int) -> None:
        if any(decode_range(code, A) != expected for _ in range(3)):
            wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_walk_over_a_long_function_finds_each_instruction() -> None:
    walk = instruction_boundaries(bytes.fromhex("554889e5488b46085d") * 50, A)
    assert [start - A for start in walk.starts] == [9 * turn + offset for turn in range(50) for offset in (0, 1, 4, 8)]
    assert walk.error is None


OBJDUMP_LINE = re.compile(r"\s+([0-9a-f]+):\t((?:[0-9a-f]{2} )+)\s*\t(.*)")
SAMPLE = """
    endbr64; push %rbp; mov %rsp,%rbp; sub $0x10,%rsp; mov %rdi,-8(%rbp); movl $1,-12(%rbp); testb $1,8(%rdi)
    lea sym(%rip),%rax; call sym; jne sym; imul $-3,%rdx,%rcx; shl $4,%rax; sar %rax; shrq 8(%rdx); shldq %cl,%rdx,%rax
    movzwl (%rax),%ecx; movsbq %al,%rdx; cltq; cqto; idivq (%rcx); sete %al; cmovg %rcx,%rdx; xchg %rax,(%rdi)
    lock incl (%rdi); rep movsq; repne scasb; cmpsb; lodsl; pushq $-1; pushq 8(%rax); popq (%rax); push %fs
    mov %cr2,%rax; mov %rax,%cr0; mov %ds,%eax; mov %eax,%ss; lgdt (%rdi); lidt (%rdi); ltr %ax; invlpg (%rax)
    swapgs; sysretq; syscall; iretq; lretq; lretl; hlt; cli; sti; cld; pause; ud2; int3; int $0x80; in %dx,%eax
    out %al,%dx; rdmsr; wrmsr; rdtsc; cpuid; jmp *sym(,%rax,8); jmp *%rcx; call *(%rcx); ljmp *(%rcx); ret $8
    movabs $0x123456789abcdef0,%r11; movabs 0x123456789abcdef0,%al; bswap %eax; bt %eax,(%rdi); btsl $3,(%rdi)
    mov %gs:(%rax),%rax; movq %gs:16,%rdi; enter $16,$0; loop sym; jrcxz sym; adc $-1,%al; and $-16,%rsp; not %rax
    negl (%rsp); xadd %eax,(%rdi); lfence; mfence; .byte 0x66,0x66,0x2e,0x0f,0x1f,0x84,0,0,0,0,0; nopl 0(%rax)
    clac; stac; rep stosb; stosl; rep lodsq; scasb; repne scasq; insb; outsl; shlb %cl,3(%rdi)
    stosw; sym: ret
"""


@pytest.mark.skipif(not (shutil.which("as") and shutil.which("objdump")), reason="needs binutils to compare with")
def test_text_agrees_with_the_installed_objdump(tmp_path: Path) -> None:
    (tmp_path / "sample.s").write_text(SAMPLE)
    subprocess.run(["as", "--64", "-o", tmp_path / "sample.o", tmp_path / "sample.s"], check=True)
    listing = subprocess.run(
        ["objdump", "-dw", tmp_path / "sample.o"], check=True, capture_output=True, text=True
    ).stdout
    wrong, seen = [], 0
    for line in listing.splitlines():
        match = OBJDUMP_LINE.match(line)
        if match is None:
            continue
        seen += 1
        # Only the way in which addresses are written differs: 0x in front, and names are the caller's affair.
        text = re.sub(r"\s*<[^>]*>", "", match[3]).strip()
        text = re.sub(r"# ([0-9a-f]+)", r"# 0x\1", text)
        text = re.sub(r"^((?:call|j\w+|loop)\s+)([0-9a-f]+)$", r"\g<1>0x\2", text)
        found = one(match[2], int(match[1], 16))
        if found.text.split() != text.split():
            wrong.append((text, found.text))
    assert seen > 80
    assert wrong == []
