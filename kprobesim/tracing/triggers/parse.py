"""What is written to ``trigger`` files: Linux 6.1 kernel/trace/trace_events_trigger.c (trigger_process_regex)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kprobesim.errors import LinuxError
from kprobesim.kprobes import RunningKernel
from kprobesim.linux_errno import Errno
from kprobesim.tracing.ctype import SPACES, isdigit
from kprobesim.tracing.error_log import LoggedError
from kprobesim.tracing.event_filter import EventFilter
from kprobesim.tracing.kstrto import kstrtoul
from kprobesim.tracing.trace_event import COMMON_FIELDS
from kprobesim.tracing.triggers.commands import (
    EnableEventTrigger,
    EnableHistTrigger,
    SnapshotTrigger,
    StacktraceTrigger,
    TraceOnOffTrigger,
)
from kprobesim.tracing.triggers.hist import HistTrigger
from kprobesim.tracing.triggers.hist_parse import HIST_ERRORS, HistError, parse_hist, split_condition
from kprobesim.tracing.triggers.trigger import Trigger

if TYPE_CHECKING:
    from kprobesim.tracing.trace_array import TraceArray
    from kprobesim.tracing.trace_event import EventFile
    from kprobesim.tracing.trace_events import TraceEvents

__all__ = ["TriggerFiles"]

_SWITCHES: Final = ("enable_event", "disable_event", "enable_hist", "disable_hist")
_SIMPLE: Final = ("traceon", "traceoff", "snapshot", "stacktrace")
_AVAILABLE: Final = f"# Available triggers:\n# {' '.join((*_SIMPLE, *_SWITCHES, 'hist'))}\n"
_MAX_WRITE: Final = 4096


class TriggerFiles:
    """The ``trigger`` files of all events.

    Args:
        events: the events.
        kernel: the running kernel.
    """

    def __init__(self, events: TraceEvents, kernel: RunningKernel) -> None:
        self._events = events
        self._kernel = kernel

    def show(self, file: EventFile) -> str:
        """The file: the triggers, the newest first; without any, what there could be."""
        return "".join(trigger.show() for trigger in file.triggers) or _AVAILABLE

    def write(self, file: EventFile, text: str) -> None:
        """One command: a trigger to set, or behind ``!`` one to remove.

        Raises:
            LinuxError: EINVAL, it makes no sense; EEXIST, there is one; what the filter or another event says.
        """
        text = text.strip(SPACES)
        if len(text) >= _MAX_WRITE:
            raise LinuxError(Errno.EINVAL, "A trigger has at most 4095 bytes.")
        found = re.match(r"([^: \t]*)(?:[: \t]\s*(.*))?", text, re.DOTALL)
        assert found is not None
        command, rest = found[1], found[2] or ""
        remove = command.startswith("!")
        name = command.removeprefix("!")
        if name == "hist":
            self._write_hist(file, rest, remove=remove)
            return
        if name in _SIMPLE:
            param, condition = _separate(rest) if isdigit(rest[:1]) else ("", rest)
            target = None
        elif name in _SWITCHES:
            param, condition = _separate(rest)
            target, param = self._target(file.trace, param)
        else:
            raise LinuxError(Errno.EINVAL, f"There is no trigger {name}.", hint="An empty trigger file lists them.")
        if remove:
            self._remove(file, self._make(file.trace, name, target, None, None))
            return
        count = kstrtoul(param.partition(":")[0]) if param else None
        self.register(file, self._make(file.trace, name, target, count, self.condition(file, condition)))

    def _write_hist(self, file: EventFile, text: str, *, remove: bool) -> None:
        """``event_hist_trigger_parse``; what is wrong goes to the error log."""
        try:
            self._hist(file, text, remove=remove)
        except HistError as error:
            if error.code:
                command, where = f"hist:{text}", f"hist:{file.event.full_name}"
                column = max(command.find(error.near), 0)
                file.trace.errors.add(
                    LoggedError(self._kernel.machine.ns, where, HIST_ERRORS[error.code], command, column)
                )
            raise

    def _hist(self, file: EventFile, text: str, *, remove: bool) -> None:
        if not text:
            raise HistError("", message="A histogram needs keys=")
        body, condition = split_condition(text)
        spec = parse_hist(body, (*file.event.fields, *COMMON_FIELDS))
        only_if = self.condition(file, condition)
        hists = [trigger for trigger in file.triggers if isinstance(trigger, HistTrigger)]
        there = next((hist for hist in hists if hist.matches(spec, only_if)), None)
        if remove:
            if there is not None:
                self.unregister(file, there)
            return
        if there is not None and (spec.pause or spec.cont or spec.clear):
            if spec.clear and not (spec.pause or spec.cont):
                there.clear()
            else:
                there.paused = spec.pause
            return
        if there is not None:
            raise HistError("TRIGGER_EEXIST", errno=Errno.EEXIST)
        if spec.cont or spec.clear:
            raise HistError("TRIGGER_ENOENT_CLEAR", errno=Errno.ENOENT)
        if spec.has_timestamps:
            file.trace.set_clock(spec.clock)
        self.register(file, HistTrigger(spec, file.trace, self._kernel, only_if))

    def truncate(self, file: EventFile) -> None:
        """Opening the file with ``>``: histograms go, all else stays (TFS-19)."""
        for trigger in file.triggers:
            if trigger.kind == "hist":
                self.unregister(file, trigger)

    def _target(self, trace: TraceArray, param: str) -> tuple[EventFile, str]:
        """``SYSTEM:EVENT[:COUNT]``: the event, and the count as text."""
        system, colon, rest = param.partition(":")
        name, _, count = rest.partition(":")
        found = self._events.find(system, name) if colon else None
        if found is None:
            raise LinuxError(Errno.EINVAL, f"There is no event {param}.", hint="It is written SYSTEM:EVENT.")
        return found.file(trace), count

    def condition(self, file: EventFile, text: str) -> EventFilter | None:
        """``set_trigger_filter``: what stands behind ``if``, for records of the event that the trigger is on.

        Raises:
            LinuxError: EINVAL and others: it is no filter. The error log says nothing of it.
        """
        if not text:
            return None
        word, _, rest = text.replace("\t", " ").partition(" ")
        if word != "if" or not rest:
            raise LinuxError(Errno.EINVAL, f"{text!r} is no condition.", hint="It is written: if FIELD OPERATOR VALUE.")
        return self._events.parse_filter(file.event, rest)

    def _make(
        self, trace: TraceArray, name: str, target: EventFile | None, count: int | None, only_if: EventFilter | None
    ) -> Trigger:
        if name == "snapshot":
            return SnapshotTrigger(trace, count, only_if)
        if name == "stacktrace":
            return StacktraceTrigger(trace, count, only_if)
        if target is None:
            return TraceOnOffTrigger(trace, name == "traceon", count, only_if)
        sort = EnableHistTrigger if name.endswith("_hist") else EnableEventTrigger
        return sort(target, name.startswith("enable"), count, only_if)

    def register(self, file: EventFile, trigger: Trigger) -> None:
        """``register_trigger``: the newest comes first; the event's source is on from now.

        Raises:
            LinuxError: EEXIST, there is one of this kind.
        """
        if trigger.kind != "hist" and any(trigger.same_place(other) for other in file.triggers):
            raise LinuxError(Errno.EEXIST, f"The event has a trigger {trigger.head().split(':')[0]} already.")
        if trigger.target is not None:
            self._events.soft_enable(trigger.target, True)
        if isinstance(trigger, SnapshotTrigger):
            file.trace.alloc_snapshot()
        self._events.add_trigger(file, trigger, first=True)
        self._events.tell("trigger.set", file, trigger)

    def _remove(self, file: EventFile, like: Trigger) -> None:
        """``unregister_trigger``; one that is not there is no error."""
        found = next((trigger for trigger in file.triggers if trigger.same_place(like)), None)
        if found is not None:
            self.unregister(file, found)

    def unregister(self, file: EventFile, trigger: Trigger) -> None:
        """Take a trigger off its event."""
        self._events.remove_trigger(file, trigger)
        if trigger.target is not None:
            self._events.soft_enable(trigger.target, False)
        self._events.tell("trigger.remove", file, trigger)


def _separate(text: str) -> tuple[str, str]:
    """``event_trigger_separate_filter``: the parameter, and what follows the blank behind it."""
    found = re.match(r"([^ \t]*)[ \t]*(.*)", text, re.DOTALL)
    assert found is not None
    return found[1], found[2]
