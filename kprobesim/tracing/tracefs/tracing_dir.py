"""``/sys/kernel/tracing``: the root of tracefs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kprobesim.kprobes import RunningKernel
from kprobesim.tracing.probe_events import AllDynEvents, DynEvents
from kprobesim.tracing.trace_events import TraceEvents
from kprobesim.tracing.tracefs.nodes import Directory, File, Node, run_commands
from kprobesim.tracing.tracefs.readme import README
from kprobesim.tracing.tracefs.trace_files import TraceFiles
from kprobesim.tracing.uprobe_events import UprobeEvents

__all__ = ["TracingDirectory"]


class TracingDirectory:
    """The tree of tracefs.

    Args:
        kernel: the running kernel.
        events: all events, and the trace.
        dyn_events: the probe events of the kernel's code.
        uprobe_events: those of programs.
        all_dyn_events: both, and event probes.
    """

    def __init__(
        self,
        kernel: RunningKernel,
        events: TraceEvents,
        dyn_events: DynEvents,
        uprobe_events: UprobeEvents,
        all_dyn_events: AllDynEvents,
    ) -> None:
        self._events = events
        self._all_dyn_events = all_dyn_events
        self._dyn_events = dyn_events
        self._uprobe_events = uprobe_events
        self._kernel = kernel
        self._files = TraceFiles(events, events.trace, kernel)
        self._instances: dict[str, TraceFiles] = {}
        self._instances_directory = Directory(self._instance_folders, 0o750, mkdir=self._mkdir, rmdir=self._rmdir)
        self.root = Directory(self._root, 0o700)

    def _root(self) -> Mapping[str, Node]:
        dyn_events, everything = self._dyn_events, self._all_dyn_events
        return {
            **self._files.files(),
            **self._files.buffers.saved_task_files(),
            "README": File(0o444, lambda: README),
            "available_events": File(0o444, self._files.events.available_events),
            "dynamic_events": File(0o640, everything.text, self._run_any, everything.release_all),
            "instances": self._instances_directory,
            "kprobe_events": File(0o640, self._list, self._run, dyn_events.release_all),
            "kprobe_profile": File(0o440, self._profile),
            "uprobe_events": File(0o640, self._list_uprobes, self._run_uprobes, self._uprobe_events.release_all),
            "uprobe_profile": File(0o440, self._uprobe_profile),
        }

    def _list(self) -> str:
        return "".join(probe.show() for probe in self._dyn_events.probes)

    def _run(self, data: bytes) -> None:
        run_commands(data, self._dyn_events.run_command)

    def _run_any(self, data: bytes) -> None:
        run_commands(data, self._all_dyn_events.run_command)

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

    # Instances

    def _instance_folders(self) -> Mapping[str, Node]:
        return {name: Directory(files.files) for name, files in self._instances.items()}

    def _mkdir(self, name: str) -> None:
        """``instance_mkdir``."""
        self._instances[name] = TraceFiles(self._events, self._events.add_instance(name), self._kernel)

    def _rmdir(self, name: str) -> None:
        """``instance_rmdir``."""
        self._events.remove_instance(name)
        del self._instances[name]

    # Going back and forth in time

    def save(self) -> object:
        """Who reads what, and which instances there are."""
        return self._files.save(), tuple((name, files, files.save()) for name, files in self._instances.items())

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        files, instances = state
        self._files.restore(files)
        self._instances = {name: instance for name, instance, _ in instances}
        for _, instance, saved in instances:
            instance.restore(saved)
