"""Handlers that never end, fault, raise, or turn against the manager that runs them.

What comes of it is documented, and the machine can be used afterwards."""

from collections.abc import Callable, Generator
from typing import Any

import pytest

from kprobesim.errors import GuestError, LinuxError
from kprobesim.kprobes import Kprobe, PtRegs
from kprobesim.lab import Lab
from kprobesim.linux_errno import Errno
from kprobesim.machine import GuestCall, Moment, Stop
from tests.kprobes.running import Running, Spy

ENDLESS = "r0 = 0\nagain:\nr0 += 1\ngoto again\nexit"


def typed(running: Running, line: bytes = b"cat /etc/hostname\n") -> None:
    running.timeline.input("type", lambda: running.machine.devices.type(line))


def resting(boot_toyix: Callable[..., Running], cpus: int = 1) -> Running:
    running = boot_toyix(cpus=cpus)
    running.run()
    return running


def test_a_program_that_never_ends_is_ended_by_its_budget() -> None:
    """A BPF program that no verifier has seen: bounded, told by an event, and the kernel goes on."""
    lab = Lab.open(optimization=False)
    lab.load_program(ENDLESS, "endless", verified=False)
    lab.attach("endless", "vfs_open")
    lab.type("cat /etc/hostname")
    lab.run()
    faults = [event for event in lab.events() if event.kind == "bpf.fault"]
    assert faults and "1000000" in str(faults[0].fields).replace(",", "")
    assert lab.console.endswith("toyix\n")


@pytest.mark.parametrize("cpus", [1, 2])
def test_a_handler_that_has_the_guest_run_for_ever_can_be_left_by_going_back(
    boot_toyix: Callable[..., Running], cpus: int
) -> None:
    """Each call takes instructions, so the run comes to its limit; from any earlier moment the machine goes on."""
    running = resting(boot_toyix, cpus)
    here = running.machine.retired

    def handler(*_: Any) -> Generator[GuestCall, int, int]:
        while True:
            yield GuestCall(running.symbol("strlen"), (running.symbol("utsname"),))

    running.register(Kprobe(symbol_name="vfs_open", pre_handler=handler))
    typed(running)
    assert running.run(here + 200_000) is Stop.LIMIT
    assert running.machine.suspended
    running.timeline.seek(Moment(here))
    typed(running)
    running.run()
    assert running.console().endswith("toyix\n")
    assert not running.machine.suspended


def test_what_a_handler_raises_is_passed_on_and_the_time_before_it_is_whole(boot_toyix: Callable[..., Running]) -> None:
    running = resting(boot_toyix)
    here = running.machine.retired

    def handler(_: Kprobe, __: PtRegs) -> int:
        raise ZeroDivisionError

    running.register(Kprobe(symbol_name="vfs_open", pre_handler=handler))
    typed(running)
    with pytest.raises(ZeroDivisionError):
        running.run()
    running.timeline.seek(Moment(here))
    typed(running)
    running.run()
    assert running.console().endswith("toyix\n")
    assert not running.kprobes.sites()


def test_a_handler_that_reads_where_nothing_is_stops_the_machine_with_a_report(
    boot_toyix: Callable[..., Running],
) -> None:
    """FLT-02: nobody mends a fault of a handler."""
    running = resting(boot_toyix)
    here = running.machine.retired

    def handler(_: Kprobe, __: PtRegs) -> int:
        return running.kernel.read(0xFFFF_FFFF_FFFF_0000, 8)[0]

    running.register(Kprobe(symbol_name="vfs_open", pre_handler=handler))
    typed(running)
    with pytest.raises(GuestError):
        running.run()
    running.timeline.seek(Moment(here))
    typed(running)
    running.run()
    assert running.console().endswith("toyix\n")


@pytest.mark.parametrize(
    "function",
    [
        "kprobe_int3_handler",
        "kprobe_fault_handler",
        "optimized_callback",
        "rethook_trampoline_handler",
        "arch_rethook_trampoline",
        "exc_int3",
        "asm_exc_int3",
        "exc_page_fault",
        "do_user_addr_fault",
    ],
)
@pytest.mark.parametrize("offset", [0, 4])
def test_the_managers_own_code_cannot_be_probed(boot_toyix: Callable[..., Running], function: str, offset: int) -> None:
    """REG-08: what runs while a probe is handled is on the blacklist, whole functions of it."""
    running = resting(boot_toyix)
    text = running.text()
    with pytest.raises(LinuxError) as caught:
        running.register(Kprobe(symbol_name=function, offset=offset))
    assert caught.value.errno is Errno.EINVAL
    assert running.text() == text


def test_a_handler_that_calls_what_it_probes_itself_is_missed_there_and_ends(
    boot_toyix: Callable[..., Running],
) -> None:
    """REE-01, REE-04: no recursion without end."""
    running, spy = resting(boot_toyix), Spy()

    def handler(*_: Any) -> Generator[GuestCall, int, int]:
        spy.calls.append(("hit", {}))
        yield GuestCall(running.symbol("strlen"), (running.symbol("utsname"),))
        return 0

    probe = running.register(Kprobe(symbol_name="strlen", pre_handler=handler))
    other = running.register(Kprobe(symbol_name="vfs_open", pre_handler=handler))
    typed(running)
    running.run()
    assert running.console().endswith("toyix\n")
    assert probe.nmissed == len(spy.calls) > 0
    running.unregister(probe, other)
    assert (running.kprobes.slots.used, running.kprobes.sites()) == (0, ())


def test_a_handler_that_registers_and_removes_probes_is_the_users_error_and_harms_nothing_before_it(
    boot_toyix: Callable[..., Running],
) -> None:
    """INT-15: in Linux register_kprobe() sleeps, which no handler may; here text is changed between runs only."""
    running = resting(boot_toyix)
    here = running.machine.retired

    def handler(_: Kprobe, __: PtRegs) -> int:
        running.kprobes.register_kprobe(Kprobe(symbol_name="vfs_read"))
        return 0

    running.register(Kprobe(symbol_name="vfs_open", pre_handler=handler))
    typed(running)
    with pytest.raises(AssertionError, match="never inside one"):
        running.run()
    running.timeline.seek(Moment(here))
    typed(running)
    running.run()
    assert running.console().endswith("toyix\n")
    assert not running.kprobes.sites() and running.kprobes.slots.used == 0
