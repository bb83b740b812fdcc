"""Stepping by TF and #DB, as up to Linux 5.12 (2.6): the copy runs whatever it is, and its traces are put right."""

from typing import Any

import pytest

from kprobesim.errors import GuestError, ImageError
from kprobesim.image import open_image
from kprobesim.kprobes import Kprobe, KprobeConfig, KprobeStatus, PtRegs, Stepping
from kprobesim.machine import Moment, Stop
from tests.guests.kernel import HIDDEN, HandMadeKernel
from tests.kprobes.native import CF, IF, OF, PF, SF, STACK, ZF, Outcome, with_and_without
from tests.kprobes.running import Running, Spy

TF = 1 << 8
HISTORY = KprobeConfig(stepping=Stepping.TRAP_FLAG)


def stepped(code: str, **options: Any) -> Outcome:
    """Run an instruction with a probe on it: it must go through the slot and do what the CPU does."""
    native, probed, running = with_and_without(code, config=HISTORY, **options)
    assert [event.fields["vector"] for event in running.events("trap")] == [3, 1]
    assert running.kinds("kprobe.")[-4:] == ["kprobe.register", "kprobe.hit", "kprobe.step_tf", "kprobe.debug"]
    assert probed == native
    return probed


@pytest.mark.parametrize(
    ("code", "fixed"),
    [
        ("90", "ip"),  # nop
        ("4801d8", "ip"),  # add %rbx,%rax
        ("f390", "ip"),  # pause, after which the emulated CPU forgets its #DB
        ("55", "ip"),  # push %rbp
        ("54", "ip"),  # push %rsp
        ("9c", "ip, flags on the stack"),  # pushf
        ("eb20", "ip"),  # jmp rel8
        ("e9f0ffffff", "ip"),  # jmp rel32, backwards
        ("e820000000", "ip, return address"),  # call rel32
        ("2ee820000000", "ip, return address"),  # with a prefix
        ("c3", "nothing"),  # ret
        ("c21000", "nothing"),  # ret $16
        ("fa", "ip"),  # cli
        ("fb", "ip"),  # sti
        ("e210", "ip"),  # loop
        ("e310", "ip"),  # jrcxz
    ],
)
@pytest.mark.parametrize("flags", [0, IF])
def test_an_instruction_does_in_the_slot_what_it_does_in_its_place(code: str, fixed: str, flags: int) -> None:
    """2.6: resume_execution, kind by kind; IF is what the CPU would have made of it."""
    stepped(code, flags=flags)
    running = with_and_without(code, config=HISTORY, flags=flags)[2]
    assert running.events("kprobe.debug")[0].fields["fixed"] == fixed


@pytest.mark.parametrize("flags", [0, CF, PF, ZF, SF, OF, SF | OF, ZF | SF])
@pytest.mark.parametrize("code", range(16))
def test_a_conditional_jump(code: int, flags: int) -> None:
    stepped(f"7{code:x}20", flags=flags | IF)


@pytest.mark.parametrize("code", ["ffd0", "41ffd0", "ffe0", "41ffe0"], ids=["call rax", "call r8", "jmp rax", "jmp r8"])
def test_an_indirect_branch_through_a_register(code: str) -> None:
    stepped(code, rax="there", r8="there")


@pytest.mark.parametrize(("code", "fixed"), [("ff1424", "return address"), ("ff2424", "nothing")])
def test_an_indirect_branch_through_memory_could_be_probed_then(code: str, fixed: str) -> None:
    """2.3 refuses `call *mem` and `jmp *mem` since 5.13; stepping needs no emulator for them."""
    stepped(code)
    running = with_and_without(code, config=HISTORY)[2]
    assert running.events("kprobe.debug")[0].fields["fixed"] == fixed


def test_popf_takes_its_flags_from_the_stack_and_keeps_its_own_if() -> None:
    """is_IF_modifier: the interrupted IF is not put back after cli, sti, popf."""
    assert not stepped("9d", flags=IF, rsp=STACK - 0x100).flags & TF


@pytest.mark.parametrize(("code", "enabled"), [("fa", False), ("fb", True)])
def test_what_changes_if_has_the_last_word(code: str, enabled: bool) -> None:
    for flags in (0, IF):
        assert bool(stepped(code, flags=flags).flags & IF) == enabled


def test_the_slot_holds_the_copy_alone() -> None:
    """2.6: no trailing int3."""
    running = with_and_without("4801d8", config=HISTORY)[2]
    probe = running.kprobes.sites()[0]
    assert probe.ainsn is not None
    assert probe.ainsn.copy == probe.ainsn.original == bytes.fromhex("4801d8")
    assert probe.ainsn.emulate_op is None


def test_during_the_step_tf_is_on_and_if_off_and_the_handler_of_the_db_runs_without_tf(tiny_like: Running) -> None:
    """2.6: iretq loads the flags; the gate clears TF."""
    running = tiny_like
    probe = running.register(Kprobe(symbol_name="probed"))
    running.timeline.run(stop_kinds=["kprobe.step_tf"])
    block = running.kprobes.ctlblk[0]
    assert (block.current, block.status) == (probe, KprobeStatus.HIT_SS)
    running.timeline.run(stop_kinds=["trap"])
    assert probe.ainsn is not None
    flags = running.machine.registers()["rflags"]
    assert running.machine.log[running.machine.seq - 1].fields["vector"] == 1
    assert flags & TF and not flags & IF
    running.timeline.run(stop_kinds=["gate"])
    assert not running.machine.registers()["rflags"] & TF
    running.timeline.run(stop_kinds=["kprobe.debug"])
    running.timeline.seek(Moment(running.machine.moment.insn + 1))
    assert (block.current, block.status) == (None, KprobeStatus.NONE)


@pytest.fixture
def tiny_like() -> Running:
    kernel = HandMadeKernel()
    kernel.code.op("sti").call("probed").op("cli", "hlt")
    kernel.function("probed").op("inc %rax", "ret")
    return Running(kernel.image(), ram_size=2 << 20, config=HISTORY)


def test_handlers_are_called_as_ever_and_post_handler_after_the_instruction(tiny_like: Running) -> None:
    """INT-01, INT-10 hold: pre_handler sees A + 1, post_handler A + L with TF gone."""
    spy = Spy()
    probe = tiny_like.register(Kprobe(symbol_name="probed", pre_handler=spy.pre(), post_handler=spy.post()))
    assert tiny_like.run(tiny_like.machine.retired + 2_000) is Stop.IDLE
    (_, before), (_, after) = spy.calls
    assert probe.addr is not None
    assert (before["ip"], after["ip"]) == (probe.addr + 1, probe.addr + 3)
    assert not after["flags"] & TF and after["flags"] & IF


def faulting() -> HandMadeKernel:
    kernel = HandMadeKernel()
    kernel.code.mov("rcx", HIDDEN).op("sti").call("probed").op("cli", "hlt")
    kernel.function("probed").op("mov (%rcx),%rax", "ret")
    return kernel


def test_a_fault_during_the_step_takes_tf_away_and_the_probe_is_hit_again() -> None:
    """FLT-01 under TF: no #DB comes for the cancelled step."""
    running = Running(faulting().image(), ram_size=2 << 20, config=HISTORY)
    running.register(Kprobe(symbol_name="probed"))
    running.timeline.run(stop_kinds=["kprobe.fault"])
    regs = PtRegs(running.machine.ram, running.kernel.root, running.machine.registers()["rdi"], 0)
    assert regs.ip == running.symbol("probed")
    assert regs.flags & IF and not regs.flags & TF
    spy = Spy()
    running = Running(faulting().image(), ram_size=2 << 20, config=HISTORY)
    running.register(Kprobe(symbol_name="probed", pre_handler=spy.pre(), post_handler=spy.post()))
    assert running.run(running.machine.retired + 2_000) is Stop.IDLE
    assert spy.names == ["pre", "pre", "post"]
    assert [event.fields["vector"] for event in running.events("trap")] == [3, 14, 3, 1]


def test_a_probe_hit_during_a_step_is_missed_and_stepped() -> None:
    """REE-01 under TF."""
    spy = Spy()
    running = Running(faulting().image(), ram_size=2 << 20, config=HISTORY)
    running.register(Kprobe(symbol_name="probed", pre_handler=spy.pre()))
    inner = running.register(Kprobe(symbol_name="fault_path", pre_handler=spy.pre("missed")))
    running.run(running.machine.retired + 2_000)
    assert (spy.names, inner.nmissed) == (["pre", "pre"], 1)
    steps = [event.fields["symbol"] for event in running.events("kprobe.debug")]
    assert steps == ["fault_path", "probed"]


def test_a_db_that_no_probe_has_asked_for_is_not_claimed() -> None:
    kernel = HandMadeKernel()
    kernel.code.push("rax").mov("rax", TF | 2).raw("48870424").op("popf", "nop", "hlt")
    kernel.function("other").op("ret")
    running = Running(kernel.image(), ram_size=2 << 20, config=HISTORY)
    with pytest.raises(GuestError, match="panicked: int3"):
        running.run(running.machine.retired + 2_000)


def test_a_repeated_string_instruction_is_hit_once_for_each_repetition() -> None:
    """The trap flag ends each repetition, and with it the step: in the text the probe is met again."""
    native, probed, running = with_and_without("f3aa", config=HISTORY, rcx=3, rdi=STACK - 0x200)
    assert probed == native
    assert len(running.events("kprobe.hit")) == 3


def test_an_image_without_a_stub_for_the_db_cannot_step_so() -> None:
    with pytest.raises(ImageError, match="kprobe_debug_handler"):
        Running(open_image("tiny"), config=HISTORY)
