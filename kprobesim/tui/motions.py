"""What a key can make a lab do, as functions that run on the lab's own thread."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from kprobesim.errors import BadInput
from kprobesim.lab import Grain, Lab

__all__ = ["GRAINS", "Interrupt", "Motion", "Outcome", "go_to_event", "go_to_place", "read_place", "step", "to_end"]
__all__ += ["to_start"]

Interrupt = Callable[[], bool]

GRAINS = (Grain.HIT, Grain.PHASE, Grain.LINE, Grain.INSTRUCTION, Grain.BPF)
"""From the coarsest to the finest."""

_HITS = ("kprobe.hit", "kprobe.opt_hit", "kprobe.miss", "rethook.handler", "fprobe.entry", "fprobe.exit")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a motion ended, where that is worth a sentence: a key under ``outcome`` in the texts, or empty."""

    key: str = ""
    values: dict[str, object] = field(default_factory=dict)


Motion = Callable[[Lab, Interrupt], Outcome]


def step(grain: Grain, *, back: bool = False) -> Motion:
    """One step at a grain; the outcome says so where there was nothing to step to."""

    def move(lab: Lab, interrupt: Interrupt) -> Outcome:
        moved = lab.step(grain, back=back, interrupt=interrupt)
        if interrupt():
            return Outcome()
        if back:
            return Outcome() if moved else Outcome("start")
        return _forward(lab, grain, moved)

    return move


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
    lab.seek(lab.start)
    return Outcome("start")


def to_end(lab: Lab, interrupt: Interrupt) -> Outcome:
    """To the furthest place ever reached."""
    lab.seek_end()
    return Outcome("end")


def go_to_event(seq: int) -> Motion:
    """To just after an event, by its position in the stream counted from 0."""

    def move(lab: Lab, interrupt: Interrupt) -> Outcome:
        if not 0 <= seq < lab.event_count:
            raise BadInput(f"There is no event {seq + 1:,}: {lab.event_count:,} are known.")
        lab.seek(lab.events(seq, seq + 1)[0])
        return Outcome()

    return move


def go_to_place(text: str) -> Motion:
    """To an event number, an instruction ``i123`` or a time ``24.6ms``.

    Raises:
        BadInput: the text is none of these.
    """
    what, number = read_place(text)
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
