"""Between virtual time and instructions: the clock is regular but for the times when all CPUs waited."""

from __future__ import annotations

from bisect import bisect_left

from kprobesim.machine import Event, EventLog

__all__ = ["insn_at", "ns_at"]


def insn_at(log: EventLog, ns: int, ns_per_insn: int) -> int:
    """The first instruction before which the clock shows a time or a later one.

    Args:
        log: all events up to that time.
        ns: nanoseconds since power-on.
        ns_per_insn: nanoseconds that an instruction takes.
    """
    after = bisect_left(log, ns, key=lambda event: event.ns)
    if after == 0:
        return max(0, -(-ns // ns_per_insn))
    last = log[after - 1]
    return last.moment.insn + max(1, -(-(ns - _left_at(last)) // ns_per_insn))


def ns_at(log: EventLog, insn: int, ns_per_insn: int) -> int:
    """What the clock shows before an instruction, in nanoseconds since power-on.

    Args:
        log: all events up to that instruction.
        insn: its number.
        ns_per_insn: nanoseconds that an instruction takes.
    """
    after = bisect_left(log, insn, key=lambda event: event.moment.insn)
    if after == 0:
        return insn * ns_per_insn
    last = log[after - 1]
    return _left_at(last) + (insn - last.moment.insn) * ns_per_insn


def _left_at(event: Event) -> int:
    """When the machine went on from an event."""
    skipped: int = event.fields["skipped_ns"] if event.kind == "idle" else 0
    return event.ns + skipped
