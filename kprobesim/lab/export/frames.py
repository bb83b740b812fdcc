"""What is shown of a life, event by event."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from kprobesim.i18n import LANGUAGES
from kprobesim.lab.lab import Lab
from kprobesim.lab.narration import Narration
from kprobesim.lab.recording import Bookmark
from kprobesim.machine import Event, Moment

__all__ = ["CodeRow", "Frame", "frames_of", "is_shown"]

_MOST: Final = 2_000
_AROUND: Final = 4
_CONSOLE: Final = 600
_REGISTERS: Final = (
    "rip", "rsp", "rflags", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10", "r11", "r12", "r13",
    "r14", "r15",
)  # fmt: skip
_KINDS: Final = (
    "input", "text.poke", "kprobe.", "rethook.", "ftrace.", "fprobe.", "bpf.", "map.", "trace.", "console", "task.exec",
    "panic",
)  # fmt: skip
_TRAPS: Final = (1, 3)


@dataclass(frozen=True, slots=True)
class CodeRow:
    """One instruction near RIP: its address, the bytes in memory, the text, whether it is next, and whether patched."""

    address: int
    memory: bytes
    text: str
    is_next: bool
    patched: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """The machine just after one event.

    Attributes:
        seq, ns, cpu, kind: the event's.
        narration: by language.
        place: where RIP is.
        function: the symbol that contains it.
        phase: where in the life of a hit.
        code: instructions around RIP.
        registers: the values by name.
        changed: registers that differ from those of the frame before on the same vCPU.
        console: the last of what was printed.
        notes: of bookmarks at this moment.
    """

    seq: int
    ns: int
    cpu: int
    kind: str
    narration: dict[str, Narration]
    place: str
    function: str
    phase: str
    code: tuple[CodeRow, ...]
    registers: dict[str, int]
    changed: frozenset[str]
    console: str
    notes: tuple[str, ...]


def is_shown(event: Event) -> bool:
    """Whether an event is worth a frame: what probes and programs do, and not every interrupt and system call."""
    return event.kind.startswith(_KINDS) or (event.kind in ("trap", "gate") and event.fields["vector"] in _TRAPS)


def frames_of(
    lab: Lab,
    bookmarks: Iterable[Bookmark] = (),
    *,
    most: int = _MOST,
    only: int | None = None,
    interrupt: Callable[[], bool] = lambda: False,
) -> list[Frame]:
    """A frame for each event worth one, from the start of the experiment on; the machine is left where it was.

    Args:
        lab: whose life.
        bookmarks: their events get a frame in any case.
        most: how many frames at most.
        only: the position of the one event to show, whatever its kind.
        interrupt: asked before each frame; when it is true the frames end there.
    """
    notes: dict[Moment, list[str]] = {}
    for mark in bookmarks:
        notes.setdefault(mark.moment, []).append(mark.note)
    origin = lab.moment
    frames: list[Frame] = []
    before: dict[int, dict[str, int]] = {}
    for event in lab.events():
        wanted = event.seq == only if only is not None else is_shown(event) or event.moment in notes
        if not wanted or event.moment.insn < lab.start:
            continue
        if len(frames) == most or interrupt():
            break
        lab.seek(event)
        frame = _frame(lab, event, before.get(event.cpu), tuple(notes.get(event.moment, ())))
        before[event.cpu] = frame.registers
        frames.append(frame)
    lab.seek(max(origin, Moment(lab.start)))
    return frames


def _frame(lab: Lab, event: Event, before: dict[str, int] | None, notes: tuple[str, ...]) -> Frame:
    values = lab.registers(event.cpu)
    registers = {name: values[name] for name in _REGISTERS}
    changed = frozenset(name for name in registers if before is not None and registers[name] != before[name])
    rip = registers["rip"]
    place = lab.symbolize(rip)
    return Frame(
        seq=event.seq,
        ns=event.ns,
        cpu=event.cpu,
        kind=event.kind,
        narration={language: lab.narrate(event, language) for language in LANGUAGES},
        place=place,
        function=place.partition("+")[0],
        phase=lab.phase_name,
        code=_code(lab, rip),
        registers=registers,
        changed=changed,
        console=lab.terminal(_CONSOLE),
        notes=notes,
    )


def _code(lab: Lab, rip: int) -> tuple[CodeRow, ...]:
    lines = lab.code(rip)
    at = next((number for number, line in enumerate(lines) if line.address >= rip), 0)
    first = max(0, min(at - _AROUND, len(lines) - 2 * _AROUND - 1))
    return tuple(
        CodeRow(line.address, line.memory, line.text, line.address == rip, line.patched)
        for line in lines[first : first + 2 * _AROUND + 1]
    )
