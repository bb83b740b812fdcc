"""The board's devices: console, local timers, and the hypercall port. ``docs/machine.md`` has the registers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from kprobesim.errors import GuestError
from kprobesim.machine.memory import MemoryFault
from kprobesim.machine.upcalls import Answer

if TYPE_CHECKING:
    from kprobesim.machine.machine import Machine
    from kprobesim.machine.vcpu import VCpu

__all__ = ["FIRST_KERNEL_HYPERCALL", "HYPERCALL_PORT", "SERIAL_VECTOR", "TIMER_VECTOR", "Devices", "Hypercall"]

SERIAL_VECTOR: Final = 0x34
TIMER_VECTOR: Final = 0xEC
FIRST_KERNEL_HYPERCALL: Final = 16

_SERIAL_DATA: Final = 0x3F8
_SERIAL_STATUS: Final = 0x3FD
_TIMER: Final = 0x600
HYPERCALL_PORT: Final = 0xB8
_RESUME: Final = 0
_MARKS: Final = {1: "sched.switch", 2: "task.new", 3: "task.exec", 4: "task.exit", 5: "boot.done"}

Hypercall = Callable[["VCpu", int, int, int], Answer]
Describe = Callable[["VCpu", str, dict[str, Any]], dict[str, Any]]


class Devices:
    """Everything that answers to ``in`` and ``out``.

    Attributes:
        printed: how many bytes the console has printed so far.
        input: bytes typed at the console that the guest has not read.
        hypercalls: the host's functions for numbers from `FIRST_KERNEL_HYPERCALL`; each is given the vCPU and RDI,
            RSI, RDX, and returns RAX, at once or by way of calls into the guest.
        deferred: the same for functions that may change the kernel's code: the engine is stopped first, and they run
            outside of it, as part of the instruction all the same.
        describe: adds fields to the event of a mark; given the vCPU, the event's kind and its own fields. Set by
            whoever knows what the guest's structures mean.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.printed = 0
        self._paper = bytearray()  # like the event log it may reach further than a machine that was taken back
        self.input = bytearray()
        self.hypercalls: dict[int, Hypercall] = {}
        self.deferred: dict[int, Hypercall] = {}
        self.describe: Describe = lambda cpu, kind, fields: {}
        self._line_start = 0
        self._keys: list[tuple[int, bytes]] = []  # how much was printed when something was typed, and what; as _paper
        self._typed = 0
        self._board: dict[int, Hypercall] = {
            1: lambda cpu, a, b, c: machine.ns,
            2: self._cpu_up,
            3: self._send_ipi,
            4: self._power_off,
            5: self._panic,
            6: self._mark,
        }

    @property
    def output(self) -> bytes:
        """Every byte the console has printed so far."""
        return bytes(self._paper[: self.printed])

    def terminal(self, last: int) -> bytes:
        """What a terminal that echoes shows: the output, and each line where it was typed.

        The machine prints no prompt, so ``$`` stands before what is typed at the beginning of a line.

        Args:
            last: so many bytes of the output at the end, and what was typed meanwhile.
        """
        paper, start = self._paper, max(self.printed - last, 0)
        end = self.printed
        pieces: list[bytes] = []
        for place, keys in reversed(self._keys[: self._typed]):
            if place < start:
                break
            prompt = b"$ " if place == 0 or paper[place - 1] == 0x0A else b""
            pieces += [bytes(paper[place:end]), prompt + keys.replace(b"\x03", b"^C\n")]
            end = place
        pieces.append(bytes(paper[start:end]))
        return b"".join(reversed(pieces))

    # Ports

    def port_out(self, cpu: VCpu, port: int, value: int) -> None:
        """A write by a vCPU to any port but the hypercalls'; unknown ports swallow it, as on a PC."""
        if port == _SERIAL_DATA:
            self._print(value & 0xFF)
        elif port == _TIMER:
            cpu.timer = self._machine.ns + value if value else None
            cpu.engine.stop()  # the run was measured for the old deadline

    def hypercall(self, cpu: VCpu, number: int) -> None:
        """A write by a vCPU to the hypercalls' port.

        Raises:
            GuestError: the number means nothing, or the arguments lead to where no memory is.
        """
        if number in self.deferred:
            cpu.defer(self.deferred[number])
            return
        try:
            if number == _RESUME and cpu.suspended:
                cpu.resume()
                return
            call = self.hypercalls.get(number) or self._board.get(number)
            if call is None:
                raise GuestError(
                    f"The guest issued hypercall {number}, which means nothing here.", report=self._machine.report(cpu)
                )
            rdi, rsi, rdx = cpu.call_arguments()
            cpu.answer(call(cpu, rdi, rsi, rdx))
        except MemoryFault as fault:
            raise GuestError(
                f"Hypercall {number} was led astray: {fault.message}", report=self._machine.report(cpu)
            ) from fault

    def port_in(self, port: int, size: int) -> int:
        """A port read; unknown ports read as all ones, as on a PC."""
        if port == _SERIAL_DATA:
            return self.input.pop(0) if self.input else 0
        if port == _SERIAL_STATUS:
            return 0x20 | bool(self.input)
        return (1 << 8 * size) - 1

    def type(self, data: bytes) -> None:
        """Put bytes into the console's input and raise its interrupt on vCPU 0."""
        self.input += data
        self._keys[self._typed :] = [(self.printed, data)]
        self._typed += 1
        self._machine.cpus[0].raise_interrupt(SERIAL_VECTOR)

    # Hypercalls of the board

    def _cpu_up(self, cpu: VCpu, number: int, entry: int, argument: int) -> int:
        others = self._machine.cpus
        if not 0 < number < len(others) or others[number].online:
            return -22
        others[number].adopt(cpu)
        others[number].start(entry, argument)
        self._machine.reschedule()
        self._machine.emit("cpu.up", number=number, entry=entry)
        return 0

    def _send_ipi(self, cpu: VCpu, number: int, vector: int, _: int) -> int:
        if not 0 <= number < len(self._machine.cpus) or not 32 <= vector < 256:
            return -22
        self._machine.cpus[number].raise_interrupt(vector)
        self._machine.emit("ipi", to=number, vector=vector)
        cpu.engine.stop()
        return 0

    def _power_off(self, cpu: VCpu, code: int, _: int, __: int) -> int:
        self._machine.emit("power.off", code=code)
        self._machine.power_off(code)
        return 0

    def _panic(self, cpu: VCpu, message: int, _: int, __: int) -> int:
        text = self._string(cpu, message)
        self._machine.emit("panic", message=text)
        raise GuestError(f"The kernel panicked: {text}", report=self._machine.report(cpu))

    def _mark(self, cpu: VCpu, kind: int, first: int, second: int) -> int:
        name = _MARKS.get(kind)
        if name is None:
            return 0
        fields: dict[str, Any] = {}
        if name == "sched.switch":
            fields = {"prev": first, "next": second}
        elif name != "boot.done":
            fields = {"task": first}
        self._machine.emit(name, **fields, **self.describe(cpu, name, fields))
        return 0

    def _string(self, cpu: VCpu, address: int, limit: int = 256) -> str:
        text = bytearray()
        root = cpu.cr3()
        try:
            while len(text) < limit and (byte := self._machine.ram.read_virtual(root, address + len(text), 1)) != b"\0":
                text += byte
        except MemoryFault:
            pass
        return text.decode(errors="replace")

    def _print(self, byte: int) -> None:
        paper, place = self._paper, self.printed
        if place == len(paper) or paper[place] != byte:
            paper[place:] = bytes([byte])
        self.printed += 1
        if byte == 0x0A:
            line = paper[self._line_start : self.printed].decode(errors="replace")
            self._line_start = self.printed
            self._machine.emit("console", text=line)

    # Checkpoints

    def save(self) -> tuple[int, int, bytes, int]:
        """How much was printed, where the unfinished line starts, what waits to be read, how often was typed."""
        return self.printed, self._line_start, bytes(self.input), self._typed

    def restore(self, state: tuple[int, int, bytes, int]) -> None:
        """Go to a state from `save`, of the past or of the known future."""
        self.printed, self._line_start, waiting, self._typed = state
        self.input = bytearray(waiting)
