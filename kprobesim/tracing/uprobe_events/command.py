"""The parser of one ``uprobe_events`` command: Linux 6.1 kernel/trace/trace_uprobe.c:__trace_uprobe_create.

The order of the checks is Linux's, as it decides which of several errors one sees.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from kprobesim.errors import LinuxError
from kprobesim.kprobes.uprobes import GuestFile, GuestFiles
from kprobesim.linux_errno import Errno
from kprobesim.tracing.kstrto import kstrtoul
from kprobesim.tracing.probe_events.command import parse_event_name
from kprobesim.tracing.probe_events.errors import ProbeCommandError
from kprobesim.tracing.probe_events.fetch_parse import MAX_TRACE_ARGS, ParseFlag, ProbeArg, parse_probe_arg

__all__ = ["UprobeDefinition", "parse_uprobe_command"]

_DEFAULT_GROUP: Final = "uprobes"
_MAX_EVENT_NAME_LEN: Final = 64


class UprobeDefinition(NamedTuple):
    """What a command asks for.

    Attributes:
        group, event: the event's full name.
        filename: as written.
        file: what it is.
        offset: in the file.
        ref_ctr_offset: of a reference counter, 0 if none is given.
        is_return: probe the return of the function.
        args: what to record.
    """

    group: str
    event: str
    filename: str
    file: GuestFile
    offset: int
    ref_ctr_offset: int
    is_return: bool
    args: tuple[ProbeArg, ...]


def parse_uprobe_command(words: list[str], files: GuestFiles, cpu: int) -> UprobeDefinition:
    """Parse a command that defines a uprobe event.

    Args:
        words: of the command, at least one.
        files: where the path is looked up.
        cpu: the CPU whose task wrote the command, for paths that are relative.

    Raises:
        ProbeCommandError: what is wrong, with an entry for the log.
        LinuxError: EINVAL without one: not the form of a uprobe at all.
    """
    head = words[0]
    place = words[1] if len(words) > 1 else ""
    filename, colon, tail = place.rpartition(":")
    if head[0] not in "pr" or "/" not in place or not colon or not tail[:1].isdigit():
        raise LinuxError(Errno.EINVAL, f"{' '.join(words)!r} is no command for a uprobe event.")
    try:
        file = files.kern_path(filename, cpu)
    except LinuxError as error:
        raise ProbeCommandError("FILE_NOT_FOUND", 1, errno=error.errno) from None
    if not file.is_regular:
        raise ProbeCommandError("NO_REGULAR_FILE", 1)
    offset, reference, is_return = _parse_offset(tail, len(filename) + 1)
    is_return = is_return or head[0] == "r"
    group, event = _DEFAULT_GROUP, None
    if head[1:2] == ":":
        group, event = parse_event_name(head[2:], 2, _DEFAULT_GROUP)
    if event is None:
        stem = re.split(r"[.\-_]", filename.rpartition("/")[2], maxsplit=1)[0]
        event = f"p_{stem}_0x{offset:x}"[: _MAX_EVENT_NAME_LEN - 1]
    args: list[ProbeArg] = []
    size = 0
    flags = ParseFlag.RETURN if is_return else ParseFlag(0)
    for number, word in enumerate(words[2 : 2 + MAX_TRACE_ARGS]):
        args.append(parse_probe_arg(number, word, args, size, flags))
        size += args[-1].size
    return UprobeDefinition(group, event, filename, file, offset, reference, is_return, tuple(args))


def _parse_offset(text: str, column: int) -> tuple[int, int, bool]:
    """``OFFSET[%return][(REFERENCE)]``."""
    reference, is_return = 0, False
    text, brace, counter = text.partition("(")
    if brace:
        inner, close, rest = counter.partition(")")
        at = column + len(text) + 1
        if not close:
            raise ProbeCommandError("REFCNT_OPEN_BRACE", 1, at + len(inner))
        if rest:
            raise ProbeCommandError("BAD_REFCNT_SUFFIX", 1, at + len(inner) + 1)
        try:
            reference = kstrtoul(inner)
        except LinuxError as error:
            raise ProbeCommandError("BAD_REFCNT", 1, at, error.errno) from None
    text, percent, suffix = text.partition("%")
    if percent:
        if suffix != "return":
            raise ProbeCommandError("BAD_ADDR_SUFFIX", 1, column + len(text))
        is_return = True
    try:
        return kstrtoul(text), reference, is_return
    except LinuxError as error:
        raise ProbeCommandError("BAD_UPROBE_OFFS", 1, column, error.errno) from None
