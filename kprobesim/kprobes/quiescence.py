"""Is anybody still inside some code, or about to come back into it?

Linux waits with synchronize_rcu_tasks() until every task has been scheduled of its own will or was in user space, which
nobody does inside a probed region or a detour buffer (kernel/rcu/tasks.h). Here all CPUs stand still, so one can look:
at their instruction pointers, and for return addresses on the stacks of what runs and of what was preempted.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

from kprobesim.errors import ImageError
from kprobesim.kprobes.kernel import RunningKernel
from kprobesim.machine import PAGE_SIZE, MemoryFault

__all__ = ["Span", "anybody_inside"]

Span = tuple[int, int]
"""Addresses from the first up to, not including, the second."""

_STACK_SIZE: Final = 16 * 1024
_MAX_TASKS: Final = 4096


def anybody_inside(kernel: RunningKernel, spans: Sequence[Span]) -> bool:
    """Whether a CPU or a preempted task is in one of some spans, or has an address of one on its stack.

    A word that only looks like such an address counts too: waiting longer does no harm.

    Args:
        kernel: whose CPUs and tasks.
        spans: the code in question.
    """
    if not spans:
        return False
    return any(low <= word < high for words in _stacks(kernel) for word in words for low, high in spans)


def _stacks(kernel: RunningKernel) -> Iterator[tuple[int, ...]]:
    """For each CPU in the kernel and each preempted task, the words that may lead back into code."""
    running = []
    for cpu in kernel.machine.cpus:
        if not cpu.online:
            continue
        registers = kernel.machine.registers(cpu.number)
        if registers["cs"] & 3 == 0:
            yield (registers["rip"], *_words(kernel, registers["rsp"]))
        if kernel.has_symbol("current_task"):
            running.append(kernel.current(cpu.number).address)
    # A task list that cannot be followed ends there: nothing that it does not show has been preempted.
    with suppress(ImageError, MemoryFault):
        for task in _tasks(kernel):
            # One that sleeps has called schedule() itself.
            if task not in running and kernel.read_member(task, "on_rq"):
                yield _words(kernel, kernel.read_u64(task + kernel.task_offset("thread") + _saved_sp(kernel)))


def _saved_sp(kernel: RunningKernel) -> int:
    place = kernel.btf.struct_member("thread_struct", "sp")
    if place is None:
        raise ImageError(f"{kernel.image.name}: struct thread_struct has no member sp.")
    return place.offset


def _tasks(kernel: RunningKernel) -> Iterator[int]:
    """Every ``struct task_struct`` on the list that begins with init_task."""
    if not kernel.has_symbol("init_task") or not kernel.has_symbol("current_task"):
        return
    first, link = kernel.symbol("init_task"), kernel.task_offset("tasks")
    task = first
    for _ in range(_MAX_TASKS):
        yield task
        task = kernel.read_u64(task + link) - link
        if task == first:
            return


def _words(kernel: RunningKernel, stack: int) -> tuple[int, ...]:
    """The words of a stack from its pointer up, as far as it is mapped."""
    stack = (stack + 7) & ~7
    data = b""
    while len(data) < _STACK_SIZE:
        room = PAGE_SIZE - stack % PAGE_SIZE
        try:
            data += kernel.read(stack, room)
        except MemoryFault:
            break
        stack += room
    return struct.unpack(f"<{len(data) // 8}Q", data)
