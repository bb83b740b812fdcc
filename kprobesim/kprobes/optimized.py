"""A hit of an optimized probe: called from its detour buffer, without a trap.

Follows Linux 6.1 arch/x86/kernel/kprobes/opt.c:optimized_callback and kernel/kprobes.c:opt_pre_handler.
"""

from __future__ import annotations

import struct
from collections.abc import Generator, Iterable
from itertools import chain
from typing import Final

from kprobesim.kprobes.aggregate import handlers_answers
from kprobesim.kprobes.core import Kprobes
from kprobesim.kprobes.int3 import Int3Path
from kprobesim.kprobes.kprobe import Kprobe, KprobeStatus
from kprobesim.kprobes.optimize import Optimizer
from kprobesim.kprobes.pt_regs import PtRegs
from kprobesim.machine import Answer, GuestCall, VCpu

__all__ = ["OptimizedPath"]

_KERNEL_CS: Final = 0x10
_NO_SYSCALL: Final = (1 << 64) - 1
# orig_ax, ip and cs: the three words that the detour buffer leaves to the callback.
_SKIPPED: Final = struct.Struct("<3Q")
_SKIPPED_AT: Final = 120


class OptimizedPath:
    """What happens in the detour.

    Args:
        kprobes: the table of probes.
        optimizer: whose detour buffers call here.
        path: the int3 path, for who is current.
    """

    def __init__(self, kprobes: Kprobes, optimizer: Optimizer, path: Int3Path) -> None:
        self._kprobes = kprobes
        self._optimizer = optimizer
        self._path = path
        self._machine = kprobes.kernel.machine

    def optimized_callback(self, cpu: VCpu, detour: int, address: int, _: int) -> Answer:
        """Run the pre_handlers; what they return, and what they do to ``ip`` and ``sp``, is ignored (OPT-11).

        Args:
            cpu: the vCPU.
            detour: address of the detour buffer, which stands for Linux's ``struct optimized_kprobe *op``.
            address: of the ``struct pt_regs`` that the buffer has pushed.
        """
        op = self._optimizer.by_detour.get(detour)
        if op is None or op.is_disabled or not op.children:
            return 0
        block = self._kprobes.ctlblk[cpu.number]
        if block.current is not None:
            for missed in op.children:
                missed.nmissed += 1
                self._machine.emit("kprobe.miss", **self._kprobes.place(missed), nmissed=missed.nmissed)
            return 0
        assert op.addr is not None
        regs = PtRegs(self._machine.ram, cpu.root, address, cpu.number)
        self._fill_in(regs, op.addr + 1)
        block.current, block.status = op, KprobeStatus.HIT_ACTIVE
        self._path.note(cpu.number, op.addr)
        place = self._kprobes.place(op.children[0])
        self._machine.record("kprobe.opt_hit", {**place})
        told, answers = 0, handlers_answers(op, regs)
        for answer in answers:
            if not isinstance(answer, int):
                return self._by_way_of_the_guest(op, cpu.number, answer, answers, told)
            told = answer or told
        return self._leave(op, cpu.number, told)

    def _by_way_of_the_guest(
        self, op: Kprobe, cpu: int, first: Answer, others: Iterable[Answer], told: int
    ) -> Generator[GuestCall, int, int]:
        for answer in chain((first,), others):
            told = (answer if isinstance(answer, int) else (yield from answer)) or told
        return self._leave(op, cpu, told)

    def _leave(self, op: Kprobe, cpu: int, told: int) -> int:
        block = self._kprobes.ctlblk[cpu]
        block.current, block.status = None, KprobeStatus.NONE
        self._path.note(cpu, 0)
        first = op.children[0] if op.children else op
        self._machine.record("kprobe.opt_pre_handler", {**self._kprobes.place(first), "ret": told})
        return 0

    def _fill_in(self, regs: PtRegs, ip: int) -> None:
        """Complete the registers: the buffer's own push of ``ss`` comes off ``sp``, the rest is as after an int3."""
        regs.sp += 8
        if regs.physical is None:
            regs.orig_ax, regs.ip, regs.cs = _NO_SYSCALL, ip, _KERNEL_CS
        else:
            _SKIPPED.pack_into(regs.ram.bytes, regs.physical + _SKIPPED_AT, _NO_SYSCALL, ip, _KERNEL_CS)
