"""Which probes may become jumps, and why the others stay an int3."""

import contextlib
from collections.abc import Callable, Iterable

import pytest

from kprobesim.errors import LinuxError
from kprobesim.image import MAX_INSN_SIZE, Instruction, KernelImage, decode_one, decode_range, open_image
from kprobesim.kprobes import Kprobe, KprobeConfig, KprobeFlag
from kprobesim.kprobes.boost import can_boost
from kprobesim.kprobes.detour import MAX_OPTINSN_SIZE, TEMPLATE_SIZE, disassemble_detour
from kprobesim.kprobes.reljump import JMP32_SIZE
from tests.guests.code import Code
from tests.guests.kernel import HandMadeKernel
from tests.kprobes.running import Running

OPTPROBES = KprobeConfig(optprobes=True)


def hand_made(write: Callable[[Code], object], **change: Callable[[HandMadeKernel], object]) -> KernelImage:
    """A kernel with a function ``probed`` of the test's own, and one after it."""
    kernel = HandMadeKernel()
    kernel.code.op("cli", "hlt")
    write(kernel.function("probed"))
    kernel.function("next_one").op("ret")
    for apply in change.values():
        apply(kernel)
    return kernel.image()


def refusal(image: KernelImage, offset: int = 0, symbol: str = "probed") -> str | None:
    """Why a probe at an offset stays an int3; None if it need not."""
    running = Running(image, ram_size=2 << 20, config=OPTPROBES)
    running.register(Kprobe(symbol_name=symbol, offset=offset))
    told = running.events("kprobe.opt_refuse")
    assert bool(told) != bool(running.events("kprobe.opt_prepare"))
    return str(told[0].fields["reason"]) if told else None


def nops(code: Code, count: int = 12) -> Code:
    return code.op(*["nop"] * count)


def test_a_function_without_branches_can_be_optimized() -> None:
    assert refusal(hand_made(lambda code: nops(code).op("ret"))) is None


def test_the_jump_must_fit_before_the_next_symbol_and_padding_counts_as_room() -> None:
    """OPT-01: the function is 16 bytes with its padding."""
    image = hand_made(lambda code: nops(code, 11).op("ret"))
    assert refusal(image, 11) is None
    assert refusal(image, 12) == "only 4 bytes are left of probed, and the jump takes 5"


def test_an_entry_of_the_exception_table_anywhere_in_the_function_forbids_it() -> None:
    """OPT-01"""
    image = hand_made(
        lambda code: nops(code, 8).label("reads").op("mov (%rcx),%rax", "ret"), table=lambda k: k.may_fault("reads")
    )
    assert refusal(image) == "probed+0x8 has an entry in the exception table"


def test_an_undecodable_byte_in_the_function_forbids_it() -> None:
    """OPT-01"""
    assert refusal(hand_made(lambda code: nops(code).op("ret").raw("06"))) == (
        "the bytes at probed+0xd are not an instruction"
    )


def test_an_indirect_jump_in_the_function_forbids_it() -> None:
    """OPT-01: it might go into the middle of the jump."""
    assert refusal(hand_made(lambda code: nops(code).op("jmp *%rax"))) == (
        "probed+0xc is an indirect jump, which may go anywhere"
    )


@pytest.mark.parametrize(("target", "allowed"), [(0, True), (1, False), (4, False), (5, False), (6, True)])
@pytest.mark.parametrize("branch", ["jmp", "jz", "e3"])
def test_a_jump_into_the_replaced_bytes_forbids_it_and_so_does_one_to_the_byte_behind(
    target: int, allowed: bool, branch: str
) -> None:
    """OPT-02, OPT-01: forbidden are A+1 to A+5, the last though it would be harmless."""

    def write(code: Code) -> None:
        for number in range(10):
            code.label(f"at{number}").op("nop")
        if branch == "e3":  # jrcxz
            code.raw(f"e3{target - 12 & 0xFF:02x}").op("ret")
        else:
            getattr(code, branch)(f"at{target}").op("ret")

    reason = refusal(hand_made(write))
    if allowed:
        assert reason is None
    else:
        assert reason == f"probed+0xa jumps to probed+{target:#x}, into the replaced bytes"


def test_a_call_into_the_replaced_bytes_is_not_looked_at() -> None:
    """OPT-02: Linux's own text says "jump or call", its code looks at jumps only."""
    assert refusal(hand_made(lambda code: nops(code, 3).label("in").op(*["nop"] * 9).call("in").op("ret"))) is None


@pytest.mark.parametrize(
    ("bytes_", "text"),
    [("e800000000", "call"), ("7404", "je"), ("eb04", "jmp"), ("48f7f1", "div"), ("cd80", "int"), ("c3", None)],
)
def test_every_instruction_that_the_jump_replaces_must_be_able_to_run_elsewhere(bytes_: str, text: str | None) -> None:
    """OPT-03: what can_boost says, on every build."""
    reason = refusal(hand_made(lambda code: nops(code, 2).raw(bytes_).op(*["nop"] * 8).op("ret")))
    if text is None:
        assert reason is None
    else:
        assert reason is not None and reason.startswith(f"probed+0x2, {text}")
        assert reason.endswith(", cannot run at another address")


def test_entry_code_is_never_optimized() -> None:
    """OPT-01; no probe gets there (REG-08), so the look is asked for by itself."""
    from kprobesim.kprobes.optinsn import CannotOptimize, can_optimize

    running = Running(hand_made(lambda code: nops(code).op("ret")), ram_size=2 << 20, config=OPTPROBES)
    with pytest.raises(CannotOptimize, match="entry code"):
        can_optimize(running.kernel, running.symbol("asm_exc_int3"), running.kprobes.hidden)


def test_what_ftrace_serves_never_becomes_a_jump() -> None:
    """OPT-03: the image with ftrace has a nop of 5 bytes at each function's entry; behind it a jump may come."""
    running = Running(open_image("toyix"), config=KprobeConfig(ftrace=True, optprobes=True))
    entry = running.register(Kprobe(symbol_name="vfs_read"))
    assert entry.flags & KprobeFlag.FTRACE
    assert not running.events("kprobe.opt_prepare", "kprobe.opt_refuse")
    running.register(Kprobe(symbol_name="vfs_read", offset=5))
    assert running.events("kprobe.opt_prepare")[0].fields["offset"] == 5


def probe_shortly_before(running: Running, addresses: Iterable[int]) -> None:
    """Register a probe at each instruction whose jump would cover one of the addresses, where one is accepted."""
    for address in addresses:
        place = running.kernel.kallsyms.lookup_size_offset(address)
        assert place is not None
        symbol, offset, _ = place
        for insn in decode_range(running.kernel.read(symbol.address, offset), symbol.address):
            if insn.address > address - JMP32_SIZE:
                with contextlib.suppress(LinuxError):
                    running.register(Kprobe(address=insn.address))


def test_a_jump_never_covers_a_static_branch() -> None:
    """OPT-03: whoever switches the branch would find a piece of the jump in its place."""
    running = Running(open_image("toyix", variant="bare"), config=OPTPROBES)
    labels = running.kprobes.jump_labels
    probe_shortly_before(running, [entry.code for entry in running.kernel.tables.jump_table])
    for event in running.events("kprobe.opt_prepare"):
        assert labels.jump_label_text_reserved(event.fields["addr"], event.fields["addr"] + JMP32_SIZE - 1) is None
    refused = [event.fields["reason"] for event in running.events("kprobe.opt_refuse")]
    assert any(reason.startswith("a static branch is patched at ") for reason in refused)


def test_where_a_static_branch_leads_to_is_not_looked_at_while_it_is_a_nop() -> None:
    """OPT-02, a hole of Linux's: can_optimize() looks at jumps that are there now."""
    running = Running(open_image("toyix", variant="bare"), config=OPTPROBES)
    targets = [entry.target for entry in running.kernel.tables.jump_table]
    probe_shortly_before(running, targets)
    places = [event.fields["addr"] for event in running.events("kprobe.opt_prepare")]
    assert any(place < target < place + JMP32_SIZE for place in places for target in targets)


def test_whole_instructions_are_copied_and_the_jump_back_goes_behind_them() -> None:
    """OPT-03, OPT-09: 4 + 7 bytes are replaced for a jump of 5."""
    running = Running(
        hand_made(lambda code: code.raw("4883ec1048c7c001000000").op("nop", "ret")),
        ram_size=2 << 20,
        config=OPTPROBES,
    )
    running.register(Kprobe(symbol_name="probed"))
    site = running.kprobes.get_kprobe(running.symbol("probed"))
    assert site is not None and site.optinsn is not None
    assert site.optinsn.size == 11
    code = running.kernel.read(site.optinsn.insn, site.optinsn.end - site.optinsn.insn)
    listing = disassemble_detour(site.optinsn, code, running.kernel.kallsyms.symbolize)
    assert [insn.text for insn in listing[-3:-1]] == ["sub    $0x10,%rsp", "mov    $0x1,%rax"]
    assert listing[-1].branch_target == running.symbol("probed") + 11
    assert listing[-3].address == site.optinsn.detour


def test_an_address_relative_to_rip_is_fixed_up_for_the_buffer() -> None:
    """REG-16, OPT-09"""
    running = Running(
        hand_made(lambda code: code.raw("488b0510000000").op("nop", "ret")), ram_size=2 << 20, config=OPTPROBES
    )
    running.register(Kprobe(symbol_name="probed"))
    site = running.kprobes.get_kprobe(running.symbol("probed"))
    assert site is not None and site.optinsn is not None
    copy = decode_one(running.kernel.read(site.optinsn.detour, MAX_INSN_SIZE), site.optinsn.detour)
    assert isinstance(copy, Instruction) and copy.rip_target == running.symbol("probed") + 7 + 0x10


def test_the_buffer_is_as_long_as_in_linux() -> None:
    """The real kernel's buffers are 0x7c apart, their copied instructions at 0x64."""
    assert (TEMPLATE_SIZE, MAX_OPTINSN_SIZE) == (0x64, 0x7C)


@pytest.mark.parametrize(
    ("code", "boostable"),
    [
        ("55", True), ("c3", True), ("fa", True), ("9c", True), ("ffe0", True), ("0f0b", False), ("0fa2", False),
        ("0fc8", True), ("0fb6c0", True), ("ffd0", False), ("ff30", False), ("f4", False), ("c1e004", False),
        ("2e90", False), ("67488b00", False), ("0f3800c1", False), ("cc", False), ("f6c001", False),
    ],
)  # fmt: skip
def test_what_can_be_boosted_is_what_linux_has_in_its_table(code: str, boostable: bool) -> None:
    """Reference 2.5."""
    insn = decode_one(bytes.fromhex(code), 0x1000)
    assert isinstance(insn, Instruction)
    assert can_boost(insn, 0x1000, ()) is boostable
    assert not can_boost(insn, 0x1000, {0x1000})
