"""Trap delivery as the architecture has it: gate, stack, frame.

Unicorn reports exceptions but does not take them through the interrupt descriptor table; this module does, with the
guest's own IDT, TSS and stacks. Source: Intel SDM volume 3, chapter 6 (interrupt and exception handling, 64-bit mode).
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final, NamedTuple

from kprobesim.machine.memory import MemoryFault, PhysicalMemory, is_canonical

__all__ = [
    "ERROR_CODE_VECTORS", "RECORDED_VECTORS", "VECTOR_NAMES", "Delivery", "DeliveryFault", "deliver", "escalate",
    "vector_name",
]  # fmt: skip

VECTOR_NAMES: Final = {
    0: "#DE", 1: "#DB", 2: "NMI", 3: "#BP", 4: "#OF", 5: "#BR", 6: "#UD", 7: "#NM", 8: "#DF", 10: "#TS", 11: "#NP",
    12: "#SS", 13: "#GP", 14: "#PF", 16: "#MF", 17: "#AC", 18: "#MC", 19: "#XM",
}  # fmt: skip
ERROR_CODE_VECTORS: Final = frozenset({8, 10, 11, 12, 13, 14, 17})
_CONTRIBUTORY: Final = frozenset({0, 10, 11, 12, 13})
_DOUBLE_FAULT, _PAGE_FAULT = 8, 14
# The engine keeps these in mind until they are delivered; an ``int n`` of the same number it does not.
RECORDED_VECTORS: Final = _CONTRIBUTORY | {_DOUBLE_FAULT, _PAGE_FAULT}

_FRAME = struct.Struct("<5Q")
_FRAME_WITH_CODE = struct.Struct("<6Q")
_new: Final = tuple.__new__  # half the cost of the class's own constructor, at two traps a hit
_GATE = struct.Struct("<HHHHIxxxx")
_GATE_SIZE = _GATE.size
_TF, _IF, _RF, _NT = 1 << 8, 1 << 9, 1 << 16, 1 << 14
_INTERRUPT_GATE, _TRAP_GATE = 14, 15
_WRITE: Final = 2  # in the error code of a page fault


def vector_name(vector: int) -> str:
    """The manual's mnemonic of an exception, or ``IRQ 0xec`` for anything else."""
    return VECTOR_NAMES.get(vector) or f"IRQ {vector:#x}"


class DeliveryFault(Exception):
    """The CPU cannot take a trap, and raises this exception instead.

    Args:
        vector: 11 or 13 for a gate that is not there or not allowed, 12 or 14 for a stack that cannot be used.
        error_code: as the CPU would push it.
        address: for CR2, with vector 14.
    """

    def __init__(self, vector: int, error_code: int, address: int | None = None) -> None:
        super().__init__(f"vector {vector} while delivering, error code {error_code:#x}")
        self.vector = vector
        self.error_code = error_code
        self.address = address


def escalate(first: int, second: int) -> int | None:
    """The vector to deliver when exception ``second`` arises while ``first`` is being delivered; None if none can be.

    Intel SDM volume 3, table 6-5: conditions for generating a double fault.
    """
    if first == _DOUBLE_FAULT:
        return None
    if first in _CONTRIBUTORY and second in _CONTRIBUTORY:
        return _DOUBLE_FAULT
    if first == _PAGE_FAULT and (second in _CONTRIBUTORY or second == _PAGE_FAULT):
        return _DOUBLE_FAULT
    return second


class Delivery(NamedTuple):
    """What the CPU's registers are once a trap is taken.

    Attributes:
        handler: RIP.
        rsp: below the pushed frame.
        rflags: IF cleared by an interrupt gate; TF, NT and RF by every gate.
        cs: the gate's code segment selector.
        frame: the bytes pushed, lowest address first: [error code], RIP, CS, RFLAGS, RSP, SS.
    """

    handler: int
    rsp: int
    rflags: int
    cs: int
    frame: bytes


def deliver(
    ram: PhysicalMemory,
    *,
    root: int,
    idt_base: int,
    idt_limit: int,
    tss_base: int,
    vector: int,
    error_code: int | None,
    software: bool,
    rip: int,
    cs: int,
    rflags: int,
    rsp: int,
    ss: int,
) -> Delivery:
    """Read the gate, push the frame onto the guest's stack, and say how the CPU goes on.

    Args:
        ram: guest memory.
        root: CR3.
        idt_base, idt_limit: from IDTR.
        tss_base: base of the task state segment, for stacks.
        vector: 0 to 255.
        error_code: pushed if not None.
        software: raised by ``int3`` or ``int n``, so that the gate's privilege level is checked.
        rip, cs, rflags, rsp, ss: of the interrupted code; ``rip`` is what is saved.

    Raises:
        DeliveryFault: the gate is missing or malformed, or the stack cannot be used.
    """
    gate_code = vector << 3 | 2 | (not software)
    if vector * 16 + 15 > idt_limit:
        raise DeliveryFault(13, gate_code)
    try:
        raw = ram.read_virtual(root, idt_base + 16 * vector, _GATE_SIZE)
    except MemoryFault:
        raise DeliveryFault(13, gate_code) from None
    handler, selector, ist, dpl, keeps, exception = _decode_gate(raw)
    if exception:
        raise DeliveryFault(exception, gate_code)
    from_user = cs & 3 == 3
    if from_user and software and dpl < 3:
        raise DeliveryFault(13, gate_code)
    stack = rsp
    try:
        if ist:
            stack = _u64(ram, root, tss_base + 0x24 + 8 * (ist - 1))
        elif from_user:
            stack = _u64(ram, root, tss_base + 4)
        if error_code is None:
            frame = _FRAME.pack(rip, cs, rflags, rsp, ss)
        else:
            frame = _FRAME_WITH_CODE.pack(error_code, rip, cs, rflags, rsp, ss)
        stack = (stack & ~15) - len(frame)
        ram.write_virtual(root, stack, frame)
    except MemoryFault as fault:
        if not is_canonical(fault.address):
            raise DeliveryFault(12, not software) from None
        raise DeliveryFault(14, _WRITE, fault.address) from None
    return _new(Delivery, (handler, stack, rflags & keeps, selector, frame))


class _Gate(NamedTuple):
    """A descriptor of the IDT.

    Attributes:
        handler: RIP.
        selector: of the code segment.
        ist: number of the stack in the TSS; 0: the present one, or the one of ring 0.
        dpl: the least privileged ring that may use it by an instruction.
        keeps: mask of the flags that stay as they are.
        fault: the exception that using it raises, or 0.
    """

    handler: int
    selector: int
    ist: int
    dpl: int
    keeps: int
    fault: int


@lru_cache(maxsize=256)
def _decode_gate(raw: bytes) -> _Gate:
    low, selector, attributes, middle, high = _GATE.unpack(raw)
    present, kind = attributes >> 15, attributes >> 8 & 15
    fault = 0 if kind in (_INTERRUPT_GATE, _TRAP_GATE) else 13
    keeps = ~(_TF | _NT | _RF | (_IF if kind == _INTERRUPT_GATE else 0))
    handler = low | middle << 16 | high << 32
    return _Gate(handler, selector, attributes & 7, attributes >> 13 & 3, keeps, fault if present else 11)


def _u64(ram: PhysicalMemory, root: int, virtual: int) -> int:
    return int.from_bytes(ram.read_virtual(root, virtual, 8), "little")
