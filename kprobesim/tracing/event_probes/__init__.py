"""Event probes: events made of other events' records. The list is `EventProbes`."""

from kprobesim.tracing.event_probes.events import EventProbes

__all__ = ["EventProbes"]
