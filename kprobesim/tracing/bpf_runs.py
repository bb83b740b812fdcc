"""The run of a BPF program on a hit: interpreted by the host, or as machine code that the guest calls.

Follows Linux kernel/trace/bpf_trace.c: which programs do not run while others run on the same CPU depends on how they
are attached (`Guard`).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from kprobesim.bpf import BoundProgram, BpfMap, Execution, Helper, HelperContext, MemoryFault, Program, RunError
from kprobesim.bpf.helper_names import HELPER_IDS
from kprobesim.bpf.helpers import HELPERS
from kprobesim.bpf.maps.array import ArrayMap
from kprobesim.errors import GuestError
from kprobesim.kprobes import KprobeManager
from kprobesim.machine import Answer, GuestCall, Hypercall, VCpu
from kprobesim.tracing.bpf_jit import JitedCode, WatchedArray
from kprobesim.tracing.environment import Hit, KernelEnvironment, KernelMemory

__all__ = ["BpfRuns", "Guard", "RunningProgram", "led_astray"]

_MASK64: Final = (1 << 64) - 1
_REGISTER_ARGUMENTS: Final = 3
_PROLOGUE_PUSHES: Final = 16  # the return address and rbp, above what R10 points to


class Guard(Enum):
    """What keeps a program from running inside of another one on the same CPU, or inside of itself."""

    CPU = "bpf_prog_active"
    """At kprobes and events: it is not run while another program with this guard is (``trace_call_bpf``)."""
    PROGRAM = "prog->active"
    """At raw tracepoints: it is not run inside of itself (``__bpf_trace_run``)."""
    NONE = ""
    """At uprobes: nothing does (``bpf_prog_run_array_sleepable``)."""


@dataclass(slots=True, eq=False)
class RunningProgram(Hit):
    """A program in the middle of a run, as a frozen machine shows it.

    Attributes:
        bound: the program and its surroundings, for the interpreter.
        jited: its machine code, if it is run as that.
        guard: when it is not run.
        fp: R10 of its first function.
        execution: its registers and place, when it is being stepped; None before the first step of a fast run, and for
            machine code, which has the CPU's own.
        looked_up: address of each element that it got a pointer to -> the map, the key, the value at that time.
        arrays: for machine code: what it may change without a call, and what was there.
    """

    bound: BoundProgram
    jited: JitedCode | None
    guard: Guard
    fp: int
    execution: Execution | None = None
    looked_up: dict[int, tuple[BpfMap, bytes, bytes]] = field(default_factory=dict)
    arrays: Sequence[tuple[WatchedArray, bytes]] = ()

    @property
    def program(self) -> Program:
        """What runs."""
        return self.bound.program


class BpfRuns:
    """Runs programs, and tells of what they do.

    Args:
        manager: of the kernel whose probes are hit.
        env: what helpers ask of the machine.
        memory: guest memory.
    """

    def __init__(self, manager: KprobeManager, env: KernelEnvironment, memory: KernelMemory) -> None:
        self._kernel = manager.kernel
        self._machine = manager.kernel.machine
        self._env = env
        self._memory = memory
        self._ram = manager.kernel.machine.ram.bytes
        self._running: dict[int, list[RunningProgram]] = {cpu.number: [] for cpu in self._machine.cpus}
        self._bind_helpers()

    @property
    def running(self) -> RunningProgram | None:
        """What runs on the CPU whose turn it is; of several inside of each other the innermost."""
        return self._innermost(self._machine.current_cpu.number)

    def depth(self, cpu: int) -> int:
        """How many programs run inside of each other on a CPU."""
        return len(self._running[cpu])

    def _innermost(self, cpu: int) -> RunningProgram | None:
        return self._running[cpu][-1] if self._running[cpu] else None

    def forget(self) -> None:
        """Nothing runs any more: the machine has been taken to another time."""
        for running in self._running.values():
            running.clear()

    def run(self, running: RunningProgram, answer: int | None = None) -> Answer:
        """Run a program to its end.

        Args:
            running: the program, about to run; ``fp`` is guest address above the stack that the interpreter gives it.
            answer: what is returned in place of R0, for who has no use for that.

        Returns:
            R0, or by way of the guest; 0 if its guard kept it from running, and if it faulted.
        """
        inside = self._running[running.cpu]
        if inside and _is_kept_out(running, inside):
            self._machine.emit("bpf.skip", prog=running.program.name)
            return 0
        if running.jited is not None:
            return self._run_jited(running, running.jited, answer)
        bound = running.bound
        name = bound.program.name
        inside.append(running)
        self._machine.record("bpf.enter", {"prog": name, "ctx": running.ctx, "fp": running.fp})
        self._env.hit = running
        try:
            r0 = self._step_through(running) if self._machine.steps_matter else bound.run(running.ctx, running.fp)
        except RunError as error:
            r0 = 0
            self._machine.emit("bpf.fault", prog=name, message=str(error))
        else:
            self._end(running, r0)
        inside.pop()
        return r0 if answer is None else answer

    def enter(self, running: RunningProgram, jited: JitedCode) -> None:
        """A program's machine code is about to be called, by a trampoline or for the host."""
        self._running[running.cpu].append(running)
        ram = self._ram
        running.arrays = [(array, ram[array.start : array.end]) for array in jited.arrays]
        fields = {"prog": running.program.name, "ctx": running.ctx, "fp": running.fp, "jited": jited.code.entry}
        self._machine.record("bpf.enter", fields)

    def leave(self, running: RunningProgram, r0: int) -> None:
        """It has come back."""
        for array, before in running.arrays:
            after = self._ram[array.start : array.end]
            if after != before:
                self._tell_changes(array.map, before, after)
        self._end(running, r0)
        self._running[running.cpu].remove(running)

    def put_back(self, running: RunningProgram) -> None:
        """The machine has been taken to a time at which this program runs, inside of those put back before."""
        self._running[running.cpu].append(running)

    def _step_through(self, running: RunningProgram) -> int:
        """The same run, with a moment after every instruction."""

        def after_previous(execution: Execution) -> None:
            if execution.executed:
                self._machine.fine_step()

        running.execution = running.bound.start(running.ctx, running.fp, hook=after_previous)
        return running.execution.run()

    def _run_jited(
        self, running: RunningProgram, jited: JitedCode, answer: int | None
    ) -> Generator[GuestCall, int, int]:
        cpu = running.cpu
        running.fp = self._machine.cpus[cpu].stack_pointer - _PROLOGUE_PUSHES
        self.enter(running, jited)
        # Other than at an int3, the task might be preempted here: not in the middle of the program.
        preemptible = not self._kernel.preempt_count(cpu)
        if preemptible:
            self._kernel.preempt_count_add(cpu, 1)
        r0 = yield GuestCall(jited.code.entry, (running.ctx,))
        if preemptible:
            self._kernel.preempt_count_add(cpu, -1)
        self.leave(running, r0)
        return r0 if answer is None else answer

    def _tell_changes(self, which: ArrayMap, before: bytes, after: bytes) -> None:
        elem_size, value_size = which.elem_size, which.value_size
        for start in range(0, len(before), elem_size):
            old, new = before[start : start + value_size], after[start : start + value_size]
            if old != new:
                key = (start // elem_size).to_bytes(4, "little")
                self._machine.record("map.update", {"map": which.name, "key": key, "old": old, "new": new})

    def _end(self, running: RunningProgram, r0: int) -> None:
        for address, (which, key, old) in running.looked_up.items():
            # Changed through the pointer, which no helper saw.
            new = self._memory.read(address, which.value_size)
            if new != old and which.lookup_elem(key) == address:
                self._machine.emit("map.update", map=which.name, key=key, old=old, new=new)
        self._machine.record("bpf.exit", {"prog": running.program.name, "r0": r0})

    # Helpers

    def around(self, helper: Helper, ctx: HelperContext, args: tuple[int, ...]) -> int:
        """Call a helper for the program that runs on this CPU, and tell of it."""
        machine, running = self._machine, self._running[self._env.hit.cpu][-1]
        target: tuple[BpfMap, bytes] | None = None
        old = b""
        if helper.name in ("map_lookup_elem", "map_update_elem", "map_delete_elem"):
            found = ctx.map_at(args[0])
            target = found, ctx.memory.read(args[1], found.key_size)
            old = found.read_value(target[1]) or b""
        result: int = helper.function(ctx, *args) & _MASK64
        machine.emit("bpf.helper", prog=running.program.name, name=f"bpf_{helper.name}", args=list(args), ret=result)
        if target is not None:
            which, key = target
            if helper.name == "map_lookup_elem":
                if result:
                    running.looked_up.setdefault(result, (which, key, old))
            elif result == 0 and helper.name == "map_update_elem":
                machine.emit("map.update", map=which.name, key=key, old=old, new=which.read_value(key) or b"")
            elif result == 0:
                machine.emit("map.delete", map=which.name, key=key)
        return result

    def _call_back(
        self, cpu: VCpu, running: RunningProgram, helper: Helper, args: tuple[int, ...]
    ) -> Generator[GuestCall, int, int]:
        """A helper that calls functions of the program, which the guest does."""
        assert helper.steps is not None
        calls = helper.steps(running.bound.helpers, *args)
        answer: int | None = None
        while True:
            try:
                function, *arguments = next(calls) if answer is None else calls.send(answer)
            except StopIteration as done:
                result = int(done.value) & _MASK64
                break
            except MemoryFault as fault:
                raise led_astray(helper, fault, self._machine.report(cpu)) from fault
            answer = yield GuestCall(function, (*arguments, 0, 0, 0, 0, 0)[:5])
            self._env.hit = running
        name, told = f"bpf_{helper.name}", list(args)
        self._machine.emit("bpf.helper", prog=running.program.name, name=name, args=told, ret=result)
        return result

    def _bind_helpers(self) -> None:
        """Connect the image's functions ``bpf_<helper>``, which machine code calls, to the helpers."""
        for name, number in self._kernel.stubs:
            helper = HELPERS.get(HELPER_IDS.get(name.removeprefix("bpf_"), 0))
            if name.startswith("bpf_") and helper is not None:
                self._machine.devices.hypercalls[number] = self._called_by_code(helper)

    def _called_by_code(self, helper: Helper) -> Hypercall:
        count = len(helper.args)

        def call(cpu: VCpu, rdi: int, rsi: int, rdx: int) -> Answer:
            running = self._innermost(cpu.number)
            if running is None:
                raise GuestError(
                    f"bpf_{helper.name} was called, but no BPF program runs on vCPU {cpu.number}.",
                    report=self._machine.report(cpu),
                )
            args = (rdi, rsi, rdx)[:count]
            if count > _REGISTER_ARGUMENTS:
                args += cpu.more_arguments()[: count - _REGISTER_ARGUMENTS]
            self._env.hit = running
            if helper.steps is not None:
                return self._call_back(cpu, running, helper, args)
            try:
                return self.around(helper, running.bound.helpers, args)
            except MemoryFault as fault:
                raise led_astray(helper, fault, self._machine.report(cpu)) from fault

        return call


def _is_kept_out(running: RunningProgram, inside: list[RunningProgram]) -> bool:
    """Whether a program's guard keeps it from running inside of others, the outermost first."""
    guard = running.guard
    if guard is Guard.CPU:
        return any(other.guard is guard for other in inside)
    return guard is Guard.PROGRAM and any(other.guard is guard and other.program is running.program for other in inside)


def led_astray(helper: Helper, fault: MemoryFault, report: str) -> GuestError:
    """Machine code has given a helper an address where nothing is, which no verified program can."""
    return GuestError(f"bpf_{helper.name} was led astray: {fault}", report=report)
