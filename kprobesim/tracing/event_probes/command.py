"""The parser of a command that defines an event probe: Linux 6.1 kernel/trace/trace_eprobe.c:__trace_eprobe_create.

The order of the checks is Linux's, as it decides which of several errors one sees.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

from kprobesim.errors import LinuxError
from kprobesim.linux_errno import Errno
from kprobesim.tracing.event_filter import FilterError
from kprobesim.tracing.probe_events.command import parse_event_name
from kprobesim.tracing.probe_events.errors import ProbeCommandError
from kprobesim.tracing.probe_events.fetch_parse import (
    MAX_TRACE_ARGS,
    FetchInsn,
    Op,
    ParseFlag,
    ProbeArg,
    parse_probe_arg,
)
from kprobesim.tracing.probe_events.trace_probe import ProbeEvent
from kprobesim.tracing.trace_event import TraceEvent
from kprobesim.tracing.trace_events import TraceEvents

__all__ = ["EprobeDefinition", "parse_eprobe_command"]

_DEFAULT_GROUP: Final = "eprobes"
_FLAGS: Final = ParseFlag.KERNEL | ParseFlag.TPOINT


class EprobeDefinition(NamedTuple):
    """What a command asks for.

    Attributes:
        group, event: the event's full name.
        attached: the event whose records it is made of.
        condition: which of those; empty: all.
        args: what to record.
        is_return: never.
    """

    group: str
    event: str
    attached: TraceEvent
    condition: str
    args: tuple[ProbeArg, ...]
    is_return: bool = False


def parse_eprobe_command(words: list[str], events: TraceEvents) -> EprobeDefinition:
    """Parse ``e[:[GROUP/][EVENT]] SYSTEM.EVENT [ARGS] [if FILTER]``.

    Args:
        words: of the command, at least one.
        events: what it can be attached to.

    Raises:
        ProbeCommandError: what is wrong, with an entry for the log.
        LinuxError: EINVAL without one here: not such a command at all, or a filter that makes no sense.
    """
    head = words[0]
    if head[0] != "e" or len(words) < 2:
        raise LinuxError(Errno.EINVAL, f"{' '.join(words)!r} is no command for an event probe.")
    group, event = _DEFAULT_GROUP, None
    _, colon, name = head.partition(":")
    if colon:
        group, event = parse_event_name(name, len(head) - len(name), _DEFAULT_GROUP)
    system, source = _attached_to(words[1])
    end = words.index("if", 2) if "if" in words[2:] else len(words)
    attached = events.find(system, source)
    if attached is None or not attached.can_enable or isinstance(attached, ProbeEvent):
        raise ProbeCommandError("BAD_ATTACH_EVENT", 1, errno=Errno.ENODEV)
    condition = _condition(words, end, attached, events)
    args: list[ProbeArg] = []
    size = 0
    for number, word in enumerate(words[2:end][:MAX_TRACE_ARGS]):
        arg = parse_probe_arg(number, word, args, size, _FLAGS)
        args.append(_find_field(arg, attached, number + 2))
        size += arg.size
    return EprobeDefinition(group, event or source, attached, condition, tuple(args))


def _attached_to(word: str) -> tuple[str, str]:
    try:
        system, source = parse_event_name(word, 0, "")
    except ProbeCommandError as error:
        raise ProbeCommandError("NO_EVENT_INFO", 1, before=error.code) from None
    if not system or source is None:
        raise ProbeCommandError("NO_EVENT_INFO", 1)
    return system, source


def _condition(words: list[str], end: int, attached: TraceEvent, events: TraceEvents) -> str:
    """``trace_eprobe_parse_filter``: the filter is for the records of the other event."""
    if end == len(words):
        return ""
    text = " ".join(words[end + 1 :])
    if not text:
        raise ProbeCommandError("NO_EP_FILTER", end + 1)
    try:
        events.parse_filter(attached, text)
    except FilterError as error:
        events.log_filter_error(events.trace, text, error)
        raise LinuxError(Errno.EINVAL, error.message) from None
    return text


def _find_field(arg: ProbeArg, attached: TraceEvent, word: int) -> ProbeArg:
    """``trace_eprobe_tp_arg_update``: a name that is no field's may still be ``$comm``."""
    first = arg.code[0]
    if first.op is not Op.TP_ARG or any(field.name == first.text for field in attached.fields):
        return arg
    if first.text not in ("comm", "COMM"):
        raise ProbeCommandError("BAD_ATTACH_ARG", word, errno=Errno.ENOENT)
    return replace(arg, code=(FetchInsn(Op.COMM), *arg.code[1:]))
