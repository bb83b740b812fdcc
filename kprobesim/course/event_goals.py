"""Goals about what has happened, and about where in it the learner stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from kprobesim.course.conditions import AT_LEAST_ONE, Condition, as_number, read_conditions, read_optional_condition
from kprobesim.course.finding import Finding, GoalKind, View, last_line
from kprobesim.course.readings import events_behind
from kprobesim.course.strict import Strict
from kprobesim.lab import EVENT_KINDS, Phase

if TYPE_CHECKING:
    from kprobesim.lab import Event, Lab

__all__ = ["AtGoal", "ConsoleGoal", "EventGoal", "OrderGoal"]

_SINCE: Final = ("start", "task")


@dataclass(frozen=True)
class _Pattern:
    """Events of a kind whose fields are as they must be."""

    kind: str
    where: Mapping[str, Condition]

    @classmethod
    def read(cls, table: Strict) -> _Pattern:
        kind = table.text("event")
        if kind not in EVENT_KINDS:
            table.refuse(f"there is no event kind {kind[:40]!r}.", "event", hint="docs/events.md lists them.")
        where = read_conditions(table, "where")
        known = [field.name for field in EVENT_KINDS[kind].fields]
        for name in where:
            if name not in known and name != "cpu":
                table.refuse(f"{kind} has no field {name[:40]!r}.", "where", hint=f"Fields: {', '.join(known)}, cpu.")
        return cls(kind, where)

    def fits(self, lab: Lab, event: Event) -> bool:
        if event.kind != self.kind:
            return False
        values = {**event.fields, "cpu": event.cpu}
        return all(name in values and wanted.holds(lab, values[name]) for name, wanted in self.where.items())

    def __str__(self) -> str:
        return " ".join([self.kind, *(f"{name} {wanted}" for name, wanted in self.where.items())])


@dataclass(frozen=True)
class EventGoal(GoalKind):
    """Events of a kind lie behind the learner's moment."""

    name: ClassVar = "event"
    keys: ClassVar = {
        "event": "kind of event, from docs/events.md",
        "where": "conditions on its fields, and on cpu",
        "count": "how many there must be; at least one by default",
        "since": "start (the default), or task: only those after the task before was done",
    }
    pattern: _Pattern
    count: Condition
    since: str

    @classmethod
    def read(cls, table: Strict) -> EventGoal:
        """From the lesson's file."""
        pattern = _Pattern.read(table)
        count = read_optional_condition(table, "count") or AT_LEAST_ONE
        return cls(pattern, count, table.choice("since", _SINCE, "start"))

    def check(self, view: View) -> Finding:
        """Look."""
        found = events_behind(view.lab, view.starts[self.since], self.pattern.kind)
        number = sum(self.pattern.fits(view.lab, event) for event in found)
        met = self.count.holds(view.lab, number)
        return Finding(met, {"event": self.pattern, "count": self.count, "found": number, "others": len(found)})


@dataclass(frozen=True)
class AtGoal(GoalKind):
    """The machine stands somewhere now."""

    name: ClassVar = "at"
    keys: ClassVar = {
        "event": "the newest event behind the moment is of this kind",
        "where": "conditions on its fields",
        "place": "where the CPU is, symbol+offset",
        "phase": "the phase of a hit, as the banner shows it",
        "ring": "0 in the kernel, 3 in a program",
    }
    pattern: _Pattern | None
    place: str
    phase: str
    ring: int | None

    @classmethod
    def read(cls, table: Strict) -> AtGoal:
        """From the lesson's file."""
        pattern = _Pattern.read(table) if "event" in table else None
        table.any("where")
        place = table.text("place", "", limit=200)
        phase = table.choice("phase", [*(phase.value for phase in Phase), ""], "")
        ring = table.number("ring", most=3) if "ring" in table else None
        table.any("ring")
        if pattern is None and not place and not phase and ring is None:
            table.refuse("the goal says nothing about where to be.")
        return cls(pattern, place, phase, ring)

    def check(self, view: View) -> Finding:
        """Look."""
        lab = view.lab
        registers, last = lab.registers(), lab.last_event
        here = "user" if registers["cs"] & 3 else lab.symbolize(registers["rip"])
        wanted: list[str] = []
        met = True
        if self.pattern is not None:
            wanted.append(str(self.pattern))
            met = last is not None and lab.moment == last.moment and self.pattern.fits(lab, last)
        if self.place:
            wanted.append(self.place)
            met = met and as_number(lab, self.place) == registers["rip"]
        if self.phase:
            wanted.append(self.phase)
            met = met and lab.phase.value == self.phase
        if self.ring is not None:
            wanted.append(f"ring {self.ring}")
            met = met and registers["cs"] & 3 == self.ring
        event = last.kind if last is not None else "-"
        return Finding(met, {"wanted": ", ".join(wanted), "here": here, "event": event, "phase": lab.phase.value})


@dataclass(frozen=True)
class OrderGoal(GoalKind):
    """Events happened in an order; others may lie between them."""

    name: ClassVar = "order"
    keys: ClassVar = {
        "events": "a list of tables { event = ..., where = ... }, 2 to 16",
        "since": "start (the default), or task",
    }
    patterns: tuple[_Pattern, ...]
    since: str

    @classmethod
    def read(cls, table: Strict) -> OrderGoal:
        """From the lesson's file."""
        patterns = []
        for one in table.tables("events", most=16):
            patterns.append(_Pattern.read(one))
            one.done()
        if len(patterns) < 2:
            table.refuse("an order has at least two events.", "events")
        return cls(tuple(patterns), table.choice("since", _SINCE, "start"))

    def check(self, view: View) -> Finding:
        """Look."""
        reached = 0
        for event in view.lab.events(view.starts[self.since], view.lab.seq):
            if reached < len(self.patterns) and self.patterns[reached].fits(view.lab, event):
                reached += 1
        met = reached == len(self.patterns)
        missing = "" if met else self.patterns[reached]
        order = " → ".join(map(str, self.patterns))
        return Finding(met, {"order": order, "reached": reached, "all": len(self.patterns), "missing": missing})


@dataclass(frozen=True)
class ConsoleGoal(GoalKind):
    """A text that the console has printed."""

    name: ClassVar = "console"
    keys: ClassVar = {
        "contains": "the text; it may lie anywhere in a line",
        "since": "start (the default), or task",
    }
    contains: str
    since: str

    @classmethod
    def read(cls, table: Strict) -> ConsoleGoal:
        """From the lesson's file."""
        text = table.text("contains", limit=1000)
        if not text:
            table.refuse("contains is empty.", "contains")
        return cls(text, table.choice("since", _SINCE, "start"))

    def check(self, view: View) -> Finding:
        """Look."""
        lines = [event.fields["text"] for event in events_behind(view.lab, view.starts[self.since], "console")]
        met = any(self.contains in line for line in lines)
        return Finding(met, {"wanted": self.contains, "found": last_line(lines)}, "why" if lines else "none")
