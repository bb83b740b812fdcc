"""bpf_probe_read and its five variants: copy memory that may not be there.

All of them fill the whole destination with zeros and return EFAULT when the source cannot be read; those that read the
kernel's memory say ERANGE of an address that is none of the kernel's. Follows Linux kernel/trace/bpf_trace.c,
mm/maccess.c and arch/x86/mm/maccess.c.
"""

from collections.abc import Callable

from kprobesim.bpf.errors import MemoryFault
from kprobesim.bpf.helpers.base import HelperContext
from kprobesim.linux_errno import Errno

__all__ = [
    "nofault_errno",
    "probe_read",
    "probe_read_kernel",
    "probe_read_kernel_str",
    "probe_read_str",
    "probe_read_user",
    "probe_read_user_str",
    "read_string",
]

_Read = Callable[[int, int], bytes]
_PAGE = 4096
_KERNEL_STARTS = ((1 << 64) - 1) ^ ((1 << 47) - 1)


def nofault_errno(addr: int) -> Errno:
    """Why copy_from_kernel_nofault could not read there: ERANGE where it does not even try, else EFAULT."""
    return Errno.EFAULT if addr >= _KERNEL_STARTS else Errno.ERANGE


def read_string(read: _Read, addr: int, limit: int) -> bytes:
    """The string at ``addr`` without its closing zero, at most ``limit`` - 1 bytes of it.

    Reads page by page, so that what lies beyond the string's last page need not be there. MemoryFault otherwise.
    """
    found = b""
    while len(found) < limit:
        here = addr + len(found)
        piece = read(here, min(limit - len(found), _PAGE - here % _PAGE))
        text, end, _ = piece.partition(b"\0")
        found += text
        if end:
            return found
    return found[:-1]


def _errno(ctx: HelperContext, addr: int, read: _Read) -> Errno:
    return nofault_errno(addr) if read == ctx.env.read_kernel else Errno.EFAULT


def _copy(ctx: HelperContext, dst: int, size: int, src: int, read: _Read) -> int:
    size &= 0xFFFFFFFF
    ctx.check_buffer(dst, size)
    try:
        data = read(src, size)
    except MemoryFault:
        ctx.memory.write(dst, bytes(size))
        return -_errno(ctx, src, read)
    ctx.memory.write(dst, data)
    return 0


def _copy_string(ctx: HelperContext, dst: int, size: int, src: int, read: _Read) -> int:
    size &= 0xFFFFFFFF
    ctx.check_buffer(dst, size)
    if size == 0:
        return 0
    try:
        text = read_string(read, src, size)
    except MemoryFault:
        ctx.memory.write(dst, bytes(size))
        return -_errno(ctx, src, read)
    ctx.memory.write(dst, text + b"\0")
    return len(text) + 1


def _either(ctx: HelperContext, addr: int) -> _Read:
    """Where the old helpers read: user memory below TASK_SIZE, kernel memory above."""
    return ctx.env.read_user if addr >> 47 == 0 else ctx.env.read_kernel


def probe_read(ctx: HelperContext, dst: int, size: int, src: int) -> int:
    """Copy ``size`` bytes of user or kernel memory, by address; 0, EFAULT or ERANGE."""
    return _copy(ctx, dst, size, src, _either(ctx, src))


def probe_read_str(ctx: HelperContext, dst: int, size: int, src: int) -> int:
    """Copy a string of user or kernel memory, by address; its length with the closing zero, EFAULT or ERANGE."""
    return _copy_string(ctx, dst, size, src, _either(ctx, src))


def probe_read_user(ctx: HelperContext, dst: int, size: int, src: int) -> int:
    """Copy ``size`` bytes of user memory; 0 or EFAULT."""
    return _copy(ctx, dst, size, src, ctx.env.read_user)


def probe_read_kernel(ctx: HelperContext, dst: int, size: int, src: int) -> int:
    """Copy ``size`` bytes of kernel memory; 0, EFAULT or ERANGE."""
    return _copy(ctx, dst, size, src, ctx.env.read_kernel)


def probe_read_user_str(ctx: HelperContext, dst: int, size: int, src: int) -> int:
    """Copy a string of user memory; its length with the closing zero, or EFAULT."""
    return _copy_string(ctx, dst, size, src, ctx.env.read_user)


def probe_read_kernel_str(ctx: HelperContext, dst: int, size: int, src: int) -> int:
    """Copy a string of kernel memory; its length with the closing zero, EFAULT or ERANGE."""
    return _copy_string(ctx, dst, size, src, ctx.env.read_kernel)
