"""Boosted probes, on a kernel that is not preemptible: a jump behind the copy instead of a second trap (2.5)."""

from typing import Any

import pytest

from kprobesim.image import MAX_INSN_SIZE, Instruction, decode_one
from kprobesim.kprobes import INT3, Kprobe, KprobeConfig, KprobeStatus
from kprobesim.kprobes.boost import can_boost
from kprobesim.machine import PAGE_SIZE, Moment, Stop
from tests.guests.kernel import HIDDEN, HandMadeKernel
from tests.kprobes.native import IF, STACK, Outcome, with_and_without
from tests.kprobes.running import Running, Spy

SLOTS_PER_PAGE = PAGE_SIZE // MAX_INSN_SIZE

SERVER = KprobeConfig(preemption=False)
ADDRESS = 0xFFFF_FFFF_8100_0000


def decoded(code: str) -> Instruction:
    insn = decode_one(bytes.fromhex(code), ADDRESS)
    assert isinstance(insn, Instruction), code
    return insn


def boostable(code: str) -> bool:
    return can_boost(decoded(code), ADDRESS, ())


# Which


@pytest.mark.parametrize(
    "code",
    [
        "90", "55", "5d", "c9", "4801d8", "488d0437", "8b4508", "c745f800000000", "85c0", "f3aa", "c3", "c21000", "cb",
        "fa", "fb", "9c", "9d", "ffe0", "ff6508", "4885c0", "a9ff000000", "6a01", "f390",
    ],
)  # fmt: skip
def test_one_byte_opcodes_that_are_boosted(code: str) -> None:
    """2.5; also ret, what deals with IF, and `jmp *`."""
    assert boostable(code)


@pytest.mark.parametrize(
    "code",
    [
        "7410", "9a", "c0e003", "c1e003", "cc", "cd80", "d0e0", "d3e0", "d9c0", "e210", "e310", "e800000000",
        "e900000000", "eb10", "f1", "f4", "f7d8", "f6d8", "fec0", "ffc0", "ffd0", "ff30", "2e90", "678b00",
    ],
)  # fmt: skip
def test_one_byte_opcodes_that_are_not(code: str) -> None:
    """2.5: branches, calls, groups of several meanings, and the prefixes 2E and 67."""
    insn = decode_one(bytes.fromhex(code), ADDRESS)
    assert not isinstance(insn, Instruction) or not can_boost(insn, ADDRESS, ())


@pytest.mark.parametrize("code", ["0fb6c0", "0fbec0", "0f44c1", "0f95c0", "0fafc1", "0f1f00", "0fc8", "0f20d0"])
def test_two_byte_opcodes_that_are_boosted(code: str) -> None:
    """2.5; a prefix is not looked at there."""
    assert boostable(code)
    assert boostable(f"67{code}")


@pytest.mark.parametrize(
    "code", ["0f05", "0f0b", "0fa2", "0f8400000000", "0fba6001", "0fc7c8", "0f01d0", "0f38f0c1", "0f3a0fc101"]
)
def test_longer_opcodes_that_are_not(code: str) -> None:
    insn = decode_one(bytes.fromhex(code), ADDRESS)
    assert not isinstance(insn, Instruction) or not can_boost(insn, ADDRESS, ())


def test_an_address_in_the_exception_table_is_not_boosted() -> None:
    """FLT-03: a fault there must be seen with its own address."""
    insn = decoded("8b4508")
    assert can_boost(insn, ADDRESS, {ADDRESS + 1})
    assert not can_boost(insn, ADDRESS, {ADDRESS})


# The slot and the hit


def boosted(code: str, **options: Any) -> Outcome:
    """Run an instruction with a probe on it: one trap, and what the CPU does."""
    native, probed, running = with_and_without(code, config=SERVER, **options)
    assert [event.fields["vector"] for event in running.events("trap")] == [3]
    assert running.kinds("kprobe.")[-3:] == ["kprobe.register", "kprobe.hit", "kprobe.boost"]
    assert probed == native
    return probed


@pytest.mark.parametrize("flags", [0, IF])
@pytest.mark.parametrize(
    "code", ["90", "4801d8", "55", "c3", "c21000", "fa", "fb", "9c", "f390", "488b0500000000", "e6f0", "0f95c0"]
)
def test_a_boosted_instruction_does_what_it_does_in_its_place(code: str, flags: int) -> None:
    """INT-07 (b); also those that are emulated elsewhere: ret $16 drops its operand here."""
    boosted(code, flags=flags)


def test_popf_is_boosted() -> None:
    boosted("9d", rsp=STACK - 0x100)


def test_an_indirect_jump_is_boosted() -> None:
    boosted("ffe0", rax="there")


@pytest.mark.parametrize("code", ["eb20", "7420", "e820000000", "ffd0"])
def test_what_is_not_boostable_is_emulated_as_ever(code: str) -> None:
    running = with_and_without(code, config=SERVER, rax="there")[2]
    assert "kprobe.emulate" in running.kinds()


def test_what_is_neither_is_stepped() -> None:
    """REG-18: an int3 behind the copy of `neg %rax`."""
    running = with_and_without("48f7d8", config=SERVER)[2]
    assert [event.fields["vector"] for event in running.events("trap")] == [3, 3]


def test_the_jump_behind_the_copy_leads_to_the_next_instruction() -> None:
    """REG-18."""
    running = with_and_without("4801d8", config=SERVER)[2]
    probe = running.kprobes.sites()[0]
    assert probe.ainsn is not None and probe.addr is not None and probe.ainsn.boostable
    jump = decode_one(probe.ainsn.copy[3:], probe.ainsn.insn + 3)
    assert isinstance(jump, Instruction)
    assert (jump.mnemonic, jump.end + jump.immediate) == ("jmp", probe.addr + 3)
    assert running.kernel.read(probe.ainsn.insn, 8) == probe.ainsn.copy


def test_an_instruction_that_leaves_no_room_for_the_jump_is_stepped() -> None:
    """2.5: L must be at most 10."""
    short, long = "48b81122334455667788", "48c7842400010000" + "11223344"  # movabs: 10 bytes; mov to the stack: 12
    assert with_and_without(short, config=SERVER)[2].events("kprobe.boost")
    assert with_and_without(long, config=SERVER)[2].events("kprobe.singlestep")


def test_the_stepped_instruction_keeps_its_interrupt_flag() -> None:
    """INT-07 (b): unlike a step, a boosted copy runs with IF as it was, and no probe is current."""
    kernel = HandMadeKernel()
    kernel.code.op("sti").call("probed").op("cli", "hlt")
    kernel.function("probed").op("nop", "ret")
    running = Running(kernel.image(), ram_size=2 << 20, config=SERVER)
    running.register(Kprobe(symbol_name="probed"))
    running.timeline.run(stop_kinds=["kprobe.boost"])
    slot = running.machine.log[running.machine.seq - 1].fields["slot"]
    while running.machine.registers()["rip"] != slot:
        running.timeline.seek(Moment(running.machine.moment.insn + 1))
    assert running.machine.registers()["rflags"] & IF
    block = running.kprobes.ctlblk[0]
    assert (block.current, block.status) == (None, KprobeStatus.NONE)


def test_a_post_handler_prevents_boosting() -> None:
    """REG-18."""
    spy = Spy()
    kernel = HandMadeKernel()
    kernel.code.call("probed").op("hlt")
    kernel.function("probed").op("nop", "ret")
    running = Running(kernel.image(), ram_size=2 << 20, config=SERVER)
    running.register(Kprobe(symbol_name="probed", pre_handler=spy.pre(), post_handler=spy.post()))
    running.run(running.machine.retired + 1_000)
    assert spy.names == ["pre", "post"]
    assert not running.events("kprobe.boost")


def test_a_post_handler_that_comes_later_is_never_called() -> None:
    """AGG-08: the slot is shared and ends in a jump already."""
    spy = Spy()
    kernel = HandMadeKernel()
    kernel.code.call("probed").op("hlt")
    kernel.function("probed").op("nop", "ret")
    running = Running(kernel.image(), ram_size=2 << 20, config=SERVER)
    running.register(Kprobe(symbol_name="probed", pre_handler=spy.pre("first")))
    running.register(Kprobe(symbol_name="probed", pre_handler=spy.pre("second"), post_handler=spy.post()))
    running.run(running.machine.retired + 1_000)
    assert spy.names == ["second", "first"]


def faulting() -> HandMadeKernel:
    kernel = HandMadeKernel()
    kernel.code.mov("rcx", HIDDEN).op("sti").call("probed").op("cli", "hlt")
    kernel.function("probed").op("mov (%rcx),%rax", "ret")
    return kernel


def test_a_fault_in_a_boosted_copy_is_not_put_right() -> None:
    """FLT-03: no probe is current any more; the fault's registers show the slot."""
    spy = Spy()
    running = Running(faulting().image(), ram_size=2 << 20, config=SERVER)
    probe = running.register(Kprobe(symbol_name="probed", pre_handler=spy.pre()))
    assert running.run(running.machine.retired + 2_000) is Stop.IDLE
    fault = next(event for event in running.events("trap") if event.fields["vector"] == 14)
    assert probe.ainsn is not None
    assert fault.fields["rip"] == probe.ainsn.insn
    assert not running.events("kprobe.fault")
    assert spy.names == ["pre"]


def test_a_boosted_probe_that_is_missed_does_not_become_current() -> None:
    """REE-02: its copy needs no looking after."""
    kernel = HandMadeKernel()
    kernel.code.mov("rcx", HIDDEN).call("probed").op("hlt")
    kernel.function("probed").raw("f7 31").op("ret")  # div (%rcx) cannot be boosted, so it is stepped when it faults
    running = Running(kernel.image(), ram_size=2 << 20, config=SERVER)
    outer = running.register(Kprobe(symbol_name="probed"))
    inner = running.register(Kprobe(symbol_name="fault_path"))
    running.timeline.run(stop_kinds=["kprobe.boost"])
    block = running.kprobes.ctlblk[0]
    assert inner.nmissed == 1
    assert (block.current, block.status) == (outer, KprobeStatus.HIT_SS)


# Slots


def many_nops() -> tuple[HandMadeKernel, int]:
    kernel = HandMadeKernel()
    kernel.code.op("hlt")
    kernel.function("probed").raw("90" * (SLOTS_PER_PAGE + 4)).op("ret")
    return kernel, SLOTS_PER_PAGE


def test_a_boosted_probes_slot_is_used_again_only_when_there_is_no_other() -> None:
    """REG-14: it is marked dirty and collected later."""
    kernel, page = many_nops()
    running = Running(kernel.image(), ram_size=2 << 20, config=SERVER)
    first = running.register(Kprobe(symbol_name="probed"))
    assert first.ainsn is not None
    slot = first.ainsn.insn
    running.unregister(first)
    assert running.kprobes.slots.used == 0
    slots = []
    for offset in range(page):
        probe = running.register(Kprobe(symbol_name="probed", offset=offset))
        assert probe.ainsn is not None
        slots.append(probe.ainsn.insn)
    assert slots.index(slot) == page - 1
    assert len({at & ~0xFFF for at in slots}) == 1


def test_a_slot_that_a_cpu_is_in_is_not_collected() -> None:
    """REG-14: Linux waits for RCU; here the CPUs stand still, so the slot stays taken."""
    kernel, page = many_nops()
    running = Running(kernel.image(), ram_size=2 << 20, config=SERVER)
    slots = running.kprobes.slots
    taken = [slots.get() for _ in range(page)]
    slots.free_boosted(taken[5])
    slots.free_boosted(taken[6])
    rsp = running.machine.registers()["rsp"]
    running.kernel.write(rsp & ~7, taken[5].to_bytes(8, "little"))
    assert slots.get() == taken[6]
    assert slots.get() & ~0xFFF != taken[0] & ~0xFFF


def test_the_text_has_one_int3_and_nothing_else() -> None:
    """TXT-01 as ever."""
    running = with_and_without("4801d8", config=SERVER)[2]
    assert running.kernel.read(running.symbol("probed"), 3) == bytes([INT3]) + bytes.fromhex("01d8")
