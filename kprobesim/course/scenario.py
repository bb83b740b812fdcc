"""A demo: a prepared machine, what is told of its life, and where the audience is asked to predict what comes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kprobesim.course.actions import Action
from kprobesim.course.conditions import as_text
from kprobesim.course.perform import Budget, perform
from kprobesim.course.start import Start, read_start
from kprobesim.course.strict import Strict, read_text, read_toml
from kprobesim.errors import BadInput, KprobesimError
from kprobesim.i18n import Language
from kprobesim.lab import EVENT_KINDS, Event

if TYPE_CHECKING:
    from kprobesim.lab import Lab

__all__ = ["Match", "Pause", "Refusal", "Scenario", "Scene", "read_scenario"]

_FORMAT: Final = 2
_RIP_PLACE: Final = re.compile(r"(\w+)@rip")


@dataclass(frozen=True, slots=True)
class Match:
    """An event to look for.

    Attributes:
        kind: its kind.
        fields: what its fields must be, as one reads them.
        nth: which one of those, from 1.
    """

    kind: str
    fields: Mapping[str, str]
    nth: int

    def holds(self, lab: Lab, event: Event) -> bool:
        """Whether an event is of this sort; which one of them is for the caller to count."""
        if event.kind != self.kind:
            return False
        return all(as_text(lab, event.fields.get(name, "")) == wanted for name, wanted in self.fields.items())


@dataclass(frozen=True, slots=True)
class Pause:
    """A question before an event, and its answer.

    Attributes:
        before: the event that gives the answer.
        questions, answers: by language.
    """

    before: Match
    questions: Mapping[str, str]
    answers: Mapping[str, str]

    def question(self, language: Language) -> str:
        """What the audience is asked."""
        return self.questions[language]

    def answer(self, language: Language) -> str:
        """What they should have said, and why."""
        return self.answers[language]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A program that the verifier refuses.

    Attributes:
        name: of its file.
        source: its text.
        log: what bpf(2) says.
        remarks: what to learn of it, by language.
    """

    name: str
    source: str
    log: str
    remarks: Mapping[str, str]


Scene = Event | Pause | Refusal


@dataclass(frozen=True)
class Scenario:
    """One demo, as its folder describes it.

    Attributes:
        id: name of its folder.
        folder: where it is.
        titles, summaries: by language.
        notes: what the teacher may want to say, by language.
        minutes: how long it takes.
        start: the machine and what is done to it.
        pauses: predictions, in the order of their events.
        refused: files of programs that are refused, and what to learn of them; told first.
        kinds: beginnings of the kinds of events to tell; the usual ones if there are none.
        each: how many of a kind are told at most.
        ends: the last event told; the end of the life if None.
    """

    id: str
    folder: Path
    titles: Mapping[str, str]
    summaries: Mapping[str, str]
    notes: Mapping[str, str]
    minutes: int
    start: Start
    pauses: tuple[Pause, ...]
    refused: tuple[tuple[str, Mapping[str, str]], ...]
    kinds: tuple[str, ...]
    each: int
    ends: Match | None

    def title(self, language: Language) -> str:
        """What it is called."""
        return self.titles[language]

    def summary(self, language: Language) -> str:
        """What it is about, one sentence."""
        return self.summaries[language]

    def text(self, language: Language) -> str:
        """The speaker's notes; empty if there are none."""
        return self.notes.get(language, "")

    @property
    def profile(self) -> str:
        """Name of the profile."""
        return self.start.profile

    def open(self) -> Lab:
        """Boot the machine, do what the demo says, and come back to the moment before it was done.

        What follows is then known: it can be stepped through, searched and jumped to.

        Raises:
            KprobesimError: the demo does not fit the kernel.
        """
        from kprobesim.lab import Lab

        start, budget = self.start, Budget()
        lab = Lab.open(
            start.kernel, profile=start.profile, cpus=start.cpus, seed=start.seed, optimization=start.optimization
        )
        lab.run(interrupt=budget)
        beginning = lab.moment.insn
        for action in start.actions:
            perform(lab, _resolved(lab, action), self.folder, budget)
        lab.run(interrupt=budget)
        lab.start = beginning
        lab.seek(beginning)
        return lab

    def asked(self, lab: Lab) -> tuple[tuple[int, Pause], ...]:
        """Where the audience is asked: the position of the event that answers, and the pause.

        Args:
            lab: from `open`, at any moment.
        """
        seen = [0] * len(self.pauses)
        return tuple(
            (event.seq, pause)
            for event in lab.events()
            if event.moment.insn >= lab.start
            for number, pause in enumerate(self.pauses)
            if self._is_due(lab, event, pause, seen, number)
        )

    def scenes(self, lab: Lab) -> Iterator[Scene]:
        """The demo from its beginning: refusals, then events, with each pause before the event that answers it.

        Args:
            lab: from `open`.

        Raises:
            KprobesimError: a program is not refused that should be.
        """
        for name, remarks in self.refused:
            yield self._refusal(lab, name, remarks)
        seen = [0] * len(self.pauses)
        told: dict[str, int] = {}
        ended = 0
        for event in lab.events(lab.seq):
            due = [pause for number, pause in enumerate(self.pauses) if self._is_due(lab, event, pause, seen, number)]
            yield from due
            told[event.kind] = told.get(event.kind, 0) + 1
            if told[event.kind] <= self.each or due:
                yield event
            if self.ends is not None and self.ends.holds(lab, event):
                ended += 1
                if ended == self.ends.nth:
                    return

    def _is_due(self, lab: Lab, event: Event, pause: Pause, seen: list[int], number: int) -> bool:
        if not pause.before.holds(lab, event):
            return False
        seen[number] += 1
        return seen[number] == pause.before.nth

    def _refusal(self, lab: Lab, name: str, remarks: Mapping[str, str]) -> Refusal:
        from kprobesim.bpf import LoadError
        from kprobesim.lab import Lab

        source = read_text(self.folder, name)
        origin = lab.moment
        try:
            Lab.open(self.start.kernel, profile=self.start.profile).load_program(source, Path(name).stem)
        except LoadError as error:
            return Refusal(name, source, getattr(error, "log", "") or str(error), remarks)
        finally:
            assert lab.moment == origin
        raise KprobesimError(f"{self.id}: {name} is accepted.")


def _resolved(lab: Lab, action: Action) -> Action:
    """``function@rip`` stands for the function's first instruction that reads memory relative to RIP."""
    words = tuple(_RIP_PLACE.sub(lambda found: _rip_relative(lab, found[1]), word) for word in action.words)
    return replace(action, words=words)


def _rip_relative(lab: Lab, function: str) -> str:
    start = lab.address_of(function)
    for line in lab.code(start):
        if "(%rip)" in line.text and "%gs:" not in line.text:
            return f"{function}+{line.address - start:#x}"
    raise BadInput(f"{function} has no RIP-relative instruction.")


def read_scenario(folder: Path, file_name: str) -> Scenario:
    """Read a demo's description.

    Args:
        folder: its folder.
        file_name: ``demo.toml``.

    Raises:
        BadInput: the file is missing, damaged, or says something that makes no sense.
    """
    table = read_toml(folder, file_name)
    if table.number("format_version", 0) != _FORMAT:
        table.refuse(f"format_version is not {_FORMAT}.", "format_version", hint="It was made for another version.")
    ends = table.table("ends") if "ends" in table else None
    show = table.table("show")
    scenario = Scenario(
        id=folder.name,
        folder=folder,
        titles=table.by_language("title"),
        summaries=table.by_language("summary"),
        notes=table.by_language("notes", needed=False),
        minutes=table.number("minutes", 5, least=1, most=240),
        start=read_start(table.table("start")),
        pauses=tuple(_pause(each) for each in table.tables("pause")),
        refused=tuple(_refused(each) for each in table.tables("refused")),
        kinds=show.texts("kinds"),
        each=show.number("each", 1_000_000, least=1),
        ends=None if ends is None else _match(ends, "after"),
    )
    show.done()
    if ends is not None:
        ends.done()
    table.done()
    return scenario


def _pause(table: Strict) -> Pause:
    pause = Pause(_match(table, "before"), table.by_language("question"), table.by_language("answer"))
    table.done()
    return pause


def _refused(table: Strict) -> tuple[str, Mapping[str, str]]:
    name = table.text("program", limit=255)
    if Path(name).name != name or not name.endswith(".bpf"):
        table.refuse(f"program must be a .bpf file of the same folder, not {name!r}.", "program")
    found = name, table.by_language("remark")
    table.done()
    return found


def _match(table: Strict, key: str) -> Match:
    kind = table.choice(key, EVENT_KINDS)
    known = [field.name for field in EVENT_KINDS[kind].fields]
    fields: dict[str, str] = {}
    given: Any = table.any("fields")
    if given is not None:
        if not isinstance(given, dict):
            table.refuse("fields must be a table.", "fields")
        for name, value in given.items():
            if name not in known:
                table.refuse(f"{kind} has no field {name[:40]!r}.", "fields", hint=f"Fields: {', '.join(known)}.")
            fields[name] = str(value)[:200]
    return Match(kind, fields, table.number("nth", 1, least=1, most=100_000))
