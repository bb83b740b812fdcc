"""BPF programs on probes: loading and attaching.

Programs pass the verifier before; those that were loaded without it are interpreted, and so still bounded by a budget
and by guest memory. What the program's result is does not change what the probed function does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kprobesim.bpf import (
    FRAME_SIZE,
    MAX_CALL_FRAMES,
    Arena,
    Assembly,
    BoundProgram,
    BpfMap,
    MapSpec,
    Program,
    create_map,
)
from kprobesim.bpf.isa import encode
from kprobesim.bpf.jit import DEFAULT_CONFIG, array_lookups
from kprobesim.bpf.maps import Place
from kprobesim.bpf.object.sections import section_target
from kprobesim.bpf.verifier import FunctionFacts, map_meta_of, verify
from kprobesim.errors import BadInput, LinuxError
from kprobesim.image import Btf
from kprobesim.kprobes import Kprobe, KprobeFlag, KprobeManager, Kretprobe, PtRegs, RethookNode
from kprobesim.kprobes.kernel import DIRECT_MAP
from kprobesim.linux_errno import Errno
from kprobesim.machine import Answer, VCpu, then
from kprobesim.tracing.bpf_context import ContextArea
from kprobesim.tracing.bpf_ids import BpfIds, ProgramTypes
from kprobesim.tracing.bpf_jit import BpfJit, JitedCode
from kprobesim.tracing.bpf_runs import BpfRuns, Guard, RunningProgram
from kprobesim.tracing.bpf_user import BpfUser
from kprobesim.tracing.environment import KernelEnvironment, KernelMemory
from kprobesim.tracing.filters import Filters
from kprobesim.tracing.perf_clock import PerfClock
from kprobesim.tracing.trampoline import BPF_PROG_SIZE, Trampolines
from kprobesim.tracing.trampoline_calls import INTERPRETER

__all__ = ["Attachment", "BpfPrograms"]

_STACK_SIZE: Final = FRAME_SIZE * MAX_CALL_FRAMES
_BPF_FUNC: Final = DEFAULT_CONFIG.prog_bpf_func


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


class BpfPrograms:
    """All programs, maps and attachments of one running kernel.

    Programs and maps are known by name: going back in time and forth again makes them anew.

    Args:
        manager: the kprobe manager.
        seed: of ``bpf_get_prandom_u32``.

    Attributes:
        programs, maps: what there is now.
        attachments: the programs on kprobes; all links are in ``ids``.
        user: what user space does with maps: reads rings, fills arrays of programs, pins.
        ids: the numbers by which bpftool knows them.
        trampolines: of the functions that tracing programs are on.
        perf_clock: the programs that sample by the clock.
        running: the program that a frozen machine is inside of.
    """

    def __init__(self, manager: KprobeManager, seed: int) -> None:
        self._manager = manager
        self._kernel = manager.kernel
        self._machine = manager.kernel.machine
        self._memory = KernelMemory(manager.kernel)
        self._env = KernelEnvironment(manager, seed)
        self._runs = BpfRuns(manager, self._env, self._memory)
        self._arena: Arena | None = None
        self._stacks: dict[int, int] = {}
        self._contexts = ContextArea(manager.kernel)
        self._bound: dict[str, BoundProgram] = {}
        self._jited: dict[str, JitedCode] = {}
        self.jit = BpfJit(manager.kernel)
        self._filters = Filters(manager.kernel, self._env, self._memory, self.jit, self._runs, self._run_filter)
        self.programs: dict[str, Program] = {}
        self.maps: dict[str, BpfMap] = {}
        self.attachments: list[Attachment] = []
        self.user = BpfUser(self.maps_by_name, self._place)
        self.ids = BpfIds()
        self.trampolines = Trampolines(manager, self, self._runs)
        self.perf_clock = PerfClock(manager)

    @property
    def kernel_btf(self) -> Btf:
        """The kernel's types."""
        return self._kernel.btf

    @property
    def cpu_count(self) -> int:
        """How many CPUs the machine has."""
        return len(self._machine.cpus)

    @property
    def kernel_btf_size(self) -> int:
        """Bytes of the kernel's types."""
        section = self._kernel.image.sections.get(".BTF")
        return section.size if section else 0

    def read(self, address: int, size: int) -> bytes:
        """Guest memory."""
        return self._kernel.read(address, size)

    def function_facts(self, name: str) -> FunctionFacts | None:
        """What the verifier asks of a function that a program is for; None if the kernel has no code of that name."""
        found = self._kernel.kallsyms.lookup_name(name)
        return FunctionFacts(found[0].address in self._kernel.tables.error_injection) if found else None

    def symbolize(self, address: int) -> str:
        """``symbol+0xoffset``, or the address in hex."""
        return self._kernel.kallsyms.symbolize(address)

    def on_printk(self, print_line: Callable[[int, str], None]) -> None:
        """Where lines of ``bpf_trace_printk`` go: a function of the CPU and the text."""
        self._env.on_printk = print_line

    # Loading and attaching

    def load(self, source: Assembly, name: str, *, verified: bool = True) -> Program:
        """Make a program's maps, unless maps of these names are there, verify the program and load it.

        Args:
            source: assembled program.
            name: what events call it.
            verified: False leaves the verifier out, which no kernel does: to see what it protects from.

        Raises:
            LoadError: what bpf(2) would say; `Rejected`, with the log, if it was the verifier.
            BadInput: there is a program of this name, or a map of a name that the program wants in another shape.
        """
        if name in self.programs:
            raise BadInput(f"There is a program named {name} already.")
        for spec in source.maps:
            there = self.maps.get(spec.name)
            if there is not None and there.spec != spec:
                raise BadInput(
                    f"There is a map named {spec.name} already, of another type or size.",
                    hint="Programs share a map by declaring it alike; give this one another name.",
                )
            if spec.name not in self.maps:
                self.create_map(spec, spec.name)
        maps = {number: self.maps[spec.name] for number, spec in enumerate(source.maps)}
        program = Program(name, source.type, source.insns, maps, source.license)
        target = section_target(source.section)
        if target is not None:
            program.attach_type, program.attach_func = target.attach_type, target.attach_func
            program.sleepable = target.sleepable
        btf = self.kernel_btf if program.type == "tracing" else None
        processed = _verify(program, btf, self.function_facts) if verified else None
        self.add_program(program, processed)
        return program

    def create_map(self, spec: MapSpec, name: str, inner: BpfMap | None = None) -> BpfMap:
        """Make a map.

        Args:
            spec: what is wanted.
            name: by which programs and events know it; no other map has it.
            inner: for maps in maps, the example of those inside; without it, the map that ``spec`` names.

        Raises:
            LoadError: what bpf(BPF_MAP_CREATE) would say.
        """
        inner = inner or self.maps.get(spec.inner)
        made = create_map(spec, self._memory, self._get_arena(), self.ids.next_map(), self._env, inner)
        self.maps[name] = made
        self._machine.emit("map.create", map=name, type=spec.type, addr=made.address)
        return made

    def add_program(self, program: Program, processed: int | None, types: ProgramTypes | None = None) -> None:
        """Take in a program, bind it to this kernel.

        Args:
            program: its name is no other program's.
            processed: how many instructions the verifier processed; None for a program that it has not seen.
            types: what its object says of functions and source lines.
        """
        name = program.name
        self._get_arena()  # with it come the stacks
        self.programs[name] = program
        self._bound[name] = program.bind(self._memory, self._env, around=self._runs.around)
        self.ids.add_program(name, self._machine.ns, types)
        program.id = self.ids.programs[name].id
        self._machine.emit("bpf.load", prog=name, tag=program.tag, insns=len(program.insns), processed=processed or 0)
        if (
            processed is not None
            and self.jit.enabled
            and (jited := self.jit.compile(program, self._env.prandom_u32)) is not None
        ):
            self._jited[name] = jited
            self._machine.emit("bpf.jit", prog=name, addr=jited.code.entry, size=jited.code.jited_len)
            program.address = self._bpf_prog(jited.code.entry)
        elif program.type == "tracing":
            # A trampoline calls the interpreter as it would call machine code, and gives it the instructions.
            program.address = self._bpf_prog(self._kernel.symbol(INTERPRETER), encode(program.resolved))
        program.check_tail_call()

    def by_id(self, number: int) -> Program | None:
        """The program of this id."""
        return next((program for program in self.programs.values() if program.id == number), None)

    def remove_program(self, name: str) -> None:
        """Let go of a program that nobody uses (bpf_prog_free): of its machine code, its name and its number."""
        program, jited = self.programs.pop(name), self._jited.pop(name, None)
        del self._bound[name], self.ids.programs[name]
        if jited is not None:
            self.jit.free(jited)
        if program.address:
            self._get_arena().free(program.address)
        self._machine.emit("bpf.free", prog=name)

    def remove_map(self, name: str) -> None:
        """Let go of a map that nobody uses (bpf_map_free_deferred)."""
        self.maps.pop(name).free()
        self.ids.map_types.pop(name, None)
        self._machine.emit("map.free", map=name)

    def update_map(self, name: str, key: bytes, value: bytes, flags: int) -> int:
        """Store a value as user space does, by bpf(BPF_MAP_UPDATE_ELEM); 0 or a negative errno."""
        found = self.maps[name]
        old = found.value_or_nothing(key)
        result = found.sys_update(key, value, flags)
        if result == 0:
            self._machine.emit("map.update", map=name, key=key, old=old, new=value)
        return result

    def delete_from_map(self, name: str, key: bytes) -> int:
        """Remove an element as user space does, by bpf(BPF_MAP_DELETE_ELEM); 0 or a negative errno."""
        result = self.maps[name].delete_elem(key)
        if result == 0:
            self._machine.emit("map.delete", map=name, key=key)
        return result

    def _bpf_prog(self, entry: int, insnsi: bytes = b"") -> int:
        """What stands for the program's ``struct bpf_prog``: a tail call reads from it where the code is."""
        address = self._get_arena().alloc(BPF_PROG_SIZE + len(insnsi))
        head = bytes(_BPF_FUNC) + entry.to_bytes(8, "little") + bytes(BPF_PROG_SIZE - _BPF_FUNC - 8)
        self._memory.write(address, head + insnsi)
        return address

    def jited(self, name: str) -> JitedCode | None:
        """The machine code of a program that was compiled when it was loaded."""
        return self._jited.get(name)

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

        # The handlers outlive a journey to before the load, which makes the program anew: they know it by its name.

        def run(regs: PtRegs) -> Answer:
            name, ip, cookie = attachment.program, attachment.func_ip, attachment.cookie
            return self.run(name, regs.cpu, regs.address, ip=ip, cookie=cookie)

        def on_hit(probe: Kprobe, regs: PtRegs) -> Answer:
            if not self.programs[attachment.program].kprobe_override:
                return then(run(regs), _execute_the_probed_instruction)
            ip = regs.ip
            # Linux's kprobe_perf_func: the probed instruction is not executed where the program has moved on.
            return then(run(regs), lambda _: int(regs.ip != ip))

        def on_return(node: RethookNode, regs: PtRegs) -> Answer:
            return run(regs)

        if attachment.kretprobe is None:
            attachment.kprobe.pre_handler = on_hit
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
        number, bound, jited = cpu.number, self._bound[name], self._jited.get(name)
        place = self._contexts.put(cpu, self._runs.depth(number), b"", 0, with_regs=False)
        regs = place[1] if place is not None else ctx
        return RunningProgram(number, ctx, regs, ip, cookie, bound, jited, Guard.NONE, self._stacks[number])

    @property
    def arena(self) -> Arena:
        """The BPF area."""
        return self._get_arena()

    def _get_arena(self) -> Arena:
        if self._arena is None:
            kernel = self._kernel
            physical = kernel.read_u64(kernel.symbol("bpf_area_phys"))
            pages = int.from_bytes(kernel.read(kernel.symbol("bpf_area_pages"), 4), "little")
            self._arena = Arena(DIRECT_MAP + physical, pages * 4096)
            for cpu in self._machine.cpus:
                self._stacks[cpu.number] = self._arena.alloc(_STACK_SIZE, 16) + _STACK_SIZE
        return self._arena

    def maps_by_name(self, name: str) -> BpfMap:
        """A map; BadInput if there is none of this name."""
        found = self.maps.get(name)
        if found is None:
            raise BadInput(f"There is no map named {name}.", hint=f"There are: {', '.join(self.maps) or 'none'}.")
        return found

    def _place(self) -> Place:
        return Place(self._memory, self._get_arena(), self._env)

    # On a hit

    def _run_filter(self, number: int, cpu: int, ctx: int, stack: int) -> Answer:
        """A socket's filter that came in by bpf(2): no guard keeps it from running (bpf_prog_run)."""
        program = self.by_id(number)
        assert program is not None
        bound, jited = self._bound[program.name], self._jited.get(program.name)
        fp = stack or self._stacks[cpu]
        return self._runs.run(RunningProgram(cpu, ctx, ctx, 0, 0, bound, jited, Guard.NONE, fp))

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
        bound, jited, stack = self._bound[name], self._jited.get(name), self._stacks[cpu]
        return self._runs.run(RunningProgram(cpu, ctx, regs or ctx, ip, cookie, bound, jited, guard, stack))

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

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory."""
        return (
            None if self._arena is None else (self._arena, self._arena.save()),
            dict(self._stacks),
            self._contexts.save(),
            dict(self._bound),
            dict(self._jited),
            dict(self.programs),
            tuple((name, which, which.save()) for name, which in self.maps.items()),
            tuple(self.attachments),
            self._env.save(),
            self.jit.save(),
            self.user.save(),
            self.ids.save(),
            self.trampolines.save(),
            self.perf_clock.save(),
        )

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        arena, stacks, contexts, bound, jited, programs, maps, attachments, env, jit, user, ids, trampolines, clock = (
            state
        )
        self._arena = None
        if arena is not None:
            self._arena = arena[0]
            arena[0].restore(arena[1])
        self._stacks, self._bound, self.programs = dict(stacks), dict(bound), dict(programs)
        self._jited = dict(jited)
        self._contexts.restore(contexts)
        self.maps = {}
        for name, which, saved in maps:
            which.restore(saved)
            self.maps[name] = which
        self.attachments = list(attachments)
        self._env.restore(env)
        self.jit.restore(jit)
        self.user.restore(user)
        self.ids.restore(ids)
        self._runs.forget()
        self.trampolines.restore(trampolines)
        self.perf_clock.restore(clock)


def _event(attachment: Attachment) -> dict[str, str | int]:
    """What bpf(BPF_TASK_FD_QUERY) says of a probe (Linux kernel/trace/trace_kprobe.c:bpf_get_kprobe_info)."""
    probe = attachment.kprobe
    kind: dict[str, str | int] = {"fd_type": "kprobe" if attachment.kretprobe is None else "kretprobe"}
    if probe.symbol_name:
        return kind | {"func": probe.symbol_name, "offset": probe.offset}
    return kind | {"addr": probe.addr or 0}


def _execute_the_probed_instruction(_: int) -> int:
    """What a pre_handler answers, whatever the program's result is."""
    return 0


def _verify(program: Program, btf: Btf | None, facts: Callable[[str], FunctionFacts | None]) -> int:
    """How many instructions the verifier processed.

    Raises:
        Rejected: it refuses the program.
    """
    maps = {slot: map_meta_of(use.map) for slot, use in program.map_uses.items()}
    verdict = verify(
        program.insns,
        program.type,
        maps,
        gpl_compatible=program.gpl_compatible,
        static_functions=True,
        kprobe_override=True,
        sleepable=program.sleepable,
        attach_type=program.attach_type,
        attach_func=program.attach_func,
        btf=btf,
        function_facts=facts,
    )
    if verdict.rejected is not None:
        raise verdict.rejected
    program.max_ctx_offset = verdict.max_ctx_offset
    program.array_lookups = array_lookups(program.insns, verdict.helper_maps)
    program.mark_probe_loads(verdict.probe_loads)
    return verdict.stats.insn_processed
