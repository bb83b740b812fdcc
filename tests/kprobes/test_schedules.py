"""Under load: random schedules, every place of toyix, every kind of instruction. Each has a program for the full run.

Here a few of each are played; ``KPROBESIM_SCHEDULES=10000`` in the environment plays so many schedules, the programs
(`python -m tests.kprobes.schedules`, ``.everywhere``, ``.instructions``) play everything.
"""

from __future__ import annotations

import os
from collections import Counter
from functools import cache

import pytest

from kprobesim.errors import LinuxError
from kprobesim.image import decode_range, open_image
from kprobesim.kprobes import Kprobe
from kprobesim.lab import Profile
from kprobesim.linux_errno import Errno
from kprobesim.machine import Moment
from tests.kprobes.everywhere import Everywhere
from tests.kprobes.executions import executed_addresses
from tests.kprobes.instructions import corpus, verdict
from tests.kprobes.running import Running, Spy
from tests.kprobes.schedules import Bench

SCHEDULES = int(os.environ.get("KPROBESIM_SCHEDULES", "8"))
ALL = [(profile, cpus) for profile in Profile for cpus in (2, 4)]
SHAPES = (
    ALL if len(ALL) < SCHEDULES else [(Profile.DISTRO, 4), (Profile.BARE, 2), (Profile.SERVER, 4), (Profile.HISTORY, 2)]
)
HLT = 0xF4


@cache
def bench(profile: Profile, cpus: int) -> Bench:
    return Bench(profile, cpus)


@pytest.mark.timeout(60 + 20 * SCHEDULES)
@pytest.mark.parametrize(("profile", "cpus"), SHAPES, ids=[f"{profile.value}-{cpus}" for profile, cpus in SHAPES])
def test_a_random_schedule_ends_like_the_run_without_probes(profile: Profile, cpus: int) -> None:
    """AGG-05, REG-23, TXT-01, OPT-07: no lost instruction, no wrong register, no slot or byte that stays."""
    found, done = [], Counter[str]()
    for seed in range(max(1, SCHEDULES // len(SHAPES))):
        report = bench(profile, cpus).play(seed)
        found += [(seed, problem) for problem in report.problems]
        done += report.counts
    assert found == []
    assert done["kprobe.register"] and done["text.poke"]


@pytest.mark.timeout(300)
def test_a_schedule_is_the_same_each_time() -> None:
    """By the hash of its event stream, on the same machine and on one that has just booted."""
    first = bench(Profile.BARE, 2).play(5)
    bench(Profile.BARE, 2).play(6)
    again = bench(Profile.BARE, 2).play(5)
    elsewhere = Bench(Profile.BARE, 2).play(5)
    assert first.stream == again.stream == elsewhere.stream
    assert first.counts == again.counts == elsewhere.counts


def test_the_emulator_counts_as_many_executions_as_there_are_hits() -> None:
    """The independent count that schedules are held against."""
    running, spy = Running(open_image("tiny")), Spy()
    probe = running.register(Kprobe(symbol_name="tiny_add", pre_handler=spy.pre()))
    assert probe.addr is not None
    counts = executed_addresses(running.machine, [(probe.addr, probe.addr + 1)], running.run)
    assert counts == {probe.addr: len(spy.calls)}
    assert len(spy.calls) == 10


@pytest.mark.parametrize("profile", [Profile.DISTRO, Profile.SERVER])
def test_probes_at_a_share_of_all_places_are_hit_and_change_nothing(profile: Profile) -> None:
    """REG-13, REG-15: each is refused, not executed at all, or hit."""
    commands = ("echo one > /tmp/f; cat /tmp/f | wc; rm /tmp/f; false || echo failed",)
    everywhere = Everywhere(profile, commands)
    part = everywhere.probe(everywhere.places[3::40])
    assert part.problems == []
    assert part.refused.keys() <= {"EINVAL", "EOPNOTSUPP"}
    assert len(part.hit) > 50
    assert len(part.unhit) <= 3  # what depends on when an interrupt comes


@pytest.mark.parametrize("profile", [Profile.DISTRO, Profile.BARE, Profile.SERVER])
def test_every_boundary_of_tiny_can_be_probed_in_turn(profile: Profile) -> None:
    """The kernel prints the same and ends the same, whichever of its instructions is probed."""
    running = Running(open_image("tiny"), config=profile.config)
    start = running.machine.retired
    running.run()
    ended, text, hit = running.machine.off, running.text(), 0
    for place in boundaries(running):
        running.timeline.seek(Moment(start))
        spy = Spy()
        probe = Kprobe(address=place, pre_handler=spy.pre())
        try:
            running.register(probe)
        except LinuxError as error:
            assert error.errno in (Errno.EINVAL, Errno.EOPNOTSUPP)
            assert running.text() == text
            continue
        running.run()
        if text_byte(running, place, text) == HLT:
            # As in Linux: it is stepped with interrupts off, and nothing wakes it.
            assert running.machine.off is None and spy.calls
            continue
        assert (running.console(), running.machine.off) == ("0123456789\n", ended)
        running.timeline.seek(Moment(running.machine.retired - 1))
        running.unregister(probe)
        assert running.text() == text
        assert not probe.nmissed
        hit += bool(spy.calls)
    assert hit > 25


def text_byte(running: Running, place: int, text: bytes) -> int:
    """What is at an address in the text as it was without probes."""
    offset = 0
    for span in running.kernel.tables.text:
        if span.start <= place < span.start + span.size:
            return text[offset + place - span.start]
        offset += span.size
    raise LookupError(hex(place))


def boundaries(running: Running) -> list[int]:
    """Every instruction of every function."""
    kernel, places = running.kernel, []
    for symbol in kernel.kallsyms:
        found = kernel.kallsyms.lookup_size_offset(symbol.address)
        if symbol.is_text and found and not found[1] and kernel.tables.is_text(symbol.address):
            code = kernel.read(symbol.address, found[2])
            places += [insn.address for insn in decode_range(code, symbol.address)]
    return places


@pytest.mark.parametrize("profile", [Profile.BARE, Profile.SERVER, Profile.HISTORY])
def test_an_instruction_does_the_same_with_a_probe_or_is_refused(profile: Profile) -> None:
    """REG-15 to REG-18, INT-07 to INT-09: a share of the corpus."""
    seed = list(Profile).index(profile)
    chosen = corpus()[seed * 211 :: 900]
    verdicts = {insn.raw.hex(): verdict(insn, profile) for insn in chosen}
    assert len(corpus()) > 10_000
    assert [item for item in verdicts.items() if item[1].startswith("DIFFERENT")] == []
    assert "same" in verdicts.values()
