"""One instruction as the CPU runs it, and as it runs with a probe on it: everything that can be seen afterwards."""

from __future__ import annotations

from typing import Final

from kprobesim.kprobes import Kprobe, KprobeConfig
from kprobesim.machine import Moment, Stop
from tests.guests.board import STACK_TOP
from tests.guests.code import REGISTERS
from tests.guests.kernel import HandMadeKernel
from tests.kprobes.running import Running

__all__ = ["CF", "IF", "NUMBERS", "OF", "PF", "SF", "STACK", "ZF", "Outcome", "with_and_without"]

CF, PF, ZF, SF, IF, OF = 1 << 0, 1 << 2, 1 << 6, 1 << 7, 1 << 9, 1 << 11
STACK: Final = STACK_TOP - 0x400
NUMBERS: Final = {name: 0x1111_1111_1111_1111 * number for number, name in enumerate(REGISTERS, 1)}


class Outcome:
    """Registers, stack and place after an instruction has run."""

    def __init__(self, running: Running, probed: int) -> None:
        registers = running.machine.registers()
        self.registers = {name: registers[name] for name in REGISTERS}
        self.flags = registers["rflags"]
        # Every place that can be reached is a hlt.
        self.jumped = registers["rip"] - 1 - probed
        self.stack = running.kernel.read(0xFFFF_8880_0000_0000 + self.registers["rsp"], 64)
        self.probed = probed

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Outcome) and vars(self) == vars(other)

    def __repr__(self) -> str:
        return f"Outcome({vars(self)})"

    def word(self, index: int) -> int:
        """On the stack, relative to the probed instruction where it is an address of code."""
        return int.from_bytes(self.stack[8 * index : 8 * index + 8], "little") - self.probed


def with_and_without(
    code: str, *, config: KprobeConfig | None = None, flags: int = IF, **registers: int | str
) -> tuple[Outcome, Outcome, Running]:
    """What the CPU does with an instruction, what happens with a probe on it, and the kernel where that was.

    Args:
        code: the instruction, in hexadecimal; behind it there are 256 hlt.
        config: how the kernel is taken to be built.
        flags: RFLAGS before.
        registers: what differs from `NUMBERS`; a label stands for its address, "probed" for the instruction's.
    """
    kernel = HandMadeKernel()
    guest = kernel.code
    for register in ("rax", *(name for name in REGISTERS if name not in ("rax", "rsp"))):
        guest.mov(register, registers.get(register, NUMBERS[register]))
    guest.mov("rsp", STACK)
    for label in ("here", "there"):
        guest.push("rax").mov("rax", label).raw("48870424")  # xchg %rax,(%rsp)
    guest.push("rax").mov("rax", flags | 2).raw("48870424").op("popf")
    if "rsp" in registers:
        guest.mov("rsp", registers["rsp"])
    guest.jmp("probed")
    for name in ("here", "there"):
        kernel.function(name).raw("f4" * 16)
    kernel.function("before").raw("f4" * 256)
    kernel.function("probed").raw(code).raw("f4" * 256)
    running = Running(kernel.image(), ram_size=2 << 20, config=config)
    start = running.machine.retired
    probed = running.symbol("probed")
    assert running.run(start + 500) is Stop.IDLE
    native = Outcome(running, probed)
    running.timeline.seek(Moment(start + 1))
    running.register(Kprobe(symbol_name="probed"))
    assert running.run(start + 1_000) is Stop.IDLE
    return native, Outcome(running, probed), running
