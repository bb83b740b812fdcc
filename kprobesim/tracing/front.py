"""The tracing front end of one kernel: probe events, the trace, and the files that show them."""

from __future__ import annotations

from typing import Any, Final

from kprobesim.kprobes import KprobeManager
from kprobesim.tracing.bpf_trace import BpfTracePrintk
from kprobesim.tracing.hostfs import HostFs
from kprobesim.tracing.probe_events import DynEvents
from kprobesim.tracing.stack_trace import stack_trace_save
from kprobesim.tracing.trace_events import TraceEvents
from kprobesim.tracing.tracefs import TracingDirectory, debugfs_directory, proc_directory

__all__ = ["Tracing"]

# The node numbers of the roots are the guest's hostfs.h.
_TRACEFS, _DEBUGFS, _PROC = 1, 2, 3


class Tracing:
    """What a kernel shows under ``/sys/kernel/tracing``, ``/sys/kernel/debug`` and ``/proc``.

    Args:
        manager: the kprobe manager; the kernel's hostfs stubs are bound here.

    Attributes:
        events: all events, the trace and the error log.
        dyn_events: the probe events.
        directory: the tree of tracefs.
        hostfs: the files as the guest uses them.
    """

    def __init__(self, manager: KprobeManager) -> None:
        self.events: Final = TraceEvents(manager.kernel)
        self._printk = BpfTracePrintk()
        self.events.add(self._printk)
        self.dyn_events: Final = DynEvents(manager, self.events)
        self.directory: Final = TracingDirectory(manager.kernel, self.events, self.dyn_events)
        roots = {
            _TRACEFS: self.directory.root,
            _DEBUGFS: debugfs_directory(manager, self.directory.root),
            _PROC: proc_directory(manager),
        }
        self.hostfs: Final = HostFs(manager.kernel, roots)
        self.events.trace.on_write = self.hostfs.wake_up
        self.events.trace.stack_trace = lambda cpu, regs: stack_trace_save(manager, cpu, regs)

    def bpf_trace_printk(self, cpu: int, text: str) -> None:
        """A line of a BPF program for the trace.

        Args:
            cpu: where it runs.
            text: formatted.
        """
        self._printk.printk(self.events, cpu, text)

    def save(self) -> object:
        """All state that is not in guest memory."""
        return self.events.save(), self.dyn_events.save(), self.directory.save(), self.hostfs.save()

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        events, dyn_events, directory, hostfs = state
        self.events.restore(events)
        self.dyn_events.restore(dyn_events)
        self.directory.restore(directory)
        self.hostfs.restore(hostfs)
