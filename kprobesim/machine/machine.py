"""The computer: vCPUs that take turns over one RAM, on one clock.

The clock is the number of instructions that all vCPUs together have retired, plus the time in which all of them waited.
Turns, interrupts and timers depend on nothing else, so that a run is the same however it is cut into slices.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from kprobesim.errors import GuestError
from kprobesim.machine import loader
from kprobesim.machine.delayed_work import DelayedWork, Waiting, Work
from kprobesim.machine.devices import TIMER_VECTOR, Devices
from kprobesim.machine.events import RECORD_SIZE, EventLog, Moment, StopAtMoment
from kprobesim.machine.memory import PhysicalMemory
from kprobesim.machine.stop import Stop
from kprobesim.machine.turns import Turns
from kprobesim.machine.vcpu import VCpu, VCpuState

__all__ = ["Machine", "MachineState"]

_SLICE: Final = 1_000_000
_AT_REST: Final = ctypes.c_uint64(1)  # what a counter says before its first instruction is past
_INTERRUPT_POLL: Final = 16


class MachineState(NamedTuple):
    """What a checkpoint keeps, RAM apart."""

    retired: int
    idle_ns: int
    seq: int
    turn: tuple[int, int, int]
    off: int | None
    cpus: tuple[VCpuState, ...]
    devices: tuple[int, int, bytes, int]
    work: Waiting


@contextmanager
def _without_collector() -> Iterator[None]:
    """A run makes many events and no cycles: Python's collector would only walk over them again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Machine:
    """An x86-64 computer that can be run to any instruction.

    Args:
        ram_size: bytes, a multiple of 2 MiB.
        cpus: number of vCPUs, 1 to 8.
        seed: of the length of turns; the guest gets it too.
        ns_per_insn: virtual nanoseconds an instruction takes.
        counting_hook: count instructions with a hook on each (for tests).

    Attributes:
        ram: physical memory.
        cpus: the vCPUs.
        devices: console, timers, hypercalls.
        log: all events.
        caller: the vCPU whose deferred hypercall the host is playing, or None.
        retired: instructions retired so far; in the middle of a run, before that run.
        frozen: the registers of the vCPU that was stopped in the middle of an instruction, or None. A frozen machine
            can be looked at but not run: go on from a checkpoint.
        failure: why the guest cannot go on, once it cannot.
        off: the guest's exit code once it switched the machine off.
    """

    def __init__(
        self,
        *,
        ram_size: int = 16 << 20,
        cpus: int = 1,
        seed: int = 0,
        ns_per_insn: int = 20,
        counting_hook: bool = False,
    ) -> None:
        if not 1 <= cpus <= 8:
            raise ValueError(f"a machine has 1 to 8 vCPUs, not {cpus}")
        self.ram = PhysicalMemory(ram_size)
        self.log = EventLog(ns_per_insn)
        self.ns_per_insn = ns_per_insn
        self.seed = seed
        self.retired = 0
        self.idle_ns = 0
        self.off: int | None = None
        self.frozen: dict[str, int] | None = None
        self.failure: GuestError | None = None
        self.slice = _SLICE
        self.caller: VCpu | None = None
        self._work = DelayedWork()
        self.devices = Devices(self)
        self.cpus = [VCpu(self, number, counting_hook=counting_hook) for number in range(cpus)]
        self._turns = Turns(self.cpus, seed)
        self._running: VCpu | None = None
        self._counter = _AT_REST  # of the engine that runs
        self._cells = self.log.cells
        self._place = 0  # in the log's cells: where the next event goes
        self._step = 0  # finer steps since the last event, if they were made at this instruction and place:
        self._step_at = (0, 0)
        self._froze_at = 0
        self._stop_at: Moment | None = None
        self._stop_kinds: frozenset[str] = frozenset()
        self._stops = False  # whether one of the two is set

    # Starting

    def boot(self, entry: int, segments: Sequence[loader.Segment], command_line: str = "") -> None:
        """Load an image and put vCPU 0 at its entry point.

        Raises:
            ImageError: the image does not fit this machine.
        """
        loader.load_segments(self.ram, segments)
        loader.write_first_tables(self.ram, segments)
        loader.write_boot_params(
            self.ram, cpus=len(self.cpus), ns_per_insn=self.ns_per_insn, seed=self.seed, command_line=command_line
        )
        self.cpus[0].reset()
        self.cpus[0].start(entry, loader.BOOT_PARAMS)

    # The clock

    @property
    def insn(self) -> int:
        """Instructions retired before the one under way."""
        running = self._running
        return self.retired if running is None else self.retired + running.engine.executed - 1

    @property
    def ns(self) -> int:
        """Virtual nanoseconds since power-on."""
        return self.insn * self.ns_per_insn + self.idle_ns

    @property
    def moment(self) -> Moment:
        """Where the machine is now."""
        insn = self.insn
        return Moment(insn, self._events_at(insn), self._step if (insn, self._place) == self._step_at else 0)

    def _events_at(self, insn: int) -> int:
        return self.log.count_at(insn, self.seq)

    @property
    def seq(self) -> int:
        """Events emitted so far on the way to here."""
        return self._place // RECORD_SIZE

    @property
    def current_cpu(self) -> VCpu:
        """The vCPU whose turn it is."""
        return self._running or self.cpus[self._turns.number]

    # Events

    def emit(self, kind: str, **fields: Any) -> None:
        """Add an event to the stream, at the present moment.

        Raises:
            StopAtMoment: this is the event that the machine was to be stopped at.
            EventLogFull: there is no room for it.
        """
        self.record(kind, fields)

    def record(self, kind: str, fields: dict[str, Any]) -> None:
        """The same as `emit`, for where every hit comes by: the fields come in a dict that nobody else keeps."""
        place, cells = self._place, self._cells
        if place == len(cells):
            if place >= self.log.full:
                self.log.refuse()
            # Events come out of the engine's callbacks, where its counter is exact even if they have stopped the run.
            cells += (self.retired + self._counter.value - 1, self._turns.number, kind, fields, self.idle_ns)
        self._place = place + RECORD_SIZE
        if self._stops and (kind in self._stop_kinds or (self._stop_at is not None and self.moment >= self._stop_at)):
            self._freeze()

    def fine_step(self) -> None:
        """Mark a finer step (a BPF instruction) after the last event; only called while `steps_matter`.

        Raises:
            StopAtMoment: this is the step that the machine was to be stopped at.
        """
        at = self.insn, self._place
        if at != self._step_at:
            self._step_at, self._step = at, 0
        self._step += 1
        if self._stop_at is not None and self.moment >= self._stop_at:
            self._freeze()

    @property
    def steps_matter(self) -> bool:
        """The machine is to be stopped inside the present instruction, maybe at a fine step."""
        return self._stop_at is not None and self._stop_at.insn == self.insn

    def _stop_where(self, moment: Moment | None, kinds: frozenset[str]) -> None:
        self._stop_at, self._stop_kinds = moment, kinds
        self._stops = moment is not None or bool(kinds)

    def _freeze(self) -> None:
        self.frozen = self.current_cpu.registers()
        self._froze_at = self.insn
        raise StopAtMoment

    # Running

    def run(self, limit: int, *, stop_at: Moment | None = None, stop_kinds: frozenset[str] = frozenset()) -> Stop:
        """Run until ``limit`` instructions are retired in all, or something else stops the machine.

        Args:
            limit: value of ``retired`` to stop at.
            stop_at: freeze at the first moment at or past this one that is an event or a fine step.
            stop_kinds: freeze at the first event of these kinds.

        Raises:
            GuestError: the guest cannot go on (triple fault, panic, bus error).
        """
        if self.failure is not None:
            raise self.failure
        assert self.frozen is None, "a frozen machine goes on from a checkpoint"
        self._stop_where(stop_at, stop_kinds)
        try:
            with _without_collector():
                return self._run(limit)
        except StopAtMoment:
            self.retired = self._froze_at
            return Stop.MOMENT
        except BaseException as failure:
            # Also what a probe's handler raised, or the user's Ctrl-C: the instruction under way is only half done.
            self.frozen = self.registers()
            self.failure = failure if isinstance(failure, GuestError) else None
            raise
        finally:
            self._stop_where(None, frozenset())

    @contextmanager
    def stopping_at(self, moment: Moment | None, kinds: frozenset[str]) -> Iterator[None]:
        """While an input is applied: freeze at a moment or at an event of some kinds.

        Args:
            moment: as in `run`.
            kinds: as in `run`.
        """
        self._stop_where(moment, kinds)
        try:
            yield
        except StopAtMoment:
            self.retired = self._froze_at
        finally:
            self._stop_where(None, frozenset())

    def _run(self, limit: int) -> Stop:
        while self.off is None:
            if self.retired >= limit:
                return Stop.LIMIT
            deadline = self._fire_timers()
            due = self._work.due
            if due is not None and due <= self.ns:
                self._work.pop()()
                self.retired += 1
                continue
            if due is not None and (deadline is None or due < deadline):
                deadline = due
            cpu = self._turns.next()
            if cpu is None:
                if deadline is None:
                    return Stop.IDLE
                self._skip_to(deadline)
                continue
            budget = min(limit - self.retired, self._turns.left, self.slice)
            if deadline is not None:
                budget = min(budget, self._insns_until(deadline))
            if cpu.pending:
                if cpu.halted or (self.retired % _INTERRUPT_POLL == 0 and cpu.ready_for_interrupt()):
                    cpu.take_pending()
                budget = min(budget, _INTERRUPT_POLL - self.retired % _INTERRUPT_POLL)
            self._run_turn(cpu, budget)
            if cpu.engine.reached:
                return Stop.ADDRESS
        return Stop.OFF

    def _run_turn(self, cpu: VCpu, budget: int) -> None:
        self._running, self._counter = cpu, cpu.engine.counter
        try:
            executed = cpu.run(budget)
        except StopAtMoment:
            raise
        except BaseException:
            self.retired += max(cpu.engine.executed - 1, 0)
            raise
        finally:
            self._running, self._counter = None, _AT_REST
        self._turns.left -= executed
        if cpu.syscall_pending:
            # The rise to ring 0 belongs to the syscall instruction, so that is not retired before it.
            self.retired += executed - 1
            cpu.enter_syscall()
            self.retired += 1
        elif cpu.deferred:
            self.retired += executed - 1
            cpu.play_deferred()
            self.retired += 1
        else:
            self.retired += executed

    def reschedule(self) -> None:
        """End the run under way: who runs next may have changed."""
        if self._running is not None:
            self._running.engine.stop()

    def schedule(self, due: int, work: Work) -> None:
        """Have the host do something later, between two instructions (`DelayedWork`).

        Args:
            due: nanoseconds since power-on; what is past comes as soon as possible.
            work: a method of something that is saved and restored with the machine.
        """
        self._work.add(due, work)
        self.reschedule()

    def cancel(self, work: Work) -> None:
        """Take back what `schedule` was given."""
        self._work.cancel(work)

    def power_off(self, code: int) -> None:
        """Switch the machine off after the present instruction."""
        self.off = code
        self.reschedule()

    def _fire_timers(self) -> int | None:
        """Raise the interrupts of timers that are due; the earliest deadline of the others, in nanoseconds."""
        now, earliest = self.ns, None
        for cpu in self.cpus:
            if cpu.timer is None:
                continue
            if cpu.timer <= now:
                cpu.timer = None
                cpu.raise_interrupt(TIMER_VECTOR)
            elif earliest is None or cpu.timer < earliest:
                earliest = cpu.timer
        return earliest

    def _insns_until(self, deadline: int) -> int:
        return -(-(deadline - self.ns) // self.ns_per_insn)

    def _skip_to(self, deadline: int) -> None:
        skipped = deadline - self.ns
        self.emit("idle", skipped_ns=skipped)
        self.idle_ns += skipped

    # Changing code

    def text_poke(
        self, virtual: int, data: bytes, *, symbol: str, offset: int = 0, root: int | None = None, stage: int = 0
    ) -> None:
        """Write into the guest's code and make every vCPU see it; only between runs.

        Args:
            virtual: address of the first byte.
            data: the new bytes.
            symbol, offset: what people call the place, for the event.
            root: CR3 to translate with; the current vCPU's by default.
            stage: which stage of a patch in several stages it is, from 1.

        Raises:
            MemoryFault: it is not mapped.
        """
        old = self.write_code(virtual, data, root=root)
        staged = {"stage": stage} if stage else {}
        self.emit("text.poke", addr=virtual, symbol=symbol, offset=offset, old=old, new=bytes(data), **staged)

    def write_code(self, virtual: int, data: bytes, *, root: int | None = None) -> bytes:
        """The same without an event, for code that nobody runs yet; what was there before."""
        assert self._running is None, "code is changed between runs, never inside one"
        if root is None:
            root = self.root
        old = self.ram.read_virtual(root, virtual, len(data))
        self.ram.write_virtual(root, virtual, data)
        self.flush_code()
        return old

    def flush_code(self) -> None:
        """Make every vCPU forget the code that it has translated: memory that may hold code has changed."""
        for cpu in self.cpus:
            cpu.engine.flush_code()

    # Seeing and keeping

    def registers(self, number: int | None = None) -> dict[str, int]:
        """Registers of a vCPU (the current one by default) by name, at the present moment."""
        cpu = self.current_cpu if number is None else self.cpus[number]
        if self.frozen is not None and cpu is self.current_cpu:
            return dict(self.frozen)
        return cpu.registers()

    @property
    def root(self) -> int:
        """CR3 of the current vCPU, at the present moment."""
        return self.frozen["cr3"] if self.frozen is not None else self.current_cpu.cr3()

    def report(self, cpu: VCpu) -> str:
        """The last state of a vCPU, for error reports."""
        registers = cpu.registers()
        names = [name for name in registers if name not in ("star", "lstar", "fmask")]
        rows = [
            "  ".join(f"{name:>6} {registers[name]:016x}" for name in names[i : i + 4]) for i in range(0, len(names), 4)
        ]
        return "\n".join([f"vCPU {cpu.number} after {self.insn:,} instructions, {self.ns:,} ns", *rows])

    @property
    def suspended(self) -> bool:
        """Somewhere a function of the host waits for the guest. Such a state cannot be saved."""
        return any(cpu.suspended for cpu in self.cpus)

    def save(self) -> MachineState:
        """Everything but RAM that `restore` needs; only between runs, and not while `suspended`."""
        assert not self.suspended, "a host function in the middle of its work cannot be saved"
        return MachineState(
            self.retired,
            self.idle_ns,
            self.seq,
            self._turns.save(),
            self.off,
            tuple(cpu.save() for cpu in self.cpus),
            self.devices.save(),
            self._work.save(),
        )

    def restore(self, state: MachineState) -> None:
        """Go back to a saved state; RAM must hold that state's contents already."""
        self.retired, self.idle_ns, self._place = state.retired, state.idle_ns, state.seq * RECORD_SIZE
        self._step = 0
        self._turns.restore(state.turn)
        self.off = state.off
        self.frozen, self.failure = None, None
        for cpu, saved in zip(self.cpus, state.cpus, strict=True):
            cpu.restore(saved)
        self.devices.restore(state.devices)
        self._work.restore(state.work)
