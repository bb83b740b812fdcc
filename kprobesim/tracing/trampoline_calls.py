"""What the code of BPF trampolines calls: before and after each program, and around the function itself.

Follows Linux 6.1 kernel/bpf/trampoline.c (__bpf_prog_enter_recur, __bpf_tramp_enter...), and for loads that fault
kernel/bpf/core.c:search_bpf_extables. A trampoline is the guest's own code: what is under way in it is kept from one
instruction to the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NoReturn

from kprobesim.bpf.jit.trampoline import Trampoline
from kprobesim.errors import GuestError
from kprobesim.kprobes import RunningKernel
from kprobesim.machine import PAGE_SIZE, Answer, Hypercall, VCpu
from kprobesim.tracing.bpf_runs import BpfRuns, RunningProgram

if TYPE_CHECKING:
    from kprobesim.tracing.bpf import BpfPrograms

__all__ = ["INTERPRETER", "TrampImage", "TrampolineCalls"]

INTERPRETER: Final = "__bpf_prog_run512"

_SAVED_RUN_CTX: Final = 8
_NO_START_TIME: Final = 1
_EXTABLE_ENTRY: Final = 12


@dataclass(frozen=True, slots=True)
class TrampImage:
    """``struct bpf_tramp_image``: one page of code, and how many calls of the function are under way in it.

    Attributes:
        func: name of the function.
        im: guest address of the structure.
        code: what is on the page.
        refs: the calls between ``__bpf_tramp_enter`` and ``__bpf_tramp_exit``.
    """

    func: str
    im: int
    code: Trampoline
    refs: int = 0


@dataclass(frozen=True, slots=True)
class _Entered:
    """A program between ``__bpf_prog_enter`` and ``__bpf_prog_exit`` on a CPU.

    Attributes:
        prog: address of its ``struct bpf_prog``.
        name: the program's.
        run_ctx: address of its run context.
        frame: rbp of the trampoline.
        image: the trampoline.
        running: its machine code's run; None if it is interpreted, or not run as it is running here already.
    """

    prog: int
    name: str
    run_ctx: int
    frame: int
    image: TrampImage
    running: RunningProgram | None = None


class TrampolineCalls:
    """The functions of the host that trampolines call; the kernel's stubs are bound here.

    Args:
        kernel: the running kernel.
        programs: the BPF programs.
        runs: runs them.
        unused: called with a page when the last call under way in it has come back.

    Attributes:
        images: the pages that there are, by address.
        names: programs that are or were on functions, by the address of their ``struct bpf_prog``.
    """

    def __init__(
        self, kernel: RunningKernel, programs: BpfPrograms, runs: BpfRuns, unused: Callable[[int], None]
    ) -> None:
        self._kernel = kernel
        self._machine = kernel.machine
        self._programs = programs
        self._runs = runs
        self._unused = unused
        self.images: dict[int, TrampImage] = {}
        self.names: dict[int, str] = {}
        self._entered: list[tuple[_Entered, ...]] = [() for _ in self._machine.cpus]
        functions: dict[str, Hypercall] = {
            "__bpf_prog_enter_recur": self._prog_enter,
            "__bpf_prog_enter_sleepable_recur": self._prog_enter,
            "__bpf_prog_exit_recur": self._prog_exit,
            "__bpf_prog_exit_sleepable_recur": self._prog_exit,
            "__bpf_tramp_enter": self._tramp_enter,
            "__bpf_tramp_exit": self._tramp_exit,
            INTERPRETER: self._prog_run,
            "search_bpf_extables": self._search_bpf_extables,
        }
        kernel.bind(functions)

    # A program

    def _prog_enter(self, cpu: VCpu, prog: int, run_ctx: int, _: int) -> int:
        """``__bpf_prog_enter_recur``: 0 if the program is running on this CPU already, else its start time.

        Linux keeps the task on its CPU by migrate_disable(); here it is not preempted either.
        """
        kernel, number = self._kernel, cpu.number
        entered = self._entered[number]
        frame, back = kernel.read_u64(cpu.stack_pointer), kernel.read_u64(cpu.stack_pointer + 8)
        image, name = self.images.get(back & -PAGE_SIZE), self.names.get(prog)
        if image is None or name is None:
            self._astray(cpu, f"__bpf_prog_enter_recur was called with {prog:#x}, which is no program's, or from afar.")
        kernel.preempt_count_add(number, 1)
        kernel.write(run_ctx + _SAVED_RUN_CTX, (entered[-1].run_ctx if entered else 0).to_bytes(8, "little"))
        now = _Entered(prog, name, run_ctx, frame, image)
        if any(other.prog == prog for other in entered):
            self._entered[number] = (*entered, now)
            self._machine.emit("bpf.skip", prog=name)
            return 0
        jited = self._programs.jited(name)
        if jited is not None:
            # R10 will be where the stub's rbp is now: both have a return address and a saved rbp above them.
            now = replace(now, running=replace(self._run(cpu, now), fp=cpu.stack_pointer))
        self._entered[number] = (*entered, now)
        if now.running is not None and jited is not None:
            self._runs.enter(now.running, jited)
        return _NO_START_TIME

    def _run(self, cpu: VCpu, entered: _Entered) -> RunningProgram:
        code = entered.image.code
        cookie = self._kernel.read_u64(entered.run_ctx)
        ip = self._kernel.read_u64(entered.frame - code.ip_off) if code.ip_off != code.nregs_off else 0
        return self._programs.traced_run(entered.name, cpu, entered.frame - code.regs_off, ip=ip, cookie=cookie)

    def _prog_run(self, cpu: VCpu, ctx: int, insnsi: int, _: int) -> Answer:
        """The interpreter."""
        entered = self._entered[cpu.number]
        if not entered:
            self._astray(cpu, f"{INTERPRETER} was called, but no trampoline has entered a program.")
        return self._runs.run(self._run(cpu, entered[-1]))

    def _prog_exit(self, cpu: VCpu, prog: int, start: int, run_ctx: int) -> int:
        """``__bpf_prog_exit_recur``."""
        entered = self._entered[cpu.number]
        if not entered or entered[-1].prog != prog:
            self._astray(cpu, f"__bpf_prog_exit_recur was called for {prog:#x}, which was not entered last.")
        last = entered[-1]
        self._entered[cpu.number] = entered[:-1]
        self._kernel.preempt_count_add(cpu.number, -1)
        if last.running is not None:
            # Only what may answer in the function's place can return anything but 0, and that is on the stack by now.
            modifies = self._programs.programs[last.name].attach_type == "modify_return"
            self._runs.leave(last.running, self._kernel.read_u64(last.frame - 8) if modifies else 0)
        return 0

    # The function

    def _tramp_enter(self, cpu: VCpu, im: int, _: int, __: int) -> int:
        self._count(cpu, im, 1, "trampoline.enter")
        return 0

    def _tramp_exit(self, cpu: VCpu, im: int, _: int, __: int) -> int:
        self._count(cpu, im, -1, "trampoline.exit")
        return 0

    def _count(self, cpu: VCpu, im: int, by: int, kind: str) -> None:
        page = self._kernel.read_u64(im)
        image = self.images.get(page)
        if image is None or image.im != im:
            self._astray(cpu, f"A trampoline's structure was looked for at {im:#x}.")
        self.images[page] = replace(image, refs=image.refs + by)
        self._machine.emit(kind, addr=page, func=image.func, calls=image.refs + by)
        if not image.refs + by:
            self._unused(page)

    def _astray(self, cpu: VCpu, message: str) -> NoReturn:
        raise GuestError(message, report=self._machine.report(cpu))

    # A load that has faulted

    def _search_bpf_extables(self, cpu: VCpu, address: int, _: int, __: int) -> int:
        """``search_bpf_extables``: address of the entry for a load of a program's machine code; 0 if there is none."""
        for name in self._programs.programs:
            jited = self._programs.jited(name)
            image = jited.code.image_at(address) if jited is not None else None
            for number, entry in enumerate(image.extable) if image is not None else ():
                if image is not None and image.address + entry.offset == address:
                    self._machine.emit("bpf.extable", prog=name, addr=address, register=entry.register)
                    return image.address + image.extable_offset + _EXTABLE_ENTRY * number
        return 0

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory."""
        entered = tuple(
            tuple((one, dict(one.running.looked_up) if one.running is not None else {}) for one in stack)
            for stack in self._entered
        )
        return dict(self.images), dict(self.names), entered

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned; of the runs, only those in trampolines are there."""
        images, names, entered = state
        self.images, self.names = dict(images), dict(names)
        self._entered = [tuple(self._put_back(one, looked_up) for one, looked_up in stack) for stack in entered]

    def _put_back(self, entered: _Entered, looked_up: dict[int, Any]) -> _Entered:
        if entered.running is None:
            return entered
        running = replace(entered.running, looked_up=dict(looked_up))
        self._runs.put_back(running)
        return replace(entered, running=running)
