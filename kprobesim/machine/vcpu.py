"""One virtual CPU: an engine, plus what the engine leaves out.

That is taking traps through the IDT, rising to ring 0, system calls, and waiting in ``hlt``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from unicorn import UcError
from unicorn import x86_const as x86

from kprobesim.errors import BusError, TripleFault
from kprobesim.machine import loader
from kprobesim.machine.devices import HYPERCALL_PORT
from kprobesim.machine.engine import Context, Engine
from kprobesim.machine.hypercalls import HypercallSide
from kprobesim.machine.memory import MemoryFault, is_canonical
from kprobesim.machine.registers import GENERAL, SYSTEM, RegisterSet
from kprobesim.machine.traps import (
    ERROR_CODE_VECTORS,
    RECORDED_VECTORS,
    VECTOR_NAMES,
    DeliveryFault,
    deliver,
    escalate,
    vector_name,
)

if TYPE_CHECKING:
    from kprobesim.machine.devices import Hypercall
    from kprobesim.machine.machine import Machine

__all__ = ["VCpu", "VCpuState"]

_IF: Final = 1 << 9
_RF: Final = 1 << 16
_BREAKPOINT_AND_OVERFLOW: Final = (3, 4)
_DOUBLE_FAULT, _GENERAL_PROTECTION, _PAGE_FAULT = 8, 13, 14
_FETCH: Final = 16  # in the error code of a page fault
_SETTABLE_FLAGS: Final = 0xED5  # CF, PF, AF, ZF, SF, IF, DF, OF, and bit 1 besides
_HLT: Final = b"\xf4"
_RFLAGS_OF_GENERAL: Final = GENERAL.index("rflags")
_RIP_OF_GENERAL: Final = GENERAL.index("rip")
# All that a trap and a system call need to see; the few registers that they change come first.
_TRAP_SET: Final = ("rip", "rsp", "rflags", "cs", "ss", "cr2", "cr3", "idtr", "tr")
_TRAP_WORDS: Final = struct.Struct("<7Q")
_TRAP_CHANGED: Final = struct.Struct("<3Q")
_TRAP_CHANGES: Final = 3
_SYSCALL_SET: Final = (
    "rip", "rflags", "rcx", "r11", "cs", "rax", "rdi", "rsi", "rdx", "r10", "r8", "r9", "star", "lstar", "fmask",
)  # fmt: skip
_SYSCALL_CHANGES: Final = 4


class VCpuState(NamedTuple):
    """What a checkpoint keeps of a vCPU besides the engine's own context."""

    context: Context
    online: bool
    halted: bool
    pending: tuple[int, ...]
    timer: int | None
    held: bool


class VCpu(HypercallSide):
    """A CPU of the machine.

    Args:
        machine: owner of RAM, clock and devices.
        number: 0 to 7.

    Attributes:
        online: it has been started.
        halted: it waits in ``hlt``.
        pending: external interrupts not taken yet, oldest first.
        timer: virtual nanoseconds at which the local timer fires, or None.
        held: the host keeps it where it is, until what it waits for is done.
    """

    def __init__(self, machine: Machine, number: int, *, counting_hook: bool = False) -> None:
        self.number = number
        self.online = number == 0
        self.halted = False
        self.pending: list[int] = []
        self.timer: int | None = None
        self.held = False
        self.syscall_pending = False
        self._deferred: tuple[Hypercall, tuple[int, int, int]] | None = None
        self._machine = machine
        self._ram = machine.ram
        self.engine = Engine(machine.ram, self, counting_hook=counting_hook)
        super().__init__(self.engine)
        handle = self.engine.handle
        self._trap = RegisterSet(handle, _TRAP_SET)
        self._write_trap = self._trap.writer(_TRAP_CHANGES)
        self._idt, self._tss = self._trap.table("idtr"), self._trap.table("tr")
        self._general = RegisterSet(handle, GENERAL)
        self._all = RegisterSet(handle, (*GENERAL, *SYSTEM, "efer", "star", "lstar", "fmask", "kernel_gs_base"))
        self._syscall = RegisterSet(handle, _SYSCALL_SET)
        self._write_syscall = self._syscall.writer(_SYSCALL_CHANGES)
        self._cr3 = RegisterSet(handle, ("cr3",))

    # Starting

    def reset(self) -> None:
        """Long mode, ring 0, the loader's page tables and descriptors; ready for `start`."""
        write = self.engine.write_register
        write(x86.UC_X86_REG_GDTR, (0, loader.GDT, 8 * len(loader.GDT_ENTRIES) - 1, 0))
        write(x86.UC_X86_REG_MSR, (0xC000_0080, 0xD01))  # EFER: SCE, LME, LMA, NXE
        write(x86.UC_X86_REG_CR4, 0x24)  # PAE, TSD
        write(x86.UC_X86_REG_CR3, loader.LOADER_ROOT)
        write(x86.UC_X86_REG_CR0, 0x8001_0011)  # PG, WP, ET, PE
        write(x86.UC_X86_REG_RSP, loader.TRAMPOLINE - 16)
        write(x86.UC_X86_REG_RAX, loader.DATA_SELECTOR)
        write(x86.UC_X86_REG_RFLAGS, 2)
        write(x86.UC_X86_REG_RIP, loader.TRAMPOLINE)
        self.engine.run(5)

    def start(self, rip: int, argument: int) -> None:
        """Begin at ``rip`` with ``argument`` in RDI, all other general registers zero."""
        self._general.read()
        for index in range(len(GENERAL)):
            self._general.words[index] = 0
        self._general.update({"rip": rip, "rdi": argument, "rflags": 2})
        self._general.write()
        self.online, self.halted = True, False

    def adopt(self, other: VCpu) -> None:
        """Take control registers and descriptor tables of another vCPU."""
        self.engine.restore_context(other.engine.save_context())

    # What the engine tells

    def interrupt(self, vector: int) -> None:
        """Take an exception or software interrupt; called by the engine."""
        error_code, software = None, vector in _BREAKPOINT_AND_OVERFLOW or vector >= 32
        if vector in RECORDED_VECTORS:
            error_code = self.engine.take_error_code()
            software = error_code is None
            if error_code is not None and self._at_fetch(vector, error_code) and not self.engine.count_fetch():
                return
        self._take(vector, error_code if vector in ERROR_CODE_VECTORS else None, software)

    def syscall(self) -> None:
        """Stop the run: the rise to ring 0 is done outside of it, by `enter_syscall`."""
        self.syscall_pending = True
        self.engine.stop()

    def port_out(self, port: int, size: int, value: int) -> None:
        """Hand a port write to the devices; called by the engine."""
        if port == HYPERCALL_PORT:
            self._machine.devices.hypercall(self, value)
        else:
            self._machine.devices.port_out(self, port, value)

    def port_in(self, port: int, size: int) -> int:
        """Hand a port read to the devices; called by the engine."""
        return self._machine.devices.port_in(port, size)

    # Hypercalls

    def defer(self, call: Hypercall) -> None:
        """Stop the run after the ``out`` under way: the host's function is called outside of it, by `play_deferred`."""
        self._deferred = call, self.call_arguments()
        self.engine.stop()

    @property
    def deferred(self) -> bool:
        """The last run was stopped for a hypercall that is still to be played."""
        return self._deferred is not None

    def play_deferred(self) -> None:
        """Call the function that `defer` put off, and answer the hypercall."""
        assert self._deferred is not None
        (call, arguments), self._deferred = self._deferred, None
        self._machine.caller = self
        try:
            self.answer(call(self, *arguments))
        finally:
            self._machine.caller = None

    # Traps

    def raise_interrupt(self, vector: int) -> None:
        """Make an external interrupt pending; a vector that is pending already is not doubled."""
        if vector not in self.pending:
            self.pending.append(vector)

    def interrupts_enabled(self) -> bool:
        """IF, as it is between two instructions."""
        self._general.read()
        return bool(self._general.words[_RFLAGS_OF_GENERAL] & _IF)

    def ready_for_interrupt(self) -> bool:
        """IF is set, and the next instruction is not the ``hlt`` of ``sti; hlt``.

        After ``sti`` the CPU takes no interrupt for one instruction more, so that none comes between the two. A pending
        interrupt wakes the ``hlt`` at once.
        """
        if not self.interrupts_enabled():
            return False
        try:
            rip, root = self._general.words[_RIP_OF_GENERAL], self.engine.read_register(x86.UC_X86_REG_CR3)
            return self._ram.read_virtual(root, rip, 1) != _HLT
        except MemoryFault:
            return True

    @property
    def runnable(self) -> bool:
        """It has something to do: it runs, or waits with an interrupt that it can take."""
        return self.online and not self.held and (not self.halted or (bool(self.pending) and self.interrupts_enabled()))

    def take_pending(self) -> None:
        """Take the oldest pending interrupt, between two instructions; leaves ``hlt``."""
        vector = self.pending.pop(0)
        self.halted = False
        self._take(vector, None, software=False)

    def enter_syscall(self) -> None:
        """Do what ``syscall`` does: RCX and R11 saved, RIP from LSTAR, flags masked, ring 0."""
        self.syscall_pending = False
        registers = self._syscall
        registers.read()
        rip, rflags, _, _, cs, rax, *args = registers.words
        self._machine.record("syscall", {"nr": rax, "args": args, "rip": rip})
        if cs & 3:
            selector = registers.msr("star") >> 32
            self.engine.rise(selector, selector + 8)
        masked = rflags & ~registers.msr("fmask") & ~_RF | 2
        registers.words[:_SYSCALL_CHANGES] = [registers.msr("lstar"), masked, rip, rflags]
        self._write_syscall()

    def _at_fetch(self, vector: int, error_code: int) -> bool:
        """An exception came from fetching an instruction, not from running it."""
        if vector == _PAGE_FAULT:
            return bool(error_code & _FETCH)
        self._general.read()
        return vector == _GENERAL_PROTECTION and not is_canonical(self._general.words[_RIP_OF_GENERAL])

    def _take(self, vector: int, error_code: int | None, software: bool) -> None:
        """Deliver an exception or interrupt; a fault on the way is delivered instead, or the two as a double fault."""
        trap, words, first = self._trap, self._trap.words, vector
        trap.read()
        rip, rsp, rflags, cs, ss, cr2, root = _TRAP_WORDS.unpack_from(words)
        while True:
            name = VECTOR_NAMES.get(vector) or vector_name(vector)
            fields: dict[str, Any] = {"vector": vector, "name": name, "rip": rip, "user": 1 if cs & 3 == 3 else 0}
            if error_code is not None:
                fields["error_code"] = error_code
            if vector == _PAGE_FAULT:
                fields["cr2"] = cr2
            self._machine.record("trap", fields)
            try:
                handler, rsp, rflags, selector, frame = deliver(
                    self._ram,
                    root=root,
                    idt_base=self._idt.base,
                    idt_limit=self._idt.limit,
                    tss_base=self._tss.base,
                    vector=vector,
                    error_code=error_code,
                    software=software,
                    rip=rip,
                    cs=cs,
                    rflags=rflags,
                    rsp=rsp,
                    ss=ss,
                )
                break
            except DeliveryFault as fault:
                if software:
                    # It is the instruction that faults, whatever its number: it is not past, and nothing came before.
                    rip -= self._interrupt_size(root, rip)
                    vector = fault.vector
                else:
                    vector = self._escalate(first, vector, fault)
                software, error_code = False, 0 if vector == _DOUBLE_FAULT else fault.error_code
                if fault.address is not None:
                    cr2 = fault.address
                    self.engine.write_register(x86.UC_X86_REG_CR2, fault.address)
        if cs & 3:
            self.engine.rise(selector, 0)
        _TRAP_CHANGED.pack_into(words, 0, handler, rsp, rflags)
        self._write_trap()
        fields = {"vector": vector, "handler": handler, "rsp": rsp, "frame": frame}
        self._machine.record("gate", fields)

    def _escalate(self, first: int, vector: int, fault: DeliveryFault) -> int:
        """What is delivered instead of ``vector``.

        Raises:
            TripleFault: nothing can be.
        """
        second = escalate(vector, fault.vector)
        if second is None:
            raise TripleFault(
                f"Triple fault on vCPU {self.number}: {vector_name(first)} at {self._trap.words[0]:#x} could not be "
                f"delivered, nor could the double fault ({fault}).",
                report=self._machine.report(self),
                hint="Look at IDTR, the gate and the stack in the report.",
            )
        return second

    def _interrupt_size(self, root: int, rip: int) -> int:
        """Length of the ``int3`` or ``int n`` that ends at ``rip``."""
        try:
            return 1 if self._ram.read_virtual(root, rip - 1, 1) == b"\xcc" else 2
        except MemoryFault:
            return 2

    # Seeing and keeping

    def cr3(self) -> int:
        """CR3 now, also in the middle of a run."""
        self._cr3.read()
        return self._cr3.words[0]

    def registers(self) -> dict[str, int]:
        """All registers by name, as they are now."""
        self._all.read()
        values = self._all.as_dict()
        for name in ("efer", "star", "lstar", "fmask", "kernel_gs_base"):
            values[name] = self._all.msr(name)
        return values

    def set_register(self, name: str, value: int) -> None:
        """Change a register, only between runs.

        Args:
            name: one of `GENERAL`.
            value: 64 bits; of RFLAGS only what a program itself can change counts, and IF.
        """
        if name == "rflags":
            value = value & _SETTABLE_FLAGS | 2
        self._general.read()
        self._general.update({name: value})
        self._general.write()

    def run(self, count: int) -> int:
        """Run at most ``count`` instructions; notes ``hlt``.

        Raises:
            BusError: the guest touched a physical address where nothing is.
        """
        try:
            executed = self.engine.run(count)
        except UcError as error:
            raise BusError(
                f"vCPU {self.number} stopped: {error}.",
                report=self._machine.report(self),
                hint="The guest touched a physical address outside RAM, or code that cannot be fetched.",
            ) from None
        self.halted = self.engine.waiting
        return executed

    def save(self) -> VCpuState:
        """Everything that `restore` needs."""
        return VCpuState(
            self.engine.save_context(),
            self.online,
            self.halted,
            tuple(self.pending),
            self.timer,
            self.held,
        )

    def restore(self, state: VCpuState) -> None:
        """Go back to a saved state; translated code and address translations are forgotten."""
        self.engine.restore_context(state.context)
        self.engine.flush_tlb()
        self.engine.flush_code()
        self.online, self.halted, self.timer, self.held = state.online, state.halted, state.timer, state.held
        self.pending = list(state.pending)
        self.syscall_pending, self._deferred = False, None
        self._abandon()
