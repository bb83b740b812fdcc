"""The assembler: reads the text that the kernel prints, and a little more.

::

    .type kprobe                                  ; what the program is for; or a section's name, .sec fentry/vfs_read
    .license GPL
    .map counts hash key=4 value=8 max_entries=64 flags=NO_PREALLOC|RDONLY

        call get_current_pid_tgid                 # helpers by name, with or without bpf_ and #number
        *(u32 *)(r10 -4) = r0
        r2 = r10
        r2 += -4
        r1 = map counts                           # or map[counts], or map[fd:3]
        call bpf_map_lookup_elem#1
        if r0 == 0 goto out                       # or goto pc+2
        r1 = 1
        lock *(u64 *)(r0 +0) += r1
    out:
        r0 = 0
        exit

Lines may begin with what a dump puts there (``3: (07) r2 += -4``); the opcode in brackets is then binding. ``#`` and
``;`` begin comments. Numbers are decimal or hex. ``r0 = 0x1122334455667788`` takes two slots where the number does not
fit a signed 32-bit immediate, or with ``ll`` behind it. Follows Linux kernel/bpf/disasm.c read backwards.
"""

from dataclasses import dataclass

from kprobesim.bpf.asm_insn import Fixup, InsnReader
from kprobesim.bpf.asm_line import Line, near, register
from kprobesim.bpf.helper_names import HELPER_IDS
from kprobesim.bpf.isa import (
    Insn,
    Level,
)
from kprobesim.bpf.maps import MAP_TYPES, MapFlag, MapSpec
from kprobesim.bpf.object.sections import section_target
from kprobesim.bpf.program import PROG_TYPES

__all__ = ["Assembly", "assemble"]

_DIRECTIVES = (".map", ".license", ".type", ".sec", ".name")
_MAP_KEYS = ("key", "value", "max_entries", "flags", "map_extra", "inner")
_EXPECTED = "key=, value=, max_entries=, flags=, map_extra= or inner="
_WITHOUT_KEYS = frozenset({"queue", "stack", "bloom_filter", "ringbuf", "user_ringbuf"})
_WITHOUT_VALUES = frozenset({"ringbuf", "user_ringbuf"})
_OF_DESCRIPTORS = frozenset({"prog_array", "perf_event_array", "array_of_maps", "hash_of_maps"})


@dataclass(frozen=True, slots=True)
class Assembly:
    """What a source text says.

    Attributes:
        insns: one entry per 8-byte slot; maps by name are LDDWs of Pseudo.MAP_IDX, numbered as in ``maps``.
        lines: for each slot, the number of its source line, from 1.
        labels: label -> slot.
        maps: the ``.map`` lines in order.
        type: of the program, ``kprobe`` unless told.
        license: empty unless told.
        name: empty unless told.
        section: what stands behind ``.sec``, as in a C program's ``SEC()``; it says the type as well.
    """

    insns: tuple[Insn, ...]
    lines: tuple[int, ...]
    labels: dict[str, int]
    maps: tuple[MapSpec, ...]
    type: str
    license: str
    name: str
    section: str = ""


class _Assembler:
    def __init__(self, level: Level) -> None:
        self.reader = InsnReader(level)
        self.insns: list[Insn] = []
        self.lines: list[int] = []
        self.labels: dict[str, int] = {}
        self.maps: list[MapSpec] = []
        self.properties = {"type": "kprobe", "license": "", "name": "", "section": ""}

    def feed(self, text: str, number: int) -> None:
        line = Line(text, number)
        if line.peek.text.startswith("."):
            self._directive(line)
            return
        if line.ahead(1).text == ":" and line.peek.kind in ("num", "word"):
            if line.peek.kind == "word":
                self._label(line)
            line.at += 2
        if line.peek.kind != "end":
            insns = self.reader.read(line, len(self.insns))
            self.insns += insns
            self.lines += [number] * len(insns)

    def result(self) -> Assembly:
        numbers = {spec.name: number for number, spec in enumerate(self.maps)}
        for fixup in self.reader.fixups:
            if fixup.kind == "map":
                value = self._known(fixup, numbers, "map", "Declare it: .map NAME hash key=4 value=8 max_entries=64")
            else:
                value = self._known(fixup, self.labels, "helper and no label" if fixup.kind == "call" else "label")
                value -= fixup.slot + 1
            if fixup.field == "off" and not -(1 << 15) <= value < 1 << 15:
                raise fixup.line.error(f"label {fixup.name!r} is {value} slots away", column=fixup.column)
            insn = self.insns[fixup.slot]
            self.insns[fixup.slot] = insn._replace(off=value) if fixup.field == "off" else insn._replace(imm=value)
        return Assembly(tuple(self.insns), tuple(self.lines), self.labels, tuple(self.maps), **self.properties)

    def _known(self, fixup: Fixup, known: dict[str, int], kind: str, otherwise: str = "") -> int:
        if fixup.name in known:
            return known[fixup.name]
        names = (*known, *HELPER_IDS) if fixup.kind == "call" else known
        hint = near(fixup.name.removeprefix("bpf_"), names) or otherwise
        raise fixup.line.error(f"there is no {kind} {fixup.name!r}", column=fixup.column, hint=hint)

    def _label(self, line: Line) -> None:
        label = line.peek
        if label.text in self.labels:
            raise line.error(f"label {label.text!r} is there twice")
        if register(label.text):
            raise line.error(f"{label.text!r} is a register and cannot be a label")
        self.labels[label.text] = len(self.insns)

    def _directive(self, line: Line) -> None:
        directive = line.next()
        if directive.text not in _DIRECTIVES:
            raise line.error(
                f"there is no directive {directive.text!r}",
                column=directive.column,
                expected=" ".join(_DIRECTIVES),
                hint=near(directive.text, _DIRECTIVES),
            )
        if directive.text == ".map":
            self._map(line)
            return
        rest = line.text[directive.column - 1 + len(directive.text) :].split("#")[0].split(";")[0].strip()
        if not rest:
            raise line.error(f"{directive.text} lacks its value", column=line.end.column)
        if directive.text == ".type" and rest not in PROG_TYPES[1:]:
            column = line.text.index(rest, directive.column) + 1
            raise line.error(f"there is no program type {rest!r}", column=column, hint=near(rest, PROG_TYPES))
        if directive.text == ".sec":
            target = section_target(rest)
            if target is None:
                column = line.text.index(rest, directive.column) + 1
                raise line.error(f"no section is called {rest!r}", column=column, hint="For example fentry/vfs_read.")
            self.properties |= {"type": target.type, "section": rest}
            return
        self.properties[directive.text[1:]] = rest

    def _map(self, line: Line) -> None:
        name = line.word("the map's name")
        if any(spec.name == name.text for spec in self.maps):
            raise line.error(f"map {name.text!r} is there twice", column=name.column)
        kind = line.word("a map type such as hash or array")
        if kind.text not in MAP_TYPES[1:]:
            raise line.error(f"there is no map type {kind.text!r}", column=kind.column, hint=near(kind.text, MAP_TYPES))
        values: dict[str, int] = {}
        inner = ""
        while line.peek.kind != "end":
            key = line.word(_EXPECTED)
            if key.text not in _MAP_KEYS:
                raise line.error(
                    f"a map has no {key.text!r}",
                    column=key.column,
                    expected=_EXPECTED,
                    hint=near(key.text, _MAP_KEYS),
                )
            line.need("=")
            if key.text == "inner":
                inner = self._inner(line)
            else:
                values[key.text] = _flags(line) if key.text == "flags" else line.integer()
        sizes = _sizes(kind.text, values)
        for missing in ("key", "value", "max_entries"):
            if missing not in sizes:
                raise line.error(f"the map lacks {missing}=", expected="key=, value= and max_entries=")
        self.maps.append(
            MapSpec(
                kind.text,
                sizes["key"],
                sizes["value"],
                sizes["max_entries"],
                values.get("flags", 0),
                name.text,
                values.get("map_extra", 0),
                inner,
            )
        )

    def _inner(self, line: Line) -> str:
        """The name of a map that is declared already."""
        name = line.word("the name of a map")
        known = [spec.name for spec in self.maps]
        if name.text not in known:
            hint = near(name.text, known) or "Declare the map that shows what those inside look like before this one."
            raise line.error(f"there is no map {name.text!r}", column=name.column, hint=hint)
        return name.text


def _sizes(kind: str, values: dict[str, int]) -> dict[str, int]:
    """The sizes that were given, and those that go without saying."""
    known: dict[str, int] = {}
    if kind in _WITHOUT_KEYS:
        known["key"] = 0
    if kind in _WITHOUT_VALUES:
        known["value"] = 0
    if kind in _OF_DESCRIPTORS:
        known["value"] = 4
        if kind != "hash_of_maps":
            known["key"] = 4
    return known | values


def _flags(line: Line) -> int:
    """A number, or names as ``NO_PREALLOC|RDONLY``, with or without BPF_F_."""
    if line.peek.kind == "num":
        return line.integer()
    value = 0
    while True:
        name = line.word("a flag such as NO_PREALLOC")
        plain = name.text.upper().removeprefix("BPF_F_")
        if plain not in MapFlag.__members__:
            hint = near(plain, MapFlag.__members__)
            raise line.error(f"there is no flag {name.text!r}", column=name.column, hint=hint)
        value |= MapFlag[plain]
        if not line.take("|"):
            return value


def assemble(text: str, level: Level = Level.V3) -> Assembly:
    """Assemble a source text.

    Args:
        text: see the top of this file.
        level: which instructions exist; V3 is Linux 6.1.

    Raises:
        AsmError: the first mistake, with its line and column.
    """
    assembler = _Assembler(level)
    for number, line in enumerate(text.splitlines(), 1):
        assembler.feed(line, number)
    return assembler.result()
