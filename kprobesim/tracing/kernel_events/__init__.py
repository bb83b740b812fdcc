"""The events that come with the kernel: those of its tracepoints, and one pair for each system call."""

from kprobesim.tracing.kernel_events.event import KernelEvent, PerfHandler, TracepointEvent
from kprobesim.tracing.kernel_events.kernel_events import KernelEvents
from kprobesim.tracing.kernel_events.syscalls import SyscallEnterEvent, SyscallExitEvent

__all__ = ["KernelEvent", "KernelEvents", "PerfHandler", "SyscallEnterEvent", "SyscallExitEvent", "TracepointEvent"]
