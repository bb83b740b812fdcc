"""The tracing front end of one kernel: probe events, the trace, and the files that show them."""

from __future__ import annotations

from typing import Any, Final

from kprobesim.kprobes import KprobeManager
from kprobesim.tracing.hostfs import HostFs
from kprobesim.tracing.probe_events import DynEvents
from kprobesim.tracing.tracefs import TracingDirectory, debugfs_directory, proc_directory

__all__ = ["Tracing"]

# The node numbers of the roots are the guest's hostfs.h.
_TRACEFS, _DEBUGFS, _PROC = 1, 2, 3


class Tracing:
    """What a kernel shows under ``/sys/kernel/tracing``, ``/sys/kernel/debug`` and ``/proc``.

    Args:
        manager: the kprobe manager; the kernel's hostfs stubs are bound here.

    Attributes:
        events: the probe events, the trace and the error log.
        directory: the tree of tracefs.
        hostfs: the files as the guest uses them.
    """

    def __init__(self, manager: KprobeManager) -> None:
        self.events: Final = DynEvents(manager)
        self.directory: Final = TracingDirectory(self.events)
        roots = {
            _TRACEFS: self.directory.root,
            _DEBUGFS: debugfs_directory(manager, self.directory.root),
            _PROC: proc_directory(manager),
        }
        self.hostfs: Final = HostFs(manager.kernel, roots)
        self.events.trace.on_write = self.hostfs.wake_up

    def save(self) -> object:
        """All state that is not in guest memory."""
        return self.events.save(), self.directory.save(), self.hostfs.save()

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        events, directory, hostfs = state
        self.events.restore(events)
        self.directory.restore(directory)
        self.hostfs.restore(hostfs)
