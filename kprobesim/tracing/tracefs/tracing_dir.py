"""``/sys/kernel/tracing``: the root of tracefs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kprobesim.errors import LinuxError
from kprobesim.kprobes import RunningKernel
from kprobesim.linux_errno import Errno
from kprobesim.tracing.ctype import SPACES
from kprobesim.tracing.probe_events import DynEvents
from kprobesim.tracing.trace_events import TraceEvents
from kprobesim.tracing.tracefs.buffer_files import BufferFiles
from kprobesim.tracing.tracefs.event_files import EventFiles
from kprobesim.tracing.tracefs.nodes import Directory, File, Node, run_commands, text_from_user
from kprobesim.tracing.tracefs.readme import README
from kprobesim.tracing.triggers import TriggerFiles
from kprobesim.tracing.uprobe_events import UprobeEvents

__all__ = ["TracingDirectory"]


class TracingDirectory:
    """The tree of tracefs.

    Args:
        kernel: the running kernel.
        events: all events, and the trace.
        dyn_events: the probe events of the kernel's code.
        uprobe_events: those of programs.
    """

    def __init__(
        self, kernel: RunningKernel, events: TraceEvents, dyn_events: DynEvents, uprobe_events: UprobeEvents
    ) -> None:
        self._events = events
        self._dyn_events = dyn_events
        self._uprobe_events = uprobe_events
        self._buffer_files = BufferFiles(events.trace, events.output, kernel)
        self._event_files = EventFiles(events, TriggerFiles(events, kernel))
        self.root = Directory(self._root, 0o700)

    def _root(self) -> Mapping[str, Node]:
        events, dyn_events = self._events, self._dyn_events
        return {
            **self._buffer_files.top_files(),
            **self._event_files.top_files(),
            "README": File(0o444, lambda: README),
            "available_tracers": File(0o444, lambda: "nop\n"),
            "current_tracer": File(0o640, lambda: "nop\n", _set_tracer),
            "dynamic_events": File(0o640, self._list, lambda data: self._run(data, "-!"), dyn_events.release_all),
            "error_log": File(0o640, events.errors.text, lambda data: None, events.errors.clear),
            "events": self._event_files.directory,
            "kprobe_events": File(0o640, self._list, lambda data: self._run(data, "-"), dyn_events.release_all),
            "kprobe_profile": File(0o440, self._profile),
            "uprobe_events": File(0o640, self._list_uprobes, self._run_uprobes, self._uprobe_events.release_all),
            "uprobe_profile": File(0o440, self._uprobe_profile),
        }

    def _list(self) -> str:
        return "".join(probe.show() for probe in self._dyn_events.probes)

    def _run(self, data: bytes, delete: str) -> None:
        run_commands(data, lambda line: self._dyn_events.run_command(line, delete=delete))

    def _list_uprobes(self) -> str:
        return "".join(probe.show() for probe in self._uprobe_events.probes)

    def _run_uprobes(self, data: bytes) -> None:
        run_commands(data, self._uprobe_events.run_command)

    def _uprobe_profile(self) -> str:
        """``probes_profile_seq_show`` of trace_uprobe.c."""
        probes = self._uprobe_events.probes
        return "".join(f"  {p.definition.filename} {p.definition.event:<44} {p.nhit:15}\n" for p in probes)

    def _profile(self) -> str:
        """``probes_profile_seq_show`` (TFS-13)."""
        probes = self._dyn_events.probes
        return "".join(f"  {p.definition.event:<44} {p.nhit:15} {p.nmissed:15}\n" for p in probes)

    def save(self) -> object:
        """Who reads what."""
        return self._buffer_files.save()

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        self._buffer_files.restore(state)


def _set_tracer(data: bytes) -> None:
    if text_from_user(data).strip(SPACES) != "nop":
        raise LinuxError(Errno.EINVAL, "The only tracer is nop.")
