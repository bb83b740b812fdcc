"""How many hits a second by each mechanism: stepped, emulated, boosted, by a jump, by ftrace, at returns.

``--profile`` prints where the time goes, for the cases named behind it.
"""

from __future__ import annotations

import cProfile
import gc
import pstats
import sys
import time
from collections.abc import Callable
from typing import Any, Final

from common import Toyix, report

from kprobesim.bpf import assemble
from kprobesim.image import Instruction, decode_range
from kprobesim.kprobes import Fprobe, Kprobe, Kretprobe
from kprobesim.lab import Profile
from kprobesim.tracing import Attachment, BpfPrograms

CALLS = 10_000
COMMAND = f"dd if=/dev/zero of=/dev/null bs=1 count={CALLS} status=none"
LIMIT = 500_000_000

Prepare = Callable[[Toyix], None]


def run(
    prepare: Prepare | None = None, profile: Profile = Profile.BARE, jumps: bool = False, *, show: bool = False
) -> tuple[float, int]:
    """Seconds and hits of one run of the command."""
    # The optimizer comes 20 ms after the registration: the sleep lets it.
    commands = ("sleep 0.05", COMMAND) if jumps else (COMMAND,)
    toyix = Toyix(*commands, profile=profile, jumps=jumps)
    if prepare is not None:
        prepare(toyix)
    gc.collect()  # what earlier runs left behind is not to be cleared away in this one's time
    profiler = cProfile.Profile()
    start = time.perf_counter()
    if show:
        profiler.runcall(toyix.timeline.run, LIMIT)
    else:
        toyix.timeline.run(LIMIT)
    seconds = time.perf_counter() - start
    if show:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(30)
    hits = ("kprobe.opt_hit",) if jumps else ("kprobe.hit", "fprobe.entry")
    return seconds, sum(event.kind in hits for event in toyix.machine.log)


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


def emulated(toyix: Toyix) -> None:
    """The same handler on a call, which is emulated: one trap."""
    kernel = toyix.kernel
    address = kernel.symbol("ksys_read")
    code = decode_range(kernel.read(address, 256), address)
    call = next(item for item in code if isinstance(item, Instruction) and item.mnemonic == "call")
    probe = Kprobe(address=call.address, pre_handler=lambda _, __: 0)
    toyix.timeline.input("register", lambda: toyix.manager.kprobes.register_kprobe(probe))


def fprobe(toyix: Toyix) -> None:
    """Entry and return by an fprobe."""
    probe = Fprobe(lambda *_: None, lambda *_: None)
    toyix.timeline.input("register", lambda: toyix.manager.fprobes.register_fprobe(probe, "vfs_read"))


CASES: Final[dict[str, tuple[Prepare, Profile, bool]]] = {
    "handler": (handler, Profile.BARE, False),
    "bpf": (bpf, Profile.BARE, False),
    "bpf_counting": (counting, Profile.BARE, False),
    "bpf_counting_jit": (counting_jited, Profile.BARE, False),
    "return": (both_ends, Profile.BARE, False),
    "emulated": (emulated, Profile.BARE, False),
    "boosted": (handler, Profile.SERVER, False),
    "jump": (handler, Profile.BARE, True),
    "jump_bpf": (bpf, Profile.BARE, True),
    "jump_bpf_counting_jit": (counting_jited, Profile.BARE, True),
    "ftrace": (handler, Profile.DISTRO, False),
    "ftrace_return": (both_ends, Profile.DISTRO, False),
    "fprobe": (fprobe, Profile.DISTRO, False),
    "trap_flag": (handler, Profile.HISTORY, False),
}


def main() -> None:
    """Run with each kind of probe, report; with ``--profile``, and names of cases, where the time goes."""
    if "--profile" in sys.argv:
        for name in sys.argv[2:] or ["handler", "bpf"]:
            run(*CASES[name], show=True)
        return
    ways = dict.fromkeys(case[1:] for case in CASES.values())
    plain = {way: min(run(None, *way)[0] for _ in range(3)) for way in ways}
    figures: dict[str, Any] = {"unprobed_seconds": round(plain[Profile.BARE, False], 4)}
    for name, (prepare, *way) in CASES.items():
        seconds, hits = min(run(prepare, *way) for _ in range(3))
        net = seconds - plain[way[0], way[1]]
        figures[f"{name}_hits"] = hits
        figures[f"{name}_hits_per_second"] = round(hits / seconds)
        figures[f"{name}_hits_per_second_net"] = round(hits / net)
        figures[f"{name}_microseconds_per_hit"] = round(net / hits * 1e6, 1)
    report("hits", figures)


if __name__ == "__main__":
    main()
