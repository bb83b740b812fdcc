"""Random schedules: probes come, go, change their mechanism and are hit while programs run on several CPUs.

    python -m tests.kprobes.schedules --count 10000        (several minutes for each 1,000)
    python -m tests.kprobes.schedules --profile distro --cpus 4 --first 1234 --count 1 --events

Each schedule is played on a machine that stands where it has booted, and must end like the run without probes: what the
programs print (their exit statuses decide what), the kernel's code, its free memory. A schedule follows from profile,
number of CPUs and seed.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kprobesim.errors import KprobesimError, LinuxError
from kprobesim.image import decode_range, find_image, open_image
from kprobesim.kprobes import Fprobe, Kprobe, Kretprobe, PtRegs
from kprobesim.kprobes.kprobe import INT3, NOP5
from kprobesim.lab import Lab, Profile
from kprobesim.linux_errno import Errno
from kprobesim.machine import GuestCall, Machine, Moment, Stop
from tests.kprobes.executions import Executions, executed_addresses

__all__ = ["WORKLOADS", "Bench", "Outcome", "Report"]

WORKLOADS: Final = (
    "echo one two > /tmp/f; cat /tmp/f | wc; false || echo failed; spin -n 20000 & sleep 0.01; rm /tmp/f; wait; "
    "ls /tmp",
    "mkdir /tmp/d; echo a > /tmp/d/a; mv /tmp/d/a /tmp/d/b && cat /tmp/d/b; cat /nope || echo none; rm /tmp/d/b; "
    "rmdir /tmp/d",
    "dd if=/etc/motd of=/tmp/m bs=7 & cat /etc/passwd | grep root | wc; wait; cat /tmp/m; rm /tmp/m",
    "spin 2 & spin 3 & sleep 0.004; ls / | head -n 2 | tail -n 1; wait; true && echo yes",
)
_NS_PER_INSN: Final = 200  # a tick each 20,000 instructions, so that tasks move, and jumps are made, in a short run
_BAD_MOMENTS: Final = (
    "trap", "kprobe.hit", "kprobe.singlestep", "kprobe.detour", "kprobe.opt_hit", "kprobe.optimizer", "kprobe.optimize",
    "kprobe.unoptimize", "text.poke", "text.sync", "sched.switch", "ipi", "rethook.prepare", "fprobe.entry",
    "task.exit",
)  # fmt: skip
_LIMIT: Final = 40_000_000
_PROBED_LIMIT: Final = 8_000_000  # probes in the innermost loops slow the workload so much that the event log fills
_CACHED_PAGES: Final = 8  # a CPU keeps the stack of the task that has ended last, and a slab of each size
_ALLOWED: Final = (Errno.EINVAL, Errno.EOPNOTSUPP, Errno.EBUSY, Errno.ENOSPC)


@dataclass(frozen=True)
class Outcome:
    """What must not depend on probes.

    Attributes:
        said: the lines that the programs have printed, sorted: some run side by side, and a probe takes its time.
        text: the kernel's code.
        free_pages: pages of memory that nobody uses.
    """

    said: tuple[str, ...]
    text: bytes
    free_pages: int


@dataclass
class Report:
    """What came of a schedule.

    Attributes:
        stream: hash of the event stream.
        counts: how often what was done, and was seen.
        problems: what is not as it should be.
    """

    stream: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


class Bench:
    """A booted machine on which schedules are played.

    Args:
        profile: how the kernel is built.
        cpus: vCPUs.

    Attributes:
        hot: instructions that the workloads execute, without those at which nothing can be probed.
        cold: the others.
    """

    def __init__(self, profile: Profile, cpus: int) -> None:
        self.profile, self.cpus = profile, cpus
        image = open_image("toyix", variant=profile.variant)
        machine = Machine(cpus=cpus, seed=cpus, ns_per_insn=_NS_PER_INSN)
        machine.boot(image.entry, image.segments)
        info = find_image("toyix")
        self.lab = lab = Lab(image, machine, profile, info.folder if info else None, optimization=True)
        lab.boot()
        lab.run()
        self.kprobes = lab.manager.kprobes
        self.start = machine.retired
        self.keys = sorted({entry.key for entry in lab.kernel.tables.jump_table})
        spans = [(span.start, span.start + span.size) for span in lab.kernel.tables.text]
        executed = Counter[int]()
        self.undisturbed: dict[str, Outcome] = {}
        for workload in WORKLOADS:
            self.rewind(workload)
            executed += executed_addresses(machine, spans, lambda: lab.timeline.run(_LIMIT))
            self.settle()
            self.undisturbed[workload] = self.outcome()
        starts = list(self._boundaries())
        self.hot = [address for address in starts if executed[address]]
        self.cold = [address for address in starts if not executed[address]]
        sites = frozenset(lab.kernel.tables.mcount_loc)
        self.fentry = [address for address in self.hot if address in sites]
        self.switch = self.lab.kernel.symbol("__switch_to")
        symbols = lab.kernel.kallsyms
        self.heat = [executed[address] ** 0.6 for address in self.hot]
        self.entries = [a for a in self.hot if (place := symbols.lookup_size_offset(a)) is not None and not place[1]]
        # Called by handlers: functions that touch nothing, some instructions of which are probed too.
        self.pure = [lab.kernel.symbol(name) for name in ("strlen", "strcmp")]

    def _boundaries(self) -> Iterator[int]:
        kernel = self.lab.kernel
        for symbol in kernel.kallsyms:
            if not symbol.is_text or self.kprobes.blacklist.reason(symbol.address):
                continue
            found = kernel.kallsyms.lookup_size_offset(symbol.address)
            if found is None or found[1] or not kernel.tables.is_text(symbol.address):
                continue
            code = kernel.read(symbol.address, found[2])
            yield from (insn.address for insn in decode_range(code, symbol.address))

    def rewind(self, workload: str) -> None:
        """Go back to where the machine had booted, and type."""
        timeline, devices = self.lab.timeline, self.lab.machine.devices
        timeline.seek(Moment(self.start))
        timeline.input("type", lambda: devices.type(workload.encode() + b"\n"))

    def settle(self) -> None:
        """Let the last calls return: init reads one more line, and prints its answer."""
        timeline, devices = self.lab.timeline, self.lab.machine.devices
        timeline.input("type", lambda: devices.type(b"echo done\n"))
        timeline.run(timeline.head + _LIMIT)

    def outcome(self) -> Outcome:
        """What there is now."""
        kernel = self.lab.kernel
        said = tuple(sorted(line for line in self.lab.console.splitlines() if not line.startswith("[")))
        text = b"".join(kernel.read(span.start, span.size) for span in kernel.tables.text)
        return Outcome(said, text, kernel.read_u64(kernel.symbol("nr_free_pages")))

    def play(self, seed: int) -> Report:
        """Play one schedule, and say what is not as without it."""
        schedule = Schedule(self, seed)
        try:
            schedule.play()
        except (KprobesimError, AssertionError) as failure:
            where = traceback.extract_tb(failure.__traceback__)[-1]
            schedule.report.problems.append(f"{type(failure).__name__} at {where.name}:{where.lineno}: {failure}")
        return schedule.report


class Schedule:
    """One schedule: operations at random moments of a workload's life.

    Args:
        bench: where it is played.
        seed: of everything.
    """

    def __init__(self, bench: Bench, seed: int) -> None:
        self.bench, self.lab, self.kprobes = bench, bench.lab, bench.kprobes
        self.random = random.Random(f"{bench.profile.value} {bench.cpus} {seed}")
        self.report = Report()
        self.workload = self.random.choice(WORKLOADS)
        self.probes: list[Kprobe] = []
        self.returns: list[Kretprobe] = []
        self.fprobes: list[Fprobe] = []
        self.keys: list[int] = []
        self.nested: list[tuple[int, int, int]] = []
        self.nesting = Counter[int]()
        self.armed = self.allowed = True
        self.expected, self.silent = Counter[int](), Counter[int]()
        self.touched, self.ignored = Counter[int](), Counter[int]()
        # A few places that this schedule comes back to, so that probes meet; neighbours, so that jumps overlap.
        hot = self.random.choices(range(len(bench.hot)), bench.heat, k=10)
        entries = self.random.choices(bench.entries, [bench.heat[bench.hot.index(a)] for a in bench.entries], k=6)
        hot += [bench.hot.index(entry) for entry in entries]
        around = [bench.hot[min(at + n, len(bench.hot) - 1)] for at in hot for n in (0, 0, 1, 2)]
        pure = [a for f in bench.pure for a in bench.hot if f <= a < f + 24]
        self.places = [*entries, *around, *pure, *self.random.sample(bench.cold, 2)]
        self.counting = self.random.random() < 0.5

    # Playing

    def play(self) -> None:
        bench, lab, timeline = self.bench, self.lab, self.lab.timeline
        bench.rewind(self.workload)
        executions = Executions(lab.machine, self._executed)
        try:
            if self.counting:
                for place in sorted(set(self.places)):
                    executions.add(place, place)
            for _ in range(self.random.randint(0, 12)):
                self._register()
            for _ in range(self.random.randint(5, 40)):
                if self.random.random() < 0.8 and self._pause() is Stop.IDLE:
                    break
                self._operate()
            if self.random.random() < 0.5:
                timeline.run(lab.machine.retired + _PROBED_LIMIT)
            self._remove_all()
            timeline.run(lab.machine.retired + _LIMIT)
            bench.settle()
        finally:
            executions.close()
        self._check()

    def _pause(self) -> Stop:
        """Go on for a while, or up to a moment when what comes next may be in somebody's way."""
        lab = self.lab
        pause = int(self.random.expovariate(1 / self.random.choice((10, 1_000, 60_000))))
        kinds = [self.random.choice(_BAD_MOMENTS)] if not self.counting and self.random.random() < 0.3 else []
        return lab.timeline.run(lab.machine.moment.insn + 1 + pause, stop_kinds=kinds)

    def _operate(self) -> None:
        operations: list[tuple[int, Callable[[], None]]] = [
            (30, self._register),
            (12, self._unregister),
            (8, self._enable_or_disable),
            (2, self._arm_all),
            (3, self._allow),
            (8, self._return_probe),
            (6, self._fprobe),
            (6, self._static_key),
            (0 if self.counting else 4, self._travel),
        ]
        chosen = self.random.choices(operations, [weight for weight, _ in operations])[0][1]
        self.report.counts[chosen.__name__.strip("_")] += 1
        chosen()

    def _do(self, what: str, change: Callable[[], object]) -> None:
        """An input that Linux may refuse; then it changes nothing."""

        def apply() -> None:
            try:
                change()
            except LinuxError as error:
                assert error.errno in _ALLOWED, str(error)
                refused.append(error)

        refused: list[LinuxError] = []
        self.lab.timeline.input(what, apply)
        self.report.counts["refused"] += len(refused) > 0

    # Operations

    def _register(self) -> None:
        place = self.random.choice(self.places)
        probe = Kprobe(address=place, disabled=self.random.random() < 0.1, name=f"probe{len(self.probes)}")
        nests = self.random.random() < 0.25
        probe.pre_handler = self._nesting_handler() if nests else _pre_handler
        if self.random.random() < 0.25:
            probe.post_handler = _post_handler
        self.probes.append(probe)
        self._touch(probe)

        def register() -> None:
            site = self.kprobes.get_kprobe(place)
            if site is not None and site.children == []:
                probe.disabled = False  # Linux itself would never take the jump away that this one revives
            self.kprobes.register_kprobe(probe)

        self._do("register", register)

    def _nesting_handler(self, asserts_ip: bool = True) -> Any:
        function, text = self.random.choice(self.bench.pure), self.lab.kernel.symbol("utsname")

        def handler(probe: Any, regs: PtRegs) -> Generator[GuestCall, int, int]:
            assert not asserts_ip or regs.ip == probe.addr + 1
            begin = self.lab.machine.insn
            self.nesting[regs.cpu] += 1
            try:
                yield GuestCall(function, (text, text))
            finally:
                self.nesting[regs.cpu] -= 1
            self.nested.append((regs.cpu, begin, self.lab.machine.insn))
            return 0

        return handler

    def _unregister(self) -> None:
        chosen = self.random.sample(self.probes, min(len(self.probes), self.random.choice((1, 1, 2, 5))))
        for probe in chosen:
            self._touch(probe)
        self._do("unregister", lambda: self.kprobes.unregister_kprobes(chosen))

    def _enable_or_disable(self) -> None:
        if not self.probes:
            return
        probe = self.random.choice(self.probes)
        self._touch(probe)
        change = self.random.choice(
            (self.kprobes.enable_kprobe, self.kprobes.disable_kprobe, self.kprobes.disable_kprobe)
        )
        self._do("enable or disable", lambda: change(probe))

    def _arm_all(self) -> None:
        self.armed = not self.armed
        armed = self.armed
        self._touch(*self.probes)
        self._do("arm all", lambda: self.kprobes.arm_all_kprobes(armed))

    def _allow(self) -> None:
        optimizer = self.kprobes.optimizer
        assert optimizer is not None
        self.allowed = not self.allowed
        allowed = self.allowed
        self._touch(*self.probes)
        self._do("allow", lambda: optimizer.allow(allowed))

    def _return_probe(self) -> None:
        rethooks = self.lab.manager.rethooks
        if self.returns and self.random.random() < 0.4:
            probe = self.random.choice(self.returns)
            self._touch(probe.kp)
            self._do("unregister return", lambda: rethooks.unregister_kretprobe(probe))
            return
        kp = Kprobe(address=self.random.choice(self.places), name=f"return{len(self.returns)}")
        handler = _return_handler if self.random.random() < 0.7 else self._nesting_handler(asserts_ip=False)
        probe = Kretprobe(kp, handler=handler, maxactive=self.random.choice((0, 1, 3)))
        self.returns.append(probe)
        self._touch(kp)
        self._do("register return", lambda: rethooks.register_kretprobe(probe))

    def _fprobe(self) -> None:
        if not self.bench.fentry:
            return
        fprobes = self.lab.manager.fprobes
        if self.fprobes and self.random.random() < 0.4:
            old = self.random.choice(self.fprobes)
            self._do("unregister fprobe", lambda: fprobes.unregister_fprobe(old))
            return
        sites = self.random.sample(self.bench.fentry, self.random.choice((1, 2, 20)))
        sites += [place for place in self.places[6:9] if place in self.bench.fentry]
        exits = _exit_handler if self.random.random() < 0.5 else None
        if exits is not None and self.bench.switch in sites:
            # It is left as another task than it was entered as. Linux refuses a return probe there, but not an fprobe,
            # and dies of it.
            sites = [place for place in sites if place != self.bench.switch] or self.bench.fentry[:1]
        shared = self.random.random() < 0.5
        fprobe = Fprobe(_entry_handler, exits, name=f"fprobe{len(self.fprobes)}", shared_with_kprobes=shared)
        self.fprobes.append(fprobe)
        self._do("register fprobe", lambda: fprobes.register_fprobe_ips(fprobe, sites))

    def _static_key(self) -> None:
        labels = self.kprobes.jump_labels
        if self.keys and self.random.random() < 0.5:
            key = self.keys.pop(self.random.randrange(len(self.keys)))
            self._do("static key off", lambda: labels.static_key_slow_dec(key))
            return
        key = self.random.choice(self.bench.keys)
        self.keys.append(key)
        self._do("static key on", lambda: labels.static_key_slow_inc(key))

    def _travel(self) -> None:
        """Into the past and back: nothing may be different after it."""
        lab, machine = self.lab, self.lab.machine
        lab.timeline.seek_end()
        before = machine.seq, machine.retired, machine.registers(), list(machine.log)[-50:]
        for _ in range(self.random.randint(1, 3)):
            lab.timeline.seek(Moment(self.random.randint(self.bench.start, before[1])))
        lab.timeline.seek_end()
        assert before == (machine.seq, machine.retired, machine.registers(), list(machine.log)[-50:])

    def _remove_all(self) -> None:
        manager = self.lab.manager
        probes = list(self.probes)
        self.random.shuffle(probes)
        half = len(probes) // 2
        self._touch(*probes)
        if not self.armed and self.random.random() < 0.5:
            self._arm_all()
        for some in (probes[:half], probes[half:]):
            self._do("remove", lambda some=some: self.kprobes.unregister_kprobes(some))  # type: ignore[misc]
        for returned in self.returns:
            self._do("remove", lambda returned=returned: manager.rethooks.unregister_kretprobe(returned))  # type: ignore[misc]
        for fprobe in self.fprobes:
            self._do("remove", lambda fprobe=fprobe: manager.fprobes.unregister_fprobe(fprobe))  # type: ignore[misc]
        for key in self.keys:
            self._do("key off", lambda key=key: self.kprobes.jump_labels.static_key_slow_dec(key))  # type: ignore[misc]
        if not self.armed:
            self._arm_all()
        if not self.allowed:
            self._allow()

    # Counting by other means

    def _touch(self, *probes: Kprobe) -> None:
        for probe in probes:
            address = probe.addr or probe.address
            assert address is not None
            self.touched[address] += 1

    def _executed(self, address: int) -> None:
        byte = self.lab.kernel.read(address, 1)[0]
        if byte not in (INT3, 0xE9, 0xE8):
            return
        site = self.kprobes.get_kprobe(address)
        if byte == 0xE8 and (site is None or site.ainsn is not None or address not in self.bench.fentry):
            return  # a call of the kernel's own, or of somebody else's trampoline
        if byte == 0xE8 and self.kprobes.all_disarmed:
            return  # somebody else's, as long as kprobes are switched off
        if byte == INT3 and site is None and address in self.bench.fentry:
            self.touched[address] += 1  # a call is being patched in or out, which may be somebody else's
            return
        if byte == 0xE9 and (site is None or not site.is_optimized):
            return
        if byte != INT3 and (site is None or site.is_disabled or site.children == []):
            self.silent[address] += 1
        else:
            self.expected[address] += 1
            # Inside of a handler that ftrace called, ftrace calls nobody, and counts it nowhere (FTR-03).
            self.ignored[address] += byte == 0xE8 and self.nesting[self.lab.machine.current_cpu.number] > 0

    # The end

    def _check(self) -> None:
        bench, report, machine = self.bench, self.report, self.lab.machine
        log = list(machine.log)
        report.stream = hashlib.sha256(repr([tuple(event) for event in log]).encode()).hexdigest()
        for event in log:
            if event.kind.startswith(("kprobe.", "rethook.", "fprobe.", "text.", "static_key.")):
                report.counts[event.kind] += 1
        report.counts["migrations"] += _migrations(log)
        now, want = bench.outcome(), bench.undisturbed[self.workload]
        # Programs that run side by side may break into each other's lines.
        if sorted("".join(now.said)) != sorted("".join(want.said)):
            report.problems.append(f"printed {now.said} and not {want.said}")
        if now.text != want.text:
            report.problems.append("a byte of the kernel's code has stayed")
        if abs(now.free_pages - want.free_pages) > _CACHED_PAGES * bench.cpus:
            report.problems.append(f"{now.free_pages} free pages and not {want.free_pages}")
        if self.kprobes.slots.used:
            report.problems.append(f"{self.kprobes.slots.used} slots are still taken")
        optimizer = self.kprobes.optimizer
        if optimizer is not None and optimizer.slots.used != len(optimizer._garbage):
            report.problems.append(f"{optimizer.slots.used} detour buffers, {len(optimizer._garbage)} of them freed")
        if len(self.kprobes.sites()):
            report.problems.append(f"{len(self.kprobes.sites())} places are still in the table")
        if any(block.current is not None for block in self.kprobes.ctlblk):
            report.problems.append("a CPU still handles a probe")
        report.problems += (
            self._stale_returns() + _wrong_misses(log, self.nested) + (self._miscounted(log) if self.counting else [])
        )

    def _stale_returns(self) -> list[str]:
        rethooks, kernel = self.lab.manager.rethooks, self.lab.kernel
        wrong = []
        ended = _ended(self.lab.machine.log)
        for task in list(rethooks._tasks):
            # A zombie keeps what it awaits until it is reaped, and its stack is somebody else's by then.
            for node in rethooks.nodes(task) if task not in ended else ():
                if kernel.read_u64(node.frame) != rethooks.trampoline:
                    wrong.append(f"a return is awaited at {node.frame:#x}, where no trampoline is")
        return wrong

    def _miscounted(self, log: Sequence[Any]) -> list[str]:
        """Each execution of a patched instruction was a hit, a miss, a race with the removal, or went straight on."""
        seen = Counter[int]()
        missed = set()
        for event in log:
            address = event.fields.get("addr")
            if event.kind in ("kprobe.hit", "kprobe.opt_hit", "kprobe.removed"):
                seen[address] += 1
            elif event.kind == "kprobe.miss":
                missed.add((event.moment.insn, address))
            elif event.kind == "text.emulate" and event.fields["new"] == NOP5:
                seen[address] += 1
        for _, address in missed:
            seen[address] += 1
        self.report.counts["counted"] += sum(self.expected.values())
        return [
            f"{self.lab.kernel.kallsyms.symbolize(place)}: executed {self.expected[place]} times, seen {seen[place]}"
            f" (+{self.silent[place]}, touched {self.touched[place]})"
            for place in sorted(set(self.places))
            if not -(slack := self.touched[place] * self.bench.cpus)
            <= self.expected[place] - seen[place]
            <= slack + self.ignored[place]
        ]


def _pre_handler(probe: Kprobe, regs: PtRegs) -> int:
    assert probe.addr is not None and regs.ip == probe.addr + 1
    return 0


def _post_handler(probe: Kprobe, regs: PtRegs, flags: int) -> None:
    assert flags == 0 and probe.addr is not None


def _return_handler(_: Any, regs: PtRegs) -> None:
    assert regs.ip


def _entry_handler(_: Fprobe, site: int, regs: PtRegs, __: bytearray | None) -> int:
    assert regs.ip == site + len(NOP5)
    return 0


def _exit_handler(_: Fprobe, site: int, regs: PtRegs, __: bytearray | None) -> int:
    assert site and regs.ip
    return 0


def _ended(log: Sequence[Any]) -> set[int]:
    """Addresses of the tasks that have exited, unless they are another task's by now."""
    ended: set[int] = set()
    for event in log:
        if event.kind == "task.exit":
            ended.add(event.fields["task"])
        elif event.kind == "task.new":
            ended.discard(event.fields["task"])
    return ended


def _migrations(log: Sequence[Any]) -> int:
    """How often a task has gone on on another CPU."""
    last: dict[int, int] = {}
    moved = 0
    for event in log:
        if event.kind == "sched.switch" and event.fields["next_pid"]:
            pid = event.fields["next_pid"]
            moved += last.get(pid, event.cpu) != event.cpu
            last[pid] = event.cpu
    return moved


def _wrong_misses(log: Sequence[Any], nested: Sequence[tuple[int, int, int]]) -> list[str]:
    """A hit may be missed only while another probe is handled on the same CPU (REE-01, REE-05, REE-06)."""
    wrong = []
    handling: dict[int, set[str]] = {}
    for event in log:
        doing = handling.setdefault(event.cpu, set())
        match event.kind:
            case "kprobe.hit" | "kprobe.opt_hit":
                doing.add("handler")
            case "kprobe.pre_handler" | "kprobe.opt_pre_handler":
                doing.discard("handler")
            case "kprobe.singlestep" | "kprobe.step_tf":
                doing.add("step")
            case "kprobe.resume" | "kprobe.debug" | "kprobe.fault":
                doing.discard("step")
            case "kprobe.miss" if not doing and not any(
                cpu == event.cpu and begin <= event.moment.insn <= end for cpu, begin, end in nested
            ):
                wrong.append(f"{event.fields['probe']} has missed a hit at {event.moment.insn}")
    return wrong


def _benches(profiles: Sequence[str], cpus: Sequence[int]) -> list[Bench]:
    return [Bench(Profile(profile), number) for profile in profiles for number in cpus]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="schedules in all")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--profile", action="append", choices=[profile.value for profile in Profile])
    parser.add_argument("--cpus", action="append", type=int)
    parser.add_argument("--twice", type=int, default=20, help="every how many schedules one is played twice")
    parser.add_argument("--events", action="store_true", help="print the events of each schedule")
    options = parser.parse_args()
    benches = _benches(options.profile or [profile.value for profile in Profile], options.cpus or [2, 4])
    total, bad, begin = Counter[str](), 0, time.monotonic()
    for number in range(options.count):
        bench, seed = benches[number % len(benches)], options.first + number // len(benches)
        report = bench.play(seed)
        if options.events:
            for event in bench.lab.machine.log:
                print(event)
        if options.twice and number % options.twice == 0 and bench.play(seed).stream != report.stream:
            report.problems.append("played twice, it was not the same")
        total += report.counts
        for problem in report.problems:
            print(f"--profile {bench.profile.value} --cpus {bench.cpus} --first {seed}: {problem}", flush=True)
        bad += bool(report.problems)
        if (number + 1) % 100 == 0 or number + 1 == options.count:
            spent = time.monotonic() - begin
            print(f"{number + 1} schedules in {spent:.0f} s, {bad} with problems", flush=True)
    for name, count in sorted(total.items()):
        print(f"{count:>12,} {name}")
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
