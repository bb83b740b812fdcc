"""The BPF program that the machine is inside of, interpreted or as machine code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kprobesim.bpf import BoundProgram, Program
from kprobesim.bpf.jit import REG2HEX, X86_NAMES
from kprobesim.kprobes import RunningKernel
from kprobesim.tracing import CompiledFilter, JitedCode, RunningProgram

__all__ = ["BpfView", "bpf_view", "filter_view"]

_STACK_SIZE: Final = 512


@dataclass(frozen=True, slots=True)
class BpfView:
    """A program that is running at this moment.

    Attributes:
        program: which.
        pc: slot of the next instruction.
        registers: R0 to R10.
        stack: bytes of the innermost frame's stack, ``fp - len(stack)`` up to ``fp``.
        executed: instructions so far; 0 in machine code, which nobody counts.
        jited: its machine code, if it runs as that.
    """

    program: Program
    pc: int
    registers: tuple[int, ...]
    stack: bytes
    executed: int
    jited: JitedCode | None = None


def bpf_view(running: RunningProgram, kernel: RunningKernel, registers: dict[str, int]) -> BpfView:
    """What there is to see of a running program.

    Args:
        running: the program and its run.
        kernel: whose memory holds its stack.
        registers: of the vCPU it runs on.
    """
    execution, jited = running.execution, running.jited
    pc, executed = 0, 0
    values: tuple[int, ...] = (0, running.ctx, *(0,) * 8, running.fp)
    if jited is not None:
        found = _in_code(jited, kernel, registers)
        if found is not None:
            pc, frame = found
            values = (*(registers[X86_NAMES[REG2HEX[number]]] for number in range(10)), frame)
    elif execution is not None:
        values, pc, executed = tuple(execution.regs), execution.pc, execution.executed
    # A tail call has gone on in another program.
    bound = running.bound if execution is None else execution.bound
    program = bound.program if isinstance(bound, BoundProgram) else running.program
    return BpfView(program, pc, values, kernel.read(values[10] - _STACK_SIZE, _STACK_SIZE), executed, jited)


def filter_view(compiled: CompiledFilter, kernel: RunningKernel, registers: dict[str, int]) -> BpfView:
    """What there is to see of a filter's machine code while the CPU is in it.

    The kernel calls it as any function, so that nobody but the CPU knows that it runs.

    Args:
        compiled: the filter.
        kernel: whose memory holds its stack.
        registers: of the vCPU it runs on.
    """
    pc, stack = 0, b""
    values: tuple[int, ...] = (0, registers["rdi"], *(0,) * 9)
    found = _in_code(compiled.jited, kernel, registers)
    if found is not None:
        pc, frame = found
        values = (*(registers[X86_NAMES[REG2HEX[number]]] for number in range(10)), frame)
        stack = kernel.read(frame - compiled.stack_depth, compiled.stack_depth)
    return BpfView(compiled.program, pc, values, stack, 0, compiled.jited)


def _in_code(jited: JitedCode, kernel: RunningKernel, registers: dict[str, int]) -> tuple[int, int] | None:
    """Slot and R10 of a program that runs as machine code; None in its prologue.

    In a helper the place is the call: its return address is on top of the stack, or above the rbp that the stub has
    pushed there.
    """
    slot = jited.slot_at(registers["rip"])
    if slot is not None:
        return slot, registers["rbp"]
    top, above = kernel.read_u64(registers["rsp"]), kernel.read_u64(registers["rsp"] + 8)
    slot = jited.slot_at(top - 1)
    if slot is not None:
        return slot, registers["rbp"]
    slot = jited.slot_at(above - 1)
    return None if slot is None else (slot, top)
