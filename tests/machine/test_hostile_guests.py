"""Whatever a kernel image does, the machine ends it with an error or stays within the instructions it was given."""

import pytest

from kprobesim.errors import GuestError, ImageError, TripleFault
from kprobesim.machine import Machine, Stop
from tests.guests.board import CODE, DATA, Guest, Piece

HIDDEN = DATA + 0x2000
LIMIT = 20_000


def faulting(vector: int, handler: int | str) -> Guest:
    """The handler runs on its interrupt stack, so that no stack ever overflows."""
    guest = Guest()
    guest.gate(vector, handler, ist=1)
    guest.page(HIDDEN, 0)
    return guest


def test_a_fault_handler_without_code_faults_for_ever_within_its_instructions(counting_hook: bool) -> None:
    guest = faulting(14, HIDDEN)
    guest.code.mov("rax", HIDDEN).op("jmp *%rax")
    machine = guest.boot(counting_hook=counting_hook)
    assert machine.run(LIMIT) is Stop.LIMIT
    assert machine.retired == LIMIT


def test_a_handler_at_an_address_that_cannot_be_faults_for_ever_within_its_instructions(counting_hook: bool) -> None:
    guest = faulting(13, 1 << 62)
    guest.code.mov("rax", 1 << 62).op("jmp *%rax")
    machine = guest.boot(counting_hook=counting_hook)
    assert machine.run(LIMIT) is Stop.LIMIT


@pytest.mark.parametrize("instruction", ["0f0b", "06", "488b0425" + HIDDEN.to_bytes(4, "little").hex()])
def test_a_handler_that_faults_itself_does_so_within_its_instructions(instruction: str) -> None:
    guest = faulting(6, "again")
    guest.gate(14, "again", ist=1)
    guest.code.label("again").raw(instruction)
    assert guest.boot().run(LIMIT) is Stop.LIMIT


@pytest.mark.parametrize("size", [1, 3, 1_000_000])
def test_an_instruction_that_cannot_be_fetched_counts_as_one(size: int) -> None:
    guest = faulting(14, "skip")
    guest.code.mov("rax", HIDDEN).op("jmp *%rax").label("skip").op("inc %rbx", "hlt")
    machine = guest.boot()
    machine.slice = size
    assert machine.run(18) is Stop.LIMIT
    assert not list(machine.log)
    machine.run(19)
    assert [event.moment.insn for event in machine.log] == [18, 18]
    machine.run(LIMIT)
    assert machine.retired == 21


def test_faults_without_an_interrupt_stack_end_in_a_triple_fault() -> None:
    guest = Guest()
    guest.gate(14, "again")
    guest.page(HIDDEN, 0)
    guest.page(0x26000, 0)
    guest.code.mov("rcx", HIDDEN).label("again").op("mov (%rcx),%rax")
    with pytest.raises(TripleFault):
        guest.boot().run(LIMIT)


@pytest.mark.parametrize("idt", [1 << 40, 1 << 62, HIDDEN])
def test_an_interrupt_table_that_is_not_there_is_a_triple_fault(idt: int) -> None:
    guest = Guest()
    guest.page(HIDDEN, 0)
    guest.idt_base = idt
    guest.code.op("ud2")
    with pytest.raises(TripleFault):
        guest.boot().run(LIMIT)


def test_page_tables_outside_ram_are_a_triple_fault() -> None:
    guest = Guest()
    guest.code.mov("rax", 1 << 40).op("mov %rax,%cr3")
    with pytest.raises(TripleFault):
        guest.boot().run(LIMIT)


def test_a_trap_before_the_kernel_has_tables_is_a_triple_fault() -> None:
    machine = Machine()
    machine.boot(CODE, [Piece(CODE, b"\x0f\x0b")])
    with pytest.raises(TripleFault):
        machine.run(LIMIT)


@pytest.mark.parametrize("arguments", [((1 << 64) - 1, (1 << 64) - 1), (1 << 63, 0), (0, 1 << 63)])
@pytest.mark.parametrize("number", range(1, 8))
def test_no_hypercall_trips_over_its_arguments(number: int, arguments: tuple[int, int]) -> None:
    guest = Guest()
    guest.code.hypercall(number, *arguments).op("hlt")
    machine = guest.boot()
    try:
        machine.run(LIMIT)
    except GuestError as error:
        assert error.report


@pytest.mark.parametrize("physical", [0, 0x1000, 0xF000, (16 << 20) - 8, 1 << 40, 1 << 63])
def test_a_segment_that_does_not_fit_is_refused(physical: int) -> None:
    with pytest.raises(ImageError, match="physical memory"):
        Machine().boot(CODE, [Piece(physical, bytes(64))])


def test_an_endless_loop_is_as_long_as_it_is_let() -> None:
    guest = Guest()
    guest.code.label("x").jmp("x")
    machine = guest.boot()
    assert machine.run(3_000_001) is Stop.LIMIT
    assert machine.retired == 3_000_001
