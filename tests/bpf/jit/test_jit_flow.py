"""Prologues, epilogues, jumps and their lengths, calls, tail calls.

Follows Linux 6.1 arch/x86/net/bpf_jit_comp.c and section 5 of the reference.
"""

import pytest

from kprobesim.bpf import Insn
from kprobesim.bpf.jit import JitConfig, JitError, SiteKind, jit_insns
from tests.bpf.jit.jit_rig import ENTRY, HELPERS, code_of, compiled, insns_of

NOP5 = "0f 1f 44 00 00"
ENTER = "55 48 89 e5"


def prologue_of(text: str, stack_depth: int | None = None, config: JitConfig | None = None) -> str:
    image = compiled(text, stack_depth, config or JitConfig()).images[0]
    assert image.prologue == (0, image.addrs[0])
    return image.code[: image.addrs[0]].hex(" ")


def test_prologue() -> None:
    assert prologue_of("r0 = 0; exit") == f"{NOP5} 66 90 {ENTER}"
    assert prologue_of("r0 = 0; exit", 1) == f"{NOP5} 66 90 {ENTER} 48 81 ec 08 00 00 00"
    assert prologue_of("r0 = 0; exit", 512) == f"{NOP5} 66 90 {ENTER} 48 81 ec 00 02 00 00"


def test_only_used_callee_saved_registers_are_pushed() -> None:
    image = compiled("r7 = 0; r0 = r9; exit").images[0]
    assert image.code[image.prologue[0] : image.prologue[1]].hex(" ") == f"{NOP5} 66 90 {ENTER} 41 55 41 57"
    assert image.code[slice(*image.epilogue)].hex(" ") == "41 5f 41 5d c9 c3 cc"
    image = compiled("r6 = 0; r7 = 0; r8 = 0; r9 = 0; exit").images[0]
    assert image.code[11 : image.prologue[1]].hex(" ") == "53 41 55 41 56 41 57"
    assert image.code[slice(*image.epilogue)].hex(" ") == "41 5f 41 5e 41 5d 5b c9 c3 cc"


def test_a_classic_filter_has_no_room_for_the_counter() -> None:

    (image,) = jit_insns((Insn(0xB7), Insn(0x95)), address=ENTRY, call_address=lambda n: n, from_cbpf=True).images
    assert image.code.hex(" ") == f"{NOP5} {ENTER} 31 c0 c9 c3 cc"


def test_mitigations() -> None:
    assert prologue_of("exit", None, JitConfig(ibt=True)) == f"f3 0f 1e fa {NOP5} 66 90 {ENTER} f3 0f 1e fa"
    assert code_of(Insn(0x95), config=JitConfig(sls=False)) == "c9 c3"
    thunk = ENTRY + 0x1000
    image = compiled("r0 = 0; exit", config=JitConfig(return_thunk=thunk)).images[0]
    assert image.code[slice(*image.epilogue)].hex(" ") == "c9 e9 ed 0f 00 00"
    (site,) = image.sites
    assert (site.kind, site.target) == (SiteKind.RETURN_THUNK, thunk)
    assert ENTRY + site.offset + 4 + 0xFED == thunk


def test_there_is_one_epilogue_and_other_exits_jump_to_it() -> None:
    image = compiled("if r1 == 0 goto +1; exit; r0 = 1; exit").images[0]
    assert image.code[image.addrs[1] : image.addrs[2]].hex(" ") == "c9 c3 cc"
    assert image.epilogue == (image.addrs[1], image.addrs[2])
    assert image.code[image.addrs[3] :].hex(" ") == "eb f6"


def over(filler: int) -> str:
    """The jump in ``if r1 == r2`` over this many bytes."""
    fives, rest = divmod(filler, 5)
    insns = [Insn(0x1D, 1, 2)]
    insns += [Insn(0xB7, 0, imm=1)] * fives + {0: [], 1: [], 2: [Insn(0xB7)], 3: [Insn(0xBF, 1, 2)]}[rest]
    image = compiled((insns[0]._replace(off=len(insns) - 1), *insns[1:], Insn(0x95))).images[0]
    assert image.addrs[-2] - image.addrs[1] == filler
    return image.code[image.addrs[0] + 3 : image.addrs[1]].hex(" ")


def test_short_jumps_reach_123_bytes_forwards() -> None:
    """is_imm8_jmp_offset: 127 would do, but lengths might then swap from pass to pass for ever."""
    assert over(122) == "74 7a"
    assert over(123) == "74 7b"
    assert over(125) == "0f 84 7d 00 00 00"


def test_backwards_a_jump_is_short_if_it_was_so_with_five_bytes() -> None:
    """Its own length counts, and it starts long: -125 becomes -122, but -130 stays although -127 would do."""

    def back(count: int) -> str:
        insns = (*[Insn(0xB7, 0, imm=1)] * count, Insn(0x05, off=-count - 1), Insn(0x95))
        image = compiled(insns).images[0]
        return image.code[image.addrs[count] : image.addrs[count + 1]].hex(" ")

    assert back(24) == "eb 86"
    assert back(25) == "e9 7e ff ff ff"


def test_jumps_to_the_next_instruction_and_to_themselves() -> None:
    assert code_of("goto +0") == ""
    assert code_of("gotol +0") == ""
    assert code_of("goto -1") == "eb fe"
    assert code_of("gotol -1") == "eb fe"


def staggered(links: int) -> tuple[Insn, ...]:
    """Jumps that each become short one pass after the next one has: 120 bytes, the next jump, and there they go."""
    insns: list[Insn] = []
    for _ in range(links):
        insns += [Insn(0x05, off=25), *[Insn(0xB7, 0, imm=1)] * 24]
    return (*insns, Insn(0x05, off=0), Insn(0xB7, 0, imm=2), Insn(0x95))


def test_offsets_stand_still_after_a_pass_for_each_link() -> None:
    image = compiled(staggered(5)).images[0]
    assert image.passes == 8
    assert b"\xe9" not in image.code


def test_after_15_passes_jumps_are_padded_instead_of_shortened() -> None:
    """PADDING_PASSES: the three bytes that a jump could still lose become a nop before it."""
    image = compiled(staggered(30)).images[0]
    assert image.passes <= 20
    codes = [image.code[image.addrs[n] : image.addrs[n + 1]].hex(" ") for n in range(0, 30 * 25, 25)]
    assert codes[-1] == "eb 78"
    assert codes[0] == "e9 7d 00 00 00"
    padded = codes.index("0f 1f 00 eb 7a")
    assert codes[:padded] == ["e9 7d 00 00 00"] * padded
    assert codes[padded + 1 :] == ["eb 7a"] * (30 - padded - 2) + ["eb 78"]


def test_a_jump_out_of_the_function_is_refused() -> None:
    with pytest.raises(JitError, match="insn 0: the jump leaves the function"):
        compiled((Insn(0x05, off=5), Insn(0x95)))


def test_a_call_of_a_helper() -> None:
    image = compiled("r0 = 0; call ktime_get_ns; exit").images[0]
    (site,) = image.sites
    assert (site.kind, site.value, site.target, site.slot) == (SiteKind.HELPER, 5, HELPERS + 5, 1)
    assert image.code[image.addrs[1]] == 0xE8
    displacement = int.from_bytes(image.code[site.offset : site.offset + 4], "little", signed=True)
    assert ENTRY + image.addrs[2] + displacement == HELPERS + 5


def test_a_call_too_far_away_is_refused() -> None:

    with pytest.raises(JitError, match="out of the reach"):
        jit_insns((Insn(0x85, imm=5), Insn(0x95)), address=ENTRY, call_address=lambda _: 0xFFFF_8880_0000_0000)


def test_functions_follow_each_other_in_chunks() -> None:
    jited = compiled("r6 = 1; call f; exit; f: r0 = 1; exit")
    first, second = jited.images
    assert first.address == ENTRY
    assert (second.address - 8) % 64 == 0 and second.address >= first.end + 16
    assert second.start == 3
    assert [(site.kind, site.value, site.target) for site in first.sites] == [(SiteKind.LOCAL, 3, second.address)]
    assert second.code.hex(" ") == f"{NOP5} 66 90 {ENTER} b8 01 00 00 00 c9 c3 cc"
    memory = jited.memory()
    assert memory[second.address - ENTRY :].startswith(second.code)
    assert jited.slot_at(second.address) is None
    assert jited.slot_at(second.address + 11) == 3
    assert jited.slot_at(second.end - 1) == 4
    assert jited.slot_at(second.end) is None


def test_the_address_of_a_function_is_always_64_bits_wide() -> None:
    insns = (Insn(0x18, 1, 4, 0, 2), Insn(0), Insn(0x95), Insn(0xB7), Insn(0x95))
    first, second = compiled(insns).images
    code = first.code[first.addrs[0] : first.addrs[2]]
    assert code == b"\x48\xbf" + second.address.to_bytes(8, "little")

    low = (Insn(0xB7), *insns)
    with pytest.raises(JitError, match="insn 1: a function's address has more than 32 bits"):
        jit_insns(low, address=0x1000, call_address=lambda _: 0x1000)


def test_a_tail_call() -> None:
    """emit_bpf_tail_call_indirect; the counter's slot is pushed below the stack and has its value in the upper half."""
    insns = (Insn(0xB7, 6), Insn(0xF5), Insn(0x95))
    image = compiled(insns, 8).images[0]
    prologue = f"{NOP5} 31 c0 {ENTER} 48 81 ec 08 00 00 00 50 53"
    assert image.code[: image.addrs[0]].hex(" ") == prologue
    leave = "5b 58 48 81 c4 08 00 00 00 48 8b 49 30 48 83 c1 0b ff e1 cc"
    assert image.code[image.addrs[1] : image.addrs[2]].hex(" ") == (
        "89 d2 39 56 24 76 35 8b 85 f4 ff ff ff 83 f8 21 73 2a 83 c0 01 89 85 f4 ff ff ff "
        f"48 8b 8c d6 10 01 00 00 48 85 c9 74 14 {leave}"
    )
    assert image.code[image.addrs[2] :].hex(" ") == "5b c9 c3 cc"


def test_a_tail_call_through_a_thunk() -> None:
    thunk = ENTRY + 0x800
    image = compiled((Insn(0xF5), Insn(0x95)), config=JitConfig(indirect_thunk=thunk)).images[0]
    (site,) = image.sites
    assert image.code[site.offset - 1] == 0xE9
    assert site.offset + 4 == image.addrs[1]
    assert (site.kind, site.target) == (SiteKind.INDIRECT_THUNK, thunk)


def test_a_tail_call_with_a_known_index() -> None:
    """emit_bpf_tail_call_direct: a bypass over it and a nop behind it, both to be patched."""
    image = compiled((Insn(0xF5, imm=1), Insn(0x95)), 0).images[0]
    code = image.code[image.addrs[0] : image.addrs[1]]
    assert code.hex(" ") == (f"8b 85 fc ff ff ff 83 f8 21 73 14 83 c0 01 89 85 fc ff ff ff e9 06 00 00 00 58 {NOP5}")
    (poke,) = image.pokes
    assert (poke.slot, poke.number) == (0, 0)
    assert image.code[poke.bypass] == 0xE9
    assert image.code[poke.target : poke.target + 5].hex(" ") == NOP5
    assert poke.target + 5 == image.addrs[1]


def test_the_counter_passes_through_calls() -> None:
    """A function above a tail call restores rax before each call; the first one sets it to 0, others take it."""
    insns = (
        *(Insn(0x85, src=1, imm=2), Insn(0x85, imm=5), Insn(0x95)),
        *(Insn(0xF5), Insn(0x95)),
    )
    first, second = compiled(insns, 16).images
    assert first.code[: first.addrs[0]].hex(" ") == f"{NOP5} 31 c0 {ENTER} 48 81 ec 10 00 00 00 50"
    for call in (0, 1):
        code = first.code[first.addrs[call] : first.addrs[call + 1]]
        assert code[:8].hex(" ") == "48 8b 85 e8 ff ff ff e8"
        assert len(code) == 12
    assert second.code[: second.addrs[0]].hex(" ") == f"{NOP5} 66 90 {ENTER} 48 81 ec 10 00 00 00 50"


def test_the_same_at_another_address_differs_in_displacements_alone() -> None:

    insns = insns_of("r6 = r1; call ktime_get_ns; call f; exit; f: r0 = 1; exit")
    here = jit_insns(insns, address=ENTRY, call_address=lambda _: HELPERS)
    there = jit_insns(insns, address=ENTRY + 0x10000, call_address=lambda _: HELPERS + 0x10000)
    assert here.memory() == there.memory()
    assert jit_insns(insns, address=ENTRY, call_address=lambda _: HELPERS) == here
