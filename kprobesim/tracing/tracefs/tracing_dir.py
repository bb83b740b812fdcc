"""The files of ``/sys/kernel/tracing``: Linux kernel/trace/trace.c, trace_events.c, trace_kprobe.c."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping

from kprobesim.errors import LinuxError
from kprobesim.linux_errno import Errno
from kprobesim.tracing.event_format import format_file
from kprobesim.tracing.probe_events import DynEvents
from kprobesim.tracing.trace_event import TraceEvent
from kprobesim.tracing.trace_events import TraceEvents
from kprobesim.tracing.tracefs.nodes import Directory, File, Node, number_from_user, run_commands
from kprobesim.tracing.tracefs.readme import README

__all__ = ["TracingDirectory"]

_PAGE: int = 4096
_NO_TRIGGERS = (
    "# Available triggers:\n"
    "# traceon traceoff snapshot stacktrace enable_event disable_event enable_hist disable_hist hist\n"
)


class TracingDirectory:
    """The tree of tracefs.

    Args:
        events: all events, and the trace.
        dyn_events: the probe events.
    """

    def __init__(self, events: TraceEvents, dyn_events: DynEvents) -> None:
        self._events = events
        self._dyn_events = dyn_events
        self._trace = events.trace
        self._pipe_rest = b""
        self.root = Directory(self._root, 0o700)

    def _root(self) -> Mapping[str, Node]:
        events, trace = self._events, self._trace
        kilobytes = self._kilobytes
        return {
            "README": File(0o444, lambda: README),
            "available_events": File(0o444, lambda: "".join(f"{e.group}:{e.name}\n" for e in events.events.values())),
            "available_tracers": File(0o444, lambda: "nop\n"),
            "buffer_size_kb": File(0o640, lambda: kilobytes(1), self._resize),
            "buffer_total_size_kb": File(0o440, lambda: kilobytes(len(trace.buffers))),
            "current_tracer": File(0o640, lambda: "nop\n", _set_tracer),
            "dynamic_events": File(0o640, self._list, lambda data: self._run(data, "-!"), self._dyn_events.release_all),
            "error_log": File(0o640, lambda: events.errors.text(), lambda data: None, events.errors.clear),
            "events": Directory(self._groups),
            "kprobe_events": File(0o640, self._list, lambda data: self._run(data, "-"), self._dyn_events.release_all),
            "kprobe_profile": File(0o440, self._profile),
            "set_event": File(0o640, self._enabled_events, self._set_event, self._disable_all),
            "trace": File(0o640, trace.text, lambda data: None, trace.reset),
            "trace_clock": File(0o644, lambda: "[local]\n", None),
            "trace_pipe": File(0o440, stream=self._pipe),
            "tracing_on": File(0o640, lambda: f"{int(trace.tracing_on)}\n", self._tracing_on),
        }

    # Probe events

    def _list(self) -> str:
        return "".join(probe.show() for probe in self._dyn_events.probes)

    def _run(self, data: bytes, delete: str) -> None:
        run_commands(data, lambda line: self._dyn_events.run_command(line, delete=delete))

    def _profile(self) -> str:
        """``probes_profile_seq_show`` (TFS-13)."""
        probes = self._dyn_events.probes
        return "".join(f"  {p.definition.event:<44} {p.nhit:15} {p.nmissed:15}\n" for p in probes)

    # The buffer

    def _kilobytes(self, cpus: int) -> str:
        size = f"{self._trace.kilobytes * cpus}"
        return f"{size}\n" if self._trace.expanded else f"{size} (expanded: {1408 * cpus})\n"

    def _resize(self, data: bytes) -> None:
        kilobytes = number_from_user(data)
        if not kilobytes:
            raise LinuxError(Errno.EINVAL, "A buffer has at least one kilobyte.")
        if kilobytes > 1 << 20:
            raise LinuxError(Errno.ENOMEM, f"The machine has no {kilobytes} KiB for each CPU.")
        self._trace.resize(kilobytes)

    def _tracing_on(self, data: bytes) -> None:
        self._trace.tracing_on = bool(number_from_user(data))

    def _pipe(self, size: int) -> bytes | None:
        """``tracing_read_pipe``: whole lines, taken out of the buffer; what does not fit comes with the next read."""
        text = self._pipe_rest
        while len(text) < min(size, _PAGE - 1):
            line = self._trace.take_line()
            if line is None:
                break
            text += line
        self._pipe_rest = text[size:]
        return text[:size] or None

    # Events

    def _groups(self) -> Mapping[str, Node]:
        events = self._events.events.values()
        groups = {event.group for event in events}
        tree: dict[str, Node] = {name: Directory(functools.partial(self._group, name)) for name in groups}
        tree["enable"] = self._switch(lambda: self._events.events.values())
        return tree

    def _group(self, group: str) -> Mapping[str, Node]:
        def members() -> list[TraceEvent]:
            return [event for event in self._events.events.values() if event.group == group]

        def set_filter(data: bytes) -> None:
            for event in members():
                self._events.set_filter(event, _text(data))

        tree: dict[str, Node] = {e.name: Directory(functools.partial(self._event, e)) for e in members()}
        tree["enable"] = self._switch(members)
        tree["filter"] = File(0o640, lambda: "none\n", set_filter)
        return tree

    def _event(self, event: TraceEvent) -> Mapping[str, Node]:
        def show_filter() -> str:
            return f"{event.filter.text}\n" if event.filter else "none\n"

        return {
            "enable": self._switch(lambda: [event]),
            "filter": File(0o640, show_filter, lambda data: self._events.set_filter(event, _text(data))),
            "format": File(0o440, lambda: format_file(event)),
            "id": File(0o440, lambda: f"{event.id}\n"),
            "trigger": File(0o640, lambda: _NO_TRIGGERS, _set_trigger),
        }

    def _switch(self, members: Callable[[], Iterable[TraceEvent]]) -> File:
        """An ``enable`` file: 0, 1, or X where some are and some are not (TFS-08)."""

        def show() -> str:
            states = {event.enabled for event in members()}
            return f"{'?' if not states else 'X' if len(states) > 1 else int(states.pop())}\n"

        def store(data: bytes) -> None:
            value = number_from_user(data)
            if value > 1:
                raise LinuxError(Errno.EINVAL, "An enable file takes 0 and 1.")
            for event in list(members()):
                self._events.enable(event, bool(value))

        return File(0o640, show, store)

    # set_event

    def _enabled_events(self) -> str:
        return "".join(f"{e.group}:{e.name}\n" for e in self._events.events.values() if e.enabled)

    def _set_event(self, data: bytes) -> None:
        for word in _text(data).split():
            name = word.removeprefix("!")
            group, colon, event = name.partition(":")
            found = [e for e in self._events.events.values() if _fits(e, group, event if colon else None)]
            if not found:
                raise LinuxError(Errno.EINVAL, f"There is no event {name}.")
            for each in found:
                self._events.enable(each, not word.startswith("!"))

    def _disable_all(self) -> None:
        for event in self._events.events.values():
            self._events.enable(event, False)

    # Going back and forth in time

    def save(self) -> bytes:
        """What a reader of trace_pipe has not been given yet."""
        return self._pipe_rest

    def restore(self, state: bytes) -> None:
        """Go back to what `save` returned."""
        self._pipe_rest = state


def _fits(event: TraceEvent, group: str, name: str | None) -> bool:
    """``GROUP:EVENT``, ``GROUP:*``, ``GROUP:`` or a bare name, which may be of either."""
    if name is None:
        return group in (event.group, event.name, "*")
    return group in (event.group, "*", "") and name in (event.name, "*", "")


def _text(data: bytes) -> str:
    return data.split(b"\0")[0].decode("latin-1")


def _set_tracer(data: bytes) -> None:
    if _text(data).strip() != "nop":
        raise LinuxError(Errno.EINVAL, "The only tracer is nop.")


def _set_trigger(data: bytes) -> None:
    raise LinuxError(Errno.EINVAL, "There are no triggers yet.")
