"""Format strings of bpf_snprintf, bpf_trace_printk and their like, as the kernel checks them.

Follows Linux kernel/bpf/helpers.c:bpf_bprintf_prepare.
"""

import re

__all__ = ["is_bprintf_format"]

_END = r"(?=$|[\s!-/:-@\[-`{-~])"
_CONVERSION = re.compile(
    rf"[0+\- ]*(?:[1-9][0-9]*)?(?:p(?:{_END}|[ku]s{_END}|[KxsSB]|[iI][46])|s{_END}|c|l{{0,2}}[iduxX])",
    re.ASCII,
)


def is_bprintf_format(text: bytes, count: int) -> bool:
    """Whether the format is one, and asks for no more than ``count`` arguments; it has no zero byte."""
    chars = text.decode("latin-1")
    at = found = 0
    while at < len(chars):
        char = chars[at]
        if char < "\x80" and not char.isprintable() and char not in "\t\n\v\f\r":
            return False
        at += 1
        if char != "%":
            continue
        if chars[at : at + 1] == "%":
            at += 1
            continue
        if found >= count:
            return False
        match = _CONVERSION.match(chars, at)
        if match is None:
            return False
        at = match.end()
        found += 1
    return True
