"""Traps go through the guest's own IDT, with the architecture's frame on the guest's own stack."""

import struct

import pytest

from kprobesim.errors import TripleFault
from kprobesim.machine import Event, Machine, Stop
from kprobesim.machine.traps import escalate
from tests.guests.board import (
    DATA,
    IST_TOP,
    KERNEL_CS,
    KERNEL_DS,
    RSP0,
    STACK_TOP,
    USER_CODE,
    USER_CS,
    USER_DS,
    USER_STACK_TOP,
    Guest,
)

IF, TF, ALWAYS = 1 << 9, 1 << 8, 2
READ_ONLY, NO_EXECUTE, HIDDEN = DATA, DATA + 0x1000, DATA + 0x2000


@pytest.fixture
def guest() -> Guest:
    """Handlers that wait with interrupts off; a page that is read-only, one without code, one that is not there."""
    guest = Guest()
    for vector in (0, 6, 8, 13, 14, 0x40):
        guest.gate(vector, f"handler {vector}")
    guest.page(READ_ONLY, READ_ONLY | 1)
    guest.page(NO_EXECUTE, NO_EXECUTE | 3 | 1 << 63)
    guest.page(HIDDEN, 0)
    return guest


def boot(guest: Guest, **machine: object) -> Machine:
    for vector in (0, 6, 8, 13, 14, 0x40):
        guest.code.label(f"handler {vector}").op("hlt")
    return guest.boot(**machine)


def run(guest: Guest) -> Machine:
    """Until a handler waits."""
    machine = boot(guest)
    assert machine.run(100_000) is Stop.IDLE
    return machine


def gates(machine: Machine) -> list[Event]:
    return [event for event in machine.log if event.kind == "gate"]


def words(frame: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(frame) // 8}Q", frame)


def test_a_software_interrupt_pushes_five_words_below_the_aligned_stack_pointer(guest: Guest) -> None:
    guest.code.mov("rsp", STACK_TOP - 24).op("sti").interrupt(0x40).label("behind")
    machine = run(guest)
    rsp = machine.registers()["rsp"]
    assert rsp == STACK_TOP - 32 - 40
    frame = words(machine.ram.read(rsp, 40))
    assert frame == (guest.address("behind"), KERNEL_CS, IF | ALWAYS, STACK_TOP - 24, KERNEL_DS)
    assert words(gates(machine)[0].fields["frame"]) == frame


def test_an_interrupt_gate_clears_the_interrupt_flag(guest: Guest) -> None:
    guest.code.op("sti").interrupt(0x40)
    assert run(guest).registers()["rflags"] == ALWAYS


def test_a_trap_gate_keeps_the_interrupt_flag(guest: Guest) -> None:
    guest.gate(0x40, "handler 64", trap=True)
    guest.code.op("sti").interrupt(0x40)
    assert run(guest).registers()["rflags"] == IF | ALWAYS


def test_every_gate_clears_the_trap_flag_but_the_frame_keeps_it(guest: Guest) -> None:
    guest.code.mov("rax", TF | ALWAYS).push("rax").op("popf").interrupt(0x40)
    machine = boot(guest)
    machine.run(100_000, stop_kinds=frozenset({"gate"}))
    event = gates(machine)[0]
    assert words(event.fields["frame"])[2] & TF
    assert not machine.registers()["rflags"] & TF


def test_iretq_takes_everything_back_from_the_frame(guest: Guest) -> None:
    guest.gate(0x40, "there and back")
    guest.code.op("sti").mov("rax", 7).interrupt(0x40).label("behind").op("cli", "hlt")
    guest.code.label("there and back").op("inc %rax", "iretq")
    registers = run(guest).registers()
    assert (registers["rax"], registers["rip"], registers["rsp"]) == (8, guest.address("behind") + 2, STACK_TOP)


def test_an_invalid_opcode_is_saved_with_its_own_address(guest: Guest) -> None:
    guest.code.label("bad").op("ud2")
    machine = run(guest)
    assert words(gates(machine)[0].fields["frame"])[0] == guest.address("bad")
    assert gates(machine)[0].fields["vector"] == 6


def test_what_64_bit_mode_has_no_instruction_for_is_an_invalid_opcode(guest: Guest) -> None:
    guest.code.raw("06")  # push %es
    assert gates(run(guest))[0].fields["vector"] == 6


def test_a_division_by_zero_is_vector_0_also_as_the_first_exception_of_all(guest: Guest) -> None:
    guest.code.mov("rcx", 0).label("bad").op("div %rcx")
    machine = run(guest)
    assert gates(machine)[0].fields["vector"] == 0
    assert words(gates(machine)[0].fields["frame"])[0] == guest.address("bad")


READ, WRITE, JUMP = "mov (%rcx),%rax", "mov %rax,(%rcx)", "jmp *%rax"


@pytest.mark.parametrize(
    ("instruction", "address", "code"),
    [
        (READ, HIDDEN, 0),
        (WRITE, HIDDEN, 2),
        (WRITE, READ_ONLY, 3),
        (JUMP, HIDDEN, 16),
        (JUMP, NO_EXECUTE, 17),
    ],
)
def test_a_page_fault_pushes_its_error_code_and_sets_cr2(
    guest: Guest, instruction: str, address: int, code: int
) -> None:
    guest.code.mov("rcx", address).mov("rax", address).label("bad").op(instruction)
    machine = run(guest)
    rip = address if instruction == JUMP else guest.address("bad")
    assert words(gates(machine)[0].fields["frame"])[:3] == (code, rip, KERNEL_CS)
    assert machine.registers()["cr2"] == address


@pytest.mark.parametrize(
    ("instruction", "address", "code"),
    [(READ, DATA + 0x3000, 5), (WRITE, DATA + 0x3000, 7), (READ, HIDDEN, 4), (JUMP, DATA + 0x3000, 21)],
)
def test_a_page_fault_from_ring_3_says_so(guest: Guest, instruction: str, address: int, code: int) -> None:
    guest.to_user()
    guest.user.mov("rcx", address).mov("rax", address).op(instruction)
    assert words(gates(run(guest))[0].fields["frame"])[0] == code


def test_two_page_faults_in_a_row_are_two_page_faults(guest: Guest) -> None:
    guest.gate(14, "again")
    guest.code.mov("rcx", HIDDEN).op(READ)
    guest.code.label("again").mov("rcx", HIDDEN + 8).op("inc %rbx").op(READ)
    machine = boot(guest)
    assert machine.run(200) is Stop.LIMIT
    assert {event.fields["vector"] for event in gates(machine)} == {14}
    assert machine.registers()["rbx"] > 20


def test_a_page_table_entry_outside_ram_is_a_page_fault_with_the_reserved_bit(guest: Guest) -> None:
    guest.page(HIDDEN, 1 << 40 | 3)
    guest.code.mov("rcx", HIDDEN).op(READ)
    assert words(gates(run(guest))[0].fields["frame"])[0] == 9


def test_a_general_protection_fault_pushes_its_error_code(guest: Guest) -> None:
    guest.code.mov("rcx", 1 << 62).op(READ)
    machine = run(guest)
    assert gates(machine)[0].fields["vector"] == 13
    assert words(gates(machine)[0].fields["frame"])[0] == 0


# Rings


def test_a_trap_from_ring_3_takes_the_stack_from_the_task_state_segment(guest: Guest) -> None:
    """Without a single port access before: nothing but the architecture's own state decides."""
    guest.gate(0x40, "handler 64", dpl=3)
    guest.to_user()
    guest.user.interrupt(0x40)
    machine = run(guest)
    registers = machine.registers()
    assert (registers["rsp"], registers["cs"], registers["ss"]) == (RSP0 - 40, KERNEL_CS, 0)
    assert words(machine.ram.read(RSP0 - 40, 40)) == (USER_CODE + 2, USER_CS, IF | ALWAYS, USER_STACK_TOP, USER_DS)


def test_ring_0_after_a_trap_from_ring_3_has_the_kernels_present_tables_and_registers(guest: Guest) -> None:
    guest.gate(0x40, "handler 64", dpl=3)
    guest.msr(0xC000_0102, 0x5678)
    guest.to_user()
    guest.user.interrupt(0x40)
    registers = run(guest).registers()
    assert (registers["cr3"], registers["kernel_gs_base"]) == (0x10000, 0x5678)


def test_iretq_returns_to_ring_3_with_its_privileges_only(guest: Guest) -> None:
    guest.gate(0x40, "back", dpl=3)
    guest.to_user()
    guest.user.interrupt(0x40).label("bad").op("hlt")
    guest.code.label("back").op("iretq")
    machine = run(guest)
    assert gates(machine)[1].fields["vector"] == 13
    assert words(gates(machine)[1].fields["frame"])[1:3] == (guest.address("bad"), USER_CS)


def test_int_n_from_ring_3_through_a_kernel_gate_is_a_general_protection_fault_at_the_instruction(
    guest: Guest,
) -> None:
    guest.to_user()
    guest.user.op("nop").interrupt(0x40)
    machine = run(guest)
    assert [event.fields["vector"] for event in gates(machine)] == [13]
    assert words(gates(machine)[0].fields["frame"])[:2] == (0x40 << 3 | 2, USER_CODE + 1)


def test_ring_3_cannot_feign_a_page_fault(guest: Guest) -> None:
    guest.to_user()
    guest.user.interrupt(14)
    machine = run(guest)
    assert [event.fields["vector"] for event in gates(machine)] == [13]
    assert words(gates(machine)[0].fields["frame"])[0] == 14 << 3 | 2


def test_int_14_from_ring_0_pushes_no_error_code(guest: Guest) -> None:
    guest.code.interrupt(14)
    assert len(gates(run(guest))[0].fields["frame"]) == 40


def test_int3_from_ring_3_needs_an_open_gate_too(guest: Guest) -> None:
    guest.gate(3, "handler 64")
    guest.to_user()
    guest.user.op("nop", "int3")
    assert words(gates(run(guest))[0].fields["frame"])[:2] == (3 << 3 | 2, USER_CODE + 1)


def test_an_exception_from_ring_3_does_not_look_at_the_gates_level(guest: Guest) -> None:
    guest.to_user()
    guest.user.op("ud2")
    assert gates(run(guest))[0].fields["vector"] == 6


def test_a_gate_with_an_interrupt_stack_takes_that_stack_in_ring_0_too(guest: Guest) -> None:
    guest.gate(0x40, "handler 64", ist=1)
    guest.code.interrupt(0x40)
    assert run(guest).registers()["rsp"] == IST_TOP - 40


# Faults on the way


def test_a_missing_gate_is_delivered_as_not_present(guest: Guest) -> None:
    guest.gate(11, "handler 13")
    guest.code.interrupt(0x55)
    event = gates(run(guest))[0]
    assert (event.fields["vector"], words(event.fields["frame"])[0]) == (11, 0x55 << 3 | 2)


def test_a_page_fault_whose_gate_is_missing_is_a_double_fault(guest: Guest) -> None:
    guest.gate(14, 0, present=False)
    guest.code.mov("rcx", HIDDEN).label("bad").op(READ)
    machine = run(guest)
    assert [event.fields["name"] for event in machine.log if event.kind == "trap"] == ["#PF", "#DF"]
    frame = words(gates(machine)[0].fields["frame"])
    assert (gates(machine)[0].fields["vector"], frame[:2]) == (8, (0, guest.address("bad")))


def test_a_kernel_stack_that_is_not_mapped_is_a_double_fault_on_the_interrupt_stack(guest: Guest) -> None:
    guest.gate(8, "handler 8", ist=1)
    guest.code.mov("rsp", HIDDEN + 0x800).interrupt(0x40)
    machine = run(guest)
    assert [event.fields["name"] for event in machine.log if event.kind == "trap"] == ["IRQ 0x40", "#PF", "#DF"]
    assert machine.registers()["rsp"] == IST_TOP - 48


def test_a_double_fault_that_cannot_be_delivered_is_a_triple_fault_with_a_report(guest: Guest) -> None:
    guest.gate(14, 0, present=False)
    guest.gate(8, 0, present=False)
    guest.code.mov("rcx", HIDDEN).label("bad").op(READ)
    machine = boot(guest)
    with pytest.raises(TripleFault, match=f"#PF at {guest.address('bad'):#x}") as caught:
        machine.run(100_000)
    assert f"rcx {HIDDEN:016x}" in caught.value.report
    assert machine.failure is caught.value


@pytest.mark.parametrize(
    ("first", "second", "delivered"),
    [(3, 13, 13), (13, 11, 8), (0, 14, 14), (14, 14, 8), (14, 13, 8), (6, 14, 14), (8, 13, None), (8, 14, None)],
)
def test_two_exceptions_combine_as_the_manual_says(first: int, second: int, delivered: int | None) -> None:
    assert escalate(first, second) == delivered
