"""The ``format`` files: Linux kernel/trace/trace_events.c:f_show."""

from __future__ import annotations

from kprobesim.tracing.event_filter import FilterField
from kprobesim.tracing.trace_event import COMMON_FIELDS, TraceEvent

__all__ = ["format_file"]


def format_file(event: TraceEvent) -> str:
    """The event's ``format`` file (TFS-09)."""
    lines = [f"name: {event.name}", f"ID: {event.id}", "format:"]
    lines += [_field_line(item) for item in COMMON_FIELDS]
    lines.append("")
    lines += [_field_line(item) for item in event.fields]
    return "\n".join([*lines, "", f"print fmt: {event.print_fmt()}", ""])


def _field_line(item: FilterField) -> str:
    declared = f"{item.type} {item.name}"
    base, bracket, _ = item.type.partition("[")
    if bracket and not item.type.startswith("__data_loc"):
        declared = f"{base} {item.name}[{item.length}]"
    return f"\tfield:{declared};\toffset:{item.offset};\tsize:{item.size};\tsigned:{int(item.is_signed)};"
