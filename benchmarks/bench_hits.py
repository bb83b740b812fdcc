"""How many hits a second: trap, handler, step in the slot, second trap; or, optimized, a jump and a call.

``--profile`` prints where the time goes.
"""

from __future__ import annotations

import cProfile
import pstats
import sys
import time
from typing import Any

from common import Toyix, report

from kprobesim.bpf import assemble
from kprobesim.kprobes import Kprobe, Kretprobe
from kprobesim.tracing import Attachment, BpfPrograms

CALLS = 10_000
COMMAND = f"dd if=/dev/zero of=/dev/null bs=1 count={CALLS} status=none"
LIMIT = 500_000_000


def run(prepare: Any = None, profile: bool = False, optimized: bool = False) -> tuple[float, int]:
    """Seconds and hits of one run of the command."""
    # The optimizer comes 20 ms after the registration: the sleep lets it.
    commands = ("sleep 0.05", COMMAND) if optimized else (COMMAND,)
    toyix = Toyix(*commands, optprobes=optimized)
    if prepare is not None:
        prepare(toyix)
    profiler = cProfile.Profile()
    start = time.perf_counter()
    if profile:
        profiler.runcall(toyix.timeline.run, LIMIT)
    else:
        toyix.timeline.run(LIMIT)
    seconds = time.perf_counter() - start
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
    hit = "kprobe.opt_hit" if optimized else "kprobe.hit"
    return seconds, sum(event.kind == hit for event in toyix.machine.log)


def handler(toyix: Toyix) -> None:
    """A handler that does nothing."""
    probe = Kprobe(symbol_name="vfs_read", pre_handler=lambda _, __: 0)
    toyix.timeline.input("register", lambda: toyix.manager.kprobes.register_kprobe(probe))


def bpf(toyix: Toyix) -> None:
    """A program of two instructions."""
    programs = BpfPrograms(toyix.manager, 1)
    source = assemble(".type kprobe\n.license GPL\nr0 = 0\nexit\n")

    def attach() -> None:
        programs.load(source, "nothing")
        programs.attach(Attachment("nothing", Kprobe(symbol_name="vfs_read")))

    toyix.timeline.input("attach", attach)


COUNT = """
.type kprobe
.license GPL
.map counts array key=4 value=8 max_entries=1
*(u32 *)(r10 -4) = 0
r2 = r10
r2 += -4
r1 = map[counts]
call map_lookup_elem
if r0 == 0 goto out
r1 = 1
lock *(u64 *)(r0 +0) += r1
out:
r0 = 0
exit
"""


def counting(toyix: Toyix, jit: int = 0) -> None:
    """A program that counts the hits in a map."""
    programs = BpfPrograms(toyix.manager, 1)
    programs.jit.enabled = jit

    def attach() -> None:
        programs.load(assemble(COUNT), "count")
        programs.attach(Attachment("count", Kprobe(symbol_name="vfs_read")))

    toyix.timeline.input("attach", attach)


def counting_jited(toyix: Toyix) -> None:
    """The same as machine code."""
    counting(toyix, jit=1)


def both_ends(toyix: Toyix) -> None:
    """A return probe: one breakpoint and the trampoline."""
    probe = Kretprobe(Kprobe(symbol_name="vfs_read"), handler=lambda _, __: None)
    toyix.timeline.input("register", lambda: toyix.manager.rethooks.register_kretprobe(probe))


PROBES: dict[str, Any] = {
    "handler": handler,
    "bpf": bpf,
    "bpf_counting": counting,
    "bpf_counting_jit": counting_jited,
    "return": both_ends,
}


def main() -> None:
    """Run with each kind of probe, report."""
    if "--profile" in sys.argv:
        for prepare in PROBES.values():
            run(prepare, profile=True)
        run(handler, profile=True, optimized=True)
        return
    plain = min(run()[0] for _ in range(3))
    figures: dict[str, Any] = {"unprobed_seconds": round(plain, 4)}
    for name, prepare in PROBES.items():
        seconds, hits = min(run(prepare) for _ in range(3))
        figures[f"{name}_hits"] = hits
        figures[f"{name}_hits_per_second"] = round(hits / seconds)
        figures[f"{name}_microseconds_per_hit"] = round((seconds - plain) / hits * 1e6, 1)
    plain = min(run(optimized=True)[0] for _ in range(3))
    for name, prepare in (("optimized", handler), ("optimized_bpf", bpf)):
        seconds, hits = min(run(prepare, optimized=True) for _ in range(3))
        figures[f"{name}_hits"] = hits
        figures[f"{name}_hits_per_second_net"] = round(hits / (seconds - plain))
        figures[f"{name}_microseconds_per_hit"] = round((seconds - plain) / hits * 1e6, 1)
    report("hits", figures)


if __name__ == "__main__":
    main()
