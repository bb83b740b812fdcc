"""What a register's value means: a symbol, a parameter, the task, a map, a place on the stack."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from kprobesim.errors import KprobesimError

if TYPE_CHECKING:
    from kprobesim.lab import Lab, MapView, StackWord

__all__ = ["register_labels"]

_KERNEL_IMAGE = 0xFFFF_FFFF_8000_0000
_STACK_SIZE = 0x4000
_PROLOGUE = 5
_SEGMENTS = ("cs", "ss", "rflags")


def register_labels(
    lab: Lab, registers: dict[str, int], stack: tuple[StackWord, ...], maps: tuple[MapView, ...]
) -> dict[str, str]:
    """Names for the values of registers, where there is one.

    Args:
        lab: for symbols, parameters and the current task.
        registers: of the current CPU.
        stack: the words above the stack pointer.
        maps: all BPF maps.
    """
    known: dict[int, str] = {view.address: f"map {view.name}" for view in maps}
    known |= {word.address: "pt_regs" for word in stack if word.field == "regs->r15"}
    with contextlib.suppress(KprobesimError):
        # The smallest kernels have no tasks.
        known[lab.task().address] = "current"
    parameters = _parameters(lab, registers["rip"])
    rsp = registers["rsp"]
    labels: dict[str, str] = {}
    for name, value in registers.items():
        if name in _SEGMENTS:
            continue
        if name in parameters:
            labels[name] = parameters[name]
        elif value in known:
            labels[name] = known[value]
        elif value >= _KERNEL_IMAGE and not (symbol := lab.symbolize(value)).startswith("0x"):
            labels[name] = symbol
        elif name != "rsp" and rsp <= value < rsp + _STACK_SIZE and rsp > 0:
            labels[name] = f"rsp+{value - rsp:#x}"
    return labels


def _parameters(lab: Lab, rip: int) -> dict[str, str]:
    """Parameters by register; only at a function's entry are they surely there."""
    place = lab.kernel.kallsyms.lookup_size_offset(rip)
    if place is None or place[1] > _PROLOGUE:
        return {}
    found = lab.functions.parameters(place[0].address) or ()
    return {item.register: item.name for item in found if item.register is not None}
