"""Goals about what is there: memory, registers, maps, probes, files, and the learner's answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

from kprobesim.course.conditions import AT_LEAST_ONE, Condition, as_text, read_condition, read_optional_condition
from kprobesim.course.finding import Finding, GoalKind, View, last_line
from kprobesim.course.questions import Computed, read_computed, read_options
from kprobesim.course.readings import check_reading, kprobe_at, memory_at, read_value
from kprobesim.course.strict import Strict

if TYPE_CHECKING:
    from kprobesim.lab import Lab

__all__ = ["AnswerGoal", "FileGoal", "KprobeGoal", "MapGoal", "MemoryGoal", "ValueGoal"]

_STATES: Final = ("registered", "absent", "armed", "disarmed", "optimized")
_MAX_COMPARED: Final = 256


@dataclass(frozen=True)
class MemoryGoal(GoalKind):
    """Bytes of memory at a place."""

    name: ClassVar = "memory"
    keys: ClassVar = {"place": "symbol+offset or address", "bytes": "hexadecimal digits, in the order of memory"}
    place: str
    data: bytes

    @classmethod
    def read(cls, table: Strict) -> MemoryGoal:
        """From the lesson's file."""
        place = table.text("place", limit=200)
        try:
            data = bytes.fromhex(table.text("bytes", limit=3 * _MAX_COMPARED))
        except ValueError:
            table.refuse("bytes must be hexadecimal digits, two for each byte.", "bytes")
        if not 1 <= len(data) <= _MAX_COMPARED:
            table.refuse(f"bytes must be 1 to {_MAX_COMPARED}.", "bytes")
        return cls(place, data)

    def asked(self) -> Mapping[str, object]:
        """The place and the bytes."""
        return {"place": self.place, "wanted": self.data.hex(" ")}

    def check(self, view: View) -> Finding:
        """Look."""
        there = memory_at(view.lab, self.place, len(self.data))
        return Finding(there == self.data, {**self.asked(), "found": there.hex(" ")})


@dataclass(frozen=True)
class ValueGoal(GoalKind):
    """A value read off the machine: a register, a word of memory, a map's element, a counter."""

    name: ClassVar = "value"
    keys: ClassVar = {"read": "what to read, see Readings", "is": "a condition"}
    reading: str
    condition: Condition

    @classmethod
    def read(cls, table: Strict) -> ValueGoal:
        """From the lesson's file."""
        reading = table.parsed("read", "", check_reading)
        return cls(reading, read_condition(table, "is", table.any("is")))

    def asked(self) -> Mapping[str, object]:
        """The reading and the condition."""
        return {"reading": self.reading, "wanted": self.condition}

    def check(self, view: View) -> Finding:
        """Look."""
        value = read_value(view.lab, self.reading)
        found = as_text(view.lab, value)
        return Finding(self.condition.holds(view.lab, value), {**self.asked(), "found": found})


@dataclass(frozen=True)
class MapGoal(GoalKind):
    """What is in a BPF map: an element with some key and value, or so many of them."""

    name: ClassVar = "map"
    keys: ClassVar = {
        "map": "its name",
        "key": "condition on the key, as a number; any key by default",
        "value": "condition on the value, as a number; any value by default",
        "count": "how many such elements; at least one by default",
    }
    map: str
    key: Condition | None
    value: Condition | None
    count: Condition

    @classmethod
    def read(cls, table: Strict) -> MapGoal:
        """From the lesson's file."""
        name = table.text("map", limit=64)
        key, value, count = (read_optional_condition(table, which) for which in ("key", "value", "count"))
        return cls(name, key, value, count or AT_LEAST_ONE)

    def check(self, view: View) -> Finding:
        """Look."""
        wanted = ", ".join(f"{name} {test}" for name, test in (("key", self.key), ("value", self.value)) if test)
        values: dict[str, object] = {"map": self.map, "wanted": wanted or "*", "count": self.count}
        for which in view.lab.maps():
            if which.name == self.map:
                number = sum(self._fits(view.lab, entry) for entry in which.entries)
                some = ", ".join(f"{_number(key)}: {_number(value)}" for key, value in which.entries[:8])
                met = self.count.holds(view.lab, number)
                return Finding(met, {**values, "found": number, "entries": some}, "why" if some else "empty")
        return Finding(False, values, "none")

    def _fits(self, lab: Lab, entry: tuple[bytes, bytes]) -> bool:
        return all(
            test is None or test.holds(lab, _number(data))
            for test, data in zip((self.key, self.value), entry, strict=True)
        )


@dataclass(frozen=True)
class FileGoal(GoalKind):
    """What ``cat`` of a file of the machine would show."""

    name: ClassVar = "file"
    quick: ClassVar = False
    keys: ClassVar = {
        "path": "absolute path",
        "contains": "a text that is in it",
        "lacks": "a text that is not in it",
    }
    path: str
    contains: str
    lacks: str

    @classmethod
    def read(cls, table: Strict) -> FileGoal:
        """From the lesson's file."""
        path = table.text("path", limit=200)
        if not path.startswith("/") or not path.isprintable() or any(mark in path for mark in " '\"\\;&|<>$`#"):
            table.refuse("path must be absolute, without blanks and quotes.", "path")
        goal = cls(path, table.text("contains", "", limit=1000), table.text("lacks", "", limit=1000))
        if not goal.contains and not goal.lacks:
            table.refuse("the goal says neither what the file contains nor what it lacks.")
        return goal

    def check(self, view: View) -> Finding:
        """Look."""
        text = view.read_file(self.path)
        wanted = " / ".join([f"+ {self.contains!r}"] * bool(self.contains) + [f"- {self.lacks!r}"] * bool(self.lacks))
        values: dict[str, object] = {"path": self.path, "wanted": wanted}
        if text is None:
            return Finding(False, values, "none")
        met = self.contains in text and not (self.lacks and self.lacks in text)
        return Finding(met, {**values, "found": last_line(text.splitlines())}, "why" if text else "empty")


@dataclass(frozen=True)
class KprobeGoal(GoalKind):
    """A kprobe at a place, or none."""

    name: ClassVar = "kprobe"
    keys: ClassVar = {
        "place": "symbol+offset, address, or the probe's name",
        "state": "registered (the default), absent, armed, disarmed, optimized",
    }
    place: str
    state: str

    @classmethod
    def read(cls, table: Strict) -> KprobeGoal:
        """From the lesson's file."""
        return cls(table.text("place", limit=200), table.choice("state", _STATES, "registered"))

    def check(self, view: View) -> Finding:
        """Look."""
        probe = kprobe_at(view.lab, self.place)
        if probe is None:
            state = {"absent"}
        else:
            state = {"registered", "armed" if probe.armed else "disarmed"} | (
                {"optimized"} if probe.optimized else set()
            )
        found = next(word for word in reversed(_STATES) if word in state)
        return Finding(self.state in state, {"place": self.place, "wanted": self.state}, found)


@dataclass(frozen=True)
class AnswerGoal(GoalKind):
    """The answer to a question: a number, a text or a choice."""

    name: ClassVar = "answer"
    quick: ClassVar = False
    keys: ClassVar = {
        "question": "by language",
        "is": "what is accepted: a number, a text, or a list of them; a place in the kernel equals its address",
        "machine": "instead of is: { after = actions, read = a reading }, which the machine works out",
        "option": "for a choice: a list of tables with text.en and text.zh; is counts them from 1",
    }
    question: Mapping[str, str]
    accepted: tuple[Condition, ...]
    machine: Computed | None
    options: tuple[Mapping[str, str], ...]

    @classmethod
    def read(cls, table: Strict) -> AnswerGoal:
        """From the lesson's file."""
        question = table.by_language("question")
        options = tuple(option.text for option in read_options(table))
        machine = read_computed(table)
        given = table.any("is")
        accepted = given if isinstance(given, list) else [] if given is None else [given]
        if bool(accepted) == (machine is not None):
            table.refuse("an answer needs either is or machine.")
        if len(accepted) > 16:
            table.refuse("is lists more than 16 answers.", "is")
        if options and any(type(one) is not int or not 1 <= one <= len(options) for one in accepted):
            table.refuse(f"is must be the number of an option, 1 to {len(options)}.", "is")
        return cls(question, tuple(read_condition(table, "is", one) for one in accepted), machine, options)

    def check(self, view: View) -> Finding:
        """Look."""
        given = view.answer
        if given is None:
            return Finding(False, {}, "none")
        accepted = self.accepted
        if self.machine is not None:
            accepted = (Condition((("eq", view.compute(self.machine)),)),)
        return Finding(any(one.holds(view.lab, given) for one in accepted), {"given": given[:60]})


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")
