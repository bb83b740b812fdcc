"""Stack traces of the kernel: what Linux gets from stack_trace_save(), by way of frame pointers.

Interrupted code may not have made its frame yet, or have left it: the first instructions of its function tell. Where a
return probe has replaced a return address, the real one is shown (KRP-10).
"""

from __future__ import annotations

from typing import Final

from kprobesim.kprobes import KprobeManager, PtRegs
from kprobesim.machine import MemoryFault

__all__ = ["stack_trace_save"]

_MAX_ENTRIES: Final = 64
_KERNEL: Final = 1 << 63
_USER_CS: Final = 3
_FRAME: Final = 16
_PUSH_RBP: Final = b"\x55"
_MOV_RBP: Final = b"\x48\x89\xe5"
_FENTRY_SIZE: Final = 5
_RET: Final = 0xC3


def stack_trace_save(manager: KprobeManager, cpu: int, regs: PtRegs | None = None) -> list[int]:
    """Addresses from the innermost function outwards; none of user space.

    Args:
        manager: of the running kernel.
        cpu: whose stack; the CPU that runs.
        regs: what a probe has interrupted further up on the same stack.
    """
    walk = _Walk(manager, cpu)
    registers = manager.kernel.machine.registers(cpu)
    walk.callers.append(registers["rip"])
    frame: int | None = registers["rbp"]
    while frame is not None and len(walk.callers) < _MAX_ENTRIES:
        if regs is not None and frame + _FRAME >= regs.address:
            frame = walk.interrupted(regs)
            regs = None
        else:
            frame = walk.step(frame)
    return walk.callers


class _Walk:
    """One walk.

    Args:
        manager, cpu: as for `stack_trace_save`.
    """

    def __init__(self, manager: KprobeManager, cpu: int) -> None:
        self._manager = manager
        self._kernel = manager.kernel
        self._task = manager.kernel.current(cpu).address
        self.callers: list[int] = []

    def _word(self, address: int) -> int:
        return self._kernel.read_u64(address)

    def step(self, frame: int) -> int | None:
        """Note where a frame returns to; the next frame, or None at the end."""
        try:
            outer, back = self._word(frame), self._word(frame + 8)
        except MemoryFault:
            return None
        if not self._note(back, frame + 8) or outer <= frame:
            return None
        return outer

    def _note(self, address: int, at: int) -> bool:
        rethooks = self._manager.rethooks
        if address == rethooks.trampoline:
            address = rethooks.rethook_find_ret_addr(self._task, at) or address
        if address < _KERNEL:
            return False
        self.callers.append(address)
        return True

    def interrupted(self, regs: PtRegs) -> int | None:
        """Go on in the code that a probe has interrupted; the frame after its own."""
        if regs.cs & _USER_CS:
            return None
        ip = regs.ip
        self.callers.append(ip)
        words = self._words_above_return(ip - 1)
        if words < 0:
            return self.step(regs.bp)
        at = regs.sp + 8 * words
        try:
            return regs.bp if self._note(self._word(at), at) else None
        except MemoryFault:
            return None

    def _words_above_return(self, ip: int) -> int:
        """How many words lie on the stack before the return address, where the function has no frame: 0 or 1; or -1."""
        place = self._kernel.kallsyms.lookup_size_offset(ip)
        if place is None:
            return -1
        start = ip - place[1]
        code = self._text(start, 16)
        push = next((n for n in (0, _FENTRY_SIZE) if code[n : n + 4] == _PUSH_RBP + _MOV_RBP), None)
        if push is None:
            return 0 if ip == start else -1
        if ip <= start + push or self._text(ip, 1) == bytes([_RET]):
            return 0
        return 1 if ip == start + push + 1 else -1

    def _text(self, address: int, size: int) -> bytes:
        """Code as it was before anything was patched."""
        for segment in self._kernel.image.segments:
            if segment.virtual <= address < segment.virtual_end:
                offset = address - segment.virtual
                return bytes(segment.data[offset : offset + size])
        return b""
