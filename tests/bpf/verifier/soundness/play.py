"""Is what the verifier accepts safe? Every accepted program runs, and must keep to what the verifier promised.

    python -m tests.bpf.verifier.soundness.play --programs 200000 --seed 1

In the interpreter every access of the program is checked against what it may touch: the bytes of stack that the
verifier counted for its function, the context for reading, the values of its maps, records of the ring between reserve
and submit. Every instruction that runs must be one that the verifier saw, because Linux removes the others. Then the
same program runs as machine code; result, maps, context and the helpers' state must be the same, and whatever is not
the program's must be as it was. A record that is not given back is an error too.
"""

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

from kprobesim.bpf import (
    Arena,
    BenchEnvironment,
    BoundProgram,
    BpfMap,
    Execution,
    FlatMemory,
    Insn,
    MapSpec,
    MemoryFault,
    Program,
    RunError,
    create_map,
    encode,
    listing,
)
from kprobesim.bpf.jit.bench import Bench, JitedProgram
from kprobesim.bpf.maps.ringbuf import BUSY_BIT, DISCARD_BIT, HDR_SIZE, RingBuf
from kprobesim.bpf.memory import PAGE_SIZE
from kprobesim.bpf.verifier import MapMeta, Verdict, map_meta_of, verify
from tests.bpf.verifier.soundness.beliefs import Beliefs, Moment, PrunedTooMuch, beliefs_of
from tests.bpf.verifier.soundness.generate import random_program
from tests.bpf.verifier.soundness.statements import ARRAY, ARRAY_SIZE, CTX_SIZE, HASH, RING

__all__ = ["Player", "Trouble"]

_BASE = 0xFFFF_8880_0000_0000
_SIZE = 0x10000
_TOP = _BASE + 0x4000
_CTX = _BASE + 0x5000
_ARENA = _BASE + 0x6000
_FRAME = 512
_FRAMES = 8
_PATTERN = bytes(n * 37 + 11 & 0xFF for n in range(_SIZE))
_BUDGET = 200_000
_LIMIT = 5_000
_JUMPS = (5, 6)
_INTERESTING = (0, 1, 7, 8, 47, 48, 63, 64, 255, 1 << 31, (1 << 31) - 1, (1 << 32) - 1, 1 << 32, 1 << 63, (1 << 64) - 1)


class Trouble(Exception):
    """A program that was accepted did what it must not.

    Args:
        what: what it did.
        insns: the program.
        ctx: the context that it was given.

    Attributes:
        number: how many programs were played before.
    """

    def __init__(self, what: str, insns: tuple[Insn, ...], ctx: bytes) -> None:
        super().__init__(f"{what}\n{listing(insns)}\ninsns {encode(insns).hex()}\nctx {ctx.hex()}")
        self.what = what
        self.insns = insns
        self.ctx = ctx
        self.number = 0


def _open_records(ring: RingBuf) -> list[tuple[int, int]]:
    """Address and end of the samples that are reserved and not given back."""
    found, position = [], 0
    while position < ring.producer_pos:
        header_at = ring.ring + 3 * PAGE_SIZE + position
        header = int.from_bytes(ring.memory.read(header_at, 4), "little")
        size = header & ~(BUSY_BIT | DISCARD_BIT)
        if header & BUSY_BIT:
            found.append((header_at + HDR_SIZE, header_at + HDR_SIZE + size))
        position += (size + HDR_SIZE + 7) & ~7
    return found


class _Fence:
    """Guest memory as far as one program may touch it."""

    def __init__(self, memory: FlatMemory, allowed: list[tuple[int, int, bool]], ring: RingBuf) -> None:
        self.memory = memory
        self.allowed = allowed
        self.ring = ring

    def _check(self, addr: int, size: int, write: bool) -> None:
        for start, end, writable in self.allowed:
            if start <= addr and addr + size <= end and (writable or not write):
                return
        if any(start <= addr and addr + size <= end for start, end in _open_records(self.ring)):
            return
        # The helpers find a record's ring by its header.
        if not write and any(addr == start - 4 and size == 4 for start, _ in _open_records(self.ring)):
            return
        raise MemoryFault(addr, size, write=write)

    def read(self, addr: int, size: int) -> bytes:
        self._check(addr, size, False)
        return self.memory.read(addr, size)

    def write(self, addr: int, data: bytes) -> None:
        self._check(addr, len(data), True)
        self.memory.write(addr, data)


@dataclass(frozen=True)
class _Outcome:
    result: int
    ctx: bytes
    array: bytes
    hash_items: list[tuple[bytes, bytes]]
    ring: bytes
    env: Any


class Player:
    """Runs programs both ways.

    Attributes:
        tally: how many programs were accepted, refused and run.
    """

    def __init__(self) -> None:
        self.memory = FlatMemory(_BASE, _SIZE)
        self.bench = Bench(self.memory)
        self.tally: Counter[str] = Counter()
        self.memory.write(_BASE, _PATTERN)
        arena = Arena(_ARENA, _BASE + _SIZE - _ARENA)
        specs = (
            MapSpec("array", 4, ARRAY_SIZE, 1, name="array"),
            MapSpec("hash", 8, 16, 8, name="hash"),
            MapSpec("ringbuf", 0, 0, PAGE_SIZE, name="ring"),
        )
        self.maps: list[BpfMap] = [create_map(spec, self.memory, arena, number) for number, spec in enumerate(specs, 1)]
        self.maps[ARRAY].update_elem(bytes(4), bytes(range(ARRAY_SIZE)))
        self.maps[HASH].update_elem(bytes([1]).ljust(8, b"\0"), bytes(range(16)))
        ring = self.maps[RING]
        assert isinstance(ring, RingBuf)
        self.ring = ring
        self.env = BenchEnvironment()
        self._metas = [map_meta_of(live) for live in self.maps]
        self._fresh = self.memory.save(), [live.save() for live in self.maps], self.env.save()

    def _reset(self, ctx: bytes) -> None:
        memory, states, env = self._fresh
        self.memory.restore(memory)
        for live, state in zip(self.maps, states, strict=True):
            live.restore(state)
        self.memory.write(_CTX, ctx)
        self.env.restore(env)

    def _outcome(self, result: int) -> _Outcome:
        array = self.memory.read(self.maps[ARRAY].lookup_elem(bytes(4)), ARRAY_SIZE)
        items = sorted(self.maps[HASH].items())
        ring = self.memory.read(self.ring.ring + 2 * PAGE_SIZE, 2 * PAGE_SIZE)
        return _Outcome(result, self.memory.read(_CTX, CTX_SIZE), array, items, ring, self.env.save())

    def verify(self, insns: tuple[Insn, ...], metas: list[MapMeta]) -> Verdict:
        """What the verifier says of a program with the two maps."""
        return verify(
            insns, "kprobe", lambda slot, insn: metas[insn.imm] if insn.src in (5, 6) else None, log_level=0,
            stop_after=_LIMIT, test_state_freq=len(insns) % 2 == 0,
        )  # fmt: skip

    def play(self, insns: tuple[Insn, ...], contexts: list[bytes]) -> bool:
        """Whether the program is accepted; if so, it ran well. Raises Trouble."""
        verdict = self.verify(insns, self._metas)
        if verdict.rejected:
            self.tally["refused"] += 1
            return False
        self.tally["accepted"] += 1
        self._reset(bytes(CTX_SIZE))
        program = Program("fuzz", "kprobe", insns, self.maps)
        bound = program.bind(self._fence(verdict), self.env, _BUDGET)
        self.bench.clear()
        depth = max(verdict.stats.stack_depths)
        jited = JitedProgram(program, self.bench, self.env, _BUDGET * 20, stack_depth=depth)
        try:
            beliefs = beliefs_of(verdict)
        except PrunedTooMuch as missed:
            raise Trouble(f"pruning hides what is refused without it: {missed}", insns, contexts[0]) from missed
        self.tally["walked whole"] += beliefs is not None
        for ctx in contexts:
            slow = self._interpret(bound, insns, verdict, beliefs, ctx)
            fast = self._jited(jited, insns, ctx)
            if slow != fast:
                raise Trouble(f"the interpreter has {slow}, the machine code {fast}", insns, ctx)
            self.tally["runs"] += 1
        return True

    def _fence(self, verdict: Verdict) -> _Fence:
        depths = verdict.stats.stack_depths
        deepest = max(depths[1:], default=0)
        frames = [(_TOP - depths[0], _TOP, True)]
        frames += [(_TOP - _FRAME * n - deepest, _TOP - _FRAME * n, True) for n in range(1, _FRAMES)]
        values = self.maps[ARRAY].lookup_elem(bytes(4))
        elements = (self.maps[HASH].address + 272, self.maps[RING].address, True)
        allowed = [*frames, (_CTX, _CTX + CTX_SIZE, False), (values, values + ARRAY_SIZE, True), elements]
        return _Fence(self.memory, allowed, self.ring)

    def _word(self, addr: int) -> int:
        return int.from_bytes(self.memory.read(addr, 8), "little")

    def _interpret(
        self, bound: BoundProgram, insns: tuple[Insn, ...], verdict: Verdict, beliefs: Beliefs | None, ctx: bytes
    ) -> _Outcome:
        self._reset(ctx)

        values = {"array": self.maps[ARRAY].lookup_elem(bytes(4))}

        def look(execution: Execution) -> None:
            pc = execution.pc
            if not verdict.seen[pc]:
                raise Trouble(f"insn {pc} runs, and the verifier never saw it", insns, ctx)
            if beliefs is None:
                return
            tops = [*(frame.fp for frame in execution.frames), execution.regs[10]]
            said = beliefs.misfit(Moment(pc, execution.regs, tops, self._word, values, _CTX))
            if said:
                raise Trouble(f"before insn {pc} {said}", insns, ctx)

        try:
            result = bound.start(_CTX, _TOP, hook=look).run()
        except RunError as fault:
            raise Trouble(f"the interpreter says: {fault}", insns, ctx) from fault
        if _open_records(self.ring):
            raise Trouble("a record of the ring was not given back", insns, ctx)
        return self._outcome(result)

    def _jited(self, jited: JitedProgram, insns: tuple[Insn, ...], ctx: bytes) -> _Outcome:
        self._reset(ctx)
        try:
            result = jited.run(_CTX, _TOP)
        except RunError as fault:
            raise Trouble(f"the processor says: {fault}", insns, ctx) from fault
        for start, end in ((_BASE, _TOP - 8 * (_FRAME + 64)), (_TOP + 16, _CTX), (_CTX + CTX_SIZE, _ARENA)):
            if self.memory.read(start, end - start) != _PATTERN[start - _BASE : end - _BASE]:
                raise Trouble(f"memory at {start:#x}..{end:#x} changed", insns, ctx)
        return self._outcome(result)


def telling_context(rng: Random, insns: tuple[Insn, ...]) -> bytes:
    """Registers that are random, or just where bounds often are, or where this program draws a line."""
    lines = [insn.imm for insn in insns if insn.code & 7 in _JUMPS and not insn.code & 8] or [0]
    chosen = rng.choice(lines) if rng.random() < 0.6 else None

    def word() -> int:
        kind = rng.random()
        if kind < 0.2:
            return rng.getrandbits(64)
        near = rng.choice(lines) if chosen is None else chosen
        near = rng.choice(_INTERESTING) if kind < 0.35 else near + rng.choice((0, 0, 1, -1))
        # Wherever a narrow load looks, it finds the number.
        width = rng.choice((8, 8, 16, 32, 64, 64))
        return sum((near & (1 << width) - 1) << at for at in range(0, 64, width))

    return b"".join(word().to_bytes(8, "little") for _ in range(CTX_SIZE // 8))


def play_many(count: int, seed: int, contexts: int = 6, *, quiet: bool = False) -> Counter[str]:
    """Play ``count`` random programs; what became of them. Raises Trouble."""
    player = Player()
    started = time.perf_counter()
    for number in range(count):
        rng = Random(seed * 1_000_003 + number)
        insns = random_program(rng)
        try:
            player.play(insns, [telling_context(rng, insns) for _ in range(contexts)])
        except Trouble as trouble:
            trouble.number = number
            raise
        if number and number % 5000 == 0 and not quiet:
            rate = number / (time.perf_counter() - started)
            print(f"{number} {dict(player.tally)} {rate:.0f} programs/s", file=sys.stderr, flush=True)
    return player.tally


def main() -> None:
    """Play as many programs as asked."""
    parser = argparse.ArgumentParser(description="Run random programs that the verifier accepts.")
    parser.add_argument("--programs", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    try:
        print(dict(play_many(given.programs, given.seed)))
    except Trouble as trouble:
        sys.exit(str(trouble))


if __name__ == "__main__":
    main()
