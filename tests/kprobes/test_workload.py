"""Probes anywhere in toyix: accepted or refused as Linux would, and never noticed by what runs."""

import contextlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kprobesim.errors import LinuxError
from kprobesim.image import decode_range, open_image
from kprobesim.kprobes import Kprobe, KprobeConfig, PtRegs
from kprobesim.lab import Profile
from kprobesim.linux_errno import Errno
from kprobesim.machine import Moment
from tests.kprobes.running import Running, Spy

COMMANDS = ("cat /etc/hostname", "ls /", "echo one two > /tmp/f", "cat /tmp/f | wc", "false", "sleep 0.01")
PROBES = 150


def boundaries(running: Running) -> list[tuple[int, bool]]:
    """(address, whether an instruction begins there) of all functions that no blacklist names."""
    places = []
    for symbol in running.kernel.kallsyms:
        if not symbol.is_text or running.kprobes.blacklist.reason(symbol.address):
            continue
        found = running.kernel.kallsyms.lookup_size_offset(symbol.address)
        if found is None or found[1] or not running.kernel.tables.is_text(symbol.address):
            continue
        code = running.kernel.read(symbol.address, found[2])
        starts = {instruction.address for instruction in decode_range(code, symbol.address)}
        places += [(address, address in starts) for address in range(symbol.address, symbol.address + found[2])]
    return places


@pytest.fixture(scope="module")
def undisturbed(boot_toyix: Callable[..., Running]) -> str:
    running = boot_toyix(commands=COMMANDS)
    running.run()
    return running.console()


@pytest.mark.parametrize(("seed", "cpus"), [(1, 1), (2, 1), (3, 2)])
def test_a_workload_prints_the_same_with_probes_all_over(
    boot_toyix: Callable[..., Running], undisturbed: str, seed: int, cpus: int
) -> None:
    running = boot_toyix(commands=COMMANDS, cpus=cpus)
    chosen = random.Random(seed).sample([address for address, start in boundaries(running) if start], PROBES)
    accepted, spy = [], Spy()

    def register() -> None:
        for address in chosen:
            probe = Kprobe(address=address, pre_handler=spy.pre(), post_handler=spy.post())
            try:
                running.kprobes.register_kprobe(probe)
            except LinuxError as error:
                assert error.errno in (Errno.EINVAL, Errno.EOPNOTSUPP), str(error)
            else:
                accepted.append(probe)

    before = running.text()
    running.timeline.input("register", register)
    running.run()
    assert said(running.console()) == said(undisturbed)
    assert len(accepted) > PROBES * 0.9
    assert spy.calls
    assert all(probe.nmissed == 0 for probe in accepted)
    running.unregister(*accepted)
    assert running.text() == before
    assert running.kprobes.slots.used == 0


@pytest.mark.parametrize("cpus", [1, 2])
def test_a_workload_prints_the_same_with_a_jump_at_every_function_that_allows_it(undisturbed: str, cpus: int) -> None:
    """OPT-01 to OPT-03, OPT-08: whatever is accepted must be harmless, wherever it is."""
    config = KprobeConfig(optprobes=True)
    running = Running(open_image("toyix", variant="bare"), cpus=cpus, config=config)
    entries = {symbol.address: None for symbol in running.kernel.kallsyms if symbol.is_text}
    probes = [Kprobe(address=address, pre_handler=lambda _, __: 0) for address in entries]

    def register() -> None:
        for probe in probes:
            with contextlib.suppress(LinuxError):
                running.kprobes.register_kprobe(probe)

    before = running.text()
    running.timeline.input("register", register)
    running.run()
    accepted = [probe for probe in probes if probe.addr is not None]
    jumps = [probe for probe in accepted if running.byte(probe.addr or 0) == 0xE9]
    assert len(jumps) > 100
    commands = "".join(f"{command}\n" for command in COMMANDS).encode()
    running.timeline.input("type", lambda: running.machine.devices.type(commands))
    running.run(60_000_000)
    assert said(running.console()) == said(undisturbed)
    assert len(running.events("kprobe.opt_hit")) > 1_000
    assert all(probe.nmissed == 0 for probe in accepted)
    running.unregister(*accepted)
    running.run()
    assert running.text() == before
    assert running.kprobes.slots.used == 0


@pytest.mark.parametrize("post_handlers", [False, True])
@pytest.mark.parametrize("cpus", [1, 2])
@pytest.mark.parametrize("profile", [Profile.DISTRO, Profile.SERVER, Profile.HISTORY])
def test_no_mechanism_changes_what_a_workload_prints(
    boot_toyix: Callable[..., Running], undisturbed: str, profile: Profile, cpus: int, post_handlers: bool
) -> None:
    """Probes on a third of the instructions of many functions, whichever mechanism that makes each of them."""
    config = replace(profile.config, optimization=False)
    running = boot_toyix(variant=profile.variant, config=config, commands=COMMANDS, cpus=cpus)
    thirds = [address for address, start in boundaries(running) if start][cpus - 1 :: 3]
    hits = Counter[int]()
    accepted = []

    def pre(probe: Kprobe, regs: PtRegs) -> int:
        assert probe.addr is not None and regs.ip == probe.addr + 1
        hits[probe.addr] += 1
        return 0

    def register() -> None:
        for address in random.Random(len(thirds)).sample(thirds, PROBES * 2):
            probe = Kprobe(address=address, pre_handler=pre, post_handler=Spy().post() if post_handlers else None)
            try:
                running.kprobes.register_kprobe(probe)
            except LinuxError as error:
                assert error.errno in (Errno.EINVAL, Errno.EOPNOTSUPP), str(error)
            else:
                accepted.append(probe)

    before = running.text()
    running.timeline.input("register", register)
    running.run(60_000_000)
    assert said(running.console()) == said(undisturbed)
    assert len(accepted) > PROBES * 1.8 and hits
    assert all(probe.nmissed == 0 for probe in accepted)
    running.unregister(*accepted)
    assert running.text() == before
    assert running.kprobes.slots.used == 0


def said(console: str) -> list[str]:
    """What programs have printed; kernel messages tell the time and the memory, which probes and CPUs cost some of."""
    return [line for line in console.splitlines() if not line.startswith("[")]


def test_no_place_between_two_instructions_starts_is_accepted(boot_toyix: Callable[..., Running]) -> None:
    """REG-13 all over the kernel."""
    running = boot_toyix()
    inside = [address for address, start in boundaries(running) if not start]
    for address in random.Random(4).sample(inside, PROBES):
        with pytest.raises(LinuxError) as caught:
            running.kprobes.register_kprobe(Kprobe(address=address))
        assert caught.value.errno in (Errno.EILSEQ, Errno.EINVAL)


@settings(max_examples=15, deadline=None)
@given(
    offsets=st.sets(st.sampled_from([0, 1, 4, 8, 9]), min_size=1),
    spacing=st.sampled_from([200, 2_000_000]),
    journey=st.lists(st.tuples(st.booleans(), st.integers(0, 10_000)), max_size=6),
)
def test_travelling_through_hits_changes_neither_events_nor_the_managers_state(
    offsets: set[int], spacing: int, journey: list[tuple[bool, int]]
) -> None:
    running = Running(open_image("tiny"), spacing=spacing)
    for offset in sorted(offsets):
        running.register(Kprobe(symbol_name="tiny_add", offset=offset, post_handler=Spy().post()))
    running.run()
    log, state, registers = list(running.machine.log), running.manager.save(), running.machine.registers()
    for to_event, number in journey:
        event = log[number % len(log)]
        running.timeline.seek(event.moment if to_event else Moment(number % running.timeline.head))
        if to_event:
            assert running.machine.seq == event.seq + 1
    running.timeline.seek_end()
    assert list(running.machine.log) == log
    assert running.manager.save() == state
    assert running.machine.registers() == registers
    assert running.console() == "0123456789\n"
