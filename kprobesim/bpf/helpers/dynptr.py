"""Pointers that know their size at run time: ``struct bpf_dynptr_kern``, 16 bytes in the program's stack.

``u64 data`` at 0, ``u32 size`` at 8 with the kind in bits 28 and up and read-only in bit 31, ``u32 offset`` at 12.
Follows Linux kernel/bpf/helpers.c.
"""

import struct

from kprobesim.bpf.helpers.base import HelperContext
from kprobesim.linux_errno import Errno

__all__ = [
    "DYNPTR_LOCAL",
    "DYNPTR_RINGBUF",
    "MAX_SIZE",
    "dynptr_data",
    "dynptr_from_mem",
    "dynptr_read",
    "dynptr_write",
    "init_dynptr",
    "null_dynptr",
]

DYNPTR_LOCAL, DYNPTR_RINGBUF = 1, 2
MAX_SIZE = (1 << 24) - 1
_READ_ONLY = 1 << 31
_KERN = struct.Struct("<Q2I")
_MASK32 = 0xFFFFFFFF


def init_dynptr(ctx: HelperContext, dynptr: int, data: int, size: int, kind: int) -> None:
    """Let it point to ``size`` bytes."""
    ctx.memory.write(dynptr, _KERN.pack(data, size | kind << 28, 0))


def null_dynptr(ctx: HelperContext, dynptr: int) -> None:
    """Let it point to nothing."""
    ctx.memory.write(dynptr, bytes(_KERN.size))


def _slice(ctx: HelperContext, dynptr: int, offset: int, size: int) -> tuple[int, bool] | int:
    """Address of a part, and whether it is read-only; EINVAL for a null pointer, E2BIG outside."""
    data, field, start = _KERN.unpack(ctx.memory.read(dynptr, _KERN.size))
    if not data:
        return -Errno.EINVAL
    if size > field & MAX_SIZE or offset > (field & MAX_SIZE) - size:
        return -Errno.E2BIG
    return data + start + offset, bool(field & _READ_ONLY)


def dynptr_from_mem(ctx: HelperContext, data: int, size: int, flags: int, dynptr: int) -> int:
    """Make one of memory of the program; E2BIG, EINVAL for flags."""
    size &= _MASK32
    error = -Errno.E2BIG if size > MAX_SIZE else -Errno.EINVAL if flags else 0
    if error:
        null_dynptr(ctx, dynptr)
    else:
        init_dynptr(ctx, dynptr, data, size, DYNPTR_LOCAL)
    return error


def dynptr_read(ctx: HelperContext, dst: int, size: int, src: int, offset: int, flags: int) -> int:
    """Copy out of it; EINVAL, E2BIG."""
    size &= _MASK32
    part = _slice(ctx, src, offset & _MASK32, size)
    if flags or part == -Errno.EINVAL:
        return -Errno.EINVAL
    if isinstance(part, int):
        return part
    ctx.memory.write(dst, ctx.read_buffer(part[0], size))
    return 0


def dynptr_write(ctx: HelperContext, dst: int, offset: int, src: int, size: int, flags: int) -> int:
    """Copy into it; EINVAL, E2BIG."""
    size &= _MASK32
    part = _slice(ctx, dst, offset & _MASK32, size)
    if flags or part == -Errno.EINVAL:
        return -Errno.EINVAL
    if isinstance(part, int):
        return part
    if part[1]:
        return -Errno.EINVAL
    ctx.memory.write(part[0], ctx.read_buffer(src, size))
    return 0


def dynptr_data(ctx: HelperContext, dynptr: int, offset: int, size: int) -> int:
    """Address of a part of it; 0 outside, for a null pointer, and if it is read-only."""
    part = _slice(ctx, dynptr, offset & _MASK32, size & _MASK32)
    return 0 if isinstance(part, int) or part[1] else part[0]
