"""Instructions that are emulated, those that run from their slot, and those that are refused (tables 2.2 and 2.3).

What is emulated must do what the CPU does with the same registers; where Linux does not, the difference is spelt out.
"""

from typing import Any

import pytest

from kprobesim.errors import GuestError, LinuxError
from kprobesim.kprobes import Kprobe
from kprobesim.linux_errno import Errno
from kprobesim.machine import Moment, Stop
from tests.guests.code import REGISTERS
from tests.guests.kernel import HandMadeKernel
from tests.kprobes.native import CF, IF, OF, PF, SF, STACK, ZF, Outcome, with_and_without
from tests.kprobes.running import Running


def both(code: str, *, emulated: bool = True, **options: Any) -> tuple[Outcome, Outcome]:
    """What the CPU does with an instruction, and what happens with a probe on it.

    Args:
        code: the instruction, in hexadecimal.
        emulated: that it must be emulated; otherwise that it must run from its slot.
        options: as for `with_and_without`.
    """
    native, probed, running = with_and_without(code, **options)
    assert ("kprobe.emulate" in running.kinds()) == emulated
    assert ("kprobe.singlestep" in running.kinds()) != emulated
    traps = [event.fields["vector"] for event in running.events("trap")]
    assert traps == ([3] if emulated else [3, 3])
    return native, probed


def assert_as_the_cpu(code: str, **options: object) -> Outcome:
    native, emulated = both(code, **options)  # type: ignore[arg-type]
    assert emulated == native
    return emulated


CONDITIONS = [0, CF, PF, ZF, SF, OF, SF | OF, ZF | SF]


@pytest.mark.parametrize("flags", CONDITIONS)
@pytest.mark.parametrize("code", range(16))
def test_a_short_conditional_jump(code: int, flags: int) -> None:
    """2.2: Jcc rel8, 70-7F."""
    assert assert_as_the_cpu(f"7{code:x}20", flags=flags | IF).jumped in (2, 34)


@pytest.mark.parametrize("code", range(16))
def test_a_near_conditional_jump(code: int) -> None:
    """2.2: Jcc rel32, 0F 80-8F, backwards."""
    jumps = {assert_as_the_cpu(f"0f8{code:x}f0ffffff", flags=flags).jumped for flags in (IF, CF | PF | ZF | SF | IF)}
    assert jumps <= {6, -10}
    assert jumps


def test_a_short_and_a_near_jump() -> None:
    """2.2: EB and E9, forwards and backwards."""
    assert assert_as_the_cpu("eb10").jumped == 18
    assert assert_as_the_cpu("ebe0").jumped == -30
    assert assert_as_the_cpu("e900ffffff").jumped == -251


def test_a_call_pushes_the_address_behind_it() -> None:
    """2.2: E8."""
    outcome = assert_as_the_cpu("e820000000")
    assert (outcome.jumped, outcome.word(0)) == (37, 5)


def test_a_prefixed_call_returns_into_its_own_last_byte() -> None:
    """2.2, quirk: the return address counts 5 bytes, the target all of them."""
    native, emulated = both("2ee820000000")
    assert (native.jumped, native.word(0)) == (38, 6)
    assert (emulated.jumped, emulated.word(0)) == (38, 5)


def test_flags_of_16_bits_are_pushed_and_popped_as_64() -> None:
    """2.2, quirk: the prefix of pushfw and popfw is not looked at."""
    native, emulated = both("669c")
    assert native.registers["rsp"] - emulated.registers["rsp"] == 8 - 2
    native, emulated = popped(IF, "669d")
    assert emulated.registers["rsp"] - native.registers["rsp"] == 8 - 2


@pytest.mark.parametrize("flags", [0, IF, IF | CF | ZF])
def test_flags_that_are_pushed_are_those_of_the_interrupted_code(flags: int) -> None:
    """2.2: pushf, 9C: IF is as it was, although it is off in the handler."""
    outcome = assert_as_the_cpu("9c", flags=flags)
    assert int.from_bytes(outcome.stack[:8], "little") == flags | 2


@pytest.mark.parametrize("flags", [0, IF, OF | CF | ZF])
def test_flags_that_are_popped_are_all_taken(flags: int) -> None:
    """2.2: popf, 9D."""
    native, emulated = popped(flags)
    assert emulated == native
    assert emulated.flags == flags | 2


def popped(flags: int, code: str = "9d") -> tuple[Outcome, Outcome]:
    kernel = HandMadeKernel()
    kernel.code.mov("rsp", STACK).mov("rax", flags | 2).push("rax").jmp("probed")
    kernel.function("probed").raw(code).raw("f4" * 16)
    running = Running(kernel.image(), ram_size=2 << 20)
    start, probed = running.machine.retired, running.symbol("probed")
    running.run(start + 100)
    native = Outcome(running, probed)
    running.timeline.seek(Moment(start + 1))
    running.register(Kprobe(symbol_name="probed"))
    running.run(start + 1_000)
    return native, Outcome(running, probed)


@pytest.mark.parametrize(("code", "flags"), [("fa", IF), ("fa", 0), ("fb", IF), ("fb", 0)])
def test_cli_and_sti(code: str, flags: int) -> None:
    """2.2: FA, FB."""
    assert assert_as_the_cpu(code, flags=flags).flags & IF == (0 if code == "fa" else IF)


def test_a_near_return() -> None:
    """2.2: C3 pops the place to go on, one word."""
    outcome = assert_as_the_cpu("c3")
    assert outcome.registers["rsp"] == STACK - 8


def test_a_return_with_an_operand_does_not_drop_it() -> None:
    """2.2, quirk: C2 imm16; the CPU would add the operand to the stack pointer."""
    native, emulated = both("c21000")
    assert native.registers["rsp"] == STACK - 8 + 16
    assert emulated.registers["rsp"] == STACK - 8
    assert emulated.jumped == native.jumped


@pytest.mark.parametrize("code", ["cb", "ca0800"])
def test_a_far_return_is_treated_as_a_near_one(code: str) -> None:
    """2.2, quirk: CA and CB; no segment is popped."""
    kernel = HandMadeKernel()
    kernel.code.mov("rsp", STACK).mov("rax", "here").push("rax").jmp("probed")
    kernel.function("here").raw("f4" * 16)
    kernel.function("probed").raw(code)
    running = Running(kernel.image(), ram_size=2 << 20)
    running.register(Kprobe(symbol_name="probed"))
    assert running.run(running.machine.retired + 1_000) is Stop.IDLE
    registers = running.machine.registers()
    assert (registers["rip"], registers["rsp"]) == (running.symbol("here") + 1, STACK)


@pytest.mark.parametrize("register", [name for name in REGISTERS if name != "rsp"])
@pytest.mark.parametrize("kind", [2, 4])
def test_an_indirect_call_or_jump_through_a_register(kind: int, register: str) -> None:
    """2.2: FF /2 and FF /4 with mod = 3, REX.B honoured; the call pushes A + L."""
    number = REGISTERS.index(register)
    code = ("41" if number > 7 else "") + f"ff{0xC0 | kind << 3 | number & 7:02x}"
    outcome = assert_as_the_cpu(code, **{register: "here"})
    assert outcome.jumped < 0
    if kind == 2:
        assert outcome.word(0) == len(code) // 2


@pytest.mark.parametrize("flags", [0, ZF])
@pytest.mark.parametrize("code", ["e0", "e1", "e2", "e3"])
@pytest.mark.parametrize("counter", [2, 5, 1 << 32, (1 << 64) - 1])
def test_loops_are_as_the_cpus_while_the_counter_is_far_from_zero(code: str, counter: int, flags: int) -> None:
    """2.2: E0-E3."""
    assert_as_the_cpu(f"{code}20", flags=flags, rcx=counter)


def test_a_loop_is_taken_once_too_often() -> None:
    """2.2, quirk: the counter is tested before it is decremented; rcx = 1 jumps and rcx = 0 does not."""
    native, emulated = both("e220", rcx=1)
    assert (native.jumped, emulated.jumped) == (2, 34)
    assert native.registers["rcx"] == emulated.registers["rcx"] == 0
    native, emulated = both("e220", rcx=0)
    assert (native.jumped, emulated.jumped) == (34, 2)
    assert native.registers["rcx"] == emulated.registers["rcx"] == (1 << 64) - 1


def test_a_loop_with_a_32_bit_counter_keeps_the_upper_half() -> None:
    """2.2, quirk: the CPU would clear it."""
    native, emulated = both("67e220", rcx=0x5_0000_0003)
    assert native.registers["rcx"] == 2
    assert emulated.registers["rcx"] == 0x5_0000_0002
    assert native.jumped == emulated.jumped == 35


def test_jecxz_looks_at_32_bits() -> None:
    """2.2: E3 with an address-size prefix."""
    assert assert_as_the_cpu("67e320", rcx=0x5_0000_0000).jumped == 35
    assert assert_as_the_cpu("e320", rcx=0x5_0000_0000).jumped == 2


def test_an_emulated_call_at_an_aligned_stack_leaves_the_frame_intact() -> None:
    """INT-02: the pushed word goes where the first frame was, which is a gap by then."""
    outcome = assert_as_the_cpu("e820000000", rsp=STACK - 0x100)
    assert outcome.word(0) == 5
    assert outcome.registers["rsp"] == STACK - 0x108


@pytest.mark.parametrize(
    ("code", "registers"),
    [
        ("55", {}),  # push %rbp
        ("50", {}),  # push %rax
        ("58", {}),  # pop %rax
        ("c9", {"rbp": STACK - 0x10}),  # leave
        ("c8000000", {}),  # enter $0,$0
        ("488d4424 10", {}),  # lea 16(%rsp),%rax
        ("4889e5", {}),  # mov %rsp,%rbp
        ("4801d8", {}),  # add %rbx,%rax
        ("4839d8", {}),  # cmp %rbx,%rax
        ("4885c0", {}),  # test %rax,%rax
        ("480f44c3", {}),  # cmove %rbx,%rax
        ("0f94c0", {}),  # sete %al
        ("48ab", {"rdi": STACK}),  # stosq
        ("0f1f440000", {}),  # nopl 0(%rax,%rax,1): ftrace's nop
        ("ff742408", {}),  # push 8(%rsp)
        ("f30f1efa", {}),  # endbr64
        ("c4e2f8f2c3", {}),  # andn %rbx,%rax,%rax (VEX)
    ],
)
def test_everything_else_runs_from_its_slot_with_the_cpus_own_effect(code: str, registers: dict[str, int]) -> None:
    """2.2, last paragraph; INT-08, INT-09: flags that the instruction makes are kept, IF comes back."""
    for flags in (IF, ZF | CF):
        assert_as_the_cpu(code, emulated=False, flags=flags, **registers)


REFUSED = {
    "ea00000000000000": Errno.EINVAL,  # ljmp: not even an instruction in 64-bit mode
    "9a00000000000000": Errno.EINVAL,  # lcall
    "cf": Errno.EOPNOTSUPP,  # iret
    "48cf": Errno.EOPNOTSUPP,  # iretq
    "0f01c1": Errno.EOPNOTSUPP,  # vmcall
    "0f01c4": Errno.EOPNOTSUPP,  # vmxoff
    "ff18": Errno.EOPNOTSUPP,  # lcall *(%rax)
    "ff28": Errno.EOPNOTSUPP,  # ljmp *(%rax)
    "ff10": Errno.EOPNOTSUPP,  # call *(%rax)
    "ff20": Errno.EOPNOTSUPP,  # jmp *(%rax)
    "ff24c500000000": Errno.EOPNOTSUPP,  # jmp *table(,%rax,8)
    "ff1500000000": Errno.EOPNOTSUPP,  # call *0(%rip)
    "67ff10": Errno.EOPNOTSUPP,  # call *(%eax)
    "67ffd0": Errno.EOPNOTSUPP,  # call *%rax with an address-size prefix
    "8ed0": Errno.EINVAL,  # mov %eax,%ss
    "8e10": Errno.EINVAL,  # mov (%rax),%ss
    "cc": Errno.EINVAL,  # an int3 of somebody else
    "0f0b78656e": Errno.EINVAL,  # ud2; "xen"
    "0f0b6b766d": Errno.EINVAL,  # ud2; "kvm"
    "6666666666662e0f1f840000020000": Errno.ENOSPC,  # 15 bytes
}


@pytest.mark.parametrize(("code", "errno"), REFUSED.items())
def test_what_can_be_neither_stepped_nor_emulated_is_refused(code: str, errno: Errno) -> None:
    """2.3, REG-15, REG-17, REG-18; nothing is changed or kept."""
    kernel = HandMadeKernel()
    kernel.function("probed").raw(code).raw("f4" * 16)
    running = Running(kernel.image(), ram_size=2 << 20)
    before = running.text()
    with pytest.raises(LinuxError) as caught:
        running.kprobes.register_kprobe(Kprobe(symbol_name="probed"))
    assert caught.value.errno is errno
    assert running.text() == before
    assert running.kprobes.slots.used == 0
    assert list(running.kprobes) == []


def test_a_14_byte_instruction_fits_but_its_second_int3_is_not_recognised() -> None:
    """REG-18 and INT-12, quirk: L + 1 <= 15 lets it in, ip < slot + 15 leaves it out; the kernel dies of an int3."""
    with pytest.raises(GuestError, match="panicked: int3"):
        both("66666666662e0f1f840000020000", emulated=False)
    assert_as_the_cpu("666666662e0f1f840000020000", emulated=False)
