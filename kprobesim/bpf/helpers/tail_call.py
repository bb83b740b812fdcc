"""bpf_tail_call: go on in another program, and never come back.

Follows Linux kernel/bpf/core.c:___bpf_prog_run, JMP_TAIL_CALL.
"""

from kprobesim.bpf.errors import MemoryFault
from kprobesim.bpf.helpers.base import HelperContext
from kprobesim.bpf.maps import ProgArray

__all__ = ["MAX_TAIL_CALL_CNT", "TAIL_CALL", "tail_call"]

TAIL_CALL = 12
"""Its id; it is an instruction rather than a function, and whoever runs the program does the jump."""
MAX_TAIL_CALL_CNT = 33


def tail_call(ctx: HelperContext, program_ctx: int, addr: int, index: int) -> int:
    """1 if the jump is to be made, to ``ctx.tail_target``; 0 past the end, beyond 33 of them, or for an empty place."""
    found = ctx.map_at(addr)
    if not isinstance(found, ProgArray):
        raise MemoryFault(addr, 8, write=False)
    index &= 0xFFFFFFFF
    if index >= found.max_entries or ctx.tail_call_cnt >= MAX_TAIL_CALL_CNT or ctx.bind is None:
        return 0
    ctx.tail_call_cnt += 1
    ctx.tail_target = found.target(index)
    if ctx.tail_target is None:
        return 0
    ctx.env.tell("bpf.tail_call", map=found.name, index=index, prog=ctx.tail_target.name, count=ctx.tail_call_cnt)
    return 1
