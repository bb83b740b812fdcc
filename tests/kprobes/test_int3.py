"""The hit path: trap, handlers, the step in the slot, and the way back; reentry and faults on the way."""

from collections.abc import Callable

import pytest

from kprobesim.errors import GuestError
from kprobesim.kprobes import INT3, PT_REGS_FIELDS, Kprobe, KprobeStatus, PtRegs
from kprobesim.machine import Moment, Stop
from tests.guests.board import STACK_TOP
from tests.guests.code import REGISTERS
from tests.guests.kernel import HIDDEN, HandMadeKernel
from tests.kprobes.running import Running, Spy

IF, CF, ZF = 1 << 9, 1 << 0, 1 << 6
HARDIRQ_OFFSET, NMI_OFFSET, NMI_MASK = 0x10000, 0x100000, 0xF00000
HIT = ["kprobe.hit", "kprobe.pre_handler", "kprobe.singlestep", "kprobe.resume", "kprobe.post_handler"]


def reading_hidden() -> HandMadeKernel:
    """``probed`` reads a page that comes when it is asked for; ``fault_path`` runs in between."""
    kernel = HandMadeKernel()
    kernel.code.mov("rcx", HIDDEN).op("sti").call("probed").op("cli", "hlt")
    kernel.function("probed").op("mov (%rcx),%rax", "ret")
    return kernel


def run(kernel: HandMadeKernel, *probes: Kprobe) -> Running:
    running = Running(kernel.image(), ram_size=2 << 20)
    for probe in probes:
        running.register(probe)
    assert running.run(running.machine.retired + 2_000) is Stop.IDLE
    return running


# The hit


def test_the_handler_sees_the_interrupted_registers_with_ip_behind_the_int3(tiny: Running) -> None:
    """INT-01, INT-06, INT-15: in memory order of struct pt_regs; interrupts are off meanwhile."""
    spy = Spy()
    tiny.register(Kprobe(symbol_name="tiny_add", pre_handler=spy.pre()))
    tiny.timeline.run(stop_kinds=["trap"])
    cpu = tiny.machine.registers()
    tiny.timeline.run(stop_kinds=["kprobe.hit"])
    assert not tiny.machine.registers()["rflags"] & IF
    tiny.timeline.run(stop_kinds=["kprobe.pre_handler"])
    regs = spy.calls[-1][1]
    assert list(regs) == list(PT_REGS_FIELDS)
    names = {"ip": "rip", "sp": "rsp", "flags": "rflags", "cs": "cs", "ss": "ss"}
    for name in PT_REGS_FIELDS:
        if name != "orig_ax":
            assert regs[name] == cpu[names.get(name, name if name[1:].isdigit() else f"r{name}")]
    assert regs["ip"] == tiny.symbol("tiny_add") + 1
    assert regs["orig_ax"] == (1 << 64) - 1


def test_a_stepped_hit_goes_from_the_text_to_the_slot_and_back(tiny: Running) -> None:
    """INT-07 (d), INT-08, INT-10: two traps, one instruction in between, post_handler with ip behind it."""
    spy = Spy()
    probe = tiny.register(Kprobe(symbol_name="tiny_add", offset=1, pre_handler=spy.pre(), post_handler=spy.post()))
    assert probe.ainsn and probe.addr
    tiny.run()
    first = tiny.events("trap", *HIT)[:7]
    assert [event.kind for event in first] == ["trap", *HIT[:3], "trap", *HIT[3:]]
    slot = probe.ainsn.insn
    assert [event.fields["rip"] for event in first if event.kind == "trap"] == [probe.addr + 1, slot + 3 + 1]
    in_slot = first[4].moment.insn
    tiny.timeline.seek(Moment(in_slot - 1))
    assert tiny.machine.registers()["rip"] == slot
    assert not tiny.machine.registers()["rflags"] & IF
    tiny.timeline.seek(Moment(in_slot))
    assert tiny.machine.registers()["rip"] == slot + 3
    assert spy.names[:2] == ["pre", "post"]
    assert spy.calls[1][1]["ip"] == probe.addr + 3


def test_the_text_stays_patched_all_the_time(tiny: Running) -> None:
    probe = tiny.register(Kprobe(symbol_name="tiny_add"))
    while tiny.timeline.run(200, stop_kinds=["trap", *HIT]) is Stop.MOMENT:
        assert tiny.byte(probe.addr or 0) == INT3


def test_an_emulated_hit_takes_one_trap_and_no_slot(tiny: Running) -> None:
    """INT-07 (c), INT-10: post_handler sees where the function goes on."""
    spy = Spy()
    tiny.register(Kprobe(symbol_name="tiny_add", offset=9, post_handler=spy.post()))
    tiny.run()
    kinds = [event.kind for event in tiny.events("trap", "kprobe.emulate", "kprobe.resume")]
    assert kinds[:2] == ["trap", "kprobe.emulate"]
    assert "kprobe.resume" not in kinds
    assert spy.calls[0][1]["ip"] == tiny.events("kprobe.emulate")[0].fields["ip"]


def test_the_state_of_a_hit_is_active_stepping_done_and_none(tiny: Running) -> None:
    """INT-06, INT-07, INT-10."""
    block = tiny.kprobes.ctlblk[0]
    seen: list[tuple[KprobeStatus, bool]] = []

    def note(*_: object) -> int:
        seen.append((block.status, block.current is probe))
        return 0

    def note_after(*_: object) -> None:
        note()

    probe = Kprobe(symbol_name="tiny_add", pre_handler=note, post_handler=note_after)
    tiny.register(probe)
    tiny.timeline.run(stop_kinds=["kprobe.singlestep"])
    assert (block.status, block.current) == (KprobeStatus.HIT_SS, probe)
    tiny.timeline.run(stop_kinds=["kprobe.post_handler"])
    assert seen[0] == (KprobeStatus.HIT_ACTIVE, True)
    assert seen[-1] == (KprobeStatus.HIT_SSDONE, True)
    tiny.timeline.seek(Moment(tiny.machine.moment.insn + 1))
    assert (block.status, block.current) == (KprobeStatus.NONE, None)


def test_a_non_zero_answer_leaves_ip_to_the_handler(tiny: Running) -> None:
    """INT-06: the function is skipped, nothing is stepped and no post_handler runs."""
    spy = Spy()

    def skip(_: Kprobe, regs: PtRegs) -> int:
        regs.ip = tiny.word(regs.sp)
        regs.sp += 8
        regs.ax = ord("x")
        return 1

    tiny.register(Kprobe(symbol_name="tiny_add", pre_handler=skip, post_handler=spy.post()))
    tiny.run()
    assert tiny.console() == "x" * 10 + "\n"
    assert not spy.calls
    assert "kprobe.singlestep" not in tiny.kinds()


def test_a_handlers_change_of_a_register_takes_effect(tiny: Running) -> None:
    """INT-13: the argument is another one for the function."""
    tiny.register(Kprobe(symbol_name="tiny_add", pre_handler=Spy().pre(di=ord("A"))))
    tiny.run()
    assert tiny.console() == "ABCDEFGHIJ\n"


def test_a_handlers_change_of_the_stack_pointer_takes_effect() -> None:
    """INT-13: also of sp."""
    kernel = HandMadeKernel()
    kernel.code.mov("rsp", STACK_TOP).label("hit").op("nop").op("hlt")
    kernel.function("other").op("ret")
    running = Running(kernel.image(), ram_size=2 << 20)
    address = kernel.code.labels["hit"]
    running.register(Kprobe(address=address, pre_handler=Spy().pre(sp=STACK_TOP - 64)))
    running.run(running.machine.retired + 1_000)
    assert running.machine.registers()["rsp"] == STACK_TOP - 64


def test_a_change_of_ip_is_lost_when_the_instruction_is_stepped(tiny: Running) -> None:
    """INT-13: the first of two sub-tests."""
    tiny.register(Kprobe(symbol_name="tiny_add", pre_handler=Spy().pre(ip=0x1234)))
    tiny.run()
    assert tiny.console() == "0123456789\n"


def test_a_change_of_ip_shifts_the_result_when_the_instruction_is_emulated() -> None:
    """INT-13: the second; emulators compute from regs->ip."""
    kernel = HandMadeKernel()
    kernel.code.jmp("probed")
    kernel.function("probed").raw("eb10").raw("f4" * 64)
    running = Running(kernel.image(), ram_size=2 << 20)
    probed = running.symbol("probed")

    def shift(_: Kprobe, regs: PtRegs) -> int:
        regs.ip += 4
        return 0

    running.register(Kprobe(symbol_name="probed", pre_handler=shift))
    running.run(running.machine.retired + 1_000)
    assert running.machine.registers()["rip"] == probed + 2 + 0x10 + 4 + 1


@pytest.mark.parametrize("interrupts", ["sti", "cli"])
def test_the_interrupt_flag_comes_back_as_it_was(interrupts: str) -> None:
    """INT-09, INT-11: never set if it was clear; other flags are the instruction's."""
    kernel = HandMadeKernel()
    kernel.code.op(interrupts).mov("rax", (1 << 64) - 1).jmp("probed")
    kernel.function("probed").op("inc %rax").op("hlt")
    running = run(kernel, Kprobe(symbol_name="probed"))
    flags = running.machine.registers()["rflags"]
    assert bool(flags & IF) == (interrupts == "sti")
    assert flags & ZF
    assert running.events("kprobe.singlestep")[0].fields["saved_if"] == (interrupts == "sti")


def test_the_frame_that_iretq_takes_lies_below_a_gap_of_six_words(tiny: Running) -> None:
    """INT-02: the copy of the frame is the end of pt_regs, the CPU's own is six words above."""
    seen: list[int] = []

    def note(_: Kprobe, regs: PtRegs) -> int:
        seen.append(regs.address)
        return 0

    tiny.register(Kprobe(symbol_name="tiny_add", pre_handler=note))
    tiny.timeline.run(stop_kinds=["gate"])
    frame = tiny.machine.log[tiny.machine.seq - 1].fields["rsp"]
    tiny.timeline.run(stop_kinds=["kprobe.pre_handler"])
    assert seen[0] + 8 * PT_REGS_FIELDS.index("ip") == frame - 48
    assert tiny.kernel.read(frame, 40) == tiny.kernel.read(frame - 48, 40)


# What is not a probe's


def test_an_int3_that_no_probe_has_put_there_is_the_kernels_death() -> None:
    """INT-04."""
    kernel = HandMadeKernel()
    kernel.code.op("int3")
    with pytest.raises(GuestError, match="panicked: int3"):
        run(kernel)


def test_an_int3_in_ring_3_is_not_for_kprobes(tiny: Running) -> None:
    """INT-05: even at a probe's address."""
    probe = tiny.register(Kprobe(symbol_name="tiny_add"))
    address = 0xFFFF_8880_0000_0000 + tiny.machine.ram.size - 0x1000
    regs = PtRegs(tiny.machine.ram, tiny.kernel.root, address, 0)
    regs.cs, regs.ip = 0x33, (probe.addr or 0) + 1
    cpu = tiny.machine.cpus[0]
    cpu.call_arguments()
    assert tiny.manager.int3.kprobe_int3_handler(cpu, address, 0, 0) == 0
    regs.cs = 0x10
    assert tiny.manager.int3.kprobe_int3_handler(cpu, address, 0, 0) == 1


def test_a_probe_that_another_cpu_removed_meanwhile_is_no_probe_and_counts_nothing(tiny: Running) -> None:
    """INT-16: the trap is taken, the byte is put back before it is looked up: the real instruction runs."""
    spy = Spy()
    probe = tiny.register(Kprobe(symbol_name="tiny_add", pre_handler=spy.pre()))
    tiny.timeline.run(stop_kinds=["gate"])
    tiny.unregister(probe)
    tiny.run()
    assert [event.fields["addr"] for event in tiny.events("kprobe.removed")] == [tiny.symbol("tiny_add")]
    assert tiny.console() == "0123456789\n"
    assert not spy.calls
    assert probe.nmissed == 0


# Faults and reentry


def test_a_fault_in_the_slot_is_the_original_instructions_and_the_probe_is_hit_again() -> None:
    """FLT-01: ip is put back and IF too; one architectural effect, two hits, no post_handler for the first."""
    spy = Spy()
    running = run(reading_hidden(), Kprobe(symbol_name="probed", pre_handler=spy.pre(), post_handler=spy.post()))
    assert spy.names == ["pre", "pre", "post"]
    fault = running.events("kprobe.fault")[0]
    assert (fault.fields["symbol"], fault.fields["trapnr"]) == ("probed", 14)
    assert running.machine.registers()["rip"] > 0
    assert running.kprobes.ctlblk[0].current is None


def test_after_a_fault_in_the_slot_the_handler_is_given_the_original_place() -> None:
    """FLT-01: whoever looks at the registers of the fault sees A, not the slot, and IF as it was."""
    running = Running(reading_hidden().image(), ram_size=2 << 20)
    running.register(Kprobe(symbol_name="probed"))
    running.timeline.run(stop_kinds=["kprobe.fault"])
    arguments = running.machine.registers()
    regs = PtRegs(running.machine.ram, running.kernel.root, arguments["rdi"], 0)
    assert regs.ip == running.symbol("probed")
    assert regs.flags & IF


def test_a_fault_of_the_handler_itself_is_not_touched() -> None:
    """FLT-02: ip is neither the probe's copy nor changed; whether it is forgiven is for the exception table to say."""
    running = Running(reading_hidden().image(), ram_size=2 << 20)
    probe = running.register(Kprobe(symbol_name="probed"))
    running.timeline.run(stop_kinds=["kprobe.hit"])
    cpu, address = running.machine.cpus[0], running.machine.registers()["rdi"]
    regs = PtRegs(running.machine.ram, running.kernel.root, address, 0)
    before, elsewhere = dict(regs.items()), running.symbol("fault_path")
    regs.ip = elsewhere
    cpu.call_arguments()
    assert running.manager.int3.kprobe_fault_handler(cpu, address, 14, 0) == 0
    assert dict(regs.items()) == before | {"ip": elsewhere}
    assert running.kprobes.ctlblk[0].current is probe
    assert not running.events("kprobe.fault")


def test_a_handler_that_touches_nothing_mapped_is_the_end_of_the_kernel_with_a_report(tiny: Running) -> None:
    """FLT-02: there is no fault handler of the probe's own to turn to."""
    tiny.register(Kprobe(symbol_name="tiny_add", pre_handler=lambda _, regs: regs.ram.read(1 << 40, 8)[0]))
    with pytest.raises(GuestError, match="led astray") as failure:
        tiny.run()
    assert "rip" in failure.value.report


def test_a_probe_in_the_fault_path_is_missed_but_its_instruction_runs() -> None:
    """REE-01, REE-02: the probed instruction faults in its slot; what then hits a probe is reentered and missed."""
    spy = Spy()
    inner = [
        Kprobe(symbol_name="fault_path", pre_handler=spy.pre("missed"), post_handler=spy.post("missed")),
        Kprobe(symbol_name="fault_path", offset=1, pre_handler=spy.pre("missed")),
        Kprobe(symbol_name="fault_path", offset=4, pre_handler=spy.pre("missed")),
    ]
    running = run(reading_hidden(), Kprobe(symbol_name="probed", pre_handler=spy.pre()), *inner)
    assert spy.names == ["pre", "pre"]
    assert [probe.nmissed for probe in inner] == [1, 1, 1]
    misses = [event.fields["nmissed"] for event in running.events("kprobe.miss")]
    assert misses == [1, 1, 1]
    steps = [event.fields["symbol"] for event in running.events("kprobe.singlestep")]
    assert steps == ["probed", "fault_path", "fault_path", "probed"]
    assert running.events("kprobe.emulate")[0].fields["symbol"] == "fault_path"


def test_while_a_reentered_probe_is_stepped_it_is_current_and_the_outer_one_is_kept() -> None:
    """REE-01, REE-02, INT-10: status REENTER, then the outer probe's state again."""
    running = Running(reading_hidden().image(), ram_size=2 << 20)
    outer = running.register(Kprobe(symbol_name="probed"))
    inner = running.register(Kprobe(symbol_name="fault_path"))
    block = running.kprobes.ctlblk[0]
    running.timeline.run(stop_kinds=["kprobe.miss"])
    running.timeline.run(stop_kinds=["kprobe.singlestep"])
    assert (block.current, block.status) == (inner, KprobeStatus.REENTER)
    assert block.previous[:2] == (outer, KprobeStatus.HIT_SS)
    running.timeline.run(stop_kinds=["kprobe.resume"])
    running.timeline.seek(Moment(running.machine.moment.insn + 1))
    assert (block.current, block.status) == (outer, KprobeStatus.HIT_SS)


def test_a_miss_counts_for_every_probe_at_the_address() -> None:
    """AGG-05."""
    inner = [Kprobe(symbol_name="fault_path") for _ in range(3)]
    run(reading_hidden(), Kprobe(symbol_name="probed"), *inner)
    assert [probe.nmissed for probe in inner] == [1, 1, 1]


def test_a_third_level_is_unrecoverable() -> None:
    """REE-03: the fault path of a reentered probe's own step hits a probe."""
    kernel = HandMadeKernel()
    kernel.code.mov("rcx", HIDDEN).call("probed")
    kernel.function("probed").op("mov (%rcx),%rax", "ret")
    kernel.read_in_fault_path = True
    running = Running(kernel.image(), ram_size=2 << 20)
    running.register(Kprobe(symbol_name="probed"))
    running.register(Kprobe(symbol_name="fault_path", offset=1))
    with pytest.raises(GuestError, match="Unrecoverable kprobe detected"):
        running.run(running.machine.retired + 2_000)


def test_ten_missed_probes_one_after_the_other_are_no_third_level() -> None:
    """REE-04: each completes its step before the next."""
    kernel = reading_hidden()
    kernel.fault_path_nops = 10
    inner = [Kprobe(symbol_name="fault_path", offset=offset) for offset in range(10)]
    run(kernel, Kprobe(symbol_name="probed"), *inner)
    assert [probe.nmissed for probe in inner] == [1] * 10


def inner_hits(running: Running) -> int:
    return sum(event.fields["symbol"] == "handle_mm_fault" for event in running.events("kprobe.hit"))


def test_toyix_brings_in_a_page_for_a_probed_copy_and_hits_the_probe_again(toyix: Running) -> None:
    """FLT-01 in a real fault path: by the time it brings the page in, no probe is being handled any more."""
    toyix.timeline.input("type", lambda: toyix.machine.devices.type(b"cat /etc/motd\n"))
    copy = toyix.symbol("copy_user_generic")
    offset = toyix.kernel.read(copy, 64).index(b"\xf3\x48\xa5")
    spy = Spy()
    toyix.register(Kprobe(symbol_name="copy_user_generic", offset=offset, pre_handler=spy.pre()))
    inner = toyix.register(Kprobe(symbol_name="handle_mm_fault"))
    toyix.run()
    faults = toyix.events("kprobe.fault")
    assert faults
    assert {event.fields["symbol"] for event in faults} == {"copy_user_generic"}
    hits = [event for event in toyix.events("kprobe.hit") if event.fields["symbol"] == "copy_user_generic"]
    assert len(hits) == len(toyix.events("kprobe.resume")) - inner_hits(toyix) + len(faults)
    assert inner.nmissed == 0


def test_a_handler_runs_as_if_in_an_nmi_with_interrupts_off(toyix: Running) -> None:
    """INT-03, INT-15: __preempt_count has the offsets of an NMI and of a hard interrupt while the handler runs."""
    toyix.timeline.input("type", lambda: toyix.machine.devices.type(b"cat /etc/motd\n"))
    place = toyix.kernel.percpu_address("__preempt_count", 0) & (1 << 64) - 1
    toyix.register(Kprobe(symbol_name="vfs_read"))
    toyix.timeline.run(stop_kinds=["trap"])
    while toyix.machine.log[toyix.machine.seq - 1].fields["vector"] != 3:
        toyix.timeline.run(stop_kinds=["trap"])
    before = toyix.word(place) & 0xFFFF_FFFF
    toyix.timeline.run(stop_kinds=["kprobe.hit"])
    assert (toyix.word(place) & 0xFFFF_FFFF) - before == NMI_OFFSET + HARDIRQ_OFFSET
    assert not toyix.machine.registers()["rflags"] & IF
    toyix.timeline.run(stop_kinds=["kprobe.resume"])
    toyix.timeline.seek(Moment(toyix.machine.moment.insn + 200))
    assert toyix.word(place) & NMI_MASK == 0


def test_a_probe_has_a_pre_and_a_post_handler_and_no_others() -> None:
    """INT-14: neither a fault_handler nor a jprobe's break_handler."""
    assert {name for name in vars(Kprobe()) if name.endswith("handler")} == {"pre_handler", "post_handler"}


def test_the_guests_current_kprobe_says_when_the_fault_path_is_to_ask(toyix: Running) -> None:
    """FLT-01: the guest's per-CPU variable follows the host's."""
    toyix.timeline.input("type", lambda: toyix.machine.devices.type(b"cat /etc/motd\n"))
    probe = toyix.register(Kprobe(symbol_name="vfs_read"))
    place = toyix.kernel.percpu_address("current_kprobe", 0) & (1 << 64) - 1
    toyix.timeline.run(stop_kinds=["kprobe.hit"])
    assert toyix.word(place) == probe.addr
    toyix.timeline.run(stop_kinds=["kprobe.resume"])
    toyix.timeline.seek(Moment(toyix.machine.moment.insn + 1))
    assert toyix.word(place) == 0


# The state goes back with time


def test_every_event_of_a_hit_can_be_gone_back_to_with_the_managers_state() -> None:
    kernel = reading_hidden()
    running = Running(kernel.image(), ram_size=2 << 20)
    running.register(Kprobe(symbol_name="probed"))
    running.register(Kprobe(symbol_name="fault_path"))
    states = {}
    while (
        running.timeline.run(stop_kinds=["kprobe.hit", "kprobe.singlestep", "kprobe.fault", "kprobe.miss"])
        is Stop.MOMENT
    ):
        states[running.machine.moment] = (running.manager.save(), running.machine.registers())
    assert len(states) > 6
    for moment, state in reversed(states.items()):
        running.timeline.seek(moment)
        assert (running.manager.save(), running.machine.registers()) == state


def test_registers_by_number_are_those_of_the_instruction_encoding(tiny: Running) -> None:
    values: list[list[int]] = []

    def note(_: Kprobe, regs: PtRegs) -> int:
        values.append([regs.register(number) for number in range(16)])
        return 0

    tiny.register(Kprobe(symbol_name="tiny_add", pre_handler=note))
    tiny.timeline.run(stop_kinds=["trap"])
    cpu = tiny.machine.registers()
    tiny.timeline.run(stop_kinds=["kprobe.pre_handler"])
    assert values[0] == [cpu[name] for name in REGISTERS]


# Removal in the middle


@pytest.mark.parametrize("together", [1, 2])
def test_a_probe_that_is_removed_while_its_copy_runs_lets_it_finish(tiny: Running, together: int) -> None:
    """REG-23: no handler any more, and the slot is free only when the CPU has left it."""
    spy = Spy()
    probes = [
        tiny.register(Kprobe(symbol_name="tiny_add", pre_handler=spy.pre(), post_handler=spy.post()))
        for _ in range(together)
    ]
    tiny.timeline.run(stop_kinds=["kprobe.singlestep"])
    tiny.unregister(*probes)
    seen = len(spy.calls)
    assert tiny.kprobes.slots.used == 1
    tiny.timeline.run(tiny.machine.retired + 100)
    assert tiny.kprobes.slots.used == 0
    tiny.run()
    assert tiny.console() == "0123456789\n"
    assert len(spy.calls) == seen


def test_going_back_before_a_removal_in_the_middle_brings_the_probe_back(tiny: Running) -> None:
    spy = Spy()
    probe = tiny.register(Kprobe(symbol_name="tiny_add", post_handler=spy.post()))
    tiny.timeline.run(stop_kinds=["kprobe.singlestep"])
    place = tiny.machine.moment
    tiny.unregister(probe)
    tiny.run()
    assert not spy.calls
    tiny.timeline.seek(place)
    assert tiny.kprobes.ctlblk[0].current is probe
    assert list(tiny.kprobes) == [probe]


def test_the_race_with_a_removal_on_another_cpu_is_harmless(boot_toyix: Callable[..., Running]) -> None:
    """INT-16 with two CPUs: CPU 1 has taken the trap when the probe goes."""
    spy = Spy()
    running = boot_toyix(cpus=2, commands=["cat /etc/hostname"])
    probe = running.register(Kprobe(symbol_name="schedule", pre_handler=spy.pre()))
    while running.timeline.run(stop_kinds=["gate"]) is Stop.MOMENT:
        event = running.machine.log[running.machine.seq - 1]
        if event.cpu == 1 and event.fields["vector"] == 3 and not running.kprobes.ctlblk[1].current:
            break
    running.unregister(probe)
    seen = len(spy.calls)
    running.run()
    assert [event.cpu for event in running.events("kprobe.removed")] == [1]
    assert running.console().endswith("toyix\n")
    assert (len(spy.calls), probe.nmissed) == (seen, 0)
