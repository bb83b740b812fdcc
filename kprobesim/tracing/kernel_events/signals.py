"""The events of signals: Linux 6.1 include/trace/events/signal.h."""

from __future__ import annotations

from typing import Any, Final

from kprobesim.machine import VCpu
from kprobesim.tracing.kernel_events.event import EventSpec, text_of
from kprobesim.tracing.kernel_events.guest import Guest
from kprobesim.tracing.kernel_events.layout import Layout, Value

__all__ = ["SIGNAL_EVENTS"]

_SEND_SIG_NOINFO, _SEND_SIG_PRIV = 0, 1
_SI_USER, _SI_KERNEL = 0, 0x80


def _siginfo(guest: Guest, info: int) -> tuple[int, int]:
    """``TP_STORE_SIGINFO``: errno and code; two small numbers are no pointers but say who sent the signal."""
    if info == _SEND_SIG_NOINFO:
        return 0, _SI_USER
    if info == _SEND_SIG_PRIV:
        return 0, _SI_KERNEL
    return guest.member("kernel_siginfo", info, "si_errno"), guest.member("kernel_siginfo", info, "si_code")


def _assign_generate(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
    sig, info, task, group, result = args
    return sig, *_siginfo(guest, info), guest.comm(task), guest.pid(task), group, result


def _print_generate(guest: Guest, values: list[Any]) -> str:
    sig, errno, code, comm, pid, group, result = values
    return f"sig={sig} errno={errno} code={code} comm={text_of(comm)} pid={pid} grp={group} res={result}"


def _assign_deliver(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
    sig, info, action = args
    handler, flags = (guest.member("k_sigaction", action, f"sa_{name}") for name in ("handler", "flags"))
    return sig, *_siginfo(guest, info), handler, flags


def _print_deliver(guest: Guest, values: list[Any]) -> str:
    sig, errno, code, handler, flags = values
    return f"sig={sig} errno={errno} code={code} sa_handler={handler:x} sa_flags={flags:x}"


SIGNAL_EVENTS: Final = (
    EventSpec(
        "signal",
        "signal_generate",
        Layout(("int sig", "int errno", "int code", "char comm[16]", "pid_t pid", "int group", "int result")),
        _assign_generate,
        '"sig=%d errno=%d code=%d comm=%s pid=%d grp=%d res=%d", REC->sig, REC->errno, REC->code, REC->comm, REC->pid, '
        "REC->group, REC->result",
        _print_generate,
    ),
    EventSpec(
        "signal",
        "signal_deliver",
        Layout(("int sig", "int errno", "int code", "unsigned long sa_handler", "unsigned long sa_flags")),
        _assign_deliver,
        '"sig=%d errno=%d code=%d sa_handler=%lx sa_flags=%lx", REC->sig, REC->errno, REC->code, REC->sa_handler, '
        "REC->sa_flags",
        _print_deliver,
    ),
)
