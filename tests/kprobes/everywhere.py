"""A probe at every instruction of toyix, while programs run that reach as much of it as they can.

    python -m tests.kprobes.everywhere                     (all places, all profiles; several minutes)
    python -m tests.kprobes.everywhere --profile history --part 3 --parts 16

The places are divided into parts, each of which is probed in one life of the machine. A probe that has been hit a few
times is removed while the programs go on, so that what is executed all the time does not take all the time.
"""

from __future__ import annotations

import argparse
import difflib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from kprobesim.errors import KprobesimError, LinuxError
from kprobesim.image import decode_range
from kprobesim.kprobes import Kprobe, PtRegs
from kprobesim.kprobes.reljump import JMP32_SIZE
from kprobesim.lab import Lab, Profile
from kprobesim.machine import Moment, Stop
from tests.kprobes.executions import executed_addresses
from tests.kprobes.programs import Program

__all__ = ["COMMANDS", "Everywhere", "Part"]

TRACING, UPROBES = "/sys/kernel/tracing", "/sys/kernel/tracing/uprobe_events"
COMMANDS: Final = (
    "usertests",
    "calltests",
    "echo one two > /tmp/f",
    "cat /tmp/f | wc; false || echo failed; mv /tmp/f /tmp/g; rm /tmp/g",
    "spin 5 & sleep 0.01; ls /etc; mkdir /tmp/d; rmdir /tmp/d; dd if=/etc/motd of=/dev/null bs=7 status=none",
    "sleep 1 & kill $! ; kill 1000; cat /nope; head -n 1 /etc/passwd | tail -n 1 | grep root",
    # Filters and sockets; ends by a signal.
    "udpcat -k a one apple banana avocado; udpcat -c 2 long; nocall 257 errno=13 cat /etc/motd; nocall 257 kill ls",
    "sandbox; sandbox trap; sandbox log; sandbox notify; sandbox trace; sandbox strict; sandbox -n errno=5",
    # Tasks that take the CPU from each other, in their own code and in the kernel's.
    "spin 20 & spin 20 & dd if=/dev/zero of=/dev/null bs=1 count=300 status=none; sleep 0.05",
    # The host's files, with a reader that waits.
    f"head -n 1 {TRACING}/trace_pipe > /dev/null & sleep 0.01; echo mark > {TRACING}/trace_marker",
    f"mkdir {TRACING}/instances/i; ls {TRACING}/instances {TRACING}/nope; rmdir {TRACING}/instances/i /proc",
    # Tracepoints that are on, and breakpoints in programs: entry, return, and an instruction that is stepped.
    f"echo 1 > {TRACING}/events/sched/enable; echo 1 > {TRACING}/events/raw_syscalls/enable; ls > /dev/null",
    f"echo 0 > {TRACING}/events/enable; echo > {TRACING}/trace",
    f"echo 'p /bin/cat:{{main:#x}}' > {UPROBES}; echo 'r /bin/cat:{{open:#x}}' >> {UPROBES}",
    f"echo 'p /bin/cat:{{stepped:#x}}' >> {UPROBES}; echo 1 > {TRACING}/events/uprobes/enable",
    "cat /etc/hostname; cat /nope",
    f"echo 0 > {TRACING}/events/uprobes/enable; echo > {UPROBES}; cat /etc/hostname",
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
        places: every instruction of every function, but for those where a probe is known to end the kernel.
        executed: how often each is executed by the commands, without probes.
        said: what the commands print then.
    """

    def __init__(self, profile: Profile, commands: tuple[str, ...] = COMMANDS) -> None:
        self.lab = lab = Lab.open(profile=profile)
        lab.timeline.run(_LIMIT)
        cat = Program(lab.manager.uprobes, "/bin/cat")
        stepped = cat.instructions("main")[1].address
        offsets = {"main": cat["main"], "open": cat["open"], "stepped": stepped}
        lines = (command.format(**offsets) for command in commands)
        self._typed = "".join(f"{line}\n" for line in lines).encode()
        self._start = lab.machine.retired
        self.places = list(self._boundaries())
        self._rewind()
        spans = [(span.start, span.start + span.size) for span in lab.kernel.tables.text]
        self.executed = executed_addresses(lab.machine, spans, lambda: lab.timeline.run(_LIMIT))
        self.said, self._text = self._now(), self._code()

    def _boundaries(self) -> Iterator[int]:
        kernel = self.lab.kernel
        for symbol in kernel.kallsyms:
            found = kernel.kallsyms.lookup_size_offset(symbol.address)
            if not symbol.is_text or found is None or found[1] or not kernel.tables.is_text(symbol.address):
                continue
            code = kernel.read(symbol.address, found[2])
            for insn in decode_range(code, symbol.address):
                if not self._ends_the_kernel(insn.address):
                    yield insn.address

    def _ends_the_kernel(self, place: int) -> bool:
        """Whether a jump there would cover what a static branch leads to: Linux makes it all the same."""
        if not self.lab.manager.kprobes.config.optprobes:
            return False
        return any(place < entry.target < place + JMP32_SIZE for entry in self.lab.kernel.tables.jump_table)

    def _rewind(self) -> None:
        timeline = self.lab.timeline
        timeline.seek(Moment(self._start))
        timeline.input("type", lambda: self.lab.machine.devices.type(self._typed))

    def _now(self) -> list[str]:
        """What programs have printed; kernel messages tell the time."""
        return [line for line in self.lab.console.splitlines() if not line.startswith("[")]

    def _code(self) -> bytes:
        kernel = self.lab.kernel
        return b"".join(kernel.read(span.start, span.size) for span in kernel.tables.text)

    def probe(self, places: list[int]) -> Part:
        """Play the commands with probes at some places."""
        part, timeline, kprobes = Part(), self.lab.timeline, self.lab.manager.kprobes
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

        def unregister(gone: list[Kprobe]) -> None:
            timeline.input("unregister", lambda: kprobes.unregister_kprobes(gone))

        self._rewind()
        timeline.input("register", register)
        try:
            while timeline.run(min(self.lab.machine.retired + _LOOK, _LIMIT)) is Stop.LIMIT:
                if enough := [probes.pop(place) for place in list(probes) if hits[place] >= _ENOUGH]:
                    unregister(enough)
                if self.lab.machine.retired >= _LIMIT:
                    part.problems.append("the programs do not come to an end")
                    break
            unregister(list(probes.values()))
            timeline.run(self.lab.machine.retired + _LIMIT)
        except KprobesimError as failure:
            part.problems.append(f"{type(failure).__name__}: {failure}")
            return part
        part.hit = set(hits)
        part.unhit = [place for place in probes if self.executed[place] and not hits[place]]
        if (now := self._now()) != self.said:
            part.problems.append("printed " + "\n".join(difflib.unified_diff(self.said, now, lineterm="", n=1)))
        if self._code() != self._text:
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
        symbolize = everywhere.lab.kernel.kallsyms.symbolize
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
