"""Helpers on strings and numbers: strncmp, strtol, strtoul; and those on words that are locks or pointers.

Follows Linux kernel/bpf/helpers.c and lib/kstrtox.c.
"""

from kprobesim.bpf.errors import MemoryFault
from kprobesim.bpf.helpers.base import HelperContext
from kprobesim.linux_errno import Errno

__all__ = ["kptr_xchg", "spin_lock", "spin_unlock", "strncmp", "strtol", "strtoul"]

_BASE_MASK = 0x1F
_SPACES = b" \t\n\v\f\r\xa0"
_LONGEST = 63


def strncmp(ctx: HelperContext, s1: int, size: int, s2: int) -> int:
    """-1, 0 or 1, as the first bytes that differ compare within ``size``."""
    size &= 0xFFFFFFFF
    ctx.check_buffer(s1, size)
    for at in range(size):
        a, b = ctx.memory.read(s1 + at, 1)[0], ctx.memory.read(s2 + at, 1)[0]
        if a != b:
            return -1 if a < b else 1
        if not a:
            break
    return 0


def _digits(text: bytes, base: int) -> tuple[int, int]:
    """Value and count of the digits that a text begins with."""
    value = count = 0
    for char in text:
        digit = int(chr(char), 16) if chr(char) in "0123456789abcdefABCDEF" else 99
        if digit >= base:
            break
        value, count = value * base + digit, count + 1
    return value, count


def _parse(text: bytes, flags: int) -> tuple[int, int, bool] | int:
    """Absolute value, bytes consumed, and whether there is a minus; EINVAL, ERANGE (__bpf_strtoull)."""
    base = flags & _BASE_MASK
    if not text or base not in (0, 8, 10, 16) or flags & ~_BASE_MASK:
        return -Errno.EINVAL
    rest = text.lstrip(_SPACES)
    negative = rest[:1] == b"-"
    rest = rest[negative:]
    before = len(text) - len(rest)
    if not rest:
        return -Errno.EINVAL
    rest = rest[:_LONGEST].partition(b"\0")[0]
    hexadecimal = rest[:2].lower() == b"0x"
    if base == 0:
        base = 16 if hexadecimal and _digits(rest[2:3], 16)[1] else 8 if rest[:1] == b"0" else 10
    prefix = 2 if base == 16 and hexadecimal else 0
    value, count = _digits(rest[prefix:], base)
    if value >= 1 << 64:
        return -Errno.ERANGE
    return (value, before + prefix + count, negative) if count else -Errno.EINVAL


def _strto(ctx: HelperContext, buf: int, size: int, flags: int, res: int, *, signed: bool) -> int:
    ctx.memory.write(res, bytes(8))
    parsed = _parse(ctx.read_buffer(buf, size), flags)
    if isinstance(parsed, int):
        return parsed
    value, consumed, negative = parsed
    if signed and value > (1 << 63) - (0 if negative else 1):
        return -Errno.ERANGE
    if not signed and negative:
        return -Errno.EINVAL
    ctx.memory.write(res, ((-value if negative else value) & (1 << 64) - 1).to_bytes(8, "little"))
    return consumed


def strtol(ctx: HelperContext, buf: int, size: int, flags: int, res: int) -> int:
    """A signed number out of a text; how many bytes it took, EINVAL, ERANGE."""
    return _strto(ctx, buf, size, flags, res, signed=True)


def strtoul(ctx: HelperContext, buf: int, size: int, flags: int, res: int) -> int:
    """An unsigned number out of a text; how many bytes it took, EINVAL, ERANGE."""
    return _strto(ctx, buf, size, flags, res, signed=False)


def spin_lock(ctx: HelperContext, lock: int) -> int:
    """Take the lock of a value. CPUs take turns between programs and not inside of one, so it is free.

    MemoryFault where an unverified program takes it twice, which would hang a CPU for ever.
    """
    if int.from_bytes(ctx.memory.read(lock, 4), "little"):
        raise MemoryFault(lock, 4, write=True)
    ctx.memory.write(lock, (1).to_bytes(4, "little"))
    return 0


def spin_unlock(ctx: HelperContext, lock: int) -> int:
    """Give it back."""
    ctx.memory.write(lock, bytes(4))
    return 0


def kptr_xchg(ctx: HelperContext, place: int, pointer: int) -> int:
    """Put a pointer into a value; what was there."""
    old = int.from_bytes(ctx.memory.read(place, 8), "little")
    ctx.memory.write(place, pointer.to_bytes(8, "little"))
    return old
