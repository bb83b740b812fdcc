"""How much stack a function uses, and which functions a tail call may be reached from.

The verifier knows both. What stands in for it here: a look at the instructions in program order that follows copies of
R10 with a constant offset, and its own walk over the calls.
"""

from collections.abc import Sequence

from kprobesim.bpf.isa import BPF_TAIL_CALL, Class, Insn, Op, Pseudo, is_lddw

__all__ = ["MAX_BPF_STACK", "estimate_stack_depth", "tail_call_reachable"]

MAX_BPF_STACK = 512


def estimate_stack_depth(insns: Sequence[Insn]) -> int:
    """Bytes of stack below R10 that the instructions name, at most 512; 512 where they compute with such a pointer."""
    offsets: dict[int, int] = {10: 0}
    deepest = 0
    slot = 0
    while slot < len(insns):
        insn = insns[slot]
        slot += 2 if is_lddw(insn) else 1
        cls = insn.cls
        if cls in (Class.ST, Class.STX):
            deepest = min(deepest, offsets.get(insn.dst, 0) + (insn.off if insn.dst in offsets else 0))
            continue
        if cls is Class.LDX and insn.src in offsets:
            deepest = min(deepest, offsets[insn.src] + insn.off)
        if cls is Class.ALU64 and insn.op == Op.MOV and insn.by_reg and insn.src in offsets and not insn.off:
            offsets[insn.dst] = offsets[insn.src]
        elif cls is Class.ALU64 and insn.op == Op.ADD and insn.dst in offsets:
            if insn.by_reg:
                return MAX_BPF_STACK
            offsets[insn.dst] += insn.imm
            deepest = min(deepest, offsets[insn.dst])
        elif cls in (Class.ALU, Class.ALU64, Class.LD, Class.LDX):
            if insn.dst in offsets and insn.op == Op.SUB and cls is Class.ALU64:
                return MAX_BPF_STACK
            offsets.pop(insn.dst, None)
        elif insn.code == 0x85:
            for register in range(6):
                offsets.pop(register, None)
    return min(-deepest, MAX_BPF_STACK)


def tail_call_reachable(insns: Sequence[Insn], starts: Sequence[int]) -> tuple[bool, ...]:
    """For each function, whether the verifier marks it as one from which a tail call may be reached.

    Once a function with a tail call has been seen in a called function, every caller on the way to a function that
    ends is marked, whether that one leads to the tail call or not. Follows Linux kernel/bpf/verifier.c:
    check_max_stack_depth_subprog.
    """
    ends = (*starts[1:], len(insns))
    number_of = {start: number for number, start in enumerate(starts)}
    tails = [any(insn.code == BPF_TAIL_CALL for insn in insns[a:b]) for a, b in zip(starts, ends, strict=True)]
    marked = [False] * len(starts)
    seen = False
    frames: list[tuple[int, int]] = []  # function, slot to go on at
    number, slot = 0, 0
    while True:
        while slot < ends[number]:
            insn = insns[slot]
            slot += 1
            if (insn.code != 0x85 or insn.src != 1) and not (is_lddw(insn) and insn.src == Pseudo.FUNC):
                continue
            callee = number_of[slot + insn.imm]
            if len(frames) >= 8 or any(caller == callee for caller, _ in frames) or callee == number:
                continue  # deeper than the verifier allows
            frames.append((number, slot))
            number, slot = callee, starts[callee]
            seen = seen or tails[callee]
        if seen:
            for caller, _ in frames:
                marked[caller] = True
        if not frames:
            return tuple(marked)
        number, slot = frames.pop()
