"""Helpers that tell the time. All of Linux's clocks are one here: nanoseconds since power-on."""

from kprobesim.bpf.helpers.base import HelperContext

__all__ = ["HZ", "INITIAL_JIFFIES", "jiffies64", "ktime_get_coarse_ns", "ktime_get_ns"]

HZ = 250
INITIAL_JIFFIES = (1 << 32) - 300 * HZ
"""Linux starts the counter five minutes before 32 bits overflow, so that bugs with the overflow show early."""
_TICK = 1_000_000_000 // HZ


def ktime_get_ns(ctx: HelperContext) -> int:
    """Nanoseconds since boot; the machine is never suspended, and its atomic clock began then, too."""
    return ctx.env.ktime_get_ns()


def ktime_get_coarse_ns(ctx: HelperContext) -> int:
    """The same at the last tick."""
    return ctx.env.ktime_get_ns() // _TICK * _TICK


def jiffies64(ctx: HelperContext) -> int:
    """Ticks of 4 ms."""
    return INITIAL_JIFFIES + ctx.env.ktime_get_ns() // _TICK
