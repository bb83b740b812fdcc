"""The events of timers: Linux 6.1 include/trace/events/timer.h."""

from __future__ import annotations

from typing import Any, Final

from kprobesim.machine import VCpu
from kprobesim.tracing.kernel_events.event import EventSpec
from kprobesim.tracing.kernel_events.guest import Guest
from kprobesim.tracing.kernel_events.layout import Layout, Value

__all__ = ["TIMER_EVENTS"]

_MASK64: Final = (1 << 64) - 1
_CLOCKS: Final = {0: "CLOCK_REALTIME", 1: "CLOCK_MONOTONIC", 7: "CLOCK_BOOTTIME", 11: "CLOCK_TAI"}
_MODES: Final = {
    0: "ABS", 1: "REL", 2: "ABS|PINNED", 3: "REL|PINNED", 4: "ABS|SOFT", 5: "REL|SOFT", 6: "ABS|PINNED|SOFT",
    7: "REL|PINNED|SOFT", 8: "ABS|HARD", 9: "REL|HARD", 10: "ABS|PINNED|HARD", 11: "REL|PINNED|HARD",
}  # fmt: skip
_DECODE_CLOCKID: Final = (
    "__print_symbolic(REC->clockid, " + ", ".join(f'{{ {number}, "{name}" }}' for number, name in _CLOCKS.items()) + ")"
)
_DECODE_MODE: Final = (
    "__print_symbolic(REC->mode, "
    + ", ".join(f'{{ HRTIMER_MODE_{name.replace("|", "_")}, "{name}" }}' for name in _MODES.values())
    + ")"
)


def _mode(mode: int) -> str:
    return _MODES.get(mode, f"0x{mode:x}")


def _assign_init(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
    return args


def _print_init(guest: Guest, values: list[Any]) -> str:
    timer, clock, mode = values
    return f"hrtimer={guest.pointer(timer)} clockid={_CLOCKS.get(clock, f'0x{clock:x}')} mode={_mode(mode)}"


def _assign_start(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
    timer, mode, was_armed = args
    # A timer here has no slack: it expires when it should.
    expires = guest.member("hrtimer", timer, "expires")
    return timer, guest.member("hrtimer", timer, "function"), expires, expires, mode, was_armed


def _print_start(guest: Guest, values: list[Any]) -> str:
    timer, function, expires, soft, mode, was_armed = values
    return (
        f"hrtimer={guest.pointer(timer)} function={guest.symbol(function)} "
        f"expires={expires & _MASK64} softexpires={soft & _MASK64} "
        f"mode={_mode(mode)} was_armed={was_armed}"
    )


def _assign_expire(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
    timer, now = args
    return timer, guest.kernel.read_u64(now), guest.member("hrtimer", timer, "function")


def _print_expire(guest: Guest, values: list[Any]) -> str:
    timer, now, function = values
    return f"hrtimer={guest.pointer(timer)} function={guest.symbol(function)} now={now & _MASK64}"


def _hrtimer(name: str) -> EventSpec:
    """hrtimer_class."""

    def text(guest: Guest, values: list[Any]) -> str:
        return f"hrtimer={guest.pointer(values[0])}"

    return EventSpec("timer", name, Layout(("void * hrtimer",)), _assign_init, '"hrtimer=%p", REC->hrtimer', text)


TIMER_EVENTS: Final = (
    EventSpec(
        "timer",
        "hrtimer_init",
        Layout(("void * hrtimer", "clockid_t clockid", "enum hrtimer_mode mode")),
        _assign_init,
        f'"hrtimer=%p clockid=%s mode=%s", REC->hrtimer, {_DECODE_CLOCKID}, {_DECODE_MODE}',
        _print_init,
    ),
    EventSpec(
        "timer",
        "hrtimer_start",
        Layout(
            (
                "void * hrtimer", "void * function", "s64 expires", "s64 softexpires", "enum hrtimer_mode mode",
                "bool was_armed",
            )
        ),
        _assign_start,
        '"hrtimer=%p function=%ps expires=%llu softexpires=%llu " "mode=%s was_armed=%d", REC->hrtimer, REC->function, '
        "(unsigned long long) REC->expires, (unsigned long long) REC->softexpires, "
        f"{_DECODE_MODE}, REC->was_armed",
        _print_start,
    ),
    EventSpec(
        "timer",
        "hrtimer_expire_entry",
        Layout(("void * hrtimer", "s64 now", "void * function")),
        _assign_expire,
        '"hrtimer=%p function=%ps now=%llu", REC->hrtimer, REC->function, (unsigned long long) REC->now',
        _print_expire,
    ),
    _hrtimer("hrtimer_expire_exit"),
    _hrtimer("hrtimer_cancel"),
)  # fmt: skip
