"""Triggers: what the ``trigger`` files set up."""

from kprobesim.tracing.triggers.hist import hist_file
from kprobesim.tracing.triggers.parse import TriggerFiles
from kprobesim.tracing.triggers.trigger import Trigger

__all__ = ["Trigger", "TriggerFiles", "hist_file"]
