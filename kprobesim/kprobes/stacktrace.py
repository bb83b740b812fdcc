"""Stack traces by saved frame pointers, with the return addresses that return probes have replaced put right.

Follows Linux 6.1 arch/x86/kernel/unwind_frame.c and arch/x86/include/asm/unwind.h:unwind_recover_ret_addr.
"""

from __future__ import annotations

from typing import Final

from kprobesim.kprobes.kernel import MODULES_VADDR, RunningKernel
from kprobesim.kprobes.shadow_stack import ShadowStacks
from kprobesim.machine import PAGE_SIZE, MemoryFault

__all__ = ["arch_stack_walk"]

_THREAD_SIZE: Final = 16384


def arch_stack_walk(
    kernel: RunningKernel, stacks: ShadowStacks, *, task: int, ip: int, bp: int, limit: int = 127
) -> tuple[int, ...]:
    """Where a task is, and where each function under way will return to, the innermost first.

    Args:
        kernel: whose memory.
        stacks: the awaited returns.
        task: address of the ``task_struct`` whose stack it is.
        ip: where it is.
        bp: its frame pointer. Frames must lie one above the other within the size of a kernel stack.
        limit: as many addresses at most.
    """
    trace = [ip]
    frame, end = bp, bp + _THREAD_SIZE
    while len(trace) < limit and frame % 8 == 0:
        try:
            above, address = kernel.read_u64(frame), kernel.read_u64(frame + 8)
        except MemoryFault:
            break
        if not _is_code(kernel, address):
            break
        if address == stacks.trampoline:
            address = stacks.rethook_find_ret_addr(task, frame + 8) or address
        trace.append(address)
        if not frame < above < end:
            break
        frame = above
    return tuple(trace)


def _is_code(kernel: RunningKernel, address: int) -> bool:
    area = MODULES_VADDR, MODULES_VADDR + kernel.modules.pages * PAGE_SIZE
    return kernel.tables.is_text(address) or area[0] <= address < area[1]
