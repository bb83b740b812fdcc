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
    rows = [(link.id, programs.ids.programs[link.attachment.program].id) for link in links]
    data: list[dict[str, Any]] = [{"id": number, "type": "perf_event", "prog_id": prog} for number, prog in rows]
    text = "".join(f"{number}: perf_event  prog {prog}  \n" for number, prog in rows)
    return Output(text, data[0] if single else data)


def _event(programs: BpfPrograms, link: LinkInfo) -> tuple[str, dict[str, Any]]:
    attachment = link.attachment
    probe = attachment.kprobe
    kind = "kprobe" if attachment.kretprobe is None else "kretprobe"
    number = programs.ids.programs[attachment.program].id
    descriptor = _FIRST_FD + link.id
    data: dict[str, Any] = {"pid": _PID, "fd": descriptor, "prog_id": number, "fd_type": kind}
    head = f"pid {_PID}  fd {descriptor}: prog_id {number}  {kind}  "
    if probe.symbol_name:
        data |= {"func": probe.symbol_name, "offset": probe.offset}
        return f"{head}func {probe.symbol_name}  offset {probe.offset}\n", data
    data["addr"] = probe.addr
    return f"{head}addr {probe.addr}\n", data


def show_perf(programs: BpfPrograms, words: Words) -> Output:
    """``perf show``."""
    words.end()
    rows = [_event(programs, link) for link in programs.ids.links]
    return Output("".join(text for text, _ in rows), [data for _, data in rows])


_Command = Callable[[BpfPrograms, Words], Output]
LINK_COMMANDS: Final[dict[str, _Command]] = {"show": show_links, "list": show_links}
PERF_COMMANDS: Final[dict[str, _Command]] = {"show": show_perf, "list": show_perf}
