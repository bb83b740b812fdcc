"""The parser of one ``kprobe_events`` command: Linux 6.1 kernel/trace/trace_kprobe.c:__trace_kprobe_create.

The order of the checks is Linux's, as it decides which of several errors one sees.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from kprobesim.errors import LinuxError
from kprobesim.kprobes import RunningKernel
from kprobesim.linux_errno import Errno
from kprobesim.tracing.ctype import isdigit
from kprobesim.tracing.kstrto import kstrtol, kstrtoul
from kprobesim.tracing.probe_events.errors import ProbeCommandError
from kprobesim.tracing.probe_events.fetch_parse import (
    MAX_TRACE_ARGS,
    ParseFlag,
    ProbeArg,
    is_good_name,
    parse_probe_arg,
)
from kprobesim.tracing.symbols import hashed_pointer

__all__ = ["ProbeDefinition", "parse_event_name", "parse_probe_command"]

_DEFAULT_GROUP: Final = "kprobes"
_MAX_EVENT_NAME_LEN: Final = 64
_KRETPROBE_MAXACTIVE_MAX: Final = 4096
_GOOD_SYSTEM_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class ProbeDefinition(NamedTuple):
    """What a command asks for.

    Attributes:
        group, event: the event's full name.
        symbol: where, or None if an address was given.
        offset: bytes from the symbol.
        address: where, if no symbol was given.
        is_return: probe the return of the function.
        maxactive: as written, 0 if not.
        args: what to record.
    """

    group: str
    event: str
    symbol: str | None
    offset: int
    address: int | None
    is_return: bool
    maxactive: int
    args: tuple[ProbeArg, ...]


class _Place(NamedTuple):
    symbol: str | None
    offset: int
    address: int | None
    is_return: bool
    flags: ParseFlag


def parse_probe_command(words: list[str], kernel: RunningKernel) -> ProbeDefinition:
    """Parse a command that defines a probe event.

    Args:
        words: of the command, at least one.
        kernel: whose symbols.

    Raises:
        ProbeCommandError: what is wrong, with an entry for the log.
        LinuxError: EINVAL without one: the first letter is neither p nor r, or there is a single word (GRM-13).
    """
    head = words[0]
    if head[0] not in "pr" or len(words) < 2:
        raise LinuxError(Errno.EINVAL, f"{' '.join(words)!r} is no command for a kprobe event.")
    before, colon, name = head[1:].partition(":")
    maxactive = _parse_maxactive(head[0], before)
    place = _parse_place(words[1], head[0] == "r", kernel)
    group, event = _DEFAULT_GROUP, None
    if colon:
        group, event = parse_event_name(name, len(head) - len(name), _DEFAULT_GROUP)
    if event is None:
        event = _auto_name(place, kernel)
    args: list[ProbeArg] = []
    size = 0
    for number, word in enumerate(words[2 : 2 + MAX_TRACE_ARGS]):
        args.append(parse_probe_arg(number, word, args, size, place.flags))
        size += args[-1].size
    return ProbeDefinition(
        group, event, place.symbol, place.offset, place.address, place.is_return, maxactive, tuple(args)
    )


def _parse_maxactive(letter: str, text: str) -> int:
    """The number behind ``r``; other letters there are ignored (GRM-12)."""
    if not isdigit(text[:1]):
        return 0
    if letter == "p":
        raise ProbeCommandError("MAXACT_NO_KPROBE", 0, 1)
    try:
        maxactive = kstrtoul(text) if len(text) < _MAX_EVENT_NAME_LEN else 0
    except LinuxError:
        maxactive = 0
    if not 0 < maxactive < 1 << 32:
        raise ProbeCommandError("BAD_MAXACT", 0, 1)
    if maxactive > _KRETPROBE_MAXACTIVE_MAX:
        raise ProbeCommandError("MAXACT_TOO_BIG", 0, 1)
    return maxactive


def _parse_place(word: str, is_return: bool, kernel: RunningKernel) -> _Place:
    """An address, or a symbol with an offset and maybe ``%return``."""
    try:
        # The return flag is only set where a symbol is given, so that $retval is refused here (GRM-06).
        return _Place(None, 0, kstrtoul(word), is_return, ParseFlag.KERNEL)
    except LinuxError:
        pass
    if "/" in word and ":" in word:
        raise LinuxError(Errno.EINVAL, "That is the place of a uprobe, which kprobe_events does not take.")
    name, percent, suffix = word.partition("%")
    if percent:
        if suffix != "return":
            raise ProbeCommandError("BAD_ADDR_SUFFIX", 1, len(name))
        is_return = True
    symbol, offset = _split_symbol_offset(name)
    flags = ParseFlag.KERNEL | (ParseFlag.RETURN if is_return else ParseFlag(0))
    found = kernel.kallsyms.lookup_name(symbol)
    if found:
        entry = kernel.kallsyms.lookup_size_offset(found[0].address + offset)
        if entry is not None and entry[1] == 0:
            flags |= ParseFlag.FENTRY
        elif entry is not None and is_return:
            raise ProbeCommandError("BAD_RETPROBE", 1)
    if ":" not in symbol and len(found) > 1:
        raise ProbeCommandError("NON_UNIQ_SYMBOL", 1, errno=Errno.EADDRNOTAVAIL)
    if ":" not in symbol and not found:
        raise ProbeCommandError("BAD_PROBE_ADDR", 1, errno=Errno.ENOENT)
    return _Place(symbol, offset, None, is_return, flags)


def _split_symbol_offset(text: str) -> tuple[str, int]:
    at = next((number for number, letter in enumerate(text) if letter in "+-"), None)
    if at is None:
        return text, 0
    try:
        offset = kstrtol(text[at:])
    except LinuxError:
        offset = -1
    if not 0 <= offset < 1 << 32:
        raise ProbeCommandError("BAD_PROBE_ADDR", 1)
    return text[:at], offset


def parse_event_name(text: str, column: int, group: str) -> tuple[str, str | None]:
    """``traceprobe_parse_event_name``: group and event; no event: make one up in that group.

    Args:
        text: what stands behind the colon.
        column: where it stands in its word.
        group: the one to take if the text names none.

    Raises:
        ProbeCommandError: what is wrong with it.
    """
    slash = text.find("/") if "/" in text else text.find(".")
    if slash >= 0:
        group, text = text[:slash], text[slash + 1 :]
        if not group:
            raise ProbeCommandError("NO_GROUP_NAME", 0, column)
        if len(group) + 1 > _MAX_EVENT_NAME_LEN:
            raise ProbeCommandError("GROUP_TOO_LONG", 0, column)
        if not _GOOD_SYSTEM_NAME.fullmatch(group):
            raise ProbeCommandError("BAD_GROUP_NAME", 0, column)
        column += slash + 1
        if not text:
            return group, None
    if not text:
        raise ProbeCommandError("NO_EVENT_NAME", 0, column)
    if len(text) >= _MAX_EVENT_NAME_LEN:
        raise ProbeCommandError("EVENT_TOO_LONG", 0, column)
    if not is_good_name(text):
        raise ProbeCommandError("BAD_EVENT_NAME", 0, column)
    return group, text


def _auto_name(place: _Place, kernel: RunningKernel) -> str:
    """``p_vfs_read_0``: what an event without a name is called (GRM-02)."""
    letter = "r" if place.is_return else "p"
    if place.symbol is None:
        name = f"{letter}_0x{hashed_pointer(kernel, place.address or 0)}"
    else:
        name = f"{letter}_{place.symbol}_{place.offset}"
    return name[: _MAX_EVENT_NAME_LEN - 1].replace(":", "_").replace(".", "_")
