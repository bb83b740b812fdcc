"""V2, V3, V4, V6, V8: registers, the stack, the context, map values, and arithmetic with pointers."""

import pytest

from tests.bpf.verifier.bench import LOOKUP, accepted, check, refused


def test_registers_are_read_only_after_they_were_written() -> None:
    """V2."""
    refused("r0 = r2\nexit\n", "R2 !read_ok")
    refused("exit\n", "R0 !read_ok")
    refused("r10 = 0\nr0 = 0\nexit\n", "frame pointer is read only")


def test_numbers_are_no_pointers() -> None:
    """V2."""
    refused("r1 = 64\nr0 = *(u64 *)(r1 +0)\nexit\n", "R1 invalid mem access 'scalar'")


def test_the_stack_has_512_aligned_bytes() -> None:
    """V3."""
    refused("*(u64 *)(r10 -520) = 0\nr0 = 0\nexit\n", "invalid write to stack R10 off=-520 size=8")
    refused("*(u64 *)(r10 +0) = 0\nr0 = 0\nexit\n", "invalid write to stack R10 off=0 size=8")
    refused("*(u64 *)(r10 -12) = 0\nr0 = 0\nexit\n", "misaligned stack access off (0x0; 0x0)+0+-12 size 8")
    assert accepted("*(u64 *)(r10 -512) = 0\nr0 = 0\nexit\n").stats.stack_depths == (512,)


def test_spilled_pointers_come_back_whole() -> None:
    """V3: r is a spilled register, 0 and m are bytes."""
    log = accepted("*(u64 *)(r10 -8) = r1\nr2 = *(u64 *)(r10 -8)\nr0 = *(u64 *)(r2 +0)\nexit\n").log
    assert "0: (7b) *(u64 *)(r10 -8) = r1         ; R1=ctx(off=0,imm=0) R10=fp0 fp-8_w=ctx\n" in log
    assert "1: (79) r2 = *(u64 *)(r10 -8)         ; R2_w=ctx(off=0,imm=0) R10=fp0\n" in log
    refused("*(u64 *)(r10 -8) = r1\nr0 = *(u32 *)(r10 -8)\nexit\n", "invalid size of register fill")
    refused("*(u32 *)(r10 -8) = r1\nr0 = 0\nexit\n", "invalid size of register spill")


def test_bytes_of_a_slot_have_their_own_kinds() -> None:
    """V3."""
    text = "*(u16 *)(r10 -8) = 0\nr2 = *(u64 *)(r1 +0)\n*(u8 *)(r10 -6) = r2\nr0 = *(u8 *)(r10 -7)\nexit\n"
    log = accepted(text).log
    assert "fp-8=??????00" in log
    assert "fp-8=?????m00" in log
    assert "3: (71) r0 = *(u8 *)(r10 -7)          ; R0_w=P0 R10=fp0\n" in log


def test_unprivileged_programs_read_no_stale_stack() -> None:
    """V3, V14."""
    accepted("r0 = *(u64 *)(r10 -8)\nexit\n")
    text = ".type socket_filter\nr0 = *(u64 *)(r10 -8)\nexit\n"
    refused(text, "invalid read from stack R10 off=-8 size=8", unpriv=True)
    text = ".type socket_filter\n*(u8 *)(r10 -8) = 0\nr0 = *(u64 *)(r10 -8)\nexit\n"
    refused(text, "invalid read from stack off -8+1 size 8", unpriv=True)


@pytest.mark.parametrize(
    ("access", "ok"),
    [
        ("r0 = *(u64 *)(r1 +160)", True),
        ("r0 = *(u64 *)(r1 +168)", False),
        ("r0 = *(u32 *)(r1 +4)", True),
        ("r0 = *(u32 *)(r1 +2)", False),
        ("r0 = *(u8 *)(r1 +167)", True),
        ("r0 = *(u64 *)(r1 -8)", False),
        ("*(u64 *)(r1 +0) = r1", False),
    ],
)
def test_the_context_of_a_kprobe_is_the_registers_read_only(access: str, ok: bool) -> None:
    """V4: 168 bytes, aligned to the size of the access."""
    verdict = check(f"{access}\nr0 = 0\nexit\n")
    assert (verdict.errno == 0) is ok
    if not ok:
        assert "invalid bpf_context access off=" in verdict.log


def test_the_context_must_be_used_as_it_came() -> None:
    """V4."""
    text = "r1 += 8\nr0 = *(u64 *)(r1 +0)\nexit\n"
    refused(text, "dereference of modified ctx ptr R1 off=8 disallowed")
    refused("*(u64 *)(r1 +0) = 0\nr0 = 0\nexit\n", "BPF_ST stores into R1 ctx is not allowed")


def test_contexts_of_other_types() -> None:
    """V4."""
    accepted(".type tracepoint\nr0 = *(u64 *)(r1 +8)\nexit\n")
    refused(".type tracepoint\nr0 = *(u64 *)(r1 +0)\nexit\n", "invalid bpf_context access off=0 size=8")
    accepted(".type perf_event\nr0 = *(u8 *)(r1 +168)\nexit\n")
    refused(".type perf_event\nr0 = *(u8 *)(r1 +8)\nexit\n", "invalid bpf_context access off=8 size=1")


PACKET = ".type sched_cls\nr2 = *(u32 *)(r1 +76)\nr3 = *(u32 *)(r1 +80)\nr4 = r2\nr4 += 14\n"


def test_packets_are_compared_with_their_end_first() -> None:
    """V4, V9."""
    accepted(f"{PACKET}if r4 > r3 goto out\nr5 = *(u8 *)(r2 +13)\nout:\nr0 = 0\nexit\n")
    text = f"{PACKET}if r4 > r3 goto out\nr5 = *(u8 *)(r2 +14)\nout:\nr0 = 0\nexit\n"
    assert "invalid access to packet, off=14 size=1, R2(id=0,off=14,r=14)" in check(text).log
    refused(text, "R2 offset is outside of the packet")


def test_map_values_may_be_null_until_compared() -> None:
    """V6: copies and spilled copies learn it too."""
    refused(f"{LOOKUP}r0 = *(u64 *)(r0 +0)\nexit\n", "R0 invalid mem access 'map_value_or_null'")
    spill = f"{LOOKUP}r6 = r0\n*(u64 *)(r10 -16) = r0\nif r0 == 0 goto out\nr7 = *(u64 *)(r10 -16)\n"
    accepted(f"{spill}*(u64 *)(r6 +0) = 1\n*(u64 *)(r7 +8) = 1\nout:\nr0 = 0\nexit\n")


def test_map_values_have_a_size() -> None:
    """V6: lowest and highest possible access."""
    value = f"{LOOKUP}if r0 == 0 goto out\n"
    text = f"{value}*(u64 *)(r0 +16) = 0\nout:\nr0 = 0\nexit\n"
    assert "invalid access to map value, value_size=16 off=16 size=8\n" in check(text).log
    refused(text, "R0 min value is outside of the allowed memory range")
    index = f"{value}r1 = *(u64 *)(r0 +0)\n"
    access = "r0 += r1\n*(u8 *)(r0 +0) = 1\nout:\nr0 = 0\nexit\n"
    said = "math between map_value pointer and register with unbounded min value is not allowed"
    refused(f"{index}{access}", said, 22)
    accepted(f"{index}r1 &= 15\n{access}")
    refused(f"{index}r1 &= 31\n{access}", "R0 max value is outside of the allowed memory range")
    accepted(f"{index}if r1 > 15 goto out\n{access}")


def test_read_only_maps_are_not_written() -> None:
    """V6."""
    text = "r1 = map readonly\n" + LOOKUP.replace("map counts", "map readonly").replace("u64", "u32")
    text += "if r0 == 0 goto out\n*(u64 *)(r0 +8) = 0\nout:\nr0 = 0\nexit\n"
    refused(text, "write into map forbidden, value_size=48 off=8 size=8")


def test_maps_themselves_can_be_read_a_little() -> None:
    """V16: what the kernel's own types say of a map's head."""
    accepted("r1 = map table\nr0 = *(u32 *)(r1 +36)\nexit\n")
    log = accepted("r1 = map table\nr6 = *(u64 *)(r1 +0)\nr0 = 0\nexit\n").log
    assert "R6_w=ptr_bpf_map_ops(off=0,imm=0)" in log
    refused("r1 = map table\n*(u64 *)(r1 +0) = r1\nr0 = 0\nexit\n", "only read from bpf_array is supported")
    said = "cannot access ptr member ops with moff 0 in struct bpf_map with off 1 size 4"
    refused("r1 = map table\nr6 = *(u32 *)(r1 +1)\nr0 = 0\nexit\n", said)


@pytest.mark.parametrize(
    ("line", "said", "errno"),
    [
        ("r1 *= 8", "R1 pointer arithmetic with *= operator prohibited", 13),
        ("r1 &= 8", "R1 bitwise operator &= on pointer prohibited", 13),
        ("w1 += 8", "R1 32-bit pointer arithmetic prohibited", 13),
        ("r1 += r10", "R1 pointer += pointer prohibited", 13),
        ("r1 = -r1", "", 0),
        ("r1 -= r10", "", 0),
        ("r2 = 8\nr2 -= r1", "R2 tried to subtract pointer from scalar", 13),
        ("r2 = r10\nr2 -= 8", "R2 subtraction from stack pointer prohibited", 13),
        ("r2 = 0x20000000\nr1 += r2", "math between ctx pointer and 536870912 is not allowed", 22),
        ("r1 /= 0", "div by zero", 22),
        ("r1 <<= 64", "invalid shift 64", 22),
        ("w1 <<= 32", "invalid shift 32", 22),
    ],
)
def test_what_may_be_done_to_a_pointer(line: str, said: str, errno: int) -> None:
    """V8."""
    text = f"{line}\nr0 = 0\nexit\n"
    if said:
        refused(text, said, errno)
    else:
        accepted(text)


def test_bounds_are_refined_on_both_edges() -> None:
    """V7: 64 and 32 bits."""
    log = accepted("r0 = *(u64 *)(r1 +0)\nif r0 > 7 goto out\nr0 += 1\nout:\nexit\n").log
    assert "; R0_w=scalar(umax=7,var_off=(0x0; 0x7))\n" in log
    assert "; R0_w=scalar(umin=1,umax=8,var_off=(0x0; 0xf))\n" in log
    assert "from 1 to 3: R0_w=scalar(umin=8) R1=ctx" in log
    log = accepted("r0 = *(u64 *)(r1 +0)\nif w0 s< 0 goto out\nr0 >>= 32\nout:\nexit\n").log
    assert "; R0_w=scalar(s32_min=0,u32_max=2147483647)" in log or "var_off=(0x0; 0xffffffff7fffffff)" in log


def test_atomic_operations_load_and_store() -> None:
    """V3, V6."""
    accepted("*(u64 *)(r10 -8) = 0\nr0 = 1\nr0 = atomic64_fetch_add((u64 *)(r10 -8), r0)\nexit\n")
    text = "r0 = 1\nlock *(u64 *)(r1 +0) += r0\nexit\n"
    refused(text, "BPF_ATOMIC stores into R1 ctx is not allowed")
