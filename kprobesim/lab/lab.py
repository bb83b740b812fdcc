"""One experiment: a kernel on a machine, probes and programs in it, and a clock that runs both ways."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from kprobesim.bpf import Assembly, Program, assemble
from kprobesim.errors import BadInput
from kprobesim.i18n import Language
from kprobesim.image import (
    DebugFunctions,
    ImageInfo,
    KernelImage,
    LineTable,
    SourceFolder,
    SourceLine,
    find_image,
    open_image,
)
from kprobesim.kprobes import Kprobe, KprobeManager, Kretprobe, PostHandler, PreHandler, RunningKernel, Task
from kprobesim.lab.kinds import EVENT_KINDS
from kprobesim.lab.motion import Grain, Motion
from kprobesim.lab.narration import Narration, Narrator
from kprobesim.lab.phases import Phase, current_phase
from kprobesim.lab.profiles import Profile
from kprobesim.lab.views import (
    BpfView,
    CodeLine,
    KprobeView,
    MapView,
    StackWord,
    code_lines,
    kprobe_view,
    pt_regs_below,
    stack_words,
)
from kprobesim.machine import Event, Machine, Moment, Stop, Timeline, event_json
from kprobesim.tracing import Attachment, BpfPrograms, Tracing

__all__ = ["Lab"]

_BOOT_LIMIT: Final = 200_000_000
_STACK_SIZE: Final = 512


class Lab:
    """The public face of everything below: open a kernel, put probes into it, run it, look at it, go back.

    Use `Lab.open`.

    Attributes:
        machine, timeline: the computer and its life.
        kernel: what runs on it.
        manager: the kprobe manager.
        bpf: programs, maps and attachments.
        tracing: probe events, the trace, and the files under ``/sys/kernel/tracing``.
        profile: how the kernel is taken to be built.
        start: instruction at which the experiment begins; no motion goes back behind it.
    """

    def __init__(self, image: KernelImage, machine: Machine, profile: Profile, sources: Path | None) -> None:
        self.image = image
        self.machine = machine
        self.profile = profile
        self.kernel = RunningKernel(machine, image)
        self.manager = KprobeManager(self.kernel)
        self.bpf = BpfPrograms(self.manager, machine.seed)
        self.tracing = Tracing(self.manager)
        self.timeline = Timeline(machine, [self.manager, self.bpf, self.tracing])
        self.start = 0
        self._sources = SourceFolder(sources) if sources is not None else None
        self._motion = Motion(self)
        self._narrator = Narrator(self.kernel)

    @classmethod
    def open(
        cls,
        kernel: str | Path = "toyix",
        *,
        profile: str | Profile = Profile.BARE,
        cpus: int = 1,
        seed: int = 0,
        boot: bool = True,
    ) -> Lab:
        """Put a kernel on a new machine and boot it.

        Args:
            kernel: name of an image that ships, or the path of one.
            profile: which mechanism serves probes; where an image ships in several configurations, also which one.
            cpus: number of vCPUs, 1 to 8.
            seed: of everything random; same seed, same run.
            boot: run until the kernel waits for something to do; otherwise stop before the first instruction.

        Raises:
            BadInput: no such kernel or profile, or a number of CPUs that cannot be.
            ImageError: the file is not a kernel image.
            GuestError: the kernel did not come up.
        """
        chosen = profile if isinstance(profile, Profile) else Profile.parse(profile)
        if not 1 <= cpus <= 8:
            raise BadInput(f"A machine has 1 to 8 CPUs, not {cpus}.")
        image = open_image(kernel, variant=chosen.value)
        info = _shipped(kernel)
        machine = Machine(cpus=cpus, seed=seed)
        machine.boot(image.entry, image.segments)
        lab = cls(image, machine, chosen, info.folder if info else None)
        if boot:
            lab.boot()
        return lab

    def boot(self) -> None:
        """Run from power-on until the first program waits for input; motions cannot go back behind the boot's end.

        Raises:
            GuestError: the kernel did not come up.
        """
        if self.timeline.run(_BOOT_LIMIT, stop_kinds=["boot.done"]) is Stop.MOMENT:
            self.start = self.machine.moment.insn + 1
            self.timeline.seek(Moment(self.start))

    # Doing something to the machine

    def type(self, text: str) -> None:
        """Type a line at the machine's console, where init reads commands.

        Args:
            text: without the newline.
        """
        self.timeline.input(text, lambda: self.machine.devices.type(text.encode() + b"\n"))

    def kprobe(
        self,
        where: str,
        *,
        pre_handler: PreHandler | None = None,
        post_handler: PostHandler | None = None,
        name: str = "",
        disabled: bool = False,
    ) -> Kprobe:
        """Register a probe.

        Args:
            where: ``symbol``, ``symbol+offset`` or an address in hex.
            pre_handler, post_handler: Python functions, called as in the kernel. They must do the same each time they
                are called, as going back runs them again.
            name: what events call it.
            disabled: do not arm it.

        Raises:
            BadInput: ``where`` cannot be read.
            LinuxError: what register_kprobe() would return.
        """
        probe = self._probe_at(where)
        probe.pre_handler, probe.post_handler, probe.name, probe.disabled = pre_handler, post_handler, name, disabled
        self.timeline.input(f"register_kprobe {where}", lambda: self.manager.kprobes.register_kprobe(probe))
        return probe

    def unregister_kprobe(self, probe: Kprobe) -> None:
        """Remove a probe."""
        text = f"unregister_kprobe {probe.name or probe.symbol_name or hex(probe.address or 0)}"
        self.timeline.input(text, lambda: self.manager.kprobes.unregister_kprobe(probe))

    def load_program(self, source: str | Assembly, name: str) -> Program:
        """Load a BPF program.

        Args:
            source: assembly text, or what `kprobesim.bpf.assemble` made of it.
            name: what events call it.

        Raises:
            AsmError: the text makes no sense.
            LoadError: the kernel would refuse it.
        """
        assembly = assemble(source) if isinstance(source, str) else source
        self.timeline.input(f"bpf load {name}", lambda: self._load(assembly, name))
        return self.bpf.programs[name]

    def _load(self, assembly: Assembly, name: str) -> None:
        self.bpf.load(assembly, name)

    def attach(self, program: str, where: str, *, returns: bool = False, cookie: int = 0) -> Attachment:
        """Attach a loaded program to a new probe.

        Args:
            program: its name.
            where: as for `kprobe`.
            returns: probe the return of the function instead of its entry.
            cookie: what ``bpf_get_attach_cookie`` answers.

        Raises:
            BadInput: no such program, or ``where`` cannot be read.
            LinuxError: what register_kprobe() or register_kretprobe() would return.
        """
        probe = self._probe_at(where)
        attachment = Attachment(program, probe, Kretprobe(probe) if returns else None, cookie)
        kind = "kretprobe" if returns else "kprobe"
        self.timeline.input(f"attach {program} to {kind} {where}", lambda: self.bpf.attach(attachment))
        return attachment

    def detach(self, attachment: Attachment) -> None:
        """Take a program off its probe."""
        self.timeline.input(f"detach {attachment.program}", lambda: self.bpf.detach(attachment))

    def _probe_at(self, where: str) -> Kprobe:
        symbol, plus, offset = where.partition("+")
        try:
            number = int(offset, 0) if plus else 0
            if symbol[:1].isdigit():
                return Kprobe(address=int(symbol, 16 if not symbol.startswith("0x") else 0), offset=number)
        except ValueError:
            raise BadInput(
                f"{where!r} is not a place to probe.", hint="Write symbol, symbol+0x10 or 0xffffffff81000000."
            ) from None
        return Kprobe(symbol_name=symbol, offset=number)

    # Moving

    def run(self, *, instructions: int | None = None, until: Iterable[str] = ()) -> Stop:
        """Go forward until an event of some kinds, or for some instructions, or until nothing more happens.

        Args:
            instructions: at most so many.
            until: event kinds to stop at, as `Event.kind` has them.

        Raises:
            BadInput: no such kind of event.
            GuestError: the guest cannot go on.
        """
        kinds = frozenset(until)
        if unknown := sorted(kinds - EVENT_KINDS.keys()):
            raise BadInput(f"There is no event kind {unknown[0]!r}.", hint="docs/events.md lists them.")
        limit = self.machine.moment.insn + (instructions if instructions is not None else 1 << 60)
        return self.timeline.run(limit, stop_kinds=kinds)

    def step(self, grain: Grain = Grain.PHASE, *, back: bool = False, count: int = 1) -> bool:
        """Step forwards or backwards.

        Args:
            grain: how far one step goes.
            back: backwards.
            count: how often.

        Returns:
            Whether the machine is somewhere else now.
        """
        return sum(self._motion.step(grain, back=back) for _ in range(count)) > 0

    def seek(self, target: Moment | Event | int) -> None:
        """Go to a moment, to just after an event, or to the clean state before an instruction by its number.

        Raises:
            BadInput: it lies before the start of the experiment.
        """
        moment = target.moment if isinstance(target, Event) else Moment(target) if isinstance(target, int) else target
        if moment.insn < self.start:
            raise BadInput(f"The experiment begins at instruction {self.start:,}.")
        self.timeline.seek(moment)

    def seek_time(self, ns: int) -> None:
        """Go to the first instruction at or after a virtual time.

        Args:
            ns: nanoseconds since power-on.
        """
        machine = self.machine
        best = None
        for event in machine.log:
            if event.ns > ns:
                break
            best = event
        if best is not None and best.moment.insn >= self.start:
            self.timeline.seek(Moment(best.moment.insn + 1))
        else:
            self.timeline.seek(Moment(self.start))
        while machine.ns < ns:
            before = machine.moment
            self.timeline.run(machine.moment.insn + max(1, (ns - machine.ns) // machine.ns_per_insn))
            if machine.moment == before:
                break

    def seek_end(self) -> None:
        """Go to the furthest place ever reached."""
        self.timeline.seek_end()

    # Looking

    @property
    def moment(self) -> Moment:
        """Where the machine is."""
        return self.machine.moment

    @property
    def ns(self) -> int:
        """Virtual nanoseconds since power-on."""
        return self.machine.ns

    @property
    def cpu(self) -> int:
        """Number of the vCPU whose turn it is."""
        return self.machine.current_cpu.number

    @property
    def seq(self) -> int:
        """How many events lie behind this moment."""
        return self.machine.seq

    @property
    def last_event(self) -> Event | None:
        """The newest event behind this moment."""
        return self.machine.log[self.seq - 1] if self.seq else None

    def events(self, start: int = 0, stop: int | None = None) -> list[Event]:
        """Events by position; those of the known future are included.

        Args:
            start: first position.
            stop: one past the last; all by default.
        """
        return self.machine.log.between(start, len(self.machine.log) if stop is None else stop)

    @property
    def event_count(self) -> int:
        """Events of the whole known life of the machine."""
        return len(self.machine.log)

    def narrate(self, event: Event, language: Language) -> Narration:
        """What an event means, and why it happened."""
        return self._narrator.narrate(event, language)

    def event_json(self, event: Event) -> dict[str, Any]:
        """An event as the command line's JSON object; addresses get a symbol beside them where they have one."""
        plain = event_json(event, EVENT_KINDS)
        if event.kind == "gate":
            plain["handler_symbol"] = self.symbolize(event.fields["handler"])
        return plain

    def registers(self, cpu: int | None = None) -> dict[str, int]:
        """Registers by name, of the current vCPU by default."""
        return self.machine.registers(cpu)

    def read(self, address: int, size: int) -> bytes:
        """Guest memory at a virtual address.

        Raises:
            MemoryFault: not mapped.
        """
        return self.kernel.read(address, size)

    def symbolize(self, address: int) -> str:
        """``symbol+0xoffset``, or the address in hex."""
        return self.kernel.kallsyms.symbolize(address)

    @property
    def phase(self) -> Phase:
        """Where in the life of a probe hit the current vCPU is."""
        return current_phase(self)

    @functools.cached_property
    def lines(self) -> LineTable:
        """The image's line table."""
        return LineTable(self.image)

    @functools.cached_property
    def functions(self) -> DebugFunctions:
        """The image's functions and their parameters."""
        return DebugFunctions(self.image)

    def source_line(self, address: int) -> SourceLine | None:
        """The source line that an address belongs to."""
        return self.lines.lookup(address)

    def source_text(self, line: SourceLine) -> str | None:
        """The text of a source line, if the sources came with the image."""
        return None if self._sources is None else self._sources.line(line.file, line.line)

    def code(self, address: int | None = None) -> tuple[CodeLine, ...]:
        """The instructions of the function that contains an address, RIP by default.

        Bytes are those in memory now; the text is that of the real instruction, also under an int3.
        """
        where = self.registers()["rip"] if address is None else address
        place = self.kernel.kallsyms.lookup_size_offset(where)
        if place is None:
            return ()
        symbol, _, size = place
        start, length = symbol.address, size
        if symbol.module:
            return self._slot_code(where)
        rows: dict[int, SourceLine] = {}
        last = None
        for row in self.lines.rows_in(start, start + length):
            line = self.lines.lookup(row.start)
            if line is not None and (last is None or (line.file, line.line) != (last.file, last.line)):
                rows[row.start], last = line, line
        return code_lines(self.kernel, self.manager.kprobes, start, length, rows)

    def _slot_code(self, address: int) -> tuple[CodeLine, ...]:
        for probe in kprobe_view(self.manager.kprobes, self.cpu).probes:
            if probe.slot <= address < probe.slot + 16:
                return probe.slot_code
        return ()

    def stack(self, count: int = 32) -> tuple[StackWord, ...]:
        """Words from the current stack pointer up, with the names of trap frame and ``struct pt_regs`` fields."""
        frame_at, regs_at = self._trap_frame()
        return stack_words(self.kernel, self.registers()["rsp"], count, frame_at, regs_at)

    def _trap_frame(self) -> tuple[int | None, int | None]:
        """Where the frame of the trap being handled is, and its pt_regs once complete."""
        rsp = self.registers()["rsp"]
        for seq in range(self.seq - 1, max(self.seq - 60, -1), -1):
            event = self.machine.log[seq]
            if event.cpu != self.cpu:
                continue
            if event.kind == "gate":
                frame_at = event.fields["rsp"] + len(event.fields["frame"]) - 40
                if rsp > frame_at:
                    return None, None
                user = event.fields["frame"][-32] & 3 == 3
                regs_at = pt_regs_below(frame_at, gap=event.fields["vector"] == 3 and not user)
                return frame_at, regs_at if rsp <= regs_at else None
            if event.kind == "syscall":
                break
        return None, None

    def kprobes(self, cpu: int | None = None) -> KprobeView:
        """The kprobe machinery of a vCPU, the current one by default."""
        return kprobe_view(self.manager.kprobes, self.cpu if cpu is None else cpu)

    def bpf_view(self) -> BpfView | None:
        """The BPF program that the machine is inside of at this moment."""
        running = self.bpf.running
        if running is None:
            return None
        execution = running.execution
        if execution is None:
            registers: tuple[int, ...] = (0, running.ctx, *(0,) * 8, running.fp)
            pc, executed = 0, 0
        else:
            registers, pc, executed = tuple(execution.regs), execution.pc, execution.executed
        stack = self.kernel.read(registers[10] - _STACK_SIZE, _STACK_SIZE)
        return BpfView(running.program, pc, registers, stack, executed)

    def maps(self) -> tuple[MapView, ...]:
        """All BPF maps with their contents."""
        return tuple(
            MapView(
                name,
                which.spec.type,
                which.key_size,
                which.value_size,
                which.spec.max_entries,
                which.address,
                tuple(which.items()),
            )
            for name, which in self.bpf.maps.items()
        )

    def task(self, cpu: int | None = None) -> Task:
        """The task that runs on a vCPU, the current one by default."""
        return self.kernel.current(self.cpu if cpu is None else cpu)

    @property
    def console(self) -> str:
        """Everything the machine's console has printed up to this moment."""
        return self.machine.devices.output.decode(errors="replace")


def _shipped(kernel: str | Path) -> ImageInfo | None:
    """The description of an image that ships."""
    if isinstance(kernel, Path):
        return None
    try:
        return find_image(kernel)
    except BadInput:
        return None
