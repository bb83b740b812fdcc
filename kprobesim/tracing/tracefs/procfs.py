"""The little of ``/proc`` that there is: kallsyms, uptime, version, one sysctl, and the tasks."""

from __future__ import annotations

from kprobesim.errors import LinuxError
from kprobesim.kprobes import KprobeManager, Optimizer, RunningKernel
from kprobesim.linux_errno import Errno
from kprobesim.tracing.kstrto import kstrtol
from kprobesim.tracing.tracefs.nodes import Directory, File, Node
from kprobesim.tracing.tracefs.proc_pid import pid_directories

__all__ = ["proc_directory"]


def proc_directory(manager: KprobeManager) -> Directory:
    """The tree of proc.

    Args:
        manager: of the kernel that it tells of.
    """
    kernel, optimizer = manager.kernel, manager.kprobes.optimizer
    files: dict[str, Node] = {
        "kallsyms": File(0o444, lambda: _kallsyms(kernel)),
        "uptime": File(0o444, lambda: _uptime(kernel)),
        "version": File(0o444, lambda: "Linux version 6.1.0-toyix (kprobesim) #1 SMP PREEMPT\n"),
    }
    if optimizer is not None:
        files["sys"] = _sysctls(optimizer)
    return Directory(lambda: {**files, **pid_directories(kernel)}, 0o555)


def _sysctls(optimizer: Optimizer) -> Directory:
    """``sys/debug/kprobes-optimization`` (Linux kernel/kprobes.c:proc_kprobes_optimization_handler, OPT-15)."""

    def write(data: bytes) -> None:
        words = data.split(b"\0")[0].decode("latin-1").split()
        if not words:
            return
        number = kstrtol(words[0], 0)
        if number not in (0, 1):
            raise LinuxError(Errno.EINVAL, "This sysctl takes 0 and 1.")
        optimizer.allow(bool(number))

    file = File(0o644, lambda: f"{int(optimizer.allowed)}\n", write)
    debug = Directory(lambda: {"kprobes-optimization": file}, 0o555)
    return Directory(lambda: {"debug": debug}, 0o555)


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
