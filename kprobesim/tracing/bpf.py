"""BPF programs on probes: attaching and running.

What a program's result is does not change what the probed function does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kprobesim.bpf import Program
from kprobesim.errors import BadInput, LinuxError
from kprobesim.kprobes import Kprobe, KprobeFlag, KprobeManager, Kretprobe, PtRegs, RethookNode
from kprobesim.linux_errno import Errno
from kprobesim.machine import Answer, VCpu, then
from kprobesim.tracing.bpf_context import ContextArea
from kprobesim.tracing.bpf_runs import Guard, RunningProgram
from kprobesim.tracing.bpf_store import BpfStore
from kprobesim.tracing.filters import CompiledFilter, Filters
from kprobesim.tracing.perf_clock import PerfClock
from kprobesim.tracing.trampoline import Trampolines

__all__ = ["Attachment", "BpfPrograms"]


@dataclass(eq=False)
class Attachment:
    """A program on a probe.

    Attributes:
        program: the program's name.
        kprobe: the probe, when it is one at an instruction or a function's entry.
        kretprobe: the probe, when it is one at a function's return.
        cookie: what ``bpf_get_attach_cookie`` answers.
        func_ip: what ``bpf_get_func_ip`` answers: the probed function, or 0 if the probe is inside of it.
    """

    program: str
    kprobe: Kprobe
    kretprobe: Kretprobe | None = None
    cookie: int = 0
    func_ip: int = 0


class BpfPrograms(BpfStore):
    """The programs of one running kernel, what they are attached to, and their runs.

    Args:
        manager, seed: see `BpfStore`.

    Attributes:
        attachments: the programs on kprobes; all links are in ``ids``.
        trampolines: of the functions that tracing programs are on.
        perf_clock: the programs that sample by the clock.
        running: the program that a frozen machine is inside of.
    """

    def __init__(self, manager: KprobeManager, seed: int) -> None:
        super().__init__(manager, seed)
        self._contexts = ContextArea(manager.kernel)
        self._filters = Filters(manager.kernel, self._env, self._memory, self.jit, self._runs, self._run_filter)
        self.attachments: list[Attachment] = []
        self.trampolines = Trampolines(manager, self, self._runs)
        self.perf_clock = PerfClock(manager)

    # Attaching

    def attach(self, attachment: Attachment) -> None:
        """Register the attachment's probe with its program as the handler.

        Raises:
            BadInput: no such program.
            LinuxError: the probe was refused; EINVAL for a program that overrides return values, unless the probe is
                at the entry of a function that may be made to fail.
        """
        program = self.attachable(attachment.program, "kprobe")
        if program.kprobe_override:
            self._check_override(attachment.kprobe)

        def run(regs: PtRegs, answer: int | None = None) -> Answer:
            # This outlives a journey to before the load, which makes the program anew: it is known by its name.
            name, ip, cookie = attachment.program, attachment.func_ip, attachment.cookie
            return self._runs.run(self._about_to_run(name, regs.cpu, regs.address, regs.address, ip, cookie), answer)

        def on_hit(probe: Kprobe, regs: PtRegs) -> Answer:
            return run(regs, 0)  # the probed instruction is executed, whatever R0 is

        def on_overriding_hit(probe: Kprobe, regs: PtRegs) -> Answer:
            ip = regs.ip
            # Linux's kprobe_perf_func: the probed instruction is not executed where the program has moved on.
            return then(run(regs), lambda _: int(regs.ip != ip))

        def on_return(node: RethookNode, regs: PtRegs) -> Answer:
            return run(regs)

        if attachment.kretprobe is None:
            attachment.kprobe.pre_handler = on_overriding_hit if program.kprobe_override else on_hit
            self._manager.kprobes.register_kprobe(attachment.kprobe)
        else:
            attachment.kretprobe.handler = on_return
            self._manager.rethooks.register_kretprobe(attachment.kretprobe)
        on_entry = attachment.kprobe.flags & KprobeFlag.ON_FUNC_ENTRY
        attachment.func_ip = (attachment.kprobe.addr or 0) if on_entry else 0
        self.attachments.append(attachment)
        place = self._manager.kprobes.place(attachment.kprobe)
        self.add_link(attachment, attachment.program, place["probe"], _event(attachment))

    def attachable(self, name: str, prog_type: str) -> Program:
        """The program of a name, if programs of its type belong where it is about to be attached.

        Raises:
            BadInput: no such program.
            LinuxError: EINVAL, it is of another type.
        """
        program = self.programs.get(name)
        if program is None:
            raise BadInput(f"There is no program named {name}.")
        if program.type != prog_type:
            raise LinuxError(
                Errno.EINVAL,
                f"{name} is a program of type {program.type}; here belongs one of type {prog_type}.",
                hint=f"In assembly: .type {prog_type}",
            )
        return program

    def add_link(
        self, owner: object, program: str, where: str, event: Mapping[str, str | int], link_type: str = "perf_event"
    ) -> None:
        """A program has been attached: give its link a number and tell of it; see BpfIds.add_link.

        Args:
            owner: what stands for the attachment.
            program: the program's name.
            where: what it is attached to, in a few words.
            event, link_type: what bpftool shows.
        """
        self.ids.add_link(owner, program, event, link_type)
        self._machine.emit("bpf.attach", prog=program, probe=where)

    def remove_link(self, owner: object, program: str, where: str) -> None:
        """A program has been detached."""
        self.ids.remove_link(owner)
        self._machine.emit("bpf.detach", prog=program, probe=where)

    def reserve_contexts(self) -> None:
        """Make room for contexts that are in no memory of the guest; before `context` is first asked."""
        self._contexts.reserve(self._get_arena())

    def _check_override(self, probe: Kprobe) -> None:
        """The rules of perf_event_attach_bpf_prog for bpf_override_return."""
        named = self._kernel.kallsyms.lookup_name(probe.symbol_name) if probe.symbol_name else []
        self.check_error_injection((named[0].address if named else probe.address or 0) + probe.offset)

    def check_error_injection(self, address: int) -> None:
        """Whether a function may be made to fail there.

        Raises:
            LinuxError: EINVAL, it may not.
        """
        kallsyms, tables = self._kernel.kallsyms, self._kernel.tables
        place = kallsyms.lookup_size_offset(address)
        if place is None or place[1]:
            raise LinuxError(Errno.EINVAL, "Only at a function's entry can its return value be overridden.")
        if address not in tables.error_injection:
            raise LinuxError(
                Errno.EINVAL,
                f"{place[0].name} is not on the list of functions that may be made to fail.",
                hint="System calls are, for example __x64_sys_openat (ALLOW_ERROR_INJECTION).",
            )

    def detach(self, attachment: Attachment) -> None:
        """Remove an attachment's probe; the program stays loaded."""
        place = self._manager.kprobes.place(attachment.kprobe)
        if attachment.kretprobe is None:
            self._manager.kprobes.unregister_kprobe(attachment.kprobe)
        else:
            self._manager.rethooks.unregister_kretprobe(attachment.kretprobe)
        self.attachments.remove(attachment)
        self.remove_link(attachment, attachment.program, place["probe"])

    def traced_run(self, name: str, cpu: VCpu, ctx: int, *, ip: int, cookie: int) -> RunningProgram:
        """A run of a program that a trampoline calls; the stack is followed from where the trampoline is.

        Args:
            name: of the program.
            cpu: the vCPU, in a hypercall of the trampoline.
            ctx: guest address of its context.
            ip, cookie: see Hit.
        """
        place = self._contexts.put(cpu, self._runs.depth(cpu.number), b"", 0, with_regs=False)
        regs = place[1] if place is not None else ctx
        return self._about_to_run(name, cpu.number, ctx, regs, ip, cookie, Guard.NONE)

    def _about_to_run(
        self, name: str, cpu: int, ctx: int, regs: int, ip: int, cookie: int, guard: Guard = Guard.CPU
    ) -> RunningProgram:
        return RunningProgram(
            cpu, ctx, regs, ip, cookie, self._bound[name], self._jited.get(name), guard, self._stacks[cpu]
        )

    # On a hit

    def _run_filter(self, number: int, cpu: int, ctx: int, stack: int) -> Answer:
        """A socket's filter that came in by bpf(2): no guard keeps it from running (bpf_prog_run)."""
        program = self.by_id(number)
        assert program is not None
        running = self._about_to_run(program.name, cpu, ctx, ctx, 0, 0, Guard.NONE)
        running.fp = stack or running.fp
        return self._runs.run(running)

    def run(
        self, name: str, cpu: int, ctx: int, *, ip: int = 0, cookie: int = 0, regs: int = 0, guard: Guard = Guard.CPU
    ) -> Answer:
        """Run a program at a hit.

        Args:
            name: of the program.
            cpu: number of the vCPU.
            ctx: guest address of its context.
            ip, cookie: see Hit.
            regs: guest address of the registers at the hit; 0: the context is these registers.
            guard: what keeps it from running.

        Returns:
            R0, or by way of the guest; 0 if its guard kept it from running.
        """
        return self._runs.run(self._about_to_run(name, cpu, ctx, regs or ctx, ip, cookie, guard))

    def run_on(
        self,
        name: str,
        cpu: VCpu,
        context: bytes,
        *,
        regs: int = 0,
        cookie: int = 0,
        guard: Guard = Guard.CPU,
        points_to_regs: bool = True,
    ) -> Answer:
        """Run a program at a hit whose context is in no memory of the guest yet.

        Args:
            name: of the program.
            cpu: the vCPU, in the hypercall of a tracepoint.
            context: its bytes.
            regs: address of the registers; 0 for those of the code around the tracepoint.
            cookie: see Hit.
            guard: what keeps it from running.
            points_to_regs: the context of a program with the guard CPU begins with the address of the registers.
        """
        pointer = points_to_regs and guard is Guard.CPU
        place = self._contexts.put(cpu, self._runs.depth(cpu.number), context, regs, with_regs=pointer)
        if place is None:
            self._machine.emit("bpf.skip", prog=name)
            return 0
        ctx, regs = place
        return self.run(name, cpu.number, ctx, cookie=cookie, regs=regs, guard=guard)

    @property
    def running(self) -> RunningProgram | None:
        """The program in the middle of a run on the CPU whose turn it is."""
        return self._runs.running

    def filter_at(self, rip: int, rsp: int) -> CompiledFilter | None:
        """The classic filter whose machine code a CPU is in.

        Args:
            rip, rsp: of the CPU, which is in the kernel.
        """
        return self._filters.compiled_at(rip, rsp)

    # Going back and forth in time

    def save(self) -> tuple[Any, ...]:
        """All state that is not in guest memory."""
        attachments = tuple(self.attachments)
        return super().save(), self._contexts.save(), attachments, self.trampolines.save(), self.perf_clock.save()

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        store, contexts, attachments, trampolines, clock = state
        super().restore(store)
        self._contexts.restore(contexts)
        self.attachments = list(attachments)
        self.trampolines.restore(trampolines)
        self.perf_clock.restore(clock)


def _event(attachment: Attachment) -> dict[str, str | int]:
    """What bpf(BPF_TASK_FD_QUERY) says of a probe (Linux kernel/trace/trace_kprobe.c:bpf_get_kprobe_info)."""
    probe = attachment.kprobe
    kind: dict[str, str | int] = {"fd_type": "kprobe" if attachment.kretprobe is None else "kretprobe"}
    if probe.symbol_name:
        return kind | {"func": probe.symbol_name, "offset": probe.offset}
    return kind | {"addr": probe.addr or 0}
