"""A lab as linear text: for screen readers, for pipes, and for those who like a prompt.

One command a line. What does something to the machine or moves it is written as in the lessons; what is asked about it
is a word of its own, answered in sentences, one thing a line, with nothing that only a column or a colour says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import click

from kprobesim.bpf.verifier import Rejected
from kprobesim.cli.ctrl_c import DROPPED, CtrlC, body
from kprobesim.course.actions import VERBS, parse_action
from kprobesim.course.perform import Budget, perform
from kprobesim.errors import BadInput, KprobesimError
from kprobesim.i18n import Language, Texts
from kprobesim.kprobes import FixUp
from kprobesim.lab import Event, Lab, Profile, last_register_write, last_write
from kprobesim.lab.change import Change, FixUpOff, ProfileChange, read_bytes, read_register
from kprobesim.lab.files import list_directory, read_file
from kprobesim.lab.parting import memory_side_by_side, side_by_side
from kprobesim.lab.views import ProbeView
from kprobesim.lab.whatif import what_if

__all__ = ["PlainLab"]

_TEXTS: Final = Texts("kprobesim.cli.texts")
_LESSON_VERBS: Final = ("answer", "predict")
_KERNEL: Final = 0xFFFF_FFFF_8000_0000
_CODE_AHEAD: Final = 8
_STACK: Final = 16
_CONSOLE: Final = 4096
_EVENTS: Final = 10
_MOST: Final = 200
_DIFFERENCES: Final = 12
_JMP: Final = 0xE9


class PlainLab:
    """Somebody's way through a lab, command by command.

    Args:
        lab: the machine.
        language: to speak.
        say: prints a line.
    """

    def __init__(self, lab: Lab, language: Language, say: Callable[[str], None] = click.echo) -> None:
        self._lab, self._language, self._say = lab, language, say
        self._before = lab.registers()
        self._ctrl_c = CtrlC()
        self._questions: dict[str, Callable[[str], Iterable[str]]] = {
            "look": lambda _: self._look(),
            "registers": lambda _: self._registers(lab.registers()),
            "changed": lambda _: self._changed(),
            "code": self._code,
            "stack": lambda _: self._stack(),
            "kprobes": lambda _: self._kprobes(),
            "bpf": lambda _: self._bpf(),
            "maps": lambda _: self._maps(),
            "events": self._events,
            "tasks": lambda _: self._tasks(),
            "console": lambda _: lab.terminal(_CONSOLE).splitlines()[-_STACK:],
            "who": self._who,
            "what-if": self._what_if,
            "ls": self._list,
            "show": lambda path: read_file(lab, path).splitlines(),
            "help": lambda _: self._text("help").strip().splitlines(),
        }

    def run(self, lines: Iterator[str]) -> None:
        """Take commands until they end, or one says ``quit``.

        Args:
            lines: what is typed.
        """
        self._say(self._text("welcome", kernel=self._lab.image.name, profile=self._lab.profile.value))
        self._tell(self._look())
        for line in lines:
            if line.strip() in ("quit", "exit"):
                return
            try:
                self._take(line.strip(), lines)
            except Rejected as refusal:
                self._tell([str(refusal), *refusal.log.splitlines()])
            except KprobesimError as error:
                self._say(str(error))

    def _take(self, line: str, lines: Iterator[str]) -> None:
        word, _, rest = line.partition(" ")
        if not line or line.startswith(("#", DROPPED)):
            return
        if word in self._questions:
            with self._ctrl_c:
                self._tell(self._questions[word](rest.strip()))
            self._say_stopped()
            return
        if word not in VERBS or word in _LESSON_VERBS:
            known = ", ".join([*(verb for verb in VERBS if verb not in _LESSON_VERBS), *self._questions, "quit"])
            raise BadInput(f"{word[:40]!r} is not a command.", hint=f"Commands: {known}.")
        text = body(lines, self._say, self._language) if word == "program" else ""
        if text is None:
            return
        self._act(line, text)

    def _act(self, line: str, body: str) -> None:
        lab = self._lab
        self._before, before, moment = lab.registers(), lab.seq, lab.moment
        with self._ctrl_c:
            printed = perform(lab, parse_action(line, body), Path(), Budget(interrupt=self._ctrl_c.was_pressed))
        if printed:
            self._say(printed.rstrip("\n"))
        self._say_stopped()
        event = lab.last_event
        if event is not None and lab.seq != before:
            self._say(self._sentence(event, why=True))
        elif lab.moment == moment:
            self._say(self._text("stays"))
        self._tell(self._look())

    def _say_stopped(self) -> None:
        if self._ctrl_c.was_pressed():
            self._say(self._text("stopped"))

    # Answers

    def _look(self) -> Iterator[str]:
        lab = self._lab
        registers = lab.registers()
        line = next((line for line in lab.code(registers["rip"]) if line.address == registers["rip"]), None)
        yield self._text(
            "where", ms=f"{lab.ns / 1e6:.3f}", cpu=lab.cpu, place=lab.symbolize(registers["rip"]),
            phase=lab.phase_name, event=lab.seq, total=lab.event_count,
        )  # fmt: skip
        if line is not None:
            yield self._text("next", text=" ".join(line.text.split()))

    def _registers(self, values: dict[str, int]) -> Iterator[str]:
        for name, value in values.items():
            place = self._lab.symbolize(value) if value >= _KERNEL else ""
            yield f"{name} {value:#x}" + (f", {place}" if place and not place.startswith("0x") else "")

    def _changed(self) -> Iterator[str]:
        now = self._lab.registers()
        changed = [name for name in now if now[name] != self._before[name]]
        if not changed:
            yield self._text("nothing_changed")
        for name in changed:
            yield self._text("changed", name=name, old=f"{self._before[name]:#x}", new=f"{now[name]:#x}")

    def _code(self, place: str) -> Iterator[str]:
        lab = self._lab
        start = lab.address_of(place) if place else lab.registers()["rip"]
        lines = [line for line in lab.code(start) if line.address >= start][:_CODE_AHEAD]
        if not lines:
            yield self._text("no_code", address=f"{start:#x}")
        for line in lines:
            text = self._text(
                "instruction", place=lab.symbolize(line.address), bytes=line.memory.hex(" "),
                text=" ".join(line.text.split()),
            )  # fmt: skip
            yield text + (self._text("hidden", byte=line.original[:1].hex()) if line.memory != line.original else "")

    def _stack(self) -> Iterator[str]:
        for word in self._lab.stack(_STACK):
            named = " ".join(part for part in (word.field, word.symbol) if part)
            yield f"{word.address:#x}: {word.value:#x}" + (f", {named}" if named else "")

    def _kprobes(self) -> Iterator[str]:
        view = self._lab.kprobes()
        yield self._text("ctlblk", current=view.current or "NULL", status=view.status)
        for probe in view.probes:
            yield self._probe(probe)
        if not view.probes:
            yield self._text("no_probe")

    def _probe(self, probe: ProbeView) -> str:
        jumps = probe.optimized and probe.byte == _JMP
        how = "ftrace" if probe.ftrace else "optimized" if jumps else "emulated" if probe.emulated else "slot"
        state = self._text("armed" if probe.armed else "disarmed")
        return self._text(
            "probe", place=self._lab.symbolize(probe.address), state=state, byte=f"{probe.byte:02x}",
            hidden=f"{probe.hidden:02x}", how=self._text(f"how_{how}", slot=f"{probe.slot:#x}"), nmissed=probe.nmissed,
        )  # fmt: skip

    def _bpf(self) -> Iterator[str]:
        lab = self._lab
        if not lab.bpf.programs:
            yield self._text("no_program")
        for program in lab.bpf.programs.values():
            yield self._text("program", name=program.name, type=program.type, insns=len(program.insns))
            yield from program.text().splitlines()
        for link in lab.bpf.attachments:
            yield self._text("attached", link=link)
        if (running := lab.bpf_view()) is not None:
            yield self._text("running", name=running.program.name, slot=running.pc, executed=running.executed)
            yield from (f"R{number} {value:#x}" for number, value in enumerate(running.registers))

    def _maps(self) -> Iterator[str]:
        maps = self._lab.maps()
        if not maps:
            yield self._text("no_map")
        for view in maps:
            yield self._text("map", name=view.name, type=view.type, used=len(view.entries), most=view.max_entries)
            for key, value in view.entries[:_MOST]:
                yield self._text("element", key=_number(key), value=_number(value))

    def _events(self, count: str) -> Iterator[str]:
        lab = self._lab
        wanted = int(count) if count.isascii() and count.isdigit() and len(count) < 5 else _EVENTS
        for event in lab.events(max(lab.seq - min(max(wanted, 1), _MOST), 0), lab.seq):
            yield f"{event.seq}: {self._sentence(event)}"

    def _sentence(self, event: Event, *, why: bool = False) -> str:
        told = self._lab.narrate(event, self._language)
        return (" " if self._language == "en" else "").join(told).strip() if why else told.what

    def _tasks(self) -> Iterator[str]:
        for cpu in self._lab.cpus():
            yield self._text("cpu", number=cpu.number, comm=cpu.comm or "-", pid=cpu.pid, place=cpu.place)
        for task in self._lab.tasks():
            yield self._text("task", pid=task.pid, comm=task.comm, parent=task.parent, state=task.state)

    def _who(self, name: str) -> Iterator[str]:
        lab = self._lab
        if name in lab.registers():
            writer = last_register_write(lab, name, self._ctrl_c.was_pressed)
        else:
            writer = last_write(lab, lab.address_of(name), 1, self._ctrl_c.was_pressed)
        if writer is None:
            if not self._ctrl_c.was_pressed():
                yield self._text("never_set", name=name)
            return
        yield self._text("set", name=name, old=f"{writer.old:#x}", new=f"{writer.new:#x}")
        yield from self._look()

    def _what_if(self, text: str) -> Iterator[str]:
        tried = what_if(self._lab, self._change(text), interrupt=self._ctrl_c.was_pressed)
        tried.go_to_parting()
        yield from tried.tell(self._language)
        if tried.parting is None:
            return
        for item in side_by_side(tried.before, tried.after)[:_DIFFERENCES]:
            yield self._text("differs", name=item.name, left=f"{item.left:#x}", right=f"{item.right:#x}")
        if tried.before.image.sha256 == tried.after.image.sha256:
            for place in memory_side_by_side(tried.before, tried.after, _DIFFERENCES):
                left, right = (data[:16].hex(" ") for data in (place.left, place.right))
                yield self._text("differs", name=place.place, left=left, right=right)

    def _change(self, text: str) -> Change:
        sort, _, value = text.partition(" ")
        fixups = {fixup.value: fixup for fixup in FixUp}
        match sort:
            case "byte":
                return read_bytes(value, self._lab.address_of)
            case "register":
                return read_register(value)
            case "profile":
                return ProfileChange(Profile.parse(value.strip()))
            case "without" if value.strip() in fixups:
                return FixUpOff(fixups[value.strip()])
        raise BadInput(
            "What should be different?",
            hint="what-if byte PLACE=HEX, register NAME=VALUE, profile NAME, or without " + " | ".join(fixups) + ".",
        )

    def _list(self, path: str) -> Iterator[str]:
        for entry in list_directory(self._lab, path.rstrip("/")):
            yield f"{entry.path}/" if entry.directory else entry.path

    def _tell(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._say(line)

    def _text(self, key: str, /, **values: Any) -> str:
        return _TEXTS.get(self._language, f"lab.{key}", **values) or key


def _number(raw: bytes) -> str:
    """An integer of one machine word or less, otherwise hex."""
    return f"{int.from_bytes(raw, 'little'):,}" if len(raw) in (1, 2, 4, 8) else raw.hex(" ")
