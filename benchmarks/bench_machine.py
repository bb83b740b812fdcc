"""How fast unprobed code runs, against raw Unicorn counting instructions of the same code."""

from __future__ import annotations

import statistics
import time

from common import Toyix, report
from unicorn import UC_ARCH_X86, UC_MODE_64, UC_PROT_ALL, Uc
from unicorn import x86_const as x86

from kprobesim.machine import Machine, Timeline
from kprobesim.machine.events import Moment

START = 0x100000
# 1: add %rbx,%rax; mov %rax,(%rsi); mov (%rsi),%rdx; inc %rcx; test $7,%cl; jnz 1b; push %rax; pop %rdx; jmp 1b
LOOP = bytes.fromhex("4801d8488906488b1648ffc1f6c10775ef505aebeb")
SET_UP = bytes.fromhex("48be0000200000000000") + bytes.fromhex("48bc0000300000000000")  # mov to rsi and rsp
COUNT = 20_000_000
ROUNDS = 5


class Code:
    """A loop in kernel mode, as the loader takes it."""

    physical = virtual = START
    data = SET_UP + LOOP
    memory_size = len(data)


def raw_rate(machine: Machine) -> float:
    """Instructions per second of an engine of its own, over a copy of the same state."""
    uc = Uc(UC_ARCH_X86, UC_MODE_64)
    uc.mem_map_ptr(0, machine.ram.size, UC_PROT_ALL, machine.ram.host_address)
    uc.context_restore(machine.cpus[0].engine.save_context())
    start = time.perf_counter()
    uc.emu_start(uc.reg_read(x86.UC_X86_REG_RIP), 0, count=COUNT)
    return COUNT / (time.perf_counter() - start)


def machine_rate(machine: Machine) -> float:
    """Instructions per second of the machine."""
    start = time.perf_counter()
    machine.run(machine.retired + COUNT)
    return COUNT / (time.perf_counter() - start)


def timeline_rate(timeline: Timeline) -> float:
    """With checkpoints on the way."""
    start = time.perf_counter()
    timeline.run(timeline.machine.retired + COUNT)
    return COUNT / (time.perf_counter() - start)


def main() -> None:
    """Run the same code both ways in turns, report."""
    machine, watched = Machine(), Machine()
    for each in (machine, watched):
        each.boot(START, [Code()])
        each.run(1_000)
    watched_timeline = Timeline(watched)
    raw, ours, timed = [], [], []
    for _ in range(ROUNDS):
        raw.append(raw_rate(machine))
        ours.append(machine_rate(machine))
        timed.append(timeline_rate(watched_timeline))
    toyix = Toyix("spin -n 10000000")
    begin = time.perf_counter()
    before = toyix.machine.retired
    toyix.timeline.run()
    kernel = (toyix.machine.retired - before) / (time.perf_counter() - begin)
    toyix.timeline.seek(Moment(before))
    report(
        "machine",
        {
            "raw_insns_per_second": round(statistics.median(raw)),
            "machine_insns_per_second": round(statistics.median(ours)),
            "timeline_insns_per_second": round(statistics.median(timed)),
            "machine_ratio": round(statistics.median(ours) / statistics.median(raw), 3),
            "timeline_ratio": round(statistics.median(timed) / statistics.median(raw), 3),
            "toyix_spin_insns_per_second": round(kernel),
        },
    )


if __name__ == "__main__":
    main()
