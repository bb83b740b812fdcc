"""Helpers on stack traces; follows Linux kernel/bpf/stackmap.c."""

import struct

from kprobesim.bpf.errors import MemoryFault
from kprobesim.bpf.helpers.base import HelperContext
from kprobesim.bpf.maps import StackTraceMap
from kprobesim.bpf.maps.stack_trace import FAST_CMP, MAX_DEPTH, REUSE, SKIP_MASK, USER_STACK
from kprobesim.linux_errno import Errno

__all__ = ["get_stack", "get_stackid", "get_task_stack"]


def get_stackid(ctx: HelperContext, regs: int, addr: int, flags: int) -> int:
    """Put the stack trace into a map; its id. EINVAL, EFAULT without frames, EEXIST, ENOMEM."""
    if flags & ~(SKIP_MASK | USER_STACK | FAST_CMP | REUSE):
        return -Errno.EINVAL
    found = ctx.map_at(addr)
    if not isinstance(found, StackTraceMap):
        raise MemoryFault(addr, 8, write=False)
    depth = min(found.value_size // 8 + (flags & SKIP_MASK), MAX_DEPTH)
    trace = ctx.env.callchain(regs, bool(flags & USER_STACK), depth)
    return -Errno.EFAULT if trace is None else found.get_stackid(trace, flags)


def _get_stack(ctx: HelperContext, buf: int, size: int, flags: int, regs: int, task: int) -> int:
    size &= 0xFFFFFFFF
    ctx.check_buffer(buf, size)
    skip, user = flags & SKIP_MASK, bool(flags & USER_STACK)
    if flags & ~(SKIP_MASK | USER_STACK) or size % 8:
        # Build ids, which Linux has besides, need what programs here do not carry.
        ctx.memory.write(buf, bytes(size))
        return -Errno.EINVAL
    if task and user and task != ctx.env.current_task():
        ctx.memory.write(buf, bytes(size))
        return -Errno.EOPNOTSUPP
    depth = min(size // 8 + skip, MAX_DEPTH)
    trace = ctx.env.task_callchain(task, depth) if task and not user else ctx.env.callchain(regs, user, depth)
    if trace is None or len(trace) < skip:
        ctx.memory.write(buf, bytes(size))
        return -Errno.EFAULT
    ips = trace[skip : skip + size // 8]
    ctx.memory.write(buf, struct.pack(f"<{len(ips)}Q", *ips).ljust(size, b"\0"))
    return 8 * len(ips)


def get_stack(ctx: HelperContext, regs: int, buf: int, size: int, flags: int) -> int:
    """Copy the stack trace; its length in bytes. EINVAL, EFAULT."""
    return _get_stack(ctx, buf, size, flags, regs, 0)


def get_task_stack(ctx: HelperContext, task: int, buf: int, size: int, flags: int) -> int:
    """Copy a task's stack trace; its length in bytes. EINVAL, EFAULT, EOPNOTSUPP for another's user stack."""
    return _get_stack(ctx, buf, size, flags, ctx.env.task_pt_regs(task), task)
