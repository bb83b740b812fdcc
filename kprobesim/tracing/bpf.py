"""BPF programs on probes: loading, attaching, and the run on a hit.

Follows Linux kernel/trace/bpf_trace.c:trace_call_bpf for the rules: one program at a time on a CPU, the result does not
change what the probed function does. Programs pass the verifier before; those that were loaded without it are still
bounded by a budget and by guest memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from kprobesim.bpf import (
    FRAME_SIZE,
    MAX_CALL_FRAMES,
    Arena,
    Assembly,
    BoundProgram,
    BpfMap,
    Execution,
    Helper,
    HelperContext,
    MapSpec,
    Program,
    RunError,
    create_map,
)
from kprobesim.bpf.verifier import map_meta_of, verify
from kprobesim.errors import BadInput
from kprobesim.image import Btf
from kprobesim.kprobes import Kprobe, KprobeFlag, KprobeManager, Kretprobe, PtRegs, RethookNode
from kprobesim.kprobes.kernel import DIRECT_MAP
from kprobesim.tracing.bpf_ids import BpfIds, ProgramTypes
from kprobesim.tracing.environment import KernelEnvironment, KernelMemory

__all__ = ["Attachment", "BpfPrograms", "RunningProgram"]

_MASK64: Final = (1 << 64) - 1
_STACK_SIZE: Final = FRAME_SIZE * MAX_CALL_FRAMES


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


@dataclass(slots=True)
class RunningProgram:
    """A program in the middle of a run, as a frozen machine shows it.

    Attributes:
        program: what runs.
        ctx: guest address of its context.
        fp: R10.
        execution: its registers and place, when it is being stepped; None before the first step of a fast run.
    """

    program: Program
    ctx: int
    fp: int
    execution: Execution | None


class BpfPrograms:
    """All programs, maps and attachments of one running kernel.

    Programs and maps are known by name: going back in time and forth again makes them anew.

    Args:
        manager: the kprobe manager.
        seed: of ``bpf_get_prandom_u32``.

    Attributes:
        programs, maps, attachments: what there is now.
        ids: the numbers by which bpftool knows them.
        running: the program that a frozen machine is inside of.
    """

    def __init__(self, manager: KprobeManager, seed: int) -> None:
        self._manager = manager
        self._kernel = manager.kernel
        self._machine = manager.kernel.machine
        self._memory = KernelMemory(manager.kernel)
        self._env = KernelEnvironment(manager.kernel, seed)
        self._arena: Arena | None = None
        self._stacks: dict[int, int] = {}
        self._active: set[int] = set()
        self._bound: dict[str, BoundProgram] = {}
        self._looked_up: dict[int, tuple[BpfMap, bytes, bytes]] = {}
        self.programs: dict[str, Program] = {}
        self.maps: dict[str, BpfMap] = {}
        self.attachments: list[Attachment] = []
        self.ids = BpfIds()
        self.running: RunningProgram | None = None

    @property
    def kernel_btf(self) -> Btf:
        """The kernel's types."""
        return self._kernel.btf

    @property
    def kernel_btf_size(self) -> int:
        """Bytes of the kernel's types."""
        section = self._kernel.image.sections.get(".BTF")
        return section.size if section else 0

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
        processed = _verify(program) if verified else 0
        self.add_program(program, processed)
        return program

    def create_map(self, spec: MapSpec, name: str) -> BpfMap:
        """Make a map.

        Args:
            spec: what is wanted.
            name: by which programs and events know it; no other map has it.

        Raises:
            LoadError: what bpf(BPF_MAP_CREATE) would say.
        """
        made = create_map(spec, self._memory, self._get_arena(), self.ids.next_map())
        self.maps[name] = made
        self._machine.emit("map.create", map=name, type=spec.type, addr=made.address)
        return made

    def add_program(self, program: Program, processed: int, types: ProgramTypes | None = None) -> None:
        """Take in a program that has passed the verifier, and bind it to this kernel.

        Args:
            program: its name is no other program's.
            processed: how many instructions the verifier processed.
            types: what its object says of functions and source lines.
        """
        name = program.name
        self.programs[name] = program
        self._bound[name] = program.bind(self._memory, self._env, around=self._around)
        self.ids.add_program(name, self._machine.ns, types)
        self._machine.emit("bpf.load", prog=name, tag=program.tag, insns=len(program.insns), processed=processed)

    def attach(self, attachment: Attachment) -> None:
        """Register the attachment's probe with its program as the handler.

        Raises:
            BadInput: no such program.
            LinuxError: the probe was refused.
        """
        if attachment.program not in self.programs:
            raise BadInput(f"There is no program named {attachment.program}.")

        # The handlers outlive a journey to before the load, which makes the program anew: they know it by its name.

        def on_hit(probe: Kprobe, regs: PtRegs) -> int:
            self._run(attachment, regs)
            return 0

        def on_return(node: RethookNode, regs: PtRegs) -> None:
            self._run(attachment, regs)

        if attachment.kretprobe is None:
            attachment.kprobe.pre_handler = on_hit
            self._manager.kprobes.register_kprobe(attachment.kprobe)
        else:
            attachment.kretprobe.handler = on_return
            self._manager.rethooks.register_kretprobe(attachment.kretprobe)
        on_entry = attachment.kprobe.flags & KprobeFlag.ON_FUNC_ENTRY
        attachment.func_ip = (attachment.kprobe.addr or 0) if on_entry else 0
        self.attachments.append(attachment)
        self.ids.add_link(attachment)
        place = self._manager.kprobes.place(attachment.kprobe)
        self._machine.emit("bpf.attach", prog=attachment.program, probe=place["probe"])

    def detach(self, attachment: Attachment) -> None:
        """Remove an attachment's probe; the program stays loaded."""
        place = self._manager.kprobes.place(attachment.kprobe)
        if attachment.kretprobe is None:
            self._manager.kprobes.unregister_kprobe(attachment.kprobe)
        else:
            self._manager.rethooks.unregister_kretprobe(attachment.kretprobe)
        self.attachments.remove(attachment)
        self.ids.remove_link(attachment)
        self._machine.emit("bpf.detach", prog=attachment.program, probe=place["probe"])

    def _get_arena(self) -> Arena:
        if self._arena is None:
            kernel = self._kernel
            physical = kernel.read_u64(kernel.symbol("bpf_area_phys"))
            pages = int.from_bytes(kernel.read(kernel.symbol("bpf_area_pages"), 4), "little")
            self._arena = Arena(DIRECT_MAP + physical, pages * 4096)
            for cpu in self._machine.cpus:
                self._stacks[cpu.number] = self._arena.alloc(_STACK_SIZE, 16) + _STACK_SIZE
        return self._arena

    # On a hit

    def _run(self, attachment: Attachment, regs: PtRegs) -> None:
        machine, cpu, name = self._machine, regs.cpu, attachment.program
        bound = self._bound[name]
        if cpu in self._active:
            machine.emit("bpf.skip", prog=name)
            return
        fp = self._stacks[cpu]
        self._env.cpu, self._env.ip, self._env.cookie = cpu, attachment.func_ip, attachment.cookie
        self._active.add(cpu)
        self._looked_up.clear()
        self.running = RunningProgram(bound.program, regs.address, fp, None)
        machine.record("bpf.enter", {"prog": name, "ctx": regs.address, "fp": fp})
        try:
            r0 = self._run_stepped(bound, self.running) if machine.steps_matter else bound.run(regs.address, fp)
        except RunError as error:
            machine.emit("bpf.fault", prog=name, message=str(error))
        else:
            if self._looked_up:
                self._notice_writes()
            machine.record("bpf.exit", {"prog": name, "r0": r0})
        self._active.discard(cpu)
        self.running = None

    def _run_stepped(self, bound: BoundProgram, running: RunningProgram) -> int:
        """The same run, with a moment after every instruction."""

        def after_previous(execution: Execution) -> None:
            if execution.executed:
                self._machine.fine_step()

        running.execution = bound.start(running.ctx, running.fp, hook=after_previous)
        return running.execution.run()

    def _around(self, helper: Helper, ctx: HelperContext, args: tuple[int, ...]) -> int:
        """Call a helper and tell of it."""
        machine, running = self._machine, self.running
        assert running is not None
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
                    self._looked_up.setdefault(result, (which, key, old))
            elif result == 0 and helper.name == "map_update_elem":
                machine.emit("map.update", map=which.name, key=key, old=old, new=which.read_value(key) or b"")
            elif result == 0:
                machine.emit("map.delete", map=which.name, key=key)
        return result

    def _notice_writes(self) -> None:
        """Values that the program changed through a pointer from a look-up, which no helper saw."""
        for address, (which, key, old) in self._looked_up.items():
            new = self._memory.read(address, which.value_size)
            if new != old and which.lookup_elem(key) == address:
                self._machine.emit("map.update", map=which.name, key=key, old=old, new=new)

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory."""
        return (
            None if self._arena is None else (self._arena, self._arena.save()),
            dict(self._stacks),
            dict(self._bound),
            dict(self.programs),
            tuple((name, which, which.save()) for name, which in self.maps.items()),
            tuple(self.attachments),
            self._env.save(),
            self.ids.save(),
        )

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        arena, stacks, bound, programs, maps, attachments, env, ids = state
        self._arena = None
        if arena is not None:
            self._arena = arena[0]
            arena[0].restore(arena[1])
        self._stacks, self._bound, self.programs = dict(stacks), dict(bound), dict(programs)
        self.maps = {}
        for name, which, saved in maps:
            which.restore(saved)
            self.maps[name] = which
        self.attachments = list(attachments)
        self._env.restore(env)
        self.ids.restore(ids)
        self._active.clear()
        self._looked_up.clear()
        self.running = None


def _verify(program: Program) -> int:
    """How many instructions the verifier processed.

    Raises:
        Rejected: it refuses the program.
    """
    maps = {slot: map_meta_of(use.map) for slot, use in program.map_uses.items()}
    verdict = verify(program.insns, program.type, maps, gpl_compatible=program.gpl_compatible)
    if verdict.rejected is not None:
        raise verdict.rejected
    return verdict.stats.insn_processed
