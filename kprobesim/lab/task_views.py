"""Processes and CPUs at one moment, read from the guest's own lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kprobesim.errors import KprobesimError
from kprobesim.machine import MemoryFault

if TYPE_CHECKING:
    from kprobesim.lab.look import Look

__all__ = ["CpuView", "TaskView", "cpu_views", "task_views"]

_MOST: Final = 512
_STATES: Final = ((0x80, "X"), (0x20, "Z"), (0x02, "D"), (0x01, "S"))
"""Bits of ``__state`` and ``exit_state`` and their letters in ps(1) (Linux fs/proc/array.c, task_state_array)."""


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task.

    Attributes:
        address: of its ``struct task_struct``.
        pid, parent: its pid and its parent's.
        comm: its name.
        state: letter as in ps(1): R, S, D, Z, X.
        on_cpu: the CPU it runs on, or None.
        is_user: it has an address space of its own.
    """

    address: int
    pid: int
    parent: int
    comm: str
    state: str
    on_cpu: int | None
    is_user: bool


@dataclass(frozen=True, slots=True)
class CpuView:
    """One vCPU.

    Attributes:
        number: from 0.
        online: it was started.
        halted: it waits in ``hlt``.
        is_turn: the next instruction is its.
        ring: privilege level.
        place: RIP by name.
        comm, pid: the task on it; empty and 0 where the kernel has none.
        pending: interrupts that wait.
    """

    number: int
    online: bool
    halted: bool
    is_turn: bool
    ring: int
    place: str
    comm: str
    pid: int
    pending: tuple[int, ...]


def cpu_views(look: Look) -> tuple[CpuView, ...]:
    """All vCPUs, in order."""
    views = []
    for cpu in look.machine.cpus:
        registers = look.registers(cpu.number)
        comm, pid = "", 0
        if cpu.online:
            try:
                task = look.task(cpu.number)
                comm, pid = task.name, task.pid
            except (KprobesimError, MemoryFault):
                # The smallest kernels have no tasks, and early in its boot no kernel has.
                pass
        views.append(
            CpuView(
                cpu.number, cpu.online, cpu.halted, cpu.number == look.cpu, registers["cs"] & 3,
                look.symbolize(registers["rip"]), comm, pid, tuple(cpu.pending),
            )
        )  # fmt: skip
    return tuple(views)


def task_views(look: Look) -> tuple[TaskView, ...]:
    """All processes in the order of the kernel's list ``init_task.tasks``; none where the kernel has no tasks."""
    kernel = look.kernel
    if not kernel.has_symbol("init_task"):
        return ()
    try:
        link = kernel.task_offset("tasks")
        running = {look.task(cpu.number).address: cpu.number for cpu in look.machine.cpus if cpu.online}
        first = kernel.symbol("init_task")
        views: list[TaskView] = []
        at = kernel.read_u64(first + link) - link
        while at != first and len(views) < _MOST:
            views.append(_task(look, at, running.get(at)))
            at = kernel.read_u64(at + link) - link
        return tuple(views)
    except (KprobesimError, MemoryFault):
        # Early in the boot the list is not there yet.
        return ()


def _task(look: Look, address: int, cpu: int | None) -> TaskView:
    kernel = look.kernel

    def pointer(task: int, member: str) -> int:
        return kernel.read_u64(task + kernel.task_offset(member))

    state = kernel.read_member(address, "__state") | kernel.read_member(address, "exit_state")
    letter = next((letter for bit, letter in _STATES if state & bit), "R")
    comm = kernel.read(address + kernel.task_offset("comm"), 16).split(b"\0")[0].decode(errors="replace")
    parent = kernel.read_member(pointer(address, "parent"), "tgid")
    return TaskView(
        address, kernel.read_member(address, "tgid"), parent, comm, letter, cpu, bool(pointer(address, "mm"))
    )
