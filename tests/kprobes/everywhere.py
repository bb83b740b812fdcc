"""A probe at every instruction of toyix, while programs run that reach as much of it as they can.

    python -m tests.kprobes.everywhere                     (all places, all profiles; several minutes)
    python -m tests.kprobes.everywhere --profile history --part 3 --parts 16

The places are divided into parts, each of which is probed in one life of the machine. A probe that has been hit a few
times is removed while the programs go on, so that what is executed all the time does not take all the time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from kprobesim.errors import KprobesimError, LinuxError
from kprobesim.image import decode_range, open_image
from kprobesim.kprobes import Kprobe, PtRegs
from kprobesim.lab import Profile
from kprobesim.machine import Moment, Stop
from tests.kprobes.executions import executed_addresses
from tests.kprobes.running import Running

__all__ = ["COMMANDS", "Everywhere", "Part"]

COMMANDS: Final = (
    "usertests",
    "echo one two > /tmp/f",
    "cat /tmp/f | wc; false || echo failed; mv /tmp/f /tmp/g; rm /tmp/g",
    "spin 5 & sleep 0.01; ls /etc; mkdir /tmp/d; rmdir /tmp/d; dd if=/etc/motd of=/dev/null bs=7 status=none",
    "sleep 1 & kill $! ; kill 1000; cat /nope; head -n 1 /etc/passwd | tail -n 1 | grep root",
)
_LIMIT: Final = 100_000_000
_ENOUGH: Final = 12
_LOOK: Final = 20_000


@dataclass
class Part:
    """What came of some places.

    Attributes:
        hit: places whose probes were hit.
        refused: how many were refused, by errno.
        unhit: places that are executed without probes, and whose probes were never hit.
        problems: what is not as it should be.
    """

    hit: set[int] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    unhit: list[int] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Everywhere:
    """A booted machine, and its places.

    Args:
        profile: how the kernel is built.
        commands: what is typed.

    Attributes:
        places: every instruction of every function.
        executed: how often each is executed by the commands, without probes.
    """

    def __init__(self, profile: Profile, commands: tuple[str, ...] = COMMANDS) -> None:
        self.running = running = Running(open_image("toyix", variant=profile.variant), config=profile.config)
        self._typed = "".join(f"{command}\n" for command in commands).encode()
        running.run()
        self._start = running.machine.retired
        self.places = list(self._boundaries())
        self._rewind()
        spans = [(span.start, span.start + span.size) for span in running.kernel.tables.text]
        self.executed = executed_addresses(running.machine, spans, lambda: running.run(_LIMIT))
        self._said, self._text = self._now(), running.text()

    def _boundaries(self) -> Iterator[int]:
        kernel = self.running.kernel
        for symbol in kernel.kallsyms:
            found = kernel.kallsyms.lookup_size_offset(symbol.address)
            if not symbol.is_text or found is None or found[1] or not kernel.tables.is_text(symbol.address):
                continue
            code = kernel.read(symbol.address, found[2])
            yield from (insn.address for insn in decode_range(code, symbol.address))

    def _rewind(self) -> None:
        timeline = self.running.timeline
        timeline.seek(Moment(self._start))
        timeline.input("type", lambda: self.running.machine.devices.type(self._typed))

    def _now(self) -> list[str]:
        """What programs have printed; kernel messages tell the time."""
        return [line for line in self.running.console().splitlines() if not line.startswith("[")]

    def probe(self, places: list[int]) -> Part:
        """Play the commands with probes at some places."""
        part, running, kprobes = Part(), self.running, self.running.kprobes
        hits = Counter[int]()
        probes: dict[int, Kprobe] = {}

        def pre_handler(probe: Kprobe, regs: PtRegs) -> int:
            assert probe.addr is not None and regs.ip == probe.addr + 1
            hits[probe.addr] += 1
            return 0

        def register() -> None:
            for place in places:
                probe = Kprobe(address=place, pre_handler=pre_handler)
                try:
                    kprobes.register_kprobe(probe)
                except LinuxError as error:
                    part.refused[error.errno.name] += 1
                else:
                    probes[place] = probe

        self._rewind()
        running.timeline.input("register", register)
        try:
            while running.timeline.run(min(running.machine.retired + _LOOK, _LIMIT)) is Stop.LIMIT:
                if enough := [probes.pop(place) for place in list(probes) if hits[place] >= _ENOUGH]:
                    running.unregister(*enough)
                if running.machine.retired >= _LIMIT:
                    part.problems.append("the programs do not come to an end")
                    break
            running.unregister(*probes.values())
            running.run(running.machine.retired + _LIMIT)
        except KprobesimError as failure:
            part.problems.append(f"{type(failure).__name__}: {failure}")
            return part
        part.hit = set(hits)
        part.unhit = [place for place in probes if self.executed[place] and not hits[place]]
        if self._now() != self._said:
            part.problems.append(f"printed {self._now()}")
        if running.text() != self._text:
            part.problems.append("a byte of the kernel's code has stayed")
        if kprobes.slots.used or kprobes.sites():
            part.problems.append(f"{kprobes.slots.used} slots and {len(kprobes.sites())} places are still taken")
        return part


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", action="append", choices=[profile.value for profile in Profile])
    parser.add_argument("--parts", type=int, default=16, help="in how many lives the places are probed")
    parser.add_argument("--part", type=int, action="append", help="only this one, from 0")
    options = parser.parse_args()
    bad = 0
    for name in options.profile or [profile.value for profile in Profile]:
        begin = time.monotonic()
        everywhere = Everywhere(Profile(name))
        symbolize = everywhere.running.kernel.kallsyms.symbolize
        hit, refused, unhit = set[int](), Counter[str](), list[int]()
        for number in options.part or range(options.parts):
            part = everywhere.probe(everywhere.places[number :: options.parts])
            hit |= part.hit
            refused += part.refused
            unhit += part.unhit
            bad += len(part.problems)
            for problem in part.problems:
                print(f"--profile {name} --parts {options.parts} --part {number}: {problem}", flush=True)
        print(
            f"{name}: {len(everywhere.places)} instructions, {len(everywhere.executed)} executed without probes; "
            f"{len(hit)} probed and hit, {len(unhit)} executed but not hit, refused {dict(refused)}; "
            f"{time.monotonic() - begin:.0f} s"
        )
        print("  not hit: " + ", ".join(symbolize(place) for place in sorted(unhit)[:40]), flush=True)
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
