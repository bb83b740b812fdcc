"""A kernel image that lies to the kprobe core ends in an error, not in a crash of the simulator."""

import pytest

from kprobesim.errors import GuestError, LinuxError
from kprobesim.kprobes import Kprobe
from kprobesim.machine import Stop
from tests.guests.kernel import HandMadeKernel
from tests.kprobes.running import Running

NOWHERE = (1 << 62, 0x1234_5678_9000, (1 << 64) - 8)


def run(kernel: HandMadeKernel) -> tuple[Running, Stop]:
    running = Running(kernel.image(), ram_size=2 << 20)
    return running, running.run(running.machine.retired + 500)


@pytest.mark.parametrize("address", NOWHERE[:2])
@pytest.mark.parametrize("stub", [16, 17])
def test_registers_that_are_nowhere_stop_the_machine_with_a_report(stub: int, address: int) -> None:
    kernel = HandMadeKernel()
    kernel.code.hypercall(stub, address).op("hlt")
    with pytest.raises(GuestError, match=f"Hypercall {stub} was led astray") as caught:
        run(kernel)
    assert "rdi" in caught.value.report


@pytest.mark.parametrize("address", NOWHERE)
def test_a_mark_about_a_task_that_is_nowhere_is_an_event_without_names(address: int) -> None:
    kernel = HandMadeKernel()
    kernel.code.hypercall(6, 2, address).op("hlt")
    running, stop = run(kernel)
    assert stop is Stop.IDLE
    assert running.events("task.new")[0].fields == {"task": address}


def test_an_emulated_return_over_a_stack_that_is_nowhere_stops_the_machine() -> None:
    kernel = HandMadeKernel()
    kernel.code.jmp("probed")
    kernel.function("probed").op("ret")
    running = Running(kernel.image(), ram_size=2 << 20)

    def lose_stack(_: Kprobe, regs: object) -> int:
        regs.sp = 1 << 62  # type: ignore[attr-defined]
        return 0

    running.register(Kprobe(symbol_name="probed", pre_handler=lose_stack))
    with pytest.raises(GuestError, match="led astray"):
        running.run(running.machine.retired + 500)


def test_clones_of_clones_have_an_end() -> None:
    """REG-09: names that point at each other."""
    kernel = HandMadeKernel()
    for name in ("a.b", "b.a", "a.b.c"):
        kernel.function(name).op("nop", "ret")
    running = Running(kernel.image(), ram_size=2 << 20)
    for name in ("a.b", "b.a", "a.b.c"):
        running.register(Kprobe(symbol_name=name))
    assert len(list(running.kprobes)) == 3


def test_bytes_that_are_no_instructions_are_refused() -> None:
    """REG-13, REG-15."""
    kernel = HandMadeKernel()
    kernel.function("garbage").raw("06" * 15)
    running = Running(kernel.image(), ram_size=2 << 20)
    for offset in (0, 1, 14):
        with pytest.raises(LinuxError):
            running.kprobes.register_kprobe(Kprobe(symbol_name="garbage", offset=offset))
    assert running.kprobes.slots.used == 0
