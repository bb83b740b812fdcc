"""Triggers: what the ``trigger`` files set up."""

from kprobesim.tracing.triggers.trigger import Trigger

__all__ = ["Trigger"]
