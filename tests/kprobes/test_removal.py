"""A probe goes while its handler has the guest do something: what is under way comes to its end without it."""

from collections.abc import Callable, Generator
from typing import Any

import pytest

from kprobesim.kprobes import Kprobe, KprobeConfig, Kretprobe, PtRegs
from kprobesim.machine import GuestCall, Moment, Stop
from tests.kprobes.running import Running, Spy

CONFIGS = {
    "int3": ("bare", KprobeConfig()),
    "boosted": ("server", KprobeConfig(preemption=False)),
    "jump": ("bare", KprobeConfig(optprobes=True)),
    "ftrace": ("distro", KprobeConfig(ftrace=True)),
}


def asking(running: Running) -> Any:
    """A handler that has the guest compare the kernel's name with itself, as a compiled program runs in the guest."""

    def handler(*_: Any) -> Generator[GuestCall, int, int]:
        yield GuestCall(running.symbol("strcmp"), (running.symbol("utsname"), running.symbol("utsname")))
        return 0

    return handler


def booted(boot_toyix: Callable[..., Running], mechanism: str) -> Running:
    variant, config = CONFIGS[mechanism]
    running = boot_toyix(variant=variant, config=config)
    running.run()
    return running


def run_into(running: Running, kind: str) -> None:
    """To some instructions behind the first event of a kind, when the guest is in the function that was asked for."""
    running.timeline.input("type", lambda: running.machine.devices.type(b"cat /etc/hostname\n"))
    running.timeline.run(running.machine.retired + 10_000_000, stop_kinds=[kind])
    running.timeline.seek(Moment(running.machine.moment.insn + 12))
    assert running.machine.suspended


@pytest.mark.parametrize("together", [1, 2])
@pytest.mark.parametrize("mechanism", CONFIGS)
def test_a_probe_goes_while_its_handler_has_called_the_guest(
    boot_toyix: Callable[..., Running], mechanism: str, together: int
) -> None:
    """REG-23: nothing of it is called any more, its slot is free when the CPU has left it, its instruction runs."""
    running, spy = booted(boot_toyix, mechanism), Spy()
    before = running.text()
    others = [running.register(Kprobe(symbol_name="vfs_read", pre_handler=spy.pre())) for _ in range(together - 1)]
    probe = running.register(Kprobe(symbol_name="vfs_read", pre_handler=asking(running)))
    running.run()
    run_into(running, "kprobe.opt_hit" if mechanism == "jump" else "kprobe.hit")
    running.unregister(probe, *others)
    running.run()
    assert running.console().endswith("toyix\n")
    assert not spy.calls
    assert running.text() == before
    assert (running.kprobes.slots.used, running.kprobes.sites()) == (0, ())


@pytest.mark.parametrize("mechanism", CONFIGS)
def test_a_return_probe_goes_while_its_handler_has_called_the_guest(
    boot_toyix: Callable[..., Running], mechanism: str
) -> None:
    """KRP-09"""
    running = booted(boot_toyix, mechanism)
    before = running.text()
    probe = Kretprobe(Kprobe(symbol_name="vfs_open"), handler=asking(running))
    running.register(probe)
    running.run()
    running.timeline.input("type", lambda: running.machine.devices.type(b"cat /etc/hostname\n"))
    while not running.machine.suspended:
        assert running.timeline.run(stop_address=running.symbol("strcmp")) is Stop.ADDRESS
    running.timeline.input("unregister", lambda: running.manager.rethooks.unregister_kretprobe(probe))
    running.run()
    assert running.console().endswith("toyix\n")
    assert running.text() == before
    assert running.kprobes.slots.used == 0


@pytest.mark.parametrize("mechanism", ["int3", "jump", "ftrace"])
def test_neither_skipped_nor_called_twice_when_the_one_before_goes(
    boot_toyix: Callable[..., Running], mechanism: str
) -> None:
    """AGG-03: whoever stays is called once for each hit."""
    running, spy = booted(boot_toyix, mechanism), Spy()
    running.register(Kprobe(symbol_name="vfs_open", pre_handler=spy.pre("first")))
    running.register(Kprobe(symbol_name="vfs_open", pre_handler=spy.pre("second")))
    latest = running.register(Kprobe(symbol_name="vfs_open", pre_handler=asking(running)))
    running.run()
    run_into(running, "kprobe.opt_hit" if mechanism == "jump" else "kprobe.hit")
    running.unregister(latest)
    running.run()
    hits = running.events("kprobe.opt_hit" if mechanism == "jump" else "kprobe.hit")
    assert spy.names == ["second", "first"] * len(hits)


def test_a_slot_is_not_given_away_while_a_cpu_is_on_the_way_into_it(boot_toyix: Callable[..., Running]) -> None:
    """REG-14: the slot of a boosted probe that goes while its handler runs is not clean yet."""
    running = booted(boot_toyix, "boosted")
    probe = running.register(Kprobe(symbol_name="vfs_read", pre_handler=asking(running)))
    assert probe.ainsn is not None and probe.ainsn.boostable
    slot = probe.ainsn.insn
    run_into(running, "kprobe.hit")
    running.unregister(probe)
    taken = []

    def take_all() -> None:
        slots = running.kprobes.slots
        while not slots.is_full:
            taken.append(slots.get())
        taken.append(slots.get())  # has what is dirty collected

    running.timeline.input("take", take_all)
    assert slot not in taken


def test_a_handler_that_changes_nothing_about_the_registers_it_was_given(boot_toyix: Callable[..., Running]) -> None:
    """INT-13: the guest's function has registers of its own; the interrupted code's are as they were."""
    running = booted(boot_toyix, "int3")
    seen: list[dict[str, int]] = []

    def handler(_: Kprobe, regs: PtRegs) -> Generator[GuestCall, int, int]:
        before = dict(regs.items())
        yield GuestCall(running.symbol("strlen"), (running.symbol("utsname"),))
        assert dict(regs.items()) == before
        seen.append(before)
        return 0

    running.register(Kprobe(symbol_name="vfs_open", pre_handler=handler))
    running.timeline.input("type", lambda: running.machine.devices.type(b"cat /etc/hostname\n"))
    running.run()
    assert seen and running.console().endswith("toyix\n")
