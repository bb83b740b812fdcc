"""The files that each trace has: in the tracefs root, and in the folder of every instance.

Follows Linux 6.1 kernel/trace/trace.c (init_tracer_tracefs).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kprobesim.errors import LinuxError
from kprobesim.kprobes import RunningKernel
from kprobesim.linux_errno import Errno
from kprobesim.tracing.ctype import SPACES
from kprobesim.tracing.trace_array import TraceArray
from kprobesim.tracing.trace_events import TraceEvents
from kprobesim.tracing.tracefs.buffer_files import BufferFiles
from kprobesim.tracing.tracefs.event_files import EventFiles
from kprobesim.tracing.tracefs.nodes import File, Node, text_from_user
from kprobesim.tracing.triggers import TriggerFiles

__all__ = ["TraceFiles"]


class TraceFiles:
    """The files of one trace.

    Args:
        events: all events.
        trace: whose buffers and switches.
        kernel: the running kernel.

    Attributes:
        buffers, events: the files of either.
    """

    def __init__(self, events: TraceEvents, trace: TraceArray, kernel: RunningKernel) -> None:
        self.buffers: Final = BufferFiles(trace, events.output_of(trace), kernel)
        self.events: Final = EventFiles(events, trace, TriggerFiles(events, kernel))
        self._errors = trace.errors

    def files(self) -> Mapping[str, Node]:
        """The names, and what they stand for."""
        return {
            **self.buffers.top_files(),
            **self.events.top_files(),
            "available_tracers": File(0o444, lambda: "nop\n"),
            "current_tracer": File(0o640, lambda: "nop\n", _set_tracer),
            "error_log": File(0o640, self._errors.text, lambda data: None, self._errors.clear),
        }

    def save(self) -> object:
        """Who reads what."""
        return self.buffers.save()

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        self.buffers.restore(state)


def _set_tracer(data: bytes) -> None:
    if text_from_user(data).strip(SPACES) != "nop":
        raise LinuxError(Errno.EINVAL, "The only tracer is nop.")
