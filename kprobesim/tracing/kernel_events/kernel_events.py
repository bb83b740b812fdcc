"""All events that come with one kernel."""

from __future__ import annotations

from typing import Any, Final

from kprobesim.kprobes import KprobeManager
from kprobesim.tracing.kernel_events.event import TracepointEvent
from kprobesim.tracing.kernel_events.guest import Guest
from kprobesim.tracing.kernel_events.interrupts import (
    EXCEPTION_EVENTS,
    IRQ_EVENTS,
    IRQ_VECTOR_EVENTS,
    WORKQUEUE_EVENTS,
)
from kprobesim.tracing.kernel_events.kmem import KMEM_EVENTS
from kprobesim.tracing.kernel_events.raw_syscalls import RAW_SYSCALL_EVENTS
from kprobesim.tracing.kernel_events.sched import SCHED_EVENTS, TASK_EVENTS
from kprobesim.tracing.kernel_events.signals import SIGNAL_EVENTS
from kprobesim.tracing.kernel_events.syscalls import (
    SyscallEnterEvent,
    SyscallExitEvent,
    SyscallTracing,
    read_metadata,
)
from kprobesim.tracing.kernel_events.timers import TIMER_EVENTS
from kprobesim.tracing.trace_events import TraceEvents
from kprobesim.tracing.tracepoints import Tracepoints

__all__ = ["KernelEvents"]

_SPECS: Final = (
    *EXCEPTION_EVENTS,
    *IRQ_VECTOR_EVENTS,
    *RAW_SYSCALL_EVENTS,
    *TASK_EVENTS,
    *IRQ_EVENTS,
    *SIGNAL_EVENTS,
    *WORKQUEUE_EVENTS,
    *SCHED_EVENTS,
    *TIMER_EVENTS,
    *KMEM_EVENTS,
)


class KernelEvents:
    """The events of the tracepoints and system calls that the image has.

    Args:
        manager: the kprobe manager.
        events: the list that they are added to.

    Attributes:
        tracepoints: where they listen, and where raw tracepoint programs do.
    """

    def __init__(self, manager: KprobeManager, events: TraceEvents) -> None:
        guest = Guest(manager.kernel)
        self.tracepoints: Final = Tracepoints(manager)
        self._syscalls = SyscallTracing(self.tracepoints, guest)
        for spec in _SPECS:
            if (spec.tracepoint or spec.name) in self.tracepoints.by_name:
                events.add(TracepointEvent(spec, self.tracepoints, events, guest))
        for metadata in read_metadata(manager.kernel):
            suffix = metadata.name.removeprefix("sys")
            for kind, name in ((SyscallEnterEvent, f"sys_enter{suffix}"), (SyscallExitEvent, f"sys_exit{suffix}")):
                events.add(kind(name, metadata, self._syscalls, events, guest))

    def save(self) -> object:
        """All state that is not in guest memory; the events themselves are in `TraceEvents`."""
        return self.tracepoints.save(), self._syscalls.save()

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        tracepoints, syscalls = state
        self.tracepoints.restore(tracepoints)
        self._syscalls.restore(syscalls)
