"""Contexts of programs at tracepoints: the record or the arguments, which otherwise are in no memory of the guest.

In Linux a record is in a per-CPU buffer of perf (kernel/trace/trace_event_perf.c:perf_trace_buf_alloc), and the
arguments of a raw tracepoint are on the stack (kernel/trace/bpf_trace.c:bpf_trace_run). Here both lie in the BPF area,
one place for each CPU and each program that may run inside of another.
"""

from __future__ import annotations

from typing import Any, Final

from kprobesim.bpf import Arena
from kprobesim.bpf.memory import ArenaFull
from kprobesim.errors import LinuxError
from kprobesim.kprobes import PtRegs, RunningKernel
from kprobesim.linux_errno import Errno
from kprobesim.machine import VCpu

__all__ = ["ContextArea"]

_LEVELS: Final = 4  # as perf has it: a task, softirq, hardirq, NMI
_REGS_SIZE: Final = 168
_REGS_ROOM: Final = 176
_CONTEXT_ROOM: Final = 2048
_LEVEL_ROOM: Final = _REGS_ROOM + _CONTEXT_ROOM
_KERNEL_CS: Final = 0x10


class ContextArea:
    """The places for contexts on all CPUs.

    Args:
        kernel: whose memory.
    """

    def __init__(self, kernel: RunningKernel) -> None:
        self._kernel = kernel
        self._bases: tuple[int, ...] = ()

    def reserve(self, arena: Arena) -> None:
        """Take the memory, unless that has been done.

        Raises:
            LinuxError: ENOMEM, there is no room.
        """
        if not self._bases:
            try:
                self._bases = tuple(arena.alloc(_LEVELS * _LEVEL_ROOM, 16) for _ in self._kernel.machine.cpus)
            except ArenaFull as full:
                raise LinuxError(Errno.ENOMEM, f"No room for the contexts of programs: {full}") from full

    def put(self, cpu: VCpu, level: int, context: bytes, regs: int, *, with_regs: bool) -> tuple[int, int] | None:
        """Store a context.

        Args:
            cpu: the vCPU, in the hypercall of a tracepoint.
            level: how many programs run there already.
            context: at most 2 KiB of it are kept.
            regs: address of the registers; 0 for those of the code around the tracepoint, which are stored too.
            with_regs: the first 8 bytes of the context become their address, as in a record that perf has made.

        Returns:
            Addresses of the context and of the registers; None if there is no level left.
        """
        if level >= _LEVELS:
            return None
        base = self._bases[cpu.number] + level * _LEVEL_ROOM
        if not regs:
            regs = base
            self._fetch_caller_regs(cpu, base)
        if with_regs:
            context = regs.to_bytes(8, "little") + context[8:]
        self._kernel.write(base + _REGS_ROOM, context[:_CONTEXT_ROOM])
        return base + _REGS_ROOM, regs

    def _fetch_caller_regs(self, cpu: VCpu, address: int) -> None:
        """``perf_fetch_caller_regs``: as if the code around the tracepoint had been interrupted.

        The stub has pushed its caller's RBP; above it is where it returns to.
        """
        kernel, stack = self._kernel, cpu.stack_pointer
        kernel.write(address, bytes(_REGS_SIZE))
        regs = PtRegs(kernel.machine.ram, cpu.root, address, cpu.number)
        regs.bp, regs.ip, regs.sp = kernel.read_u64(stack), kernel.read_u64(stack + 8), stack + 16
        regs.cs = _KERNEL_CS

    def save(self) -> object:
        """Where the places are."""
        return self._bases

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        self._bases = state
