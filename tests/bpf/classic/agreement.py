"""Random filters over random packets: the classic interpreter, the converted eBPF interpreted and JITed must agree.

``python -m tests.bpf.classic.agreement --count 100000 --seed 1`` is the long run; the tests do a short one.
"""

import argparse
import sys
from random import Random

from kprobesim.bpf import BenchEnvironment
from kprobesim.bpf.classic import Ancillary, Code, Engine, Filter, FilterBench, SockFilter, asm_listing
from kprobesim.bpf.classic.isa import MASK32, SKF_AD_OFF, SKF_LL_OFF, SKF_NET_OFF
from kprobesim.bpf.errors import LoadError
from kprobesim.bpf.skb import Device, Skb
from tests.bpf.classic.make_captures import packets

_JUMPS = tuple(code for code in Code if code & 7 == 5)
_ABSOLUTE = (Code.LD_W_ABS, Code.LD_H_ABS, Code.LD_B_ABS)
_INDIRECT = (Code.LD_W_IND, Code.LD_H_IND, Code.LD_B_IND)
_CELLS = (Code.LD_MEM, Code.LDX_MEM, Code.ST, Code.STX)
_NEVER = (Code.RET_X, Code.LDX_W_ABS)
_OTHERS = tuple(code for code in Code if code not in (*_JUMPS, *_ABSOLUTE, *_INDIRECT, *_CELLS, *_NEVER))
_LARGEST = 96
_NUMBERS = (0, 1, 2, 3, 14, 31, 32, 255, 0x0800, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, MASK32)
_PACKETS_A_FILTER = 3


def _number(rng: Random) -> int:
    kind = rng.randrange(3)
    return rng.choice(_NUMBERS) if kind == 0 else rng.randrange(64) if kind == 1 else rng.getrandbits(32)


def _offset(rng: Random) -> int:
    kind = rng.randrange(8)
    if kind < 5:
        return rng.randrange(_LARGEST + 4)
    if kind == 5:
        return rng.choice((SKF_NET_OFF, SKF_LL_OFF)) + rng.randrange(-4, _LARGEST) & MASK32
    if kind == 6:
        return -rng.randrange(1, 32) & MASK32
    return _number(rng)


def _insn(rng: Random, following: int) -> SockFilter:
    """One instruction that is good with so many others behind it."""
    kind = rng.randrange(10)
    if kind < 2 and following > 1:
        code = rng.choice(_JUMPS)
        arms = [min(rng.choice((0, 0, 1, 2, 5, 255)), following - 1) for _ in range(2)]
        if code == Code.JA:
            return SockFilter(code, k=arms[0])
        return SockFilter(code, arms[0], arms[1], _number(rng))
    if kind < 5:
        code = rng.choice(_ABSOLUTE + _INDIRECT)
        if code in _ABSOLUTE and rng.randrange(3) == 0:
            return SockFilter(code, k=SKF_AD_OFF + rng.choice(tuple(Ancillary)) & MASK32)
        offset = _offset(rng)
        if code in _ABSOLUTE and offset >= SKF_AD_OFF & MASK32:
            offset &= 0xFF
        return SockFilter(code, k=offset)
    if kind == 5:
        return SockFilter(rng.choice(_CELLS), k=rng.randrange(16) if rng.randrange(3) == 0 else rng.randrange(3))
    code = rng.choice(_OTHERS)
    if code in (Code.RET_K, Code.RET_A) and rng.randrange(3):
        code = Code.TAX
    number = _number(rng)
    if code in (Code.DIV_K, Code.MOD_K):
        number = number or 1
    elif code in (Code.LSH_K, Code.RSH_K):
        number &= 31
    elif code == Code.LDX_B_MSH:
        number = _offset(rng)
    return SockFilter(code, k=number)


def random_filter(rng: Random, longest: int = 24) -> Filter:
    """A filter that the checker takes; a cell that may be read too early is replaced by a constant."""
    length = rng.randrange(longest) + 1
    insns = [_insn(rng, length - at) for at in range(length)]
    insns.append(SockFilter(Code.RET_A if rng.randrange(4) else Code.RET_K, k=_number(rng)))
    while True:
        try:
            return Filter(insns)
        except LoadError as refused:
            at = refused.insn
            if at is None or insns[at].code not in (Code.LD_MEM, Code.LDX_MEM):
                raise
            insns[at] = insns[at]._replace(code=insns[at].code & 7)


def random_packet(rng: Random) -> Skb:
    """Random bytes or a frame with a few bytes changed, whole or partly in a page, with random facts."""
    if rng.randrange(2):
        data = bytearray(rng.choice(_FRAMES))
        for _ in range(rng.randrange(4)):
            data[rng.randrange(len(data))] = rng.getrandbits(8)
        data = data[: rng.randrange(len(data)) + 1] if rng.randrange(3) == 0 else data
    else:
        data = bytearray(rng.randbytes(rng.randrange(_LARGEST)))
    cut = len(data) if rng.randrange(2) else rng.randrange(len(data) + 1)
    headroom = rng.randbytes(rng.choice((0, 0, 14, 20)))
    return Skb(
        bytes(data[:cut]),
        bytes(data[cut:]),
        headroom,
        network_offset=rng.choice((14, 0, len(data), -len(headroom))),
        mac_offset=-len(headroom),
        protocol=rng.choice((0x0800, 0x86DD, 0x8100, 0x8864, rng.getrandbits(16))),
        pkt_type=rng.randrange(8),
        mark=rng.getrandbits(32),
        queue_mapping=rng.getrandbits(16),
        hash=rng.getrandbits(32),
        vlan_tci=rng.getrandbits(16),
        vlan_present=rng.randrange(4) == 0,
        vlan_proto=rng.choice((0x8100, 0x88A8, 0x0800)),
        dev=Device(rng.getrandbits(31), rng.getrandbits(16)) if rng.randrange(4) else None,
        lost=rng.choice((0, 0, 0, 7)),
    )


_FRAMES = packets()


def disagreement(program: Filter, skb: Skb, seed: int = 1) -> str:
    """What the three say if they do not say the same, or nothing."""
    said = {}
    for engine in Engine:
        env = BenchEnvironment(seed)
        env.cpu = seed & 7
        said[engine.value] = FilterBench(program, env, engine).run(skb)
    return "" if len(set(said.values())) == 1 else f"{said}\n{asm_listing(program.insns)}{skb}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = Random(options.seed)
    outcomes: dict[bool, int] = {False: 0, True: 0}
    for number in range(options.count):
        program = random_filter(rng)
        env = {engine: BenchEnvironment(number) for engine in Engine}
        benches = {engine: FilterBench(program, env[engine], engine) for engine in Engine}
        for _ in range(_PACKETS_A_FILTER):
            skb = random_packet(rng)
            said = {engine.value: bench.run(skb) for engine, bench in benches.items()}
            outcomes[said["classic"] != 0] += 1
            if len(set(said.values())) != 1:
                print(f"filter {number} of seed {options.seed}: {said}\n{asm_listing(program.insns)}{skb}")
                return 1
    runs = sum(outcomes.values())
    print(f"{options.count} filters, {runs} packets, {outcomes[True]} taken: classic, eBPF and x86-64 agree")
    return 0


if __name__ == "__main__":
    sys.exit(main())
