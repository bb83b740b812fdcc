"""What happens to a program before the JIT, and what the JIT knows of its stack. Linux kernel/bpf/verifier.c."""

import pytest

from kprobesim.bpf import Insn, answer, encode, listing
from kprobesim.bpf.jit import JitError, do_misc_fixups, estimate_stack_depth
from kprobesim.bpf.jit.fixups import Patch, rewrite
from kprobesim.bpf.jit.stack import tail_call_reachable
from tests.bpf.jit.jit_rig import insns_of

PATCHES = [
    ("r1 /= r2", ["if r2 != 0x0 goto pc+2", "w1 ^= w1", "goto pc+1", "r1 /= r2"]),
    ("w1 /= w2", ["if w2 != 0x0 goto pc+2", "w1 ^= w1", "goto pc+1", "w1 /= w2"]),
    ("r1 %= r2", ["if r2 == 0x0 goto pc+1", "r1 %= r2"]),
    ("w1 %= w2", ["if w2 == 0x0 goto pc+2", "w1 %= w2", "goto pc+1", "w1 = w1"]),
    ("r1 /= 3", ["r1 /= 3"]),
    ("r0 = atomic_cmpxchg((u32 *)(r10 -4), r0, r1)", ["r0 = atomic_cmpxchg((u32 *)(r10 -4), r0, r1)", "w0 = w0"]),
    ("r0 = atomic64_cmpxchg((u64 *)(r10 -8), r0, r1)", ["r0 = atomic64_cmpxchg((u64 *)(r10 -8), r0, r1)"]),
]


@pytest.mark.parametrize(("text", "expected"), PATCHES)
def test_patches(text: str, expected: list[str]) -> None:
    patched = do_misc_fixups(insns_of(text)).insns
    assert [line.partition(") ")[2] for line in listing(patched).splitlines()] == expected


def test_jumps_and_calls_move_along() -> None:
    insns = insns_of("l: if r1 == 0 goto f; r1 /= r2; call f; if r1 != 0 goto l; exit; f: r0 = 1; exit")
    patched, origin = do_misc_fixups(insns)
    assert origin == (0, 1, 1, 1, 1, 2, 3, 4, 5, 6)
    assert (patched[0].off, patched[5].imm, patched[6].off) == (7, 2, -7)


def test_a_tail_call_and_a_map_reference_become_plain() -> None:
    patched = do_misc_fixups((Insn(0x18, 1, 1, 0, 5), Insn(0), Insn(0x85, imm=12), Insn(0x95))).insns
    assert patched == (Insn(0x18, 1, 0, 0, 5), Insn(0), Insn(0xF5), Insn(0x95))


def test_a_jump_that_grows_too_long_is_refused() -> None:
    insns = (Insn(0x15, 1, off=0x7000), *[Insn(0xB7)] * 0x7001)
    with pytest.raises(JitError, match="insn 0: the jump has become 57344"):
        rewrite(insns, lambda slot: Patch((insns[slot],) * 2) if slot else None)


MIN64, MIN32 = 1 << 63, 1 << 31
M64, M32 = (1 << 64) - 1, (1 << 32) - 1
TRAPPING = [
    # dividend, divisor, then r0 of each operation
    (MIN64, M64, "r0 s/= r1", MIN64),
    (MIN64, M64, "r0 s%= r1", 0),
    (MIN32, M64, "w0 s/= w1", MIN32),
    (MIN32, M64, "w0 s%= w1", 0),
    (7, 0, "r0 s/= r1", 0),
    (M64 - 6, 0, "r0 s%= r1", M64 - 6),
    (M64 - 6, 0, "w0 s%= w1", M32 - 6),
    (M64, 0, "w0 /= w1", 0),
    (M64, 0, "w0 %= w1", M32),
    (M64, 0, "r0 %= r1", M64),
    (MIN64, 0, "r0 s/= -1", MIN64),
    (MIN32, 0, "w0 s%= -1", 0),
    (M64, 0, "w0 %= 0", M32),
    (M64, 0, "r0 %= 0", M64),
    (M64, 0, "r0 /= 0", 0),
    (M64 - 6, 2, "r0 s/= r1", M64 - 2),
    (7, M64 - 1, "w0 s%= w1", 1),
]


@pytest.mark.parametrize(("dividend", "divisor", "text", "expected"), TRAPPING)
def test_divisions_that_would_trap(dividend: int, divisor: int, text: str, expected: int) -> None:
    """Reference section 1, point 2."""
    insns = insns_of(f"r0 = {dividend:#x} ll; r1 = {divisor:#x} ll; {text}; exit")
    for engine in ("interp", "jit"):
        request = {"op": "run", "engine": engine, "insns": encode(insns).hex()}
        assert answer(request) == {"r0": f"{expected:#x}"}


DEPTHS = [
    ("r0 = 0; exit", 0),
    ("*(u32 *)(r10 -4) = 1; exit", 4),
    ("r2 = r10; r2 += -24; call map_lookup_elem; exit", 24),
    ("r2 = r10; r2 += -8; r3 = *(u64 *)(r2 -8); exit", 16),
    ("r2 = r10; r2 += -8; r2 = 5; *(u64 *)(r2 -80) = 1; exit", 8),
    ("r2 = r10; r2 -= r1; exit", 512),
    ("r2 = r10; r2 += r1; exit", 512),
    ("r1 = 0 ll; r0 = *(u64 *)(r10 -16); exit", 16),
]


@pytest.mark.parametrize(("text", "expected"), DEPTHS)
def test_stack_depth_that_instructions_show(text: str, expected: int) -> None:
    assert estimate_stack_depth(insns_of(text)) == expected


def test_callers_of_a_function_with_a_tail_call_are_marked() -> None:
    call, leave, tail = Insn(0x85, src=1), Insn(0x95), Insn(0xF5)
    main = (call._replace(imm=2), call._replace(imm=3), leave)
    plain, through = (Insn(0xB7), leave), (call._replace(imm=1), leave)
    insns = (*main, *plain, *through, tail, leave)
    assert tail_call_reachable(insns, (0, 3, 5, 7)) == (True, False, True, False)
    assert tail_call_reachable((*plain, *plain), (0, 2)) == (False, False)
    forever = (call._replace(imm=-1), leave)
    assert tail_call_reachable(forever, (0,)) == (False,)
