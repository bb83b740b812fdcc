"""The triggers that change something: the trace's switch, another event, the snapshot, the stack.

Follows Linux 6.1 kernel/trace/trace_events_trigger.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kprobesim.kprobes import PtRegs
from kprobesim.tracing.event_filter import EventFilter
from kprobesim.tracing.trace_array import TraceArray
from kprobesim.tracing.triggers.trigger import Trigger

if TYPE_CHECKING:
    from kprobesim.tracing.trace_event import EventFile

__all__ = ["EnableEventTrigger", "EnableHistTrigger", "SnapshotTrigger", "StacktraceTrigger", "TraceOnOffTrigger"]


class TraceOnOffTrigger(Trigger):
    """``traceon`` and ``traceoff``: only a change counts.

    Args:
        trace: what is switched.
        on: which of the two.
        count, only_if: as for `Trigger`.
    """

    kind = "trace_onoff"

    def __init__(self, trace: TraceArray, on: bool, count: int | None, only_if: EventFilter | None) -> None:
        super().__init__(count, only_if)
        self._trace = trace
        self._on = on
        self.is_post = not on

    def fire(self, cpu: int, regs: PtRegs | None, record: bytes | None = None) -> bool:
        """Switch, if it is not so already."""
        if self._trace.tracing_on == self._on or not self.take_one():
            return False
        self._trace.tracing_on = self._on
        return True

    def head(self) -> str:
        """The trigger's name."""
        return "traceon" if self._on else "traceoff"


class SnapshotTrigger(Trigger):
    """``snapshot``: the buffers change places with those of the snapshot.

    Args:
        trace: whose buffers.
        count, only_if: as for `Trigger`.
    """

    kind = "snapshot"

    def __init__(self, trace: TraceArray, count: int | None, only_if: EventFilter | None) -> None:
        super().__init__(count, only_if)
        self._trace = trace

    def fire(self, cpu: int, regs: PtRegs | None, record: bytes | None = None) -> bool:
        """Take a snapshot; while tracing is off none is taken."""
        if not self.take_one() or not self._trace.tracing_on:
            return False
        self._trace.take_snapshot()
        return True

    def head(self) -> str:
        """The trigger's name."""
        return "snapshot"


class StacktraceTrigger(Trigger):
    """``stacktrace``: a record of the stack behind the event's own.

    Args:
        trace: where it goes.
        count, only_if: as for `Trigger`.
    """

    kind = "stacktrace"
    is_post = True

    def __init__(self, trace: TraceArray, count: int | None, only_if: EventFilter | None) -> None:
        super().__init__(count, only_if)
        self._trace = trace

    def fire(self, cpu: int, regs: PtRegs | None, record: bytes | None = None) -> bool:
        """Write the stack."""
        if not self.take_one():
            return False
        context = (record[2], record[3]) if record is not None else (0, 0)
        self._trace.write_stack(cpu, context, regs)
        return True

    def head(self) -> str:
        """The trigger's name."""
        return "stacktrace"


class EnableEventTrigger(Trigger):
    """``enable_event`` and ``disable_event``: another event's records begin or end.

    Args:
        file: the other event, in the same trace.
        on: which of the two.
        count, only_if: as for `Trigger`.
    """

    kind = "event_enable"

    def __init__(self, file: EventFile, on: bool, count: int | None, only_if: EventFilter | None) -> None:
        super().__init__(count, only_if)
        self._file = file
        self._on = on

    @property
    def target(self) -> EventFile | None:
        """The other event."""
        return self._file

    def same_place(self, other: Trigger) -> bool:
        """One for each other event."""
        return super().same_place(other) and other.target is self._file

    def fire(self, cpu: int, regs: PtRegs | None, record: bytes | None = None) -> bool:
        """Switch, if it is not so already."""
        if self._file.soft_disabled != self._on or not self.take_one():
            return False
        self._file.soft_disabled = not self._on
        return True

    def head(self) -> str:
        """The trigger's name and the event."""
        return f"{'enable' if self._on else 'disable'}_event:{self._file.event.full_name}"


class EnableHistTrigger(EnableEventTrigger):
    """``enable_hist`` and ``disable_hist``: the histograms of another event go on or pause."""

    kind = "hist_enable"

    def fire(self, cpu: int, regs: PtRegs | None, record: bytes | None = None) -> bool:
        """Switch all of them."""
        if not self.take_one():
            return False
        for trigger in self._file.triggers:
            if trigger.kind == "hist":
                trigger.paused = not self._on
        return True

    def head(self) -> str:
        """The trigger's name and the event."""
        return f"{'enable' if self._on else 'disable'}_hist:{self._file.event.full_name}"
