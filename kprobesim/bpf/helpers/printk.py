"""bpf_trace_printk: which formats Linux takes, and what it makes of them.

Follows Linux kernel/trace/bpf_trace.c:bpf_trace_printk and kernel/bpf/helpers.c:bpf_bprintf_prepare. Pointers (``%p``)
are printed as they are, where Linux prints a hash of them; ``%ps``, ``%pS`` and ``%pB`` print the address, because
names of functions are not known here.
"""

import re
from collections.abc import Callable

from kprobesim.bpf.errors import MemoryFault
from kprobesim.bpf.helpers.base import HelperContext
from kprobesim.bpf.helpers.probe_read import read_string
from kprobesim.linux_errno import Errno

__all__ = ["MAX_ARGS", "format_text", "trace_printk"]

MAX_ARGS = 3
_TEXT_LIMIT = 1023

_DIRECTIVE = re.compile(
    r"%(?P<flags>[0+\- ]*)(?P<width>[1-9][0-9]*)?"
    r"(?:(?P<pointer>p(?:[kuK]s|[KxsSB]|(?![A-Za-z])|$))|(?P<text>s)|(?P<char>c)|(?P<long>l{0,2})(?P<number>[diuxX]))"
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


def format_text(template: str, args: tuple[int, ...], read: Callable[[int, str], str]) -> str | None:
    """The formatted text, or None where Linux says EINVAL.

    Args:
        template: the format, without its closing zero.
        args: values for its directives.
        read: gives the string at an address; its second argument is ``k``, ``u`` or nothing, as in ``%pks``.
    """
    if not all(c.isascii() and (c.isprintable() or c.isspace()) for c in template):
        return None
    out = []
    used = at = 0
    while at < len(template):
        if template[at] != "%":
            out.append(template[at])
            at += 1
            continue
        if template.startswith("%%", at):
            out.append("%")
            at += 2
            continue
        match = _DIRECTIVE.match(template, at)
        if match is None or used >= len(args):
            return None
        value, flags, width = args[used], match["flags"], min(int(match["width"] or 0), _TEXT_LIMIT)
        used += 1
        at = match.end()
        if match["number"]:
            out.append(_pad(_number(match["number"], bool(match["long"]), value), flags, width))
        elif match["char"]:
            out.append(chr(value & 0xFF))
        elif match["text"] or ((match["pointer"] or "").endswith("s") and len(match["pointer"]) == 3):
            out.append(read(value, "" if match["text"] else match["pointer"][1]).ljust(width if "-" in flags else 0))
        else:
            out.append(f"{value:016x}")
    return "".join(out)[:_TEXT_LIMIT]


def trace_printk(ctx: HelperContext, fmt: int, size: int, *args: int) -> int:
    """Print up to three arguments into the trace; number of characters, or EINVAL for a format it does not take."""
    ctx.check_buffer(fmt, size)
    raw = ctx.memory.read(fmt, size)
    template, end, _ = raw.partition(b"\0")
    if not end:
        return -Errno.EINVAL

    def read(addr: int, where: str) -> str:
        user = where == "u" or (not where and addr >> 47 == 0)
        try:
            return read_string(ctx.env.read_user if user else ctx.env.read_kernel, addr, 512).decode("latin-1")
        except MemoryFault:
            return ""

    text = format_text(template.decode("latin-1"), args, read)
    if text is None:
        return -Errno.EINVAL
    ctx.env.trace_printk(text)
    return len(text)
