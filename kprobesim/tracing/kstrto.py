"""Numbers as the kernel reads them: Linux lib/kstrtox.c."""

from __future__ import annotations

import re
from typing import Final

from kprobesim.errors import LinuxError
from kprobesim.linux_errno import Errno

__all__ = ["kstrtol", "kstrtoul", "simple_strtoul"]

_DIGITS: Final = {8: re.compile(r"[0-7]+"), 10: re.compile(r"[0-9]+"), 16: re.compile(r"[0-9a-fA-F]+")}
_ULONG_MAX: Final = (1 << 64) - 1


def _parse(text: str, base: int) -> tuple[int, int]:
    """Value and length of the number that text begins with; length 0 when there is none."""
    start = 0
    if base == 0:
        base = 10
        if text.startswith("0"):
            base = 16 if re.match(r"0[xX][0-9a-fA-F]", text) else 8
    if base == 16 and text[:2].lower() == "0x":
        start = 2
    found = _DIGITS[base].match(text, start)
    return (int(found[0], base), found.end()) if found else (0, 0)


def _whole(text: str, base: int) -> int:
    body = text[:-1] if text.endswith("\n") else text
    value, length = _parse(body, base)
    if not length or length != len(body):
        raise LinuxError(Errno.EINVAL, f"{text!r} is not a number.")
    if value > _ULONG_MAX:
        raise LinuxError(Errno.ERANGE, f"{text!r} does not fit 64 bits.")
    return value


def kstrtoul(text: str, base: int = 0) -> int:
    """``kstrtoul``: the whole text must be an unsigned number; one plus sign and a final newline are allowed.

    Raises:
        LinuxError: EINVAL, no number; ERANGE, too large.
    """
    return _whole(text.removeprefix("+"), base)


def kstrtol(text: str, base: int = 0) -> int:
    """``kstrtol``: the same with a sign.

    Raises:
        LinuxError: EINVAL, no number; ERANGE, too large.
    """
    value = -_whole(text[1:], base) if text.startswith("-") else kstrtoul(text, base)
    if not -(1 << 63) <= value < 1 << 63:
        raise LinuxError(Errno.ERANGE, f"{text!r} does not fit 63 bits and a sign.")
    return value


def simple_strtoul(text: str) -> tuple[int, str]:
    """``simple_strtoul`` with base 0: the number that text begins with, 0 if none, and what follows it."""
    value, length = _parse(text, 0)
    return value & _ULONG_MAX, text[length:]
