"""Probe events: the command language of ``kprobe_events``, and what its events write to the trace."""

from kprobesim.tracing.probe_events.all_dyn_events import AllDynEvents
from kprobesim.tracing.probe_events.dyn_events import DynEvents
from kprobesim.tracing.probe_events.errors import PROBE_ERRORS, ProbeCommandError
from kprobesim.tracing.probe_events.trace_kprobe import TraceKprobe, TraceProbeEvent

__all__ = ["PROBE_ERRORS", "AllDynEvents", "DynEvents", "ProbeCommandError", "TraceKprobe", "TraceProbeEvent"]
