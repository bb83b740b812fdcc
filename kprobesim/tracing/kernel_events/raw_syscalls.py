"""The events of all system calls: Linux 6.1 include/trace/events/syscalls.h."""

from __future__ import annotations

import struct
from typing import Any, Final

from kprobesim.machine import VCpu
from kprobesim.tracing.kernel_events.event import EventSpec
from kprobesim.tracing.kernel_events.guest import Guest
from kprobesim.tracing.kernel_events.layout import Layout, Value

__all__ = ["RAW_SYSCALL_EVENTS"]

_ARGS: Final = struct.Struct("<6Q")


def _assign_enter(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
    regs, number = args
    return number, _ARGS.pack(*guest.syscall_arguments(cpu, regs))


def _print_enter(guest: Guest, values: list[Any]) -> str:
    number, args = values
    return f"NR {number} ({', '.join(f'{word:x}' for word in _ARGS.unpack(args))})"


def _assign_exit(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
    regs, ret = args
    return guest.regs(cpu, regs).orig_ax, ret


def _print_exit(guest: Guest, values: list[Any]) -> str:
    number, ret = values
    return f"NR {number} = {ret}"


RAW_SYSCALL_EVENTS: Final = (
    EventSpec(
        "raw_syscalls",
        "sys_enter",
        Layout(("long id", "unsigned long args[6]")),
        _assign_enter,
        '"NR %ld (%lx, %lx, %lx, %lx, %lx, %lx)", REC->id, ' + ", ".join(f"REC->args[{number}]" for number in range(6)),
        _print_enter,
    ),
    EventSpec(
        "raw_syscalls",
        "sys_exit",
        Layout(("long id", "long ret")),
        _assign_exit,
        '"NR %ld = %ld", REC->id, REC->ret',
        _print_exit,
    ),
)
