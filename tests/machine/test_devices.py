"""System calls, timers, interrupts, several CPUs, the console and hypercalls."""

import struct
from collections.abc import Generator

import pytest

from kprobesim.errors import BusError, GuestError
from kprobesim.machine import Event, GuestCall, Machine, Stop, VCpu, then
from tests.guests.board import DATA, KERNEL_CS, STACK_TOP, USER_CS, USER_DS, Guest

IF = 1 << 9
TIMER, SERIAL = 0xEC, 0x34
HC_CLOCK, HC_CPU_UP, HC_SEND_IPI, HC_POWER_OFF, HC_PANIC, HC_MARK = 1, 2, 3, 4, 5, 6


def events(machine: Machine, kind: str) -> list[Event]:
    return [event for event in machine.log if event.kind == kind]


def word(machine: Machine, address: int) -> int:
    return machine.ram.read_u64(address)


# System calls


def syscall_guest() -> Guest:
    guest = Guest()
    guest.allow_syscalls("entry", mask=IF)
    guest.to_user(rflags=IF | 3)
    guest.user.mov("rax", 42).op("syscall").label("behind").mov("rbx", 7).op("hlt")
    guest.gate(13, "back in ring 3")
    return guest


def test_syscall_saves_rip_and_rflags_in_registers_and_masks_the_flags(counting_hook: bool) -> None:
    guest = syscall_guest()
    guest.code.label("entry").op("hlt").label("back in ring 3").op("hlt")
    machine = guest.boot(counting_hook=counting_hook)
    assert machine.run(10_000) is Stop.IDLE
    registers = machine.registers()
    assert registers["rip"] == guest.address("entry") + 1
    assert registers["rcx"] == guest.address("behind")
    assert registers["r11"] == IF | 3
    assert registers["rflags"] & IF == 0
    assert (registers["cs"], registers["ss"]) == (KERNEL_CS, KERNEL_CS + 8)
    assert events(machine, "syscall")[0].fields["nr"] == 42


def test_syscall_leaves_the_stack_pointer_to_the_kernel() -> None:
    guest = syscall_guest()
    guest.code.label("entry").mov("rax", 0).op("hlt").label("back in ring 3").op("hlt")
    machine = guest.boot()
    machine.run(10_000)
    assert machine.registers()["rsp"] == 0x42000


def test_sysretq_goes_back_to_ring_3_with_the_saved_flags() -> None:
    guest = syscall_guest()
    guest.code.label("entry").op("sysretq").label("back in ring 3").op("hlt")
    machine = guest.boot()
    machine.run(10_000)
    frame = struct.unpack("<6Q", events(machine, "gate")[0].fields["frame"])
    assert frame == (0, guest.address("behind") + 10, USER_CS, IF | 3, 0x42000, USER_DS)
    assert machine.registers()["rbx"] == 7


# The timer and waiting


def timer_guest(nanoseconds: int) -> Guest:
    """Sets the timer, then counts in RBX until it fires."""
    guest = Guest()
    guest.gate(TIMER, "fired")
    guest.code.mov("rax", nanoseconds).mov("rdx", 0x600).op("sti").label("set").op("out %eax,%dx")
    guest.code.label("count").op("inc %rbx").jmp("count")
    guest.code.label("fired").op("hlt")
    return guest


@pytest.mark.parametrize("size", [1, 7, 1_000_000])
def test_the_timer_fires_by_the_instruction_clock_within_16_instructions(size: int, counting_hook: bool) -> None:
    guest = timer_guest(20_000)
    machine = guest.boot(counting_hook=counting_hook)
    machine.slice = size
    assert machine.run(10_000) is Stop.IDLE
    trap = events(machine, "trap")[0]
    start = 19  # instructions before the out
    assert start + 1000 <= trap.moment.insn <= start + 1000 + 16
    assert trap.fields["vector"] == TIMER
    assert trap.ns == trap.moment.insn * machine.ns_per_insn


def test_a_timer_of_zero_is_cancelled() -> None:
    guest = Guest()
    guest.gate(TIMER, "fired")
    guest.code.op("sti").mov("rax", 20_000).out(0x600).op("xor %eax,%eax").out(0x600)
    guest.code.label("count").jmp("count").label("fired").op("hlt")
    machine = guest.boot()
    assert machine.run(10_000) is Stop.LIMIT
    assert not events(machine, "trap")


def test_hlt_skips_to_the_timer_and_the_clock_with_it() -> None:
    guest = Guest()
    guest.gate(TIMER, "fired")
    guest.code.mov("rax", 5_000_000).out(0x600).op("sti", "hlt", "cli", "hlt")
    guest.code.label("fired").op("iretq")
    machine = guest.boot()
    assert machine.run(10_000) is Stop.IDLE
    assert machine.retired < 40
    assert 5_000_000 < machine.ns < 5_002_000
    assert events(machine, "idle")[0].fields["skipped_ns"] > 4_990_000


def test_hlt_with_interrupts_off_waits_for_nothing_a_timer_could_do() -> None:
    guest = Guest()
    guest.gate(TIMER, "fired")
    guest.code.mov("rax", 5_000).out(0x600).op("cli", "hlt").label("fired").op("hlt")
    machine = guest.boot()
    assert machine.run(10_000) is Stop.IDLE
    assert not events(machine, "trap")


@pytest.mark.parametrize("nops", range(16))
def test_no_interrupt_comes_between_sti_and_hlt(nops: int) -> None:
    """An interrupt that did would be lost to the hlt, which would wait for the next one."""
    guest = Guest()
    guest.gate(TIMER, "fired")
    guest.code.mov("rax", 20).out(0x600).op(*["nop"] * nops).op("sti", "hlt").mov("rbx", 1).op("cli", "hlt")
    guest.code.label("fired").op("iretq")
    machine = guest.boot()
    machine.run(10_000)
    assert machine.registers()["rbx"] == 1


def test_the_clock_hypercall_counts_instructions_and_waiting() -> None:
    guest = Guest()
    guest.code.hypercall(HC_CLOCK).store(DATA).op("hlt")
    machine = guest.boot(ns_per_insn=3)
    machine.run(10_000)
    assert word(machine, DATA) == 3 * (machine.retired - 3)


# Several CPUs


def two_cpus() -> Guest:
    guest = Guest()
    guest.gate(0x40, "woken")
    guest.code.hypercall(HC_CPU_UP, 1, "second", 0x1234).store(DATA)
    return guest


def test_a_further_cpu_starts_with_its_argument_and_the_callers_tables() -> None:
    guest = two_cpus()
    guest.code.op("cli", "hlt").label("second").op("hlt").label("woken").op("hlt")
    machine = guest.boot(cpus=2)
    assert machine.run(10_000) is Stop.IDLE
    second = machine.registers(1)
    assert (second["rip"], second["rdi"], second["rflags"]) == (guest.address("second") + 1, 0x1234, 2)
    assert second["cr3"] == machine.registers(0)["cr3"]
    assert word(machine, DATA) == 0


@pytest.mark.parametrize("number", [0, 2, 8, 1 << 40])
def test_a_cpu_that_is_not_there_or_running_cannot_be_started(number: int) -> None:
    guest = Guest()
    guest.code.hypercall(HC_CPU_UP, number).store(DATA).op("hlt")
    machine = guest.boot(cpus=2)
    machine.run(10_000)
    assert word(machine, DATA) == (1 << 64) - 22


def test_an_interrupt_to_another_cpu_wakes_it() -> None:
    guest = two_cpus()
    guest.code.hypercall(HC_SEND_IPI, 1, 0x40).op("cli", "hlt")
    guest.code.label("second").mov("rsp", STACK_TOP - 0x800).op("sti", "hlt").label("woken").mov("rbx", 9).op("hlt")
    machine = guest.boot(cpus=2)
    assert machine.run(10_000) is Stop.IDLE
    assert machine.registers(1)["rbx"] == 9
    assert machine.registers(0)["rbx"] == 0
    assert events(machine, "ipi")[0].fields == {"to": 1, "vector": 0x40}
    assert events(machine, "trap")[0].cpu == 1


@pytest.mark.parametrize(("cpu", "vector"), [(2, 0x40), (1, 31), (1, 256), (1 << 63, 0x40)])
def test_an_interrupt_to_nowhere_is_refused(cpu: int, vector: int) -> None:
    guest = Guest()
    guest.code.hypercall(HC_SEND_IPI, cpu, vector).store(DATA).op("hlt")
    machine = guest.boot(cpus=2)
    machine.run(10_000)
    assert word(machine, DATA) == (1 << 64) - 22


def counting_cpus(cpus: int) -> Guest:
    """Each CPU counts in RBX for ever."""
    guest = Guest()
    for number in range(1, cpus):
        guest.code.hypercall(HC_CPU_UP, number, "count")
    guest.code.label("count").op("inc %rbx").jmp("count")
    return guest


def test_cpus_take_turns_and_each_gets_its_share() -> None:
    machine = counting_cpus(4).boot(cpus=4, seed=5)
    machine.run(100_000)
    shares = [machine.registers(number)["rbx"] for number in range(4)]
    assert min(shares) > 9_000
    assert sum(shares) * 2 == pytest.approx(100_000, abs=100)


def test_turns_are_the_seeds_alone() -> None:
    def shares(seed: int) -> list[int]:
        machine = counting_cpus(3).boot(cpus=3, seed=seed)
        machine.run(50_000)
        return [machine.registers(number)["rbx"] for number in range(3)]

    assert shares(1) == shares(1)
    assert shares(1) != shares(2)


def test_a_machine_has_1_to_8_cpus() -> None:
    for cpus in (0, 9):
        with pytest.raises(ValueError, match="1 to 8"):
            Machine(cpus=cpus)


# The console


def test_what_is_printed_is_output_and_each_line_an_event(counting_hook: bool) -> None:
    guest = Guest()
    guest.code.put("Hello\nworld").op("hlt")
    machine = guest.boot(counting_hook=counting_hook)
    machine.run(10_000)
    assert machine.devices.output == b"Hello\nworld"
    assert [event.fields["text"] for event in events(machine, "console")] == ["Hello\n"]


def test_typed_bytes_raise_an_interrupt_and_are_read_one_by_one() -> None:
    guest = Guest()
    guest.gate(SERIAL, "typed")
    guest.code.mov("rdx", 0x3FD).op("in %dx,%al").store(DATA).op("sti", "hlt")
    guest.code.label("typed").op("in %dx,%al").store(DATA + 8)
    for place in range(3):
        guest.code.mov("rdx", 0x3F8).op("xor %eax,%eax", "in %dx,%al").store(DATA + 16 + 8 * place)
    guest.code.op("hlt")
    machine = guest.boot()
    assert machine.run(10_000) is Stop.IDLE
    machine.devices.type(b"ab")
    assert machine.run(20_000) is Stop.IDLE
    assert machine.ram.read(DATA, 1) == b"\x20"
    assert machine.ram.read(DATA + 8, 1) == b"\x21"
    assert [word(machine, DATA + 16 + 8 * place) for place in range(3)] == [ord("a"), ord("b"), 0]


def test_a_terminal_shows_what_is_typed_where_it_was_typed() -> None:
    guest = Guest()
    guest.gate(SERIAL, "typed")
    guest.code.op("sti", "hlt")
    guest.code.label("typed").put("out\n").op("sti", "hlt")
    machine = guest.boot()
    machine.run(10_000)
    before = machine.devices.save()
    machine.devices.type(b"one\n")
    machine.run(20_000)
    machine.devices.type(b"two\n")
    machine.devices.type(b"\x03")
    machine.run(30_000)
    assert machine.devices.terminal(1000) == b"$ one\nout\n$ two\n$ ^C\nout\n"
    assert machine.devices.terminal(5) == b"\n$ two\n$ ^C\nout\n"
    machine.devices.restore(before)
    assert machine.devices.terminal(1000) == b""


def test_what_is_typed_in_the_middle_of_a_line_goes_on_with_it() -> None:
    guest = Guest()
    guest.code.put("name: ").op("hlt")
    machine = guest.boot()
    machine.run(10_000)
    machine.devices.type(b"tux\n")
    assert machine.devices.terminal(1000) == b"name: tux\n"


def test_an_unknown_port_reads_as_ones_and_swallows_what_is_written() -> None:
    guest = Guest()
    guest.code.mov("rax", 5).out(0x1234).op("in %dx,%al").store(DATA).op("hlt")
    machine = guest.boot()
    machine.run(10_000)
    assert machine.ram.read(DATA, 1) == b"\xff"


# Hypercalls


def test_a_hypercall_reaches_the_hosts_function_and_leaves_other_registers_alone() -> None:
    guest = Guest()
    guest.code.mov("r10", 99).mov("rbx", 5).hypercall(20, 1, 2, 3).op("hlt")
    machine = guest.boot()
    seen = []
    machine.devices.hypercalls[20] = lambda cpu, *args: seen.append((cpu.number, *args)) or 77  # type: ignore[func-returns-value]
    machine.run(10_000)
    registers = machine.registers()
    assert seen == [(0, 1, 2, 3)]
    assert (registers["rax"], registers["r10"], registers["rbx"], registers["rdi"]) == (77, 0, 5, 1)


def test_a_function_of_the_host_may_have_the_guest_run_something_before_it_answers() -> None:
    guest = Guest()
    guest.code.mov("rdi", 5).mov("rbx", 11).call("stub").op("hlt").stub("stub", 20)
    guest.code.label("triple").raw("488d047f c3")
    machine = guest.boot()
    seen: list[tuple[int, bool]] = []

    def host(cpu: VCpu, amount: int, _: int, __: int) -> Generator[GuestCall, int, int]:
        for _ in range(3):
            amount = yield GuestCall(guest.address("triple"), (amount,))
            seen.append((amount, machine.suspended))
        return amount

    machine.devices.hypercalls[20] = host
    assert machine.run(10_000) is Stop.IDLE
    assert seen == [(15, True), (45, True), (135, True)]
    registers = machine.registers()
    assert (registers["rax"], registers["rbx"], registers["r10"]) == (135, 11, 0)
    assert not machine.suspended


def test_an_answer_by_way_of_the_guest_can_be_gone_on_with() -> None:
    assert then(3, lambda told: told + 1) == 4

    def later() -> Generator[GuestCall, int, int]:
        return (yield GuestCall(0x1000, (7,)))

    answer = then(later(), lambda told: then(later(), lambda again: told + again))
    assert not isinstance(answer, int)
    assert next(answer) == GuestCall(0x1000, (7,))
    assert answer.send(30) == GuestCall(0x1000, (7,))
    with pytest.raises(StopIteration) as done:
        answer.send(12)
    assert done.value.value == 42


def test_a_resume_that_nobody_waits_for_stops_the_machine_with_a_report() -> None:
    guest = Guest()
    guest.code.hypercall(0).op("hlt")
    with pytest.raises(GuestError, match="hypercall 0"):
        guest.boot().run(10_000)


def test_an_unknown_hypercall_stops_the_machine_with_a_report() -> None:
    guest = Guest()
    guest.code.hypercall(999)
    machine = guest.boot()
    with pytest.raises(GuestError, match="hypercall 999") as caught:
        machine.run(10_000)
    assert "rip" in caught.value.report
    with pytest.raises(GuestError, match="hypercall 999"):
        machine.run(20_000)


def test_a_mark_becomes_an_event_and_an_unknown_one_does_not() -> None:
    guest = Guest()
    guest.code.hypercall(HC_MARK, 5).hypercall(HC_MARK, 1, 0x10, 0x20).hypercall(HC_MARK, 77).op("hlt")
    machine = guest.boot()
    machine.run(10_000)
    assert [(event.kind, event.fields) for event in machine.log] == [
        ("boot.done", {}),
        ("sched.switch", {"prev": 0x10, "next": 0x20}),
    ]


def test_power_off_stops_after_the_instruction_with_the_exit_code() -> None:
    guest = Guest()
    guest.code.hypercall(HC_POWER_OFF, 3).op("inc %rbx", "hlt")
    machine = guest.boot()
    assert machine.run(10_000) is Stop.OFF
    assert (machine.off, machine.registers()["rbx"]) == (3, 0)
    assert machine.run(20_000) is Stop.OFF


def test_a_panic_stops_the_machine_with_the_kernels_words() -> None:
    guest = Guest()
    guest.code.hypercall(HC_PANIC, "words").label("words").raw(b"out of tea\0".hex())
    machine = guest.boot()
    with pytest.raises(GuestError, match="panicked: out of tea"):
        machine.run(10_000)
    assert events(machine, "panic")[0].fields["message"] == "out of tea"


@pytest.mark.parametrize("address", [1 << 62, DATA + 0x2000, (1 << 64) - 1])
def test_a_panic_message_that_is_not_there_is_empty(address: int) -> None:
    guest = Guest()
    guest.page(DATA + 0x2000, 0)
    guest.code.hypercall(HC_PANIC, address)
    with pytest.raises(GuestError, match="panicked"):
        guest.boot().run(10_000)


def test_an_endless_panic_message_is_cut() -> None:
    guest = Guest()
    guest.code.mov("rdi", DATA).mov("rcx", 0x1000).mov("rax", ord("x")).op("rep stosb").hypercall(HC_PANIC, DATA)
    machine = guest.boot()
    with pytest.raises(GuestError):
        machine.run(10_000)
    assert events(machine, "panic")[0].fields["message"] == "x" * 256


def test_a_physical_address_outside_ram_is_a_bus_error_with_a_report() -> None:
    guest = Guest()
    guest.page(DATA, 0x4000_0000 | 3)
    guest.code.mov("rcx", DATA).op("mov (%rcx),%rax")
    machine = guest.boot()
    with pytest.raises(BusError, match="vCPU 0") as caught:
        machine.run(10_000)
    assert "0000000000050000" in caught.value.report
    assert machine.failure is caught.value
