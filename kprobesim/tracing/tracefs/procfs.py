"""The little of ``/proc`` that there is: kallsyms, uptime, version, three sysctls, and the tasks."""

from __future__ import annotations

from collections.abc import Callable

from kprobesim.errors import LinuxError
from kprobesim.kprobes import KprobeManager, RunningKernel
from kprobesim.linux_errno import Errno
from kprobesim.tracing.bpf_jit import BpfJit
from kprobesim.tracing.kstrto import kstrtol
from kprobesim.tracing.tracefs.nodes import Directory, File, Node
from kprobesim.tracing.tracefs.proc_pid import pid_directories

__all__ = ["proc_directory"]


def proc_directory(manager: KprobeManager, jit: BpfJit) -> Directory:
    """The tree of proc.

    Args:
        manager: of the kernel that it tells of.
        jit: the JIT compiler that two of the sysctls are of.
    """
    kernel, optimizer = manager.kernel, manager.kprobes.optimizer
    files: dict[str, Node] = {
        "kallsyms": File(0o444, lambda: _kallsyms(kernel)),
        "uptime": File(0o444, lambda: _uptime(kernel)),
        "version": File(0o444, lambda: "Linux version 6.1.0-toyix (kprobesim) #1 SMP PREEMPT\n"),
    }
    groups: dict[str, Node] = {"net": _directory({"core": _directory(_jit_sysctls(jit))})}
    if optimizer is not None:
        allowed = _sysctl(lambda: int(optimizer.allowed), lambda number: optimizer.allow(bool(number)), 1)
        groups["debug"] = _directory({"kprobes-optimization": allowed})
    files["sys"] = _directory(groups)
    return Directory(lambda: {**files, **pid_directories(kernel)}, 0o555)


def _directory(entries: dict[str, Node]) -> Directory:
    return Directory(lambda: entries, 0o555)


def _jit_sysctls(jit: BpfJit) -> dict[str, Node]:
    """``net.core.bpf_jit_enable`` and ``bpf_jit_harden`` (Linux net/core/sysctl_net_core.c)."""

    def harden(number: int) -> None:
        jit.harden = number

    return {
        "bpf_jit_enable": _sysctl(lambda: jit.enabled, jit.set_enabled, 2),
        "bpf_jit_harden": _sysctl(lambda: jit.harden, harden, 2, mode=0o600),
    }


def _sysctl(read: Callable[[], int], store: Callable[[int], None], largest: int, mode: int = 0o644) -> File:
    """A number from 0 on (Linux kernel/sysctl.c:proc_dointvec_minmax, OPT-15)."""

    def write(data: bytes) -> None:
        words = data.split(b"\0")[0].decode("latin-1").split()
        if not words:
            return
        number = kstrtol(words[0], 0)
        if not 0 <= number <= largest:
            raise LinuxError(Errno.EINVAL, f"This sysctl takes 0 to {largest}.")
        store(number)

    return File(mode, lambda: f"{read()}\n", write)


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
