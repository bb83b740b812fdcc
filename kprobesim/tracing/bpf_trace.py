"""``bpf_trace:bpf_trace_printk``: the event that helpers of BPF programs print with.

Follows Linux 6.1 kernel/trace/bpf_trace.h.
"""

from __future__ import annotations

import struct
from typing import Final

from kprobesim.tracing.event_filter import FilterField
from kprobesim.tracing.trace_array import NMI_MASK
from kprobesim.tracing.trace_event import COMMON_SIZE, TraceEvent
from kprobesim.tracing.trace_events import TraceEvents

__all__ = ["BpfTracePrintk"]

_LOC: Final = struct.Struct("<I")
# Interrupts off, in an NMI and an interrupt; BPF programs run with migration disabled.
_INT3_FLAGS: Final = 0x49
_MIGRATE_DISABLED: Final = 0x10
_TEXT_AT: Final = COMMON_SIZE + _LOC.size


class BpfTracePrintk(TraceEvent):
    """One event with one field, the text."""

    def __init__(self) -> None:
        super().__init__("bpf_trace", "bpf_trace_printk")

    @property
    def fields(self) -> tuple[FilterField, ...]:
        """Where the text is."""
        return (FilterField("bpf_string", "__data_loc char[]", COMMON_SIZE, _LOC.size, True, True),)

    def print_fmt(self) -> str:
        """As Linux has it."""
        return '"%s", __get_str(bpf_string)'

    def print_record(self, record: bytes) -> str:
        """The text as it is: a newline at its end makes an empty line."""
        return f"{self.name}: {record[_TEXT_AT:].split(bytes(1))[0].decode('latin-1')}"

    def printk(self, events: TraceEvents, cpu: int, text: str) -> None:
        """``bpf_trace_printk``: write a record. The first use switches the event on (``bpf_get_trace_printk_proto``).

        Args:
            events: the list that the event is in.
            cpu: where the program runs.
            text: formatted.
        """
        if not self.was_enabled:
            events.enable(self.file(events.trace), True)
        if not events.wants(self, cpu):
            return
        data = text.encode("latin-1", "replace") + b"\0"
        preempt_count = events.trace.preempt_count(cpu)
        flags = _INT3_FLAGS if preempt_count & NMI_MASK else 0
        head = events.trace.head(self.id, (flags, _MIGRATE_DISABLED | preempt_count & 0xF), cpu)
        events.commit(self, cpu, head + _LOC.pack(len(data) << 16 | _TEXT_AT) + data)
