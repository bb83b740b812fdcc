"""Formatted text: bpf_trace_printk, bpf_trace_vprintk, bpf_snprintf.

Follows Linux kernel/trace/bpf_trace.c and kernel/bpf/helpers.c:bpf_bprintf_prepare, which first copies all arguments
into 512 bytes and then formats them. Pointers (``%p``) are printed as they are, where Linux prints a hash of them.
"""

import ipaddress
import re
import struct
from collections.abc import Sequence

from kprobesim.bpf.errors import MemoryFault
from kprobesim.bpf.helpers.base import HelperContext
from kprobesim.bpf.helpers.probe_read import read_string
from kprobesim.linux_errno import Errno

__all__ = ["MAX_VARARGS", "format_text", "snprintf", "trace_printk", "trace_vprintk"]

MAX_VARARGS = 12
_TEXT_LIMIT = 1023
_ROOM = 512

_END = r"(?=$|[\s!-/:-@\[-`{-~])"
_DIRECTIVE = re.compile(
    r"%(?P<flags>[0+\- ]*)(?P<width>[1-9][0-9]*)?"
    rf"(?:p(?P<pointer>[ku]s{_END}|[KxsSB]|[iI][46]|{_END})|(?P<text>s){_END}|(?P<char>c)"
    r"|(?P<long>l{0,2})(?P<number>[diuxX]))"
)


def _number(kind: str, long: bool, value: int) -> str:
    bits = 64 if long else 32
    value &= (1 << bits) - 1
    if kind in "di":
        return str(value - (value >> bits - 1 << bits))
    return str(value) if kind == "u" else f"{value:{kind}}"


def _pad(text: str, flags: str, width: int) -> str:
    if text[:1] not in "-+" and "+" in flags:
        text = f"+{text}"
    if "-" in flags:
        return text.ljust(width)
    return text.zfill(width) if "0" in flags else text.rjust(width)


class _Full(Exception):
    """The arguments do not fit 512 bytes."""


class _Arguments:
    """The arguments as bpf_bprintf_prepare copies them: it counts the room they take."""

    def __init__(self, ctx: HelperContext) -> None:
        self._ctx = ctx
        self._used = 0

    def plain(self, size: int) -> None:
        """A number: aligned to 4 bytes."""
        self._used = self._used + 3 & ~3
        if _ROOM - self._used < size:
            raise _Full
        self._used += size

    def text(self, size: int) -> None:
        """So many bytes of text; none fit if nothing is left."""
        if self._used >= _ROOM:
            raise _Full
        self._used += size

    def string(self, addr: int, where: str) -> str:
        """The string at an address; ``where`` is k, u or nothing, as in ``%pks``. Nothing where it cannot be read."""
        if self._used >= _ROOM:
            raise _Full
        env = self._ctx.env
        user = where == "u" or (not where and addr >> 47 == 0)
        try:
            found = read_string(env.read_user if user else env.read_kernel, addr, _ROOM - self._used)
        except MemoryFault:
            found = b""
        self._used += len(found) + 1
        return found.decode("latin-1")

    def address(self, kind: str, addr: int) -> str:
        """An internet address in kernel memory: i4, i6, I4 or I6; I6 has its colons shortened as i6 has not."""
        size = 4 if kind[1] == "4" else 16
        try:
            raw = self._ctx.env.read_kernel(addr, size)
        except MemoryFault:
            raw = bytes(size)
        if size == 4:
            parts = [f"{part:03}" if kind[0] == "i" else str(part) for part in raw]
            shown = ".".join(parts)
        else:
            exploded = ipaddress.IPv6Address(raw).exploded
            shown = exploded if kind[0] == "I" else exploded.replace(":", "")
        self.text(len(shown) + 1)
        return shown


def format_text(ctx: HelperContext, template: bytes, args: Sequence[int]) -> str | Errno:
    """The formatted text, EINVAL for a format that BPF does not take, ENOSPC for arguments that are too long.

    Args:
        ctx: for the strings that arguments point to.
        template: the format, without its closing zero.
        args: values for its directives.
    """
    text = template.decode("latin-1")
    if any(c.isascii() and not (c.isprintable() or c.isspace()) for c in text):
        return Errno.EINVAL
    taken = _Arguments(ctx)
    out = []
    used = at = 0
    while at < len(text):
        if text[at] != "%":
            out.append(text[at])
            at += 1
            continue
        if text.startswith("%%", at):
            out.append("%")
            at += 2
            continue
        match = _DIRECTIVE.match(text, at)
        if match is None or used >= len(args):
            return Errno.EINVAL
        try:
            out.append(_directive(ctx, match, args[used], taken))
        except _Full:
            return Errno.ENOSPC
        used += 1
        at = match.end()
    return "".join(out)


def _directive(ctx: HelperContext, match: re.Match[str], value: int, taken: _Arguments) -> str:
    flags, width = match["flags"], min(int(match["width"] or 0), _TEXT_LIMIT)
    if match["number"]:
        taken.plain(8 if match["long"] else 4)
        return _pad(_number(match["number"], bool(match["long"]), value), flags, width)
    if match["char"]:
        taken.text(1)
        return chr(value & 0xFF)
    pointer = match["pointer"]
    if match["text"] or pointer in ("ks", "us"):
        shown = taken.string(value, "" if match["text"] else pointer[0])
        return shown.ljust(width) if "-" in flags else shown.rjust(width)
    if pointer[:1] in ("i", "I"):
        return taken.address(pointer, value)
    if pointer == "B":
        shown = ctx.env.symbol(value, True)
        taken.text(len(shown) + 1)
        return shown
    taken.plain(8)
    return ctx.env.symbol(value, pointer == "S") if pointer in ("s", "S") else f"{value:016x}"


def _print(ctx: HelperContext, fmt: int, size: int, args: Sequence[int]) -> int:
    template, end, _ = ctx.read_buffer(fmt, size & 0xFFFFFFFF).partition(b"\0")
    if not end:
        return -Errno.EINVAL
    text = format_text(ctx, template, args)
    if isinstance(text, Errno):
        return -text
    ctx.env.trace_printk(text[:_TEXT_LIMIT])
    return len(text)


def trace_printk(ctx: HelperContext, fmt: int, size: int, *args: int) -> int:
    """Print up to three arguments into the trace; number of characters, or EINVAL for a format it does not take."""
    return _print(ctx, fmt, size, args)


def _varargs(ctx: HelperContext, data: int, size: int) -> list[int] | None:
    """Up to twelve words of the program's memory; None where Linux says EINVAL."""
    size &= 0xFFFFFFFF
    if size % 8 or size > 8 * MAX_VARARGS or (size and not data):
        return None
    return list(struct.unpack(f"<{size // 8}Q", ctx.read_buffer(data, size)))


def trace_vprintk(ctx: HelperContext, fmt: int, fmt_size: int, data: int, size: int) -> int:
    """Print up to twelve arguments, which stand in memory, into the trace."""
    args = _varargs(ctx, data, size)
    return -Errno.EINVAL if args is None else _print(ctx, fmt, fmt_size, args)


def _store(ctx: HelperContext, buf: int, size: int, text: str) -> None:
    """As much of a text as fits, closed with a zero."""
    size &= 0xFFFFFFFF
    ctx.check_buffer(buf, size)
    if size:
        ctx.memory.write(buf, text.encode("latin-1", "replace")[: size - 1] + b"\0")


def snprintf(ctx: HelperContext, buf: int, buf_size: int, fmt: int, data: int, size: int) -> int:
    """Print up to twelve arguments into memory; the whole text's length with its closing zero, or an errno."""
    args = _varargs(ctx, data, size)
    if args is None:
        return -Errno.EINVAL
    text = format_text(ctx, read_string(ctx.memory.read, fmt, _TEXT_LIMIT), args)
    if isinstance(text, Errno):
        return -text
    _store(ctx, buf, buf_size, text)
    return len(text) + 1
