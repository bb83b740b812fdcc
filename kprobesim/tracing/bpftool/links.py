"""``bpftool link show`` and ``bpftool perf show``: which program hangs on which probe.

A program is attached by a perf event that a process holds open. Here nobody's process does it; process 1 is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kprobesim.linux_errno import Errno
from kprobesim.tracing.bpf import BpfPrograms
from kprobesim.tracing.bpf_ids import LinkInfo
from kprobesim.tracing.bpftool.answer import BpftoolError, Output
from kprobesim.tracing.bpftool.handles import Words, os_error

__all__ = ["LINK_COMMANDS", "PERF_COMMANDS"]

_PID: Final = 1
_FIRST_FD: Final = 3


def show_links(programs: BpfPrograms, words: Words) -> Output:
    """``link show [LINK]``."""
    links = programs.ids.links
    single = bool(words)
    if single:
        kind, word = words.take(), words.take()
        words.end()
        if kind != "id":
            raise BpftoolError(f"expected 'id' or 'pinned', got: '{kind}'?")
        links = [link for link in links if str(link.id) == word]
        if not links:
            raise os_error(f"failed to get link with ID {word}", Errno.ENOENT)
    rows = [_link(programs, link) for link in links]
    data = [row for _, row in rows]
    return Output("".join(text for text, _ in rows), data[0] if single else data)


def _link(programs: BpfPrograms, link: LinkInfo) -> tuple[str, dict[str, Any]]:
    number = programs.ids.programs[link.program].id
    data: dict[str, Any] = {"id": link.id, "type": link.type, "prog_id": number}
    text = f"{link.id}: {link.type}  prog {number}  "
    if link.type == "tracing":
        info = {"prog_type": programs.programs[link.program].type, **link.info}
        data |= info
        words = [f"{name} {value}  " for name, value in info.items()]
        text += f"\n\t{''.join(words[:2])}\n\t{''.join(words[2:])}"
    if link.type == "raw_tracepoint":
        data["tp_name"] = link.event["tracepoint"]
        text += f"\n\ttp '{link.event['tracepoint']}'  "
    return text + "\n", data


def _event(programs: BpfPrograms, link: LinkInfo) -> tuple[str, dict[str, Any]]:
    number, descriptor = programs.ids.programs[link.program].id, _FIRST_FD + link.id
    words = [
        str(value) if name in ("fd_type", "tracepoint") else f"{name} {value}" for name, value in link.event.items()
    ]
    data = {"pid": _PID, "fd": descriptor, "prog_id": number, **link.event}
    return f"pid {_PID}  fd {descriptor}: prog_id {number}  {'  '.join(words)}\n", data


def show_perf(programs: BpfPrograms, words: Words) -> Output:
    """``perf show``."""
    words.end()
    rows = [_event(programs, link) for link in programs.ids.links if link.event]
    return Output("".join(text for text, _ in rows), [data for _, data in rows])


_Command = Callable[[BpfPrograms, Words], Output]
LINK_COMMANDS: Final[dict[str, _Command]] = {"show": show_links, "list": show_links}
PERF_COMMANDS: Final[dict[str, _Command]] = {"show": show_perf, "list": show_perf}
