"""A guest in which everything happens at once, and a component outside of it that counts along."""

import hashlib
from collections.abc import Generator
from typing import Any

from kprobesim.machine import GuestCall, Machine, Timeline, VCpu
from tests.guests.board import DATA, STACK_TOP, Guest

__all__ = ["Busy"]

TIMER, SERIAL = 0xEC, 0x34
HIDDEN = DATA + 0x2000


class Counter:
    """The host's side of two hypercalls, with state of its own; one of them has the guest work for it."""

    def __init__(self, machine: Machine, triple: int) -> None:
        self.total = 0
        self._machine = machine
        self._triple = triple
        machine.devices.hypercalls[20] = self.call
        machine.devices.hypercalls[21] = self.call_with_help

    def call(self, cpu: VCpu, amount: int, _: int, __: int) -> int:
        self._machine.emit("count", total=self.total)
        self.total += amount
        if self._machine.steps_matter:
            self._machine.fine_step()
            self._machine.fine_step()
        return self.total

    def call_with_help(self, cpu: VCpu, amount: int, _: int, __: int) -> Generator[GuestCall, int, int]:
        tripled = yield GuestCall(self._triple, (amount,))
        self.call(cpu, tripled, 0, 0)
        return (yield GuestCall(self._triple, (tripled,)))

    def save(self) -> object:
        return self.total

    def restore(self, state: Any) -> None:
        self.total = state


def busy_guest(cpus: int) -> Guest:
    """Every CPU: hypercalls, traps, page faults, timer interrupts; CPU 0 also prints, sleeps, interrupts others."""
    guest = Guest()
    guest.page(HIDDEN, 0)
    code = guest.code
    for vector, handler in ((0x40, "return"), (14, "skip"), (TIMER, "tick"), (SERIAL, "typed"), (6, "end")):
        guest.gate(vector, handler)
    for number in range(1, cpus):
        code.hypercall(2, number, "worker", STACK_TOP - 0x400 * number)
    code.mov("rax", 3_000).out(0x600).op("sti")
    code.label("loop").op("inc %rbx").raw("4889d8").store(DATA)  # mov %rbx,%rax
    code.hypercall(20, 3).mov("rdi", 5).call("with help")
    code.put("ab\n").interrupt(0x40).mov("rcx", HIDDEN).op("mov (%rcx),%rax")
    code.hypercall(3, 1, 0x40).mov("rcx", 200).mov("rdi", DATA + 0x1000).op("rep stosb", "sti", "hlt").jmp("loop")
    code.label("worker").raw("4889fc").op("sti")  # mov %rdi,%rsp
    code.mov("rax", 2_000).out(0x600)
    code.label("work").op("inc %rbx").mov("rcx", HIDDEN).op("mov (%rcx),%rax").hypercall(20, 1)
    code.mov("rdi", 7).call("with help").jmp("work")
    code.label("triple").raw("488d047f c3")  # lea (%rdi,%rdi,2),%rax; ret
    code.stub("with help", 21)
    code.label("return").op("iretq")
    code.label("skip").raw("4883442408" + "03").op("add $8,%rsp", "iretq")  # addq $3,8(%rsp)
    code.label("tick").push("rax").push("rdx").mov("rax", 7_000).out(0x600).pop("rdx").pop("rax").op("iretq")
    code.label("typed").push("rax").push("rdx").mov("rdx", 0x3F8).op("in %dx,%al", "out %al,%dx")
    code.pop("rdx").pop("rax").op("iretq").label("end").op("hlt")
    return guest


class Busy:
    """The busy guest on a timeline.

    Args:
        cpus: how many vCPUs.
        slice_size: longest run of an engine.
        spacing: instructions between checkpoints.
        seed: of the turns.
        counting_hook: count with a hook.
    """

    def __init__(
        self,
        cpus: int = 2,
        *,
        slice_size: int = 1_000_000,
        spacing: int = 2_000_000,
        seed: int = 1,
        counting_hook: bool = False,
    ) -> None:
        guest = busy_guest(cpus)
        self.machine = guest.boot(cpus=cpus, seed=seed, ram_size=2 << 20, counting_hook=counting_hook)
        self.machine.slice = slice_size
        self.counter = Counter(self.machine, guest.address("triple"))
        self.timeline = Timeline(self.machine, [self.counter], spacing=spacing)

    def type(self, text: bytes) -> None:
        """Type at the console, now."""
        self.timeline.input(f"type {text!r}", lambda: self.machine.devices.type(text))

    def state(self) -> dict[str, object]:
        """All that can be seen of the machine."""
        machine = self.machine
        return {
            "place": (machine.moment, machine.ns, machine.seq, machine.off),
            "registers": [machine.registers(number) for number in range(len(machine.cpus))],
            "cpus": [(cpu.online, cpu.halted, tuple(cpu.pending), cpu.timer) for cpu in machine.cpus],
            "ram": hashlib.sha256(machine.ram.bytes).hexdigest(),
            "console": (machine.devices.output, bytes(machine.devices.input)),
            "counter": self.counter.total,
        }
