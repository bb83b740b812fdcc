"""``events/`` and what is below it: Linux 6.1 kernel/trace/trace_events.c (event_create_dir, event_subsystem_dir)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from kprobesim.errors import LinuxError
from kprobesim.linux_errno import Errno
from kprobesim.tracing.ctype import words
from kprobesim.tracing.event_format import format_file
from kprobesim.tracing.trace_array import TraceArray
from kprobesim.tracing.trace_event import EventFile, TraceEvent
from kprobesim.tracing.trace_events import TraceEvents
from kprobesim.tracing.tracefs.nodes import Directory, File, Node, number_from_user, text_from_user
from kprobesim.tracing.triggers import TriggerFiles, hist_file

__all__ = ["EventFiles"]

_SYSTEM_FILTER: Final = (
    "### global filter ###\n"
    "# Use this to set filters for multiple events.\n"
    "# Only events with the given fields will be affected.\n"
    "# If no events are modified, an error message will be displayed here\n"
)
_HEADER_PAGE: Final = (
    "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n"
    "\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n"
    "\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n"
    "\tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;\n"
)
_HEADER_EVENT: Final = (
    "# compressed entry header\n"
    "\ttype_len    :    5 bits\n"
    "\ttime_delta  :   27 bits\n"
    "\tarray       :   32 bits\n"
    "\n"
    "\tpadding     : type == 29\n"
    "\ttime_extend : type == 30\n"
    "\ttime_stamp : type == 31\n"
    "\tdata max type_len  == 28\n"
)


class EventFiles:
    """The folder ``events/`` of a trace, and the file beside it that switches events.

    Args:
        events: all events.
        trace: whose switches, filters and triggers.
        triggers: the ``trigger`` files.
    """

    def __init__(self, events: TraceEvents, trace: TraceArray, triggers: TriggerFiles) -> None:
        self._events = events
        self._trace = trace
        self._triggers = triggers
        self.directory: Final = Directory(self._groups)

    def available_events(self) -> str:
        """The file of this name, which the tracefs root alone has."""
        return "".join(f"{file.event.full_name}\n" for file in self._switchable())

    def top_files(self) -> dict[str, Node]:
        """Those beside the folder."""
        return {
            "events": self.directory,
            "set_event": File(0o640, self._enabled_events, self._set_event, self._disable_all),
        }

    def _files(self, group: str | None = None) -> list[EventFile]:
        events = self._events.events.values()
        return [event.file(self._trace) for event in events if group in (None, event.group)]

    def _switchable(self, group: str | None = None) -> list[EventFile]:
        return [file for file in self._files(group) if file.event.can_enable]

    # Folders

    def _groups(self) -> Mapping[str, Node]:
        groups = {event.group for event in self._events.events.values()}
        tree: dict[str, Node] = {name: Directory(functools.partial(self._group, name)) for name in groups}
        tree["enable"] = self._switch(self._switchable)
        tree["header_event"] = File(0o440, lambda: _HEADER_EVENT)
        tree["header_page"] = File(0o440, lambda: _HEADER_PAGE)
        return tree

    def _group(self, group: str) -> Mapping[str, Node]:
        members = self._files(group)
        tree: dict[str, Node] = {file.event.name: Directory(functools.partial(self._event, file)) for file in members}
        if any(file.event.can_enable for file in members):
            tree["enable"] = self._switch(lambda: self._switchable(group))
            tree["filter"] = File(
                0o640,
                lambda: _SYSTEM_FILTER,
                lambda data: self._events.set_system_filter(self._trace, group, text_from_user(data)),
            )
        return tree

    def _event(self, file: EventFile) -> Mapping[str, Node]:
        """TFS-07."""
        event = file.event
        tree: dict[str, Node] = {
            "format": File(0o440, lambda: format_file(event)),
            "hist": File(0o440, lambda: hist_file(file)),
            "id": File(0o440, lambda: f"{event.id}\n"),
        }
        if event.can_enable:
            tree["enable"] = File(0o640, lambda: _state(file), lambda data: self._store([file], data))
            tree["filter"] = File(
                0o640,
                lambda: f"{file.filter.text}\n" if file.filter else "none\n",
                lambda data: self._events.set_filter(file, text_from_user(data)),
            )
            tree["trigger"] = File(
                0o640,
                lambda: self._triggers.show(file),
                lambda data: self._triggers.write(file, text_from_user(data)),
                lambda: self._triggers.truncate(file),
            )
        return tree

    # Switches

    def _switch(self, members: Callable[[], Iterable[EventFile]]) -> File:
        """An ``enable`` file of several events: 0, 1, X where some are and some are not, or ? without any (TFS-08)."""

        def show() -> str:
            states = {file.enabled for file in members()}
            return f"{'?' if not states else 'X' if len(states) > 1 else int(states.pop())}\n"

        return File(0o640, show, lambda data: self._store(members(), data))

    def _store(self, files: Iterable[EventFile], data: bytes) -> None:
        value = number_from_user(data)
        if value > 1:
            raise LinuxError(Errno.EINVAL, "An enable file takes 0 and 1.")
        self._set(files, bool(value))

    def _set(self, files: Iterable[EventFile], on: bool) -> None:
        """``__ftrace_set_clr_event``: all of them, whatever happens with one; the first error is told."""
        first: LinuxError | None = None
        for file in list(files):
            try:
                self._events.enable(file, on)
            except LinuxError as error:
                first = first or error
        if first is not None:
            raise first

    # set_event

    def _enabled_events(self) -> str:
        return "".join(f"{file.event.full_name}\n" for file in self._switchable() if file.enabled)

    def _set_event(self, data: bytes) -> None:
        self._events.trace.update_buffers()
        for word in words(text_from_user(data)):
            name = word.removeprefix("!")
            group, colon, event = name.partition(":")
            found = [file for file in self._switchable() if _fits(file.event, group, event if colon else None)]
            if not found:
                raise LinuxError(Errno.EINVAL, f"There is no event {name}.")
            self._set(found, not word.startswith("!"))

    def _disable_all(self) -> None:
        self._set(self._switchable(), False)


def _state(file: EventFile) -> str:
    """``event_enable_read``: a star says that a trigger may switch it (TFS-08)."""
    star = "*" if file.soft_mode or file.soft_disabled else ""
    return f"{int(file.enabled and not file.soft_disabled)}{star}\n"


def _fits(event: TraceEvent, group: str, name: str | None) -> bool:
    """``GROUP:EVENT``, ``GROUP:*``, ``GROUP:`` or a bare name, which may be of either."""
    if name is None:
        return group in (event.group, event.name)
    return group in (event.group, "*", "") and name in (event.name, "*", "")
