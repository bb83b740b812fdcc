"""The little of ``/proc`` that there is: kallsyms, uptime, version, and the tasks."""

from __future__ import annotations

from kprobesim.kprobes import RunningKernel
from kprobesim.tracing.tracefs.nodes import Directory, File, Node
from kprobesim.tracing.tracefs.proc_pid import pid_directories

__all__ = ["proc_directory"]


def proc_directory(kernel: RunningKernel) -> Directory:
    """The tree of proc.

    Args:
        kernel: what it tells of.
    """
    files: dict[str, Node] = {
        "kallsyms": File(0o444, lambda: _kallsyms(kernel)),
        "uptime": File(0o444, lambda: _uptime(kernel)),
        "version": File(0o444, lambda: "Linux version 6.1.0-toyix (kprobesim) #1 SMP PREEMPT\n"),
    }
    return Directory(lambda: {**files, **pid_directories(kernel)}, 0o555)


def _kallsyms(kernel: RunningKernel) -> str:
    """Address, type letter, name, and in brackets the module (Linux kernel/kallsyms.c:s_show)."""
    lines = []
    for symbol in kernel.kallsyms:
        module = f"\t[{symbol.module}]" if symbol.module else ""
        lines.append(f"{symbol.address:016x} {symbol.type_letter} {symbol.name}{module}\n")
    return "".join(lines)


def _uptime(kernel: RunningKernel) -> str:
    """Seconds since power-on, and those that the CPUs waited (Linux fs/proc/uptime.c)."""
    machine = kernel.machine
    up, idle = machine.ns // 10_000_000, machine.idle_ns * len(machine.cpus) // 10_000_000
    return f"{up // 100}.{up % 100:02} {idle // 100}.{idle % 100:02}\n"
