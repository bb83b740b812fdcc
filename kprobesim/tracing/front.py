"""The tracing front end of one kernel: probe events, the trace, and the files that show them."""

from __future__ import annotations

from typing import Any, Final

from kprobesim.kprobes import KprobeManager
from kprobesim.tracing.bpf import BpfPrograms
from kprobesim.tracing.bpf_syscall import BpfSyscall
from kprobesim.tracing.bpf_trace import BpfTracePrintk
from kprobesim.tracing.bpftool import BpftoolChannel
from kprobesim.tracing.event_probes import EventProbes
from kprobesim.tracing.hostfs import HostFs
from kprobesim.tracing.kernel_events import KernelEvents
from kprobesim.tracing.probe_events import AllDynEvents, DynEvents
from kprobesim.tracing.stack_trace import stack_trace_save
from kprobesim.tracing.trace_events import TraceEvents
from kprobesim.tracing.tracefs import TracingDirectory, bpffs_directory, debugfs_directory, proc_directory
from kprobesim.tracing.uprobe_events import UprobeEvents

__all__ = ["Tracing"]

# The node numbers of the roots are the guest's hostfs.h.
_TRACEFS, _DEBUGFS, _PROC, _BPFFS = 1, 2, 3, 4
_MOUNTS: Final = ("/sys/kernel/tracing", "/sys/kernel/debug", "/proc", "/sys/fs/bpf")


class Tracing:
    """What a kernel shows under ``/sys/kernel/tracing``, ``/sys/kernel/debug``, ``/sys/fs/bpf`` and ``/proc``.

    Args:
        manager: the kprobe manager; the kernel's hostfs stubs are bound here.
        programs: the BPF programs, which bpftool shows.

    Attributes:
        events: all events, the trace and the error log.
        kernel_events: the tracepoints and the events that come with the kernel.
        dyn_events: the probe events of the kernel's code.
        uprobe_events: the probe events of programs.
        event_probes: the events that are made of other events' records.
        all_dyn_events: the probes of all sorts.
        directory: the tree of tracefs.
        bpftool: by which the guest's bpftool asks.
        mounts: the trees by the path at which the guest mounts them.
        hostfs: the files as the guest uses them.
        bpf: the system call bpf(2).
    """

    def __init__(self, manager: KprobeManager, programs: BpfPrograms) -> None:
        self.events: Final = TraceEvents(manager.kernel)
        self._kernel = manager.kernel
        self.kernel_events: Final = KernelEvents(manager, self.events)
        self._printk = BpfTracePrintk()
        self.events.add(self._printk)
        self.dyn_events: Final = DynEvents(manager, self.events)
        self.uprobe_events: Final = UprobeEvents(manager, self.events)
        self.event_probes: Final = EventProbes(manager, self.events)
        self.all_dyn_events: Final = AllDynEvents(self.events, self.dyn_events, self.uprobe_events, self.event_probes)
        self.directory: Final = TracingDirectory(
            manager.kernel, self.events, self.dyn_events, self.uprobe_events, self.all_dyn_events
        )
        self.bpftool: Final = BpftoolChannel(manager.kernel, programs)
        roots = {
            _TRACEFS: self.directory.root,
            _DEBUGFS: debugfs_directory(manager, self.directory.root, {"bpftool": self.bpftool.file}),
            _PROC: proc_directory(manager, programs.jit),
            _BPFFS: bpffs_directory(programs.user.bpffs, lambda: self.bpf.references.collect()),
        }
        self.mounts: Final = dict(zip(_MOUNTS, roots.values(), strict=True))
        self.hostfs: Final = HostFs(manager.kernel, roots)
        self.bpf: Final = BpfSyscall(manager.kernel, programs, self.hostfs)
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
        return (
            self.events.save(),
            self.kernel_events.save(),
            self.dyn_events.save(),
            self.uprobe_events.save(),
            self.event_probes.save(),
            self.directory.save(),
            self.hostfs.save(),
            self.bpftool.save(),
            self.bpf.save(),
        )

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        (
            events, kernel_events, dyn_events, uprobe_events, event_probes, directory, hostfs, bpftool, bpf,
        ) = state  # fmt: skip
        self.events.restore(events)
        self.kernel_events.restore(kernel_events)
        self.dyn_events.restore(dyn_events)
        self.uprobe_events.restore(uprobe_events)
        self.event_probes.restore(event_probes)
        self.directory.restore(directory)
        self.hostfs.restore(hostfs)
        self.bpftool.restore(bpftool)
        self.bpf.restore(bpf)
