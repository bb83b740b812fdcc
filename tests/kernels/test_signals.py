"""Signal handlers of the toy kernel (Linux kernel/signal.c, arch/x86/kernel/signal.c; reference bpf.md, section 8)."""

import re

import pytest

from kprobesim.lab import Lab
from tests.lab.experiment import state_of
from tests.tracing.test_filters import lived, printed


@pytest.mark.parametrize("profile", ["bare", "distro", "server"])
def test_handlers_are_called_as_in_linux(profile: str) -> None:
    """Actions, masks, frames, siginfo of faults and of SIGSYS, restarted calls, what kills all the same."""
    assert printed(lived("sigtests", profile=profile)) == "sigtests: ok"


def test_two_cpus_do_so_too() -> None:
    assert printed(lived("sigtests", cpus=2)) == "sigtests: ok"


def test_a_handler_of_sigsys_sees_the_call_and_says_what_it_returns() -> None:
    """Section 8: RET_TRAP."""
    lines = printed(lived("trapped /etc/hostname /nope")).splitlines()
    said = r"trapped: signal 31, code 1: system call 257 at 0x[0-9a-f]+, the filter says 7"
    assert re.fullmatch(said, lines[0]) and re.fullmatch(said, lines[2])
    assert lines[1::2] == ["toyix", "trapped: /nope: No such file or directory"]


def test_the_frame_of_a_handler_is_where_the_program_finds_it() -> None:
    """struct rt_sigframe: return address, ucontext, siginfo; rdi, rsi and rdx lead there."""
    lab = lived("true")
    lab.type("trapped /etc/hostname")
    lab.run(to="signal_setup_done")
    registers = user_registers(lab)
    frame = registers["sp"]
    assert frame % 16 == 8
    assert (registers["di"], registers["si"], registers["dx"]) == (31, frame + 312, frame + 8)
    assert read_user(lab, registers["si"], 4) == 31
    # The interrupted registers: rax is the system call's number, as if the instruction had trapped.
    assert read_user(lab, frame + 8 + 40 + 13 * 8, 8) == 257
    assert read_user(lab, registers["si"] + 16, 8) == read_user(lab, frame + 8 + 40 + 16 * 8, 8)


def user_registers(lab: Lab) -> dict[str, int]:
    """The registers that the task will go on with in user mode."""
    stack = lab.kernel.read_u64(lab.task().address + lab.kernel.task_offset("stack"))
    regs = stack + (16 << 10) - 168
    places = {"dx": 96, "si": 104, "di": 112, "sp": 152}
    return {name: lab.kernel.read_u64(regs + place) for name, place in places.items()}


def read_user(lab: Lab, address: int, size: int) -> int:
    return int.from_bytes(lab.read(address, size), "little")


def test_the_trace_tells_the_handler_and_why() -> None:
    lab = lived(
        "echo 1 > /sys/kernel/tracing/events/signal/signal_deliver/enable",
        "trapped /etc/hostname",
        "grep sig=31 /sys/kernel/tracing/trace",
    )
    (line,) = [line for line in printed(lab).splitlines() if "signal_deliver" in line]
    assert re.search(r"sig=31 errno=7 code=1 sa_handler=40[0-9a-f]{4} sa_flags=4000004$", line)


def test_a_handler_can_be_taken_back_and_run_again() -> None:
    lab = lived("true")
    beginning = lab.moment.insn
    lab.type("trapped /etc/hostname")
    lab.run()
    end, before = lab.moment.insn, state_of(lab)
    lab.seek(beginning)
    lab.seek(end)
    assert state_of(lab) == before


def test_a_program_without_a_handler_dies_as_before() -> None:
    lab = lived("sandbox trap=7", "cat /etc/hostname")
    assert printed(lab) == "sandbox: read, write and exit are left\ntoyix"
