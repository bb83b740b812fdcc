"""Uprobe events: the command language of ``uprobe_events``, and what its events write to the trace."""

from kprobesim.tracing.uprobe_events.events import UprobeEvents
from kprobesim.tracing.uprobe_events.trace_uprobe import TraceUprobe, UprobeEvent

__all__ = ["TraceUprobe", "UprobeEvent", "UprobeEvents"]
