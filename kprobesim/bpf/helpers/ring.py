"""Helpers on ring buffers; follows Linux kernel/bpf/ringbuf.c."""

from collections.abc import Generator

from kprobesim.bpf.errors import MemoryFault
from kprobesim.bpf.helpers.base import HelperContext
from kprobesim.bpf.helpers.dynptr import DYNPTR_LOCAL, DYNPTR_RINGBUF, MAX_SIZE, init_dynptr, null_dynptr
from kprobesim.bpf.maps import RingBuf, UserRingBuf
from kprobesim.linux_errno import Errno

__all__ = [
    "ringbuf_discard",
    "ringbuf_discard_dynptr",
    "ringbuf_output",
    "ringbuf_query",
    "ringbuf_reserve",
    "ringbuf_reserve_dynptr",
    "ringbuf_submit",
    "ringbuf_submit_dynptr",
    "user_ringbuf_drain",
]

_WAKEUPS = 3
_MAX_SAMPLES = 128 << 10  # BPF_MAX_USER_RINGBUF_SAMPLES
_SCRATCH = 128


def _ring(ctx: HelperContext, addr: int) -> RingBuf:
    found = ctx.map_at(addr)
    if not isinstance(found, RingBuf):
        raise MemoryFault(addr, 8, write=False)
    return found


def ringbuf_output(ctx: HelperContext, addr: int, data: int, size: int, flags: int) -> int:
    """Copy a sample into the ring; EINVAL, EAGAIN."""
    return _ring(ctx, addr).output(ctx.read_buffer(data, size), flags)


def ringbuf_reserve(ctx: HelperContext, addr: int, size: int, flags: int) -> int:
    """Address of room for a sample, or 0."""
    return 0 if flags else _ring(ctx, addr).reserve(size)


def ringbuf_submit(ctx: HelperContext, sample: int, flags: int) -> int:
    """The sample is complete."""
    ctx.ring_of(sample).commit(sample, flags, discard=False)
    return 0


def ringbuf_discard(ctx: HelperContext, sample: int, flags: int) -> int:
    """The sample is to be skipped."""
    ctx.ring_of(sample).commit(sample, flags, discard=True)
    return 0


def ringbuf_query(ctx: HelperContext, addr: int, flags: int) -> int:
    """Bytes waiting, size, or a position."""
    return _ring(ctx, addr).query(flags)


def ringbuf_reserve_dynptr(ctx: HelperContext, addr: int, size: int, flags: int, dynptr: int) -> int:
    """Room for a sample whose size is not known beforehand; EINVAL, E2BIG."""
    size &= 0xFFFFFFFF
    sample = 0
    error = -Errno.EINVAL if flags else -Errno.E2BIG if size > MAX_SIZE else 0
    if not error:
        sample = _ring(ctx, addr).reserve(size)
        error = 0 if sample else -Errno.EINVAL
    if error:
        null_dynptr(ctx, dynptr)
        return error
    init_dynptr(ctx, dynptr, sample, size, DYNPTR_RINGBUF)
    return 0


def _commit_dynptr(ctx: HelperContext, dynptr: int, flags: int, *, discard: bool) -> int:
    sample = int.from_bytes(ctx.memory.read(dynptr, 8), "little")
    if sample:
        ctx.ring_of(sample).commit(sample, flags, discard=discard)
        null_dynptr(ctx, dynptr)
    return 0


def ringbuf_submit_dynptr(ctx: HelperContext, dynptr: int, flags: int) -> int:
    """The sample is complete."""
    return _commit_dynptr(ctx, dynptr, flags, discard=False)


def ringbuf_discard_dynptr(ctx: HelperContext, dynptr: int, flags: int) -> int:
    """The sample is to be skipped."""
    return _commit_dynptr(ctx, dynptr, flags, discard=True)


def user_ringbuf_drain(
    ctx: HelperContext, addr: int, function: int, argument: int, flags: int
) -> Generator[tuple[int, ...], int, int]:
    """Call a function of the program with each sample that user space has put in; how many that were, or an errno.

    A generator like those of `callbacks`.
    """
    if flags & ~_WAKEUPS:
        return -Errno.EINVAL
    found = ctx.map_at(addr)
    if not isinstance(found, UserRingBuf):
        raise MemoryFault(addr, 8, write=False)
    if not found.take():
        return -Errno.EBUSY
    samples = discarded = 0
    try:
        stop = 0
        while samples < _MAX_SAMPLES and not stop:
            sample = found.peek()
            if sample == -Errno.ENODATA:
                break
            samples += 1
            if sample == -Errno.EAGAIN:
                discarded += 1
            elif isinstance(sample, int):
                return sample
            else:
                dynptr = found.ring + _SCRATCH
                init_dynptr(ctx, dynptr, sample[0], sample[1], DYNPTR_LOCAL)
                stop = yield (function, dynptr, argument)
                found.release(sample[1])
    finally:
        found.give_back()
    found.wakeups += bool(flags & 2 or (not flags & 1 and samples > 0))
    return samples - discarded
