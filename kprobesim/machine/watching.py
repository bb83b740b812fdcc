"""What code can be watched for while it runs, at the engines' speed: an address reached, bytes written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from kprobesim.machine.machine import Machine

__all__ = ["noting_writes", "watching"]

_WIDEST_WRITE: Final = 64  # bytes: what one instruction may write at once


@contextmanager
def watching(machine: Machine, address: int | None) -> Iterator[None]:
    """While code runs: end runs before the instruction at a virtual address, on whichever vCPU.

    Args:
        machine: runs the code.
        address: None watches for nothing.
    """
    if address is None:
        yield
        return
    for cpu in machine.cpus:
        cpu.engine.watch(address)
    try:
        yield
    finally:
        for cpu in machine.cpus:
            cpu.engine.watch(None)


@contextmanager
def noting_writes(machine: Machine, place: int, size: int) -> Iterator[list[int]]:
    """While code runs: note which instructions write to some bytes of RAM, on whichever vCPU.

    What the host writes is not noted: exception frames, what functions of the host do.

    Args:
        machine: runs the code.
        place: physical address of the first byte.
        size: bytes.

    Returns:
        Numbers of the instructions, in order; grows while code runs.
    """
    found: list[int] = []

    def written(address: int, wide: int) -> None:
        if place < address + wide:
            found.append(machine.insn)

    # The engine's bounds are for a write's first byte, and a wide one may begin before the place.
    first, last = max(place - _WIDEST_WRITE + 1, 0), place + size - 1
    with ExitStack() as stack:
        for cpu in machine.cpus:
            stack.enter_context(cpu.engine.noting_writes(first, last, written))
        yield found
