"""Looking at a machine: what is true at the moment where it stands. Nothing here changes anything."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Final

from kprobesim.errors import BadInput
from kprobesim.i18n import Language
from kprobesim.image import MAX_INSN_SIZE, DebugFunctions, KernelImage, LineTable, SourceFolder, SourceLine
from kprobesim.kprobes import KprobeConfig, KprobeManager, RunningKernel, Task, arch_stack_walk
from kprobesim.kprobes.detour import MAX_OPTINSN_SIZE
from kprobesim.lab.bpf_view import BpfView, bpf_view, filter_view
from kprobesim.lab.current_phase import current_phase, serving_function
from kprobesim.lab.frames import trap_frame
from kprobesim.lab.kinds import EVENT_KINDS
from kprobesim.lab.listing import Listing
from kprobesim.lab.narration import Narration, Narrator
from kprobesim.lab.phases import Phase
from kprobesim.lab.task_views import CpuView, TaskView, cpu_views, task_views
from kprobesim.lab.views import CodeLine, KprobeView, MapView, StackWord, code_lines, kprobe_view, stack_words
from kprobesim.machine import PAGE_SIZE, Event, Machine, Moment, event_json
from kprobesim.tracing import BpfPrograms, Tracing

__all__ = ["Look"]

_AHEAD: Final = 96


class Look:
    """The half of `Lab` that looks.

    Args:
        image, machine: the kernel and the computer it runs on.
        config: how the kernel is taken to be built.
        sources: folder of the kernel's sources, if they came with the image.

    Attributes:
        image, machine: as given.
        kernel: the image as it runs.
        manager: the kprobe manager.
        bpf: programs, maps and attachments.
        tracing: probe events, the trace, and the files under ``/sys/kernel/tracing``.
    """

    def __init__(self, image: KernelImage, machine: Machine, config: KprobeConfig, sources: Path | None) -> None:
        self.image = image
        self.machine = machine
        self.kernel = RunningKernel(machine, image)
        self.manager = KprobeManager(self.kernel, config)
        self.bpf = BpfPrograms(self.manager, machine.seed)
        self.tracing = Tracing(self.manager, self.bpf)
        self.bpf.on_printk(self.tracing.bpf_trace_printk)
        self._sources = SourceFolder(sources) if sources is not None else None
        self._narrator = Narrator(self.kernel)
        self._listing = Listing(self.kernel.kallsyms)
        self._line_starts: dict[int, dict[int, SourceLine]] = {}

    # Where the machine is

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

    def narrate_briefly(self, event: Event, language: Language) -> str:
        """What an event means, for one who sees it for the first time."""
        return self._narrator.narrate_briefly(event, language)

    def event_json(self, event: Event) -> dict[str, Any]:
        """An event as the command line's JSON object; addresses get a symbol beside them where they have one."""
        plain = event_json(event, EVENT_KINDS)
        if event.kind == "gate":
            plain["handler_symbol"] = self.symbolize(event.fields["handler"])
        return plain

    def registers(self, cpu: int | None = None) -> dict[str, int]:
        """Registers by name, of the current vCPU by default.

        Raises:
            BadInput: there is no such vCPU.
        """
        return self.machine.registers(self._number(cpu))

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

    @property
    def serving(self) -> str:
        """The kernel's function that serves a hit or runs a BPF program now, see `serving_function`."""
        return serving_function(self)

    @property
    def phase_name(self) -> str:
        """The phase for people: in the handler, the name of the function that it is."""
        phase = self.phase
        return self.serving if phase is Phase.HANDLER else phase.value

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

        Bytes are those in memory now; the text is that of the real instruction, also under an int3. Outside of any
        function, as in a user program, the instructions from the address on.
        """
        where = self.registers()["rip"] if address is None else address
        place = self.kernel.kallsyms.lookup_size_offset(where)
        if place is None:
            return self._code_ahead(where)
        symbol, _, size = place
        start, length = symbol.address, size
        if symbol.name == "ftrace_trampoline":
            size = self.manager.kprobes.ftrace.trampoline_size
            return code_lines(self.manager.kprobes, self._listing, start, size, {})
        if symbol.module == "bpf":
            # A compiled program: no source line belongs to its code, the BPF instructions do.
            return code_lines(self.manager.kprobes, self._listing, start, length, {})
        if symbol.module:
            return self._slot_code(where)
        return code_lines(self.manager.kprobes, self._listing, start, length, self._lines_of(start, length))

    def _lines_of(self, start: int, size: int) -> dict[int, SourceLine]:
        """The lines of a function by the address where each begins."""
        if start not in self._line_starts:
            rows: dict[int, SourceLine] = {}
            last = None
            for row in self.lines.rows_in(start, start + size):
                line = self.lines.lookup(row.start)
                if line is not None and (last is None or (line.file, line.line) != (last.file, last.line)):
                    rows[row.start], last = line, line
            self._line_starts[start] = rows
        return self._line_starts[start]

    def _code_ahead(self, address: int) -> tuple[CodeLine, ...]:
        """Where no symbol says what function this is, as in a user program: what comes next, to the page's end."""
        size = min(_AHEAD, PAGE_SIZE - address % PAGE_SIZE)
        return code_lines(self.manager.kprobes, self._listing, address, size, {})

    def _slot_code(self, address: int) -> tuple[CodeLine, ...]:
        for probe in kprobe_view(self.manager.kprobes, self._listing, self.cpu).probes:
            if probe.slot <= address < probe.slot + MAX_INSN_SIZE:
                return probe.slot_code
            if probe.detour and probe.detour <= address < probe.detour + MAX_OPTINSN_SIZE:
                return probe.detour_code
        return ()

    def stack(self, count: int = 32) -> tuple[StackWord, ...]:
        """Words from the current stack pointer up, with the names of trap frame and ``struct pt_regs`` fields."""
        rsp = self.registers()["rsp"]
        frame_at, regs_at = trap_frame(self.machine.log, self.seq, self.cpu, rsp)
        return stack_words(self.kernel, rsp, count, frame_at, regs_at)

    def backtrace(self, cpu: int | None = None) -> tuple[int, ...]:
        """Where a vCPU is and where the kernel's functions under way will return to, the innermost first.

        Return addresses that return probes have replaced are shown as they really are.

        Raises:
            BadInput: there is no such vCPU.
        """
        number = self._number(cpu)
        registers = self.registers(number)
        if registers["cs"] & 3:
            return (registers["rip"],)
        task = self.kernel.current(number).address
        return arch_stack_walk(self.kernel, self.manager.rethooks, task=task, ip=registers["rip"], bp=registers["rbp"])

    def kprobes(self, cpu: int | None = None) -> KprobeView:
        """The kprobe machinery of a vCPU, the current one by default.

        Raises:
            BadInput: there is no such vCPU.
        """
        return kprobe_view(self.manager.kprobes, self._listing, self._number(cpu))

    def bpf_view(self) -> BpfView | None:
        """The BPF program that the machine is inside of at this moment."""
        running = self.bpf.running
        registers = self.registers()
        if running is not None:
            return bpf_view(running, self.kernel, registers)
        compiled = None if registers["cs"] & 3 else self.bpf.filter_at(registers["rip"], registers["rsp"])
        return None if compiled is None else filter_view(compiled, self.kernel, registers)

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
        """The task that runs on a vCPU, the current one by default.

        Raises:
            BadInput: there is no such vCPU.
        """
        return self.kernel.current(self._number(cpu))

    def tasks(self) -> tuple[TaskView, ...]:
        """All processes, in the order of the kernel's own list."""
        return task_views(self)

    def cpus(self) -> tuple[CpuView, ...]:
        """All vCPUs, in order."""
        return cpu_views(self)

    @property
    def console(self) -> str:
        """Everything the machine's console has printed up to this moment."""
        return self.machine.devices.output.decode(errors="replace")

    def terminal(self, last: int) -> str:
        """What a terminal at the console shows: the output, and with ``$`` before them the lines that were typed.

        Args:
            last: about so many characters, at the end.
        """
        return self.machine.devices.terminal(last).decode(errors="replace")

    def _number(self, cpu: int | None) -> int:
        if cpu is None:
            return self.cpu
        if not 0 <= cpu < len(self.machine.cpus):
            raise BadInput(f"There is no vCPU {cpu}: this machine has {len(self.machine.cpus)}, counted from 0.")
        return cpu
