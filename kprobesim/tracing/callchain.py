"""Stack traces by the machine's own frames, for bpf_get_stackid and bpf_get_stack.

Follows Linux arch/x86/events/core.c (perf_callchain_kernel, perf_callchain_user) and kernel/unwind_frame.c. toyix is
built with frame pointers, so each frame is found through the saved rbp of the one before. Where an instruction lies in
a function's prologue or at its ``ret`` there is no frame yet or any more; there the return address is found by the code
before it, as Linux's ORC tables would tell. A return address that a return probe has replaced is shown as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from kprobesim.bpf import MemoryFault
from kprobesim.errors import ImageError
from kprobesim.kprobes import KprobeManager, PtRegs
from kprobesim.machine import MemoryFault as NothingMapped

__all__ = ["CallChain"]

_THREAD_SIZE: Final = 0x4000
_MAX_STEPS: Final = 127
_PUSH_RBP: Final = b"\x55"
_MOV_RBP_RSP: Final = b"\x48\x89\xe5"
_FENTRY: Final = 5
_RET: Final = b"\xc3"
_SWITCH_FRAME_BP: Final = 40  # struct inactive_task_frame: r15, r14, r13, r12, rbx, rbp, the return address
_KERNEL: Final = 1 << 63


class CallChain:
    """Walks the stacks of one kernel.

    Args:
        manager: its kprobes, which know hooked return addresses.
        read_user: memory of the current task's user side; raises kprobesim.bpf.MemoryFault.
    """

    def __init__(self, manager: KprobeManager, read_user: Callable[[int, int], bytes]) -> None:
        self._manager = manager
        self._kernel = manager.kernel
        self._read_user = read_user

    def kernel(self, regs: PtRegs, depth: int) -> tuple[int, ...] | None:
        """From the registers of interrupted kernel code outwards; None if it was a program of a user."""
        if regs.cs & 3:
            return None
        task = self._kernel.current(regs.cpu).address
        chain = [regs.ip, *self._callers(task, regs.ip - 1, regs.sp, regs.bp)]
        return tuple(chain[:depth])

    def sleeping(self, task: int, depth: int) -> tuple[int, ...] | None:
        """Of a task that does not run, from where it was switched away from (stack_trace_save_tsk)."""
        try:
            place = self._kernel.btf.struct_member("task_struct", "thread.sp")
            if place is None:
                return None
            frame = self._kernel.read_u64(task + place.offset)
            bp, ip = (self._kernel.read_u64(frame + _SWITCH_FRAME_BP + 8 * n) for n in (0, 1))
        except (NothingMapped, ImageError):
            return None
        chain = [ip, *self._frames(task, bp, frame)]
        return tuple(chain[:depth])

    def user(self, regs: PtRegs, depth: int) -> tuple[int, ...]:
        """Of the user's program, from registers it entered the kernel with: by frame pointers, as far as they lead."""
        chain = [regs.ip]
        bp = regs.bp
        while len(chain) < depth and not bp & 7:
            try:
                frame = self._read_user(bp, 16)
            except MemoryFault:
                break
            following, ip = (int.from_bytes(frame[at : at + 8], "little") for at in (0, 8))
            if not ip:
                break
            chain.append(ip)
            if following <= bp:
                break
            bp = following
        return tuple(chain[:depth])

    def _callers(self, task: int, insn: int, sp: int, bp: int) -> Iterator[int]:
        """Return addresses above the function that contains ``insn``."""
        slot = self._return_slot(insn, sp)
        if slot is None:
            yield from self._frames(task, bp, sp)
            return
        address = self._return_address(task, slot)
        if address is None:
            return
        yield address
        # The rbp of the caller: still in its register, or just pushed below the return address.
        yield from self._frames(task, bp if slot == sp else self._word(slot - 8) or bp, slot)

    def _return_slot(self, insn: int, sp: int) -> int | None:
        """Where the return address is when the function has no frame at this instruction; None if it has one."""
        found = self._kernel.kallsyms.lookup_size_offset(insn)
        if found is None:
            return None
        start = found[0].address
        try:
            code = self._kernel.image.read(start, min(found[2], found[1] + 16))
        except ImageError:
            return None
        push = 0 if code[:1] == _PUSH_RBP else _FENTRY if code[_FENTRY : _FENTRY + 1] == _PUSH_RBP else None
        at = insn - start
        if push is None or code[push + 1 : push + 4] != _MOV_RBP_RSP:
            return sp if at == 0 else None
        if at <= push or code[at : at + 1] == _RET:
            return sp
        return sp + 8 if at <= push + 3 else None

    def _frames(self, task: int, bp: int, lowest: int) -> Iterator[int]:
        """Return addresses of saved frames, while these stay on the task's stack and grow."""
        stack = self._stack(task)
        for _ in range(_MAX_STEPS):
            if bp & 7 or not max(lowest, stack) <= bp < stack + _THREAD_SIZE - 16:
                return
            address = self._return_address(task, bp + 8)
            if address is None:
                return
            yield address
            lowest, bp = bp + 1, self._word(bp) or 0

    def _return_address(self, task: int, slot: int) -> int | None:
        """The word at ``slot`` if it is an address of code; what a return probe has put aside, if that is there."""
        word = self._word(slot)
        if word is None or not word & _KERNEL:
            return None
        rethooks = self._manager.rethooks
        if self._kernel.has_symbol("arch_rethook_trampoline") and word == rethooks.trampoline:
            word = rethooks.rethook_find_ret_addr(task, slot) or word
        return word if self._kernel.tables.is_text(word) else None

    def _word(self, address: int) -> int | None:
        try:
            return self._kernel.read_u64(address)
        except NothingMapped:
            return None

    def _stack(self, task: int) -> int:
        try:
            return self._kernel.read_u64(task + self._kernel.task_offset("stack"))
        except ImageError:
            return 0
