"""Helpers on perf events; follows Linux kernel/trace/bpf_trace.c."""

import struct

from kprobesim.bpf.errors import MemoryFault
from kprobesim.bpf.helpers.base import HelperContext
from kprobesim.bpf.maps import PerfConfig, PerfEvent, PerfEventArray
from kprobesim.linux_errno import Errno

__all__ = ["get_branch_snapshot", "perf_event_output", "perf_event_read", "perf_event_read_value"]

_INDEX_MASK = 0xFFFFFFFF
_CURRENT_CPU = 0xFFFFFFFF
_VALUE_SIZE = 24


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
    event = _event(ctx, addr, flags)
    if isinstance(event, int):
        return event
    if event.config is not PerfConfig.BPF_OUTPUT:
        return -Errno.EINVAL
    if event.cpu != ctx.env.smp_processor_id():
        return -Errno.EOPNOTSUPP
    sample = ctx.read_buffer(data, size)
    result = event.output(sample)
    name = ctx.map_at(addr).name
    if result:
        ctx.env.tell("perf.lost", map=name, size=size, lost=event.lost)
    else:
        ctx.env.tell("perf.output", map=name, size=size, data=sample[:64])
    return result


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


def get_branch_snapshot(ctx: HelperContext, buf: int, size: int, flags: int) -> int:
    """The CPU has no branch records: ENOENT; EINVAL for flags."""
    return -Errno.EINVAL if flags else -Errno.ENOENT
