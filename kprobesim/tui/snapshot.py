"""Everything the panels show of one moment, taken in one go by the thread that owns the lab.

Widgets read a `Snapshot` and never the machine, so that drawing needs no lock and no waiting.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kprobesim.errors import KprobesimError
from kprobesim.i18n import LANGUAGES, Language
from kprobesim.lab import Phase
from kprobesim.tui.brief import brief
from kprobesim.tui.labels import register_labels
from kprobesim.tui.track import Track, TrackMaker
from kprobesim.tui.walk import WalkView, refused_view, walk_view

if TYPE_CHECKING:
    from kprobesim.bpf import Program
    from kprobesim.bpf.verifier import Rejected
    from kprobesim.lab import (
        BpfView,
        CodeLine,
        CpuView,
        Event,
        KprobeView,
        Lab,
        MapView,
        Moment,
        Narration,
        StackWord,
        TaskView,
    )
    from kprobesim.tracing import JitedCode

__all__ = ["CodeView", "EventRow", "Memory", "ProgramView", "Snapshot", "observe"]

_CONSOLE = 8192
_STACK_WORDS = 96
_EVENTS_AROUND = 60
_PROBE_WINDOW = 64
_SYSCALL = 2
"""Bytes of the instruction."""
_FROM_OUTSIDE = ("input", "map.create", "map.update", "bpf.load", "bpf.attach", "bpf.detach", "kprobe.opt_prepare")
"""What may lie between the patch of some code and the wish to look at it."""
_AT_CODE = (
    "text.poke", "text.sync", "kprobe.prepare", "kprobe.register", "kprobe.unregister", "kprobe.opt_queue",
    "kprobe.optimize", "kprobe.unoptimize",
)  # fmt: skip
"""Events about code that nobody runs just then; their field addr says which."""


@dataclass(frozen=True, slots=True)
class CodeView:
    """A stretch of code around the place that matters.

    Attributes:
        name: the function, or empty in a user program.
        start: its first address.
        current: address that the CPU stands at, of a ``syscall`` that is under way, or of the probed instruction while
            the host plays a function.
        host: the function that the host plays at this moment, or empty.
        asleep: an event is about this code while the CPU sleeps elsewhere.
        rows: the instructions.
        sources: the text of a source line, by the address where it begins.
        file: source file of the current line, or empty.
    """

    name: str
    start: int
    current: int
    host: str
    asleep: bool
    rows: tuple[CodeLine, ...]
    sources: dict[int, str]
    file: str

    @property
    def here(self) -> int | None:
        """Index of the row that contains the current address."""
        for index, line in enumerate(self.rows):
            if line.address <= self.current < line.address + max(len(line.original), 1):
                return index
        return None


@dataclass(frozen=True, slots=True)
class ProgramView:
    """A BPF program.

    Attributes:
        name: of the program.
        lines: its text by slot.
        running: its state while it runs.
        code: its machine code by slot, -1 for the prologue: address, bytes and text of each instruction; empty where
            it is interpreted.
    """

    name: str
    lines: tuple[tuple[int, str], ...]
    running: BpfView | None
    code: Mapping[int, tuple[tuple[int, bytes, str], ...]]


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event as a list shows it."""

    event: Event
    brief: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One moment of a lab.

    Attributes:
        kernel, profile, cpus: what machine this is.
        moment, ns, cpu: where it is.
        comm, pid: the task that runs, empty and 0 where the kernel has none.
        seq, total: events behind this moment, and of the whole known life.
        event: the newest event behind this moment.
        at_event: the machine stands right behind that event.
        narration: what the event means, by language.
        brief: the same for one who sees it for the first time.
        phase: of the probe hit.
        serving: the function that serves it or runs the program, where one does.
        next_text: the instruction about to run, as text.
        place: RIP as symbol and offset.
        registers, labels: values by name, and what they point at where that is known.
        probed: address of the probe that the newest hit is about, or None.
        shown: the program to be shown.
        tasks, vcpus: processes and CPUs.
        console: what a terminal at the console shows last: what was printed, and what was typed.
        track: where hits, runs, map writes and switches are in the known life.
        walk: what the verifier did with the program, once somebody asked.
    """

    kernel: str
    profile: str
    cpus: int
    moment: Moment
    ns: int
    cpu: int
    comm: str
    pid: int
    seq: int
    total: int
    event: Event | None
    at_event: bool
    narration: dict[Language, Narration]
    brief: dict[Language, str]
    phase: Phase
    serving: str
    place: str
    next_text: str
    next_source: str
    registers: dict[str, int]
    labels: dict[str, str]
    code: CodeView
    stack: tuple[StackWord, ...]
    kprobe: KprobeView
    probed: int | None
    program: ProgramView | None
    maps: tuple[MapView, ...]
    events: tuple[EventRow, ...] = field(repr=False)
    tasks: tuple[TaskView, ...]
    vcpus: tuple[CpuView, ...]
    console: str
    track: Track
    walk: WalkView | None

    @property
    def phase_name(self) -> str:
        """The phase, and in the handler the name of the function that it is."""
        return self.serving if self.phase is Phase.HANDLER else self.phase.value


class Memory:
    """What is kept from one look to the next, as it seldom changes: owned by the thread that owns the lab.

    Attributes:
        walk_wanted: somebody looks at what the verifier did. Set by the screen's thread.
    """

    def __init__(self) -> None:
        self.track = TrackMaker()
        self.walk_wanted = False
        self._walk: tuple[object, WalkView] | None = None
        self._refused: tuple[Moment, WalkView] | None = None
        self._code: tuple[object, Mapping[int, tuple[tuple[int, bytes, str], ...]]] | None = None

    def refuse(self, lab: Lab, refusal: Rejected) -> None:
        """Keep what the verifier did with a program that it refused, for as long as the lab stays where it is."""
        if refusal.assembly is not None:
            self._refused = lab.moment, refused_view(refusal.assembly, refusal.text)

    def walk(self, lab: Lab, program: Program | None) -> WalkView | None:
        """What the verifier did with a program, or with the one that it has just refused."""
        if self._refused is not None:
            if self._refused[0] == lab.moment:
                return self._refused[1]
            self._refused = None
        if program is None or not self.walk_wanted:
            return None
        if self._walk is None or self._walk[0] is not program:
            self._walk = program, walk_view(program)
        return self._walk[1]

    def code(self, lab: Lab, jited: JitedCode | None) -> Mapping[int, tuple[tuple[int, bytes, str], ...]]:
        """A program's machine code by slot."""
        from kprobesim.bpf.jit import listing

        if jited is None:
            return {}
        if self._code is None or self._code[0] is not jited:
            by_slot: dict[int, list[tuple[int, bytes, str]]] = {}
            for group in listing(jited.code, symbolize=lab.symbolize):
                slot = -1 if group.slot is None else jited.origin[group.slot]
                texts = [(x86.address, x86.raw, getattr(x86, "text", "(bad)")) for x86 in group.x86]
                by_slot.setdefault(slot, []).extend(texts)
            self._code = jited, {slot: tuple(texts) for slot, texts in by_slot.items()}
        return self._code[1]


def observe(lab: Lab, memory: Memory) -> Snapshot:
    """Look at a lab; nothing in it changes.

    Args:
        lab: in any state, also after a failure of its guest.
        memory: of the looks before, the same one each time.
    """
    registers = lab.registers()
    rip = registers["rip"]
    event = lab.last_event
    probed = _probed(lab)
    stack = lab.stack(_STACK_WORDS)
    maps = lab.maps()
    code = _code(lab, rip, probed)
    comm, pid = _task(lab)
    running = lab.bpf_view()
    shown = _program(lab, running)
    upcoming = code.here if not code.host and not code.asleep else None
    return Snapshot(
        kernel=lab.image.name,
        profile=lab.profile.value,
        cpus=len(lab.machine.cpus),
        moment=lab.moment,
        ns=lab.ns,
        cpu=lab.cpu,
        comm=comm,
        pid=pid,
        seq=lab.seq,
        total=lab.event_count,
        event=event,
        at_event=event is not None and event.moment == lab.moment,
        narration={} if event is None else {language: lab.narrate(event, language) for language in LANGUAGES},
        brief={} if event is None else {language: lab.narrate_briefly(event, language) for language in LANGUAGES},
        phase=lab.phase,
        serving=lab.serving,
        place=lab.symbolize(rip),
        next_text=_next_text(lab, rip) if upcoming is None else code.rows[upcoming].text,
        next_source=_source_before(code, upcoming),
        registers=registers,
        labels=register_labels(lab, registers, stack, maps),
        code=code,
        stack=stack,
        kprobe=lab.kprobes(),
        probed=probed,
        program=None if shown is None else _program_view(lab, shown, running, memory),
        maps=maps,
        events=_events(lab),
        tasks=lab.tasks(),
        vcpus=lab.cpus(),
        console=lab.terminal(_CONSOLE),
        track=memory.track.track(lab),
        walk=memory.walk(lab, shown),
    )


def _probed(lab: Lab) -> int | None:
    """The place of the newest event that is about a probe."""
    for seq in range(lab.seq - 1, max(lab.seq - _PROBE_WINDOW, 0) - 1, -1):
        event = lab.events(seq, seq + 1)[0]
        if event.kind.startswith("kprobe.") and event.cpu == lab.cpu and "addr" in event.fields:
            return int(event.fields["addr"])
    return None


def _task(lab: Lab) -> tuple[str, int]:
    try:
        task = lab.task()
        return task.name, task.tgid
    except KprobesimError:
        # The smallest kernels have no tasks.
        return "", 0


def _code(lab: Lab, rip: int, probed: int | None) -> CodeView:
    symbol = lab.kernel.kallsyms.lookup_size_offset(rip)
    stubs = {address for address, _ in lab.kernel.tables.hypercalls}
    host = symbol[0].name if symbol is not None and symbol[0].address in stubs else ""
    elsewhere = probed is not None and lab.kernel.kallsyms.lookup_size_offset(probed)
    # Where the host plays the very function that is probed, the CPU's own place is the better one.
    other = elsewhere and (symbol is None or elsewhere[0].address != symbol[0].address)
    current = probed if host and probed is not None and other else _under_way(lab, rip)
    rows = lab.code(current)
    patched = _patched(lab) if not host and _sleeps(rows, rip) else None
    if patched is not None:
        current, rows = patched, lab.code(patched)
    where = lab.kernel.kallsyms.lookup_size_offset(current)
    sources: dict[int, str] = {}
    for line in rows:
        if line.source is not None:
            text = lab.source_text(line.source)
            sources[line.address] = f"{line.source.line:>4} {' '.join((text or line.source.file).split())}"
    at = lab.source_line(current)
    return CodeView(
        name=where[0].name if where else "",
        start=where[0].address if where else (rows[0].address if rows else current),
        current=current,
        host=host,
        asleep=patched is not None,
        rows=rows,
        sources=sources,
        file=f"{at.file}:{at.line}" if at else "",
    )


def _under_way(lab: Lab, rip: int) -> int:
    """Where the CPU is, or the ``syscall`` of which an event tells: rip has left it, the kernel is not entered yet."""
    event = lab.last_event
    told = event is not None and event.kind == "syscall" and event.moment == lab.moment and event.fields["rip"] == rip
    return rip - _SYSCALL if told else rip


def _next_text(lab: Lab, rip: int) -> str:
    """The instruction about to run, where the code that is shown is another function's."""
    return next((line.text for line in lab.code(rip) if line.address == rip), "")


def _sleeps(rows: tuple[CodeLine, ...], rip: int) -> bool:
    """The CPU waits behind a hlt: its own code says nothing to anybody."""
    return any(line.text == "hlt" and line.address + len(line.original) == rip for line in rows)


def _patched(lab: Lab) -> int | None:
    """The function that was probed or patched last from outside, since anything else happened."""
    for seq in range(lab.seq - 1, max(lab.seq - _PROBE_WINDOW, 0) - 1, -1):
        event = lab.events(seq, seq + 1)[0]
        if event.kind in _AT_CODE:
            return int(event.fields["addr"])
        if event.kind not in _FROM_OUTSIDE:
            break
    return None


def _source_before(code: CodeView, index: int | None) -> str:
    """The source line that an instruction belongs to."""
    if index is None:
        return ""
    for line in reversed(code.rows[: index + 1]):
        if line.address in code.sources:
            return " ".join(code.sources[line.address].split()[1:])
    return ""


def _program(lab: Lab, inside: BpfView | None) -> Program | None:
    """The program that runs, otherwise the one that ran or was loaded last, otherwise any that is loaded."""
    running = lab.bpf.running or inside
    if running is not None:
        return running.program
    if not lab.bpf.programs:
        return None
    for seq in range(lab.seq - 1, max(lab.seq - _PROBE_WINDOW, 0) - 1, -1):
        event = lab.events(seq, seq + 1)[0]
        if event.kind in ("bpf.enter", "bpf.load") and event.fields["prog"] in lab.bpf.programs:
            return lab.bpf.programs[event.fields["prog"]]
    return next(reversed(lab.bpf.programs.values()))


def _program_view(lab: Lab, program: Program, running: BpfView | None, memory: Memory) -> ProgramView:
    lines = []
    for line in program.text().splitlines():
        slot, _, text = line.partition(": ")
        lines.append((int(slot), text))
    jited = running.jited if running is not None and running.jited is not None else lab.bpf.jited(program.name)
    return ProgramView(program.name, tuple(lines), running, memory.code(lab, jited))


def _events(lab: Lab) -> tuple[EventRow, ...]:
    seq = lab.seq
    around = lab.events(max(seq - _EVENTS_AROUND, 0), seq + _EVENTS_AROUND)
    return tuple(EventRow(event, brief(lab, event)) for event in around)
