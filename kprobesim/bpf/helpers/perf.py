"""Helpers on perf events; follows Linux kernel/trace/bpf_trace.c."""

import struct

from kprobesim.bpf.errors import MemoryFault
from kprobesim.bpf.helpers.base import HelperContext
from kprobesim.bpf.maps import PerfConfig, PerfEvent, PerfEventArray
from kprobesim.bpf.skb.layout import SKB_DATA, SKB_LEN
from kprobesim.linux_errno import Errno

__all__ = [
    "get_branch_snapshot",
    "perf_event_output",
    "perf_event_read",
    "perf_event_read_value",
    "perf_prog_read_value",
    "read_branch_records",
    "skb_output",
]

_INDEX_MASK = 0xFFFFFFFF
_CURRENT_CPU = 0xFFFFFFFF
_CTXLEN_SHIFT, _CTXLEN_MASK = 32, 0xFFFFF << 32
_VALUE_SIZE = 24
_BRANCH_RECORDS_SIZE = 1
_ENABLED_AT = 168 + 16
"""Behind ``struct bpf_perf_event_data``, where Linux's own form of the context has the event: since when it is on."""


def _event(ctx: HelperContext, addr: int, flags: int) -> PerfEvent | int:
    """The event that the flags' index means; EINVAL, E2BIG, ENOENT."""
    found = ctx.map_at(addr)
    if not isinstance(found, PerfEventArray):
        raise MemoryFault(addr, 8, write=False)
    if flags & ~_INDEX_MASK:
        return -Errno.EINVAL
    index = ctx.env.smp_processor_id() if flags == _CURRENT_CPU else flags
    if index >= found.max_entries:
        return -Errno.E2BIG
    event = found.target(index)
    return -Errno.ENOENT if event is None else event


def perf_event_output(ctx: HelperContext, regs: int, addr: int, flags: int, data: int, size: int) -> int:
    """Write a sample for the reader of an event.

    EINVAL for flags or an event of another kind, E2BIG past the array's end, ENOENT for an empty place, EOPNOTSUPP for
    an event of another CPU, ENOSPC where there is no room.
    """
    return _output(ctx, addr, flags, ctx.read_buffer(data, size))


def _output(ctx: HelperContext, addr: int, flags: int, sample: bytes) -> int:
    event = _event(ctx, addr, flags)
    if isinstance(event, int):
        return event
    if event.config is not PerfConfig.BPF_OUTPUT:
        return -Errno.EINVAL
    if event.cpu != ctx.env.smp_processor_id():
        return -Errno.EOPNOTSUPP
    result = event.output(sample)
    name, size = ctx.map_at(addr).name, len(sample)
    if result:
        ctx.env.tell("perf.lost", map=name, size=size, lost=event.lost)
    else:
        ctx.env.tell("perf.output", map=name, size=size, data=sample[:64])
    return result


def skb_output(ctx: HelperContext, skb: int, addr: int, flags: int, data: int, size: int) -> int:
    """The same with the beginning of a packet behind the data; the flags' upper half says how many bytes of it.

    EFAULT also for more than the packet has.
    """
    if flags & ~(_CTXLEN_MASK | _INDEX_MASK):
        return -Errno.EINVAL
    wanted = (flags & _CTXLEN_MASK) >> _CTXLEN_SHIFT
    read = ctx.env.read_kernel
    try:
        if not skb or wanted > int.from_bytes(read(skb + SKB_LEN, 4), "little"):
            return -Errno.EFAULT
        packet = read(int.from_bytes(read(skb + SKB_DATA, 8), "little"), wanted)
    except MemoryFault:
        return -Errno.EFAULT
    return _output(ctx, addr, flags & _INDEX_MASK, ctx.read_buffer(data, size) + packet)


def perf_event_read(ctx: HelperContext, addr: int, flags: int) -> int:
    """What an event has counted, or an errno that looks like a count."""
    event = _event(ctx, addr, flags)
    if isinstance(event, int):
        return event
    return -Errno.EINVAL if event.cpu != ctx.env.smp_processor_id() else event.read()[0]


def perf_event_read_value(ctx: HelperContext, addr: int, flags: int, buf: int, size: int) -> int:
    """The count, and for how long the event was enabled and ran; zeros with an errno."""
    error = -Errno.EINVAL  # also for an event of another CPU
    if size == _VALUE_SIZE:
        event = _event(ctx, addr, flags)
        if isinstance(event, int):
            error = event
        elif event.cpu == ctx.env.smp_processor_id():
            ctx.memory.write(buf, struct.pack("<3Q", *event.read()))
            return 0
    ctx.check_buffer(buf, size)
    ctx.memory.write(buf, bytes(size))
    return error


def perf_prog_read_value(ctx: HelperContext, data: int, buf: int, size: int) -> int:
    """What the event that the program samples by has counted, in ns, and how long it was on; EINVAL with zeros."""
    ctx.check_buffer(buf, size)
    if size != _VALUE_SIZE:
        ctx.memory.write(buf, bytes(size))
        return -Errno.EINVAL
    since = int.from_bytes(ctx.env.read_kernel(data + _ENABLED_AT, 8), "little")
    ctx.memory.write(buf, struct.pack("<3Q", *[ctx.env.ktime_get_ns() - since] * 3))
    return 0


def read_branch_records(ctx: HelperContext, data: int, buf: int, size: int, flags: int) -> int:
    """The sample has no branch records: ENOENT; EINVAL for flags."""
    return -Errno.EINVAL if flags & ~_BRANCH_RECORDS_SIZE else -Errno.ENOENT


def get_branch_snapshot(ctx: HelperContext, buf: int, size: int, flags: int) -> int:
    """The CPU has no branch records: ENOENT; EINVAL for flags."""
    return -Errno.EINVAL if flags else -Errno.ENOENT
