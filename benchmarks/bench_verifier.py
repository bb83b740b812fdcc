"""How many instructions the verifier processes in a second, and how long loading a small program takes.

Targets: 40,000 instructions/s; a program of 30 instructions loaded in 20 ms; the captured cases, if their file is named
on the command line, in 30 s. ``--profile`` prints where the time goes.
"""

from __future__ import annotations

import cProfile
import json
import pstats
import sys
import time
from pathlib import Path

from common import report

from kprobesim.bpf import Arena, FlatMemory, Program, answer, assemble, create_map
from kprobesim.bpf.verifier import LEVEL2, map_meta_of, verify, verify_assembly

BRANCHES = 13
SECONDS = 3.0

LOOP = """
    r6 = r1
    r7 = 0
again:
    r0 = *(u64 *)(r6 +96)
    r0 &= 31
    r1 = r10
    r1 += -32
    r1 += r0
    *(u8 *)(r1 +0) = 1
    r7 += 1
    if r7 < 4000 goto again
    r0 = 0
    exit
"""
"""One long path."""

TREE = "r6 = r1\nr7 = 0\n" + "".join(
    f"r1 = *(u64 *)(r6 +{8 * n})\nif r1 s> {n} goto pc+1\nr7 += {1 << n}\n*(u64 *)(r10 -{8 * (n + 1)}) = r7\n"
    for n in range(BRANCHES)
)
TREE += "if r7 > 99999 goto pc+1\nr7 = 0\nr0 = r7\nexit\n"
"""Many short paths, each with a stack of its own."""

SMALL = """
    .map counts hash key=8 value=8 max_entries=64
    r6 = r1
    call bpf_get_current_pid_tgid
    r0 >>= 32
    *(u64 *)(r10 -8) = r0
    r7 = *(u64 *)(r6 +96)
    if r7 > 4096 goto big
    r7 = 1
    goto look
big:
    r7 = 2
look:
    r2 = r10
    r2 += -8
    r1 = map counts
    call bpf_map_lookup_elem
    if r0 == 0 goto new
    lock *(u64 *)(r0 +0) += r7
    goto done
new:
    *(u64 *)(r10 -16) = r7
    r2 = r10
    r2 += -8
    r3 = r10
    r3 += -16
    r1 = map counts
    r4 = 0
    call bpf_map_update_elem
done:
    r0 = 0
    exit
"""


def rate(text: str, log_level: int) -> float:
    """Processed instructions per second."""
    source = assemble(text)
    processed, started = 0, time.perf_counter()
    while (taken := time.perf_counter() - started) < SECONDS:
        verdict = verify_assembly(source, log_level=log_level)
        assert verdict.rejected is None, verdict.log[-400:]
        processed += verdict.stats.insn_processed
    return processed / taken


def loading() -> float:
    """Milliseconds to assemble, verify and load a program of 30 instructions."""
    best = 1e9
    for _ in range(20):
        started = time.perf_counter()
        source = assemble(SMALL)
        memory = FlatMemory(0x10000, 1 << 16)
        arena = Arena(0x12000, 0xE000)
        maps = [create_map(spec, memory, arena, number) for number, spec in enumerate(source.maps, 1)]
        metas = [map_meta_of(live) for live in maps]
        verdict = verify(source.insns, "kprobe", lambda slot, insn, known=metas: known[insn.imm])
        assert verdict.rejected is None
        Program("small", "kprobe", source.insns, maps)
        best = min(best, time.perf_counter() - started)
    return best * 1000


def captured(path: str) -> float:
    """Seconds for all captured cases."""
    requests = [json.loads(line)["request"] for line in Path(path).read_text(encoding="utf-8").splitlines()]
    started = time.perf_counter()
    for request in requests:
        answer(request)
    return time.perf_counter() - started


def main() -> None:
    """Print the figures."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--profile"]
    if len(arguments) < len(sys.argv) - 1:
        profiler = cProfile.Profile()
        profiler.runcall(rate, TREE, 0)
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)
        return
    figures = {
        "loop, no log, insns/s": round(rate(LOOP, 0)),
        "loop, log level 2, insns/s": round(rate(LOOP, LEVEL2)),
        "tree, no log, insns/s": round(rate(TREE, 0)),
        "tree, log level 2, insns/s": round(rate(TREE, LEVEL2)),
        "load 30 insns, ms": round(loading(), 2),
    }
    if arguments:
        figures["captured cases, s"] = round(captured(arguments[0]), 2)
    report("verifier", figures)


if __name__ == "__main__":
    main()
