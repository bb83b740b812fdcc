"""What a key can make a lab do, as functions that run on the lab's own thread."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kprobesim.course.actions import parse_action
from kprobesim.course.perform import Budget, perform
from kprobesim.errors import BadInput
from kprobesim.i18n import Language
from kprobesim.lab import Grain, Moment, Stop
from kprobesim.lab.clock import insn_at
from kprobesim.tui.targets import Target
from kprobesim.tui.values import number_text
from kprobesim.tui.wording import say

if TYPE_CHECKING:
    from kprobesim.lab import Event, Lab

__all__ = ["GRAINS", "Interrupt", "Motion", "Outcome", "go_to_event", "go_to_place", "read_place", "step", "to_end"]
__all__ += [
    "back_to",
    "do_line",
    "finer",
    "go_to_moment",
    "in_turn",
    "moment_of",
    "repeated",
    "run_to",
    "run_to_place",
    "stay",
    "to_start",
    "type_line",
    "unless",
    "who_set",
]

Interrupt = Callable[[], bool]

GRAINS = (Grain.HIT, Grain.PHASE, Grain.LINE, Grain.INSTRUCTION, Grain.BPF)
"""From the coarsest to the finest."""

_PLACE = re.compile(r"0x[0-9a-fA-F]{1,16}|[A-Za-z_][\w.]{2,}(\+(0x[0-9a-fA-F]+|\d+))?")
_OOPS = re.compile(r"(?:^|\] )(\S[^\]]*: [0-9a-f]{4} \[#\d+\])")
"""The first line of an oops, as ``die`` of the kernel prints it."""
_FAR = 1_000_000_000
_WINDOWS = (2_000, 60_000, 1_000_000, 16_000_000, 1 << 60)
_HITS = ("kprobe.hit", "kprobe.opt_hit", "kprobe.miss", "rethook.handler", "fprobe.entry", "fprobe.exit")


def finer(grain: Grain, by: int) -> Grain:
    """The grain that is finer (1) or coarser (-1); the same one where there is none."""
    return GRAINS[min(max(GRAINS.index(grain) + by, 0), len(GRAINS) - 1)]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a motion ended, where that is worth a sentence: a key under ``outcome`` in the texts, or empty.

    Attributes:
        key: of the text.
        values: what fills its gaps; a mapping has one for each language.
    """

    key: str = ""
    values: dict[str, object] = field(default_factory=dict)

    def tell(self, language: Language) -> str:
        """The sentence; empty if there is none."""
        if not self.key:
            return ""
        here = {
            name: value.get(language) if isinstance(value, Mapping) else value for name, value in self.values.items()
        }
        return say(language, f"outcome.{self.key}", **here)


Motion = Callable[["Lab", Interrupt], Outcome]


def step(grain: Grain, *, back: bool = False) -> Motion:
    """One step at a grain; the outcome says so where there was nothing to step to."""

    def move(lab: Lab, interrupt: Interrupt) -> Outcome:
        begun = lab.seq
        moved = lab.step(grain, back=back, interrupt=interrupt)
        if interrupt():
            return Outcome()
        if back:
            return Outcome() if moved else Outcome("start")
        if grain is Grain.HIT and (words := _oops(lab, begun)):
            return Outcome("oops", {"text": words})
        return _forward(lab, grain, moved)

    return move


def _oops(lab: Lab, begun: int) -> str:
    """What the kernel printed if it ended a task for an error of its own on the way: nobody looks at the console then.

    Args:
        lab: where it is now.
        begun: how many events lay behind where it came from.
    """
    printed = (str(event.fields["text"]) for event in lab.events(begun, lab.seq) if event.kind == "console")
    return next((found[1] for text in printed if (found := _OOPS.search(text))), "")


def _forward(lab: Lab, grain: Grain, moved: bool) -> Outcome:
    last = lab.last_event
    kind = last.kind if last is not None and last.moment == lab.moment else ""
    if grain is Grain.HIT and kind not in _HITS:
        return Outcome("no_hit")
    if grain is Grain.BPF and not kind.startswith("bpf.") and lab.bpf_view() is None:
        return Outcome("no_bpf" if lab.bpf.programs else "no_program")
    return Outcome() if moved else Outcome("idle")


def to_start(lab: Lab, interrupt: Interrupt) -> Outcome:
    """To the beginning of the experiment."""
    lab.seek(lab.beginning)
    return Outcome("start")


def to_end(lab: Lab, interrupt: Interrupt) -> Outcome:
    """To the furthest place ever reached."""
    lab.seek_end()
    return Outcome("end")


def go_to_event(seq: int) -> Motion:
    """To just after an event, by its position in the stream counted from 0."""

    def move(lab: Lab, interrupt: Interrupt) -> Outcome:
        lab.seek(_known_event(lab, seq))
        return Outcome()

    return move


def _known_event(lab: Lab, seq: int) -> Event:
    if not 0 <= seq < lab.event_count:
        raise BadInput(f"There is no event {seq + 1:,}: {lab.event_count:,} are known.")
    return lab.events(seq, seq + 1)[0]


def go_to_moment(moment: Moment) -> Motion:
    """To a moment where the lab has been."""

    def move(lab: Lab, interrupt: Interrupt) -> Outcome:
        if moment.insn > lab.timeline.head:
            raise BadInput("That moment belongs to a future that was left behind.")
        lab.seek(moment)
        return Outcome()

    return move


def stay(lab: Lab, interrupt: Interrupt) -> Outcome:
    """Nowhere: only look again."""
    return Outcome()


def go_to_place(text: str) -> Motion:
    """To an event number, an instruction ``i123`` or a time ``24.6ms``; or on to a place in the code.

    Raises:
        BadInput: the text is none of these.
    """
    try:
        what, number = read_place(text)
    except BadInput:
        if _PLACE.fullmatch(text.strip()):
            return run_to_place(text.strip())
        raise
    if what == "event":
        return go_to_event(int(number) - 1)

    def move(lab: Lab, interrupt: Interrupt) -> Outcome:
        if what == "instruction":
            if int(number) > lab.timeline.head:
                raise BadInput(f"The machine has not been at instruction {int(number):,} yet.")
            lab.seek(int(number))
        else:
            if number > _known_ns(lab):
                raise BadInput(f"The machine has not been at {number / 1e6:,.3f} ms yet.")
            lab.seek_time(int(number))
        return Outcome()

    return move


def _known_ns(lab: Lab) -> int:
    """Up to when the machine is known to have lived; a time behind it might be an endless run away."""
    events = lab.events(max(lab.event_count - 1, 0))
    return max(lab.ns, *(event.ns for event in events), 0)


def moment_of(lab: Lab, text: str) -> Moment:
    """The moment that somebody typed, as for `go_to_place`; where the lab stands, if nothing was.

    Raises:
        BadInput: it cannot be read, or the machine has not been there.
    """
    if not text.strip():
        return lab.moment
    what, number = read_place(text)
    if what == "event":
        return _known_event(lab, int(number) - 1).moment
    if what == "time":
        return Moment(insn_at(lab.machine.log, int(number), lab.machine.ns_per_insn))
    return Moment(int(number))


def repeated(motion: Motion, count: int) -> Motion:
    """A motion made so often, or until it leads nowhere any more."""

    def move(lab: Lab, interrupt: Interrupt) -> Outcome:
        outcome = Outcome()
        for _ in range(count):
            before = lab.moment
            outcome = motion(lab, interrupt)
            if interrupt() or lab.moment == before:
                break
        return outcome

    return move


def unless(motion: Motion, over: Callable[[], bool]) -> Motion:
    """A motion that is not made if something is over when its turn comes; then one stays."""

    def move(lab: Lab, interrupt: Interrupt) -> Outcome:
        return stay(lab, interrupt) if over() else motion(lab, interrupt)

    return move


def in_turn(*motions: Motion) -> Motion:
    """One motion after the other; the last one says how it went."""

    def move(lab: Lab, interrupt: Interrupt) -> Outcome:
        outcome = Outcome()
        for motion in motions:
            outcome = motion(lab, interrupt)
            if interrupt():
                break
        return outcome

    return move


def run_to(address: int) -> Motion:
    """Forward to the next time that the instruction at an address is about to run."""

    def move(lab: Lab, interrupt: Interrupt) -> Outcome:
        stop = lab.run(to=address, instructions=_FAR, interrupt=interrupt)
        if stop is Stop.ADDRESS or interrupt():
            return Outcome()
        return Outcome("not_reached", {"place": lab.symbolize(address)})

    return move


def run_to_place(place: str) -> Motion:
    """Forward to a symbol, or some bytes behind it."""

    def move(lab: Lab, interrupt: Interrupt) -> Outcome:
        return run_to(lab.address_of(place))(lab, interrupt)

    return move


def back_to(address: int) -> Motion:
    """Back to the last time that the instruction at an address was about to run."""

    def move(lab: Lab, interrupt: Interrupt) -> Outcome:
        origin, frozen = lab.moment, lab.machine.frozen is not None
        for window in _WINDOWS:
            first = max(origin.insn - window, lab.start)
            lab.seek(Moment(first))
            found = lab.moment if lab.registers()["rip"] == address and first < origin.insn else None
            while not interrupt() and lab.moment.insn < origin.insn:
                if lab.run(to=address, instructions=origin.insn - lab.moment.insn, interrupt=interrupt) is Stop.LIMIT:
                    break
                if lab.moment >= Moment(origin.insn) or lab.registers()["rip"] != address:
                    break
                found = lab.moment
            if found is not None:
                lab.seek(found)
                return Outcome()
            if first == lab.start or interrupt():
                break
        lab.seek(origin) if frozen or not origin.event else lab.seek_end()
        return Outcome("not_before", {"place": lab.symbolize(address)})

    return move


def who_set(target: Target) -> Motion:
    """Back to where something got the value that it has now.

    Args:
        target: a register, a place in memory or in the code, or an element of a map.
    """

    def move(lab: Lab, interrupt: Interrupt) -> Outcome:
        from kprobesim.lab import last_register_write, last_write

        if target.kind == "element":
            return _last_update(lab, target)
        if target.kind == "register":
            name, writer = target.name, last_register_write(lab, target.name, interrupt)
        else:
            name, writer = f"{target.number:#x}", last_write(lab, target.number, target.size, interrupt)
        if writer is None:
            return Outcome("never_set", {"name": name})
        how = "set_by_host" if writer.event is not None else "set_by_next"
        return Outcome(how, {"name": name, "old": f"{writer.old:#x}", "new": f"{writer.new:#x}"})

    return move


def _last_update(lab: Lab, target: Target) -> Outcome:
    """Elements are set by programs and by system calls, and each time an event says so."""
    for seq in range(lab.seq - 1, -1, -1):
        event = lab.events(seq, seq + 1)[0]
        if event.moment.insn < lab.start:
            break
        same = event.kind == "map.update" and event.fields["map"] == target.name and event.fields["key"] == target.key
        if same and event.moment < lab.moment:
            lab.seek(event)
            return Outcome("element_set")
    return Outcome("never_set", {"name": f"{target.name}[{number_text(target.key)}]"})


def type_line(text: str) -> Motion:
    """Type a line at the console and run until the machine waits again; in the past this begins another future."""

    def move(lab: Lab, interrupt: Interrupt) -> Outcome:
        in_past = lab.timeline.in_past
        lab.type(text)
        lab.run(interrupt=interrupt)
        return Outcome("typed_in_past" if in_past else "typed", {"line": text})

    return move


def do_line(text: str, program: str = "") -> Motion:
    """Do something to the lab in the words of the lessons, as in ``attach by_pid vfs_read``.

    Args:
        text: the line.
        program: for ``program NAME``, its assembly.
    """

    def move(lab: Lab, interrupt: Interrupt) -> Outcome:
        perform(lab, parse_action(text, program), Path(), Budget(interrupt=interrupt))
        return Outcome("did", {"line": text})

    return move


_UNITS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 1_000_000_000}


def read_place(text: str) -> tuple[str, float]:
    """What a person typed: ``event``, ``instruction`` or ``time`` (in nanoseconds), and the number.

    Raises:
        BadInput: the text is none of these.
    """
    plain = text.strip().replace(",", "").lower()
    if re.fullmatch(r"\d+", plain):
        return "event", int(plain)
    if match := re.fullmatch(r"i\s*(\d+)", plain):
        return "instruction", int(match[1])
    if match := re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ns|us|µs|ms|s)", plain):
        return "time", float(match[1]) * _UNITS[match[2]]
    raise BadInput(f"{text!r} is not a place.", hint="Write 1234, i2500000 or 24.6ms.")
