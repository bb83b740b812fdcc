"""Reading one value off the machine, in a few words::

register rip            a register of the vCPU whose turn it is
event rip               a field of the newest event behind this moment
count trap vector=14    how many such events lie behind this moment, since the start
byte vfs_read+0x0       1, 2, 4 or 8 bytes of memory as a number: byte, half, long, word
bytes 4 vfs_read        so many bytes of memory, in its order (64 at most)
map counts 7            the value of a map's element as a number; without a key, of its only element
entries counts          how many elements a map has
bpf r6                  of the BPF program that runs: r0 to r10, pc (its next slot), fp-8 (a word of its stack)
nmissed vfs_read        of the probe at a place
console                 the last line that the console printed
place                   where the CPU is: symbol+offset, or user
phase                   where in the life of a hit it is
status                  kprobe_status of this CPU
ring                    0 in the kernel, 3 in a program
task                    the name of the task that runs
pid                     its pid
if                      the interrupt flag, 0 or 1
ns                      nanoseconds since power-on
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from kprobesim.course.conditions import as_number
from kprobesim.errors import BadInput
from kprobesim.lab import EVENT_KINDS
from kprobesim.machine import MemoryFault

if TYPE_CHECKING:
    from kprobesim.lab import Event, Lab, ProbeView

__all__ = [
    "READINGS",
    "Unmapped",
    "check_reading",
    "events_behind",
    "first_event",
    "kprobe_at",
    "memory_at",
    "read_value",
]

_SIZES: Final = {"byte": 1, "half": 2, "long": 4, "word": 8}
_MOST_BYTES: Final = 64
_IF: Final = 1 << 9
_BPF: Final = re.compile(r"r(?:[0-9]|10)|pc|fp-(?:[89]|[1-9][0-9]|[1-4][0-9][0-9]|50[0-9]|51[0-2])")

# What is read: least and most words behind it.
READINGS: Final[dict[str, tuple[int, int]]] = {
    "register": (1, 1), "event": (1, 1), "count": (1, 8), "byte": (1, 1), "half": (1, 1), "long": (1, 1),
    "word": (1, 1), "bytes": (2, 2), "map": (1, 2), "entries": (1, 1), "bpf": (1, 1), "nmissed": (1, 1),
    "console": (0, 0),
    "place": (0, 0), "phase": (0, 0), "status": (0, 0), "ring": (0, 0), "task": (0, 0), "pid": (0, 0),
    "if": (0, 0), "ns": (0, 0),
}  # fmt: skip


class Unmapped(BadInput):
    """Memory is to be read where none is mapped, which may change.

    Args:
        place: as the lesson names it.
    """

    def __init__(self, place: str) -> None:
        super().__init__(f"No memory is mapped at {place}.")
        self.place = place


def check_reading(text: str) -> str:
    """The reading itself, if it is one.

    Raises:
        BadInput: it is none.
    """
    what, *words = text.split() or [""]
    if what not in READINGS:
        raise BadInput(f"{what[:40]!r} cannot be read.", hint=f"What can be: {', '.join(READINGS)}.")
    least, most = READINGS[what]
    if not least <= len(words) <= most or len(text) > 200:
        raise BadInput(f"{what} needs {least} to {most} words.")
    if what == "count" and words[0] not in EVENT_KINDS:
        raise BadInput(f"There is no event kind {words[0][:40]!r}.", hint="docs/events.md lists them.")
    if what == "bpf" and not _BPF.fullmatch(words[0]):
        raise BadInput("bpf needs r0 to r10, pc, or a word of the stack, fp-8 to fp-512.")
    if what == "bytes" and not (words[0].isascii() and words[0].isdigit() and 1 <= int(words[0][:9]) <= _MOST_BYTES):
        raise BadInput(f"bytes needs a number from 1 to {_MOST_BYTES}, and a place.")
    return text


def read_value(lab: Lab, text: str) -> Any:
    """What a reading gives at this moment: a number, a text or bytes.

    Args:
        lab: the machine.
        text: as `check_reading` accepts it.

    Raises:
        KprobesimError: there is nothing of that name now, in one sentence.
    """
    what, *words = text.split()
    return _READ[what](lab, what, words)


def events_behind(lab: Lab, first: int, kind: str) -> list[Event]:
    """The events of a kind between a position of the stream and the present moment."""
    found = [event for event in lab.machine.log.kinds_before(lab.seq, {kind}) if event.seq >= first]
    return found[::-1]


def kprobe_at(lab: Lab, place: str) -> ProbeView | None:
    """The registered probe at a place or with a name."""
    address = as_number(lab, place)
    for probe in lab.kprobes().probes:
        if probe.address == address or probe.name == place:
            return probe
    return None


def memory_at(lab: Lab, place: str, size: int) -> bytes:
    """Guest memory at a place.

    Raises:
        BadInput: there is no such place.
        Unmapped: nothing is mapped there.
    """
    address = as_number(lab, place)
    if address is None:
        raise BadInput(f"The kernel has no place {place[:60]!r}.")
    try:
        return lab.read(address, size)
    except MemoryFault:
        raise Unmapped(place[:60]) from None


def _register(lab: Lab, _: str, words: list[str]) -> int:
    registers = lab.registers()
    if words[0] not in registers:
        raise BadInput(f"There is no register {words[0][:20]!r}.", hint=f"There are: {', '.join(registers)}.")
    return registers[words[0]]


def _event(lab: Lab, _: str, words: list[str]) -> Any:
    event = lab.last_event
    if event is None or words[0] not in event.fields:
        raise BadInput(f"The last event has no field {words[0][:40]!r}.")
    return event.fields[words[0]]


def _count(lab: Lab, _: str, words: list[str]) -> int:
    wanted = dict(word.partition("=")[::2] for word in words[1:])
    first = first_event(lab)
    return sum(
        all(_field_is(lab, event, name, value) for name, value in wanted.items())
        for event in events_behind(lab, first, words[0])
    )


def _field_is(lab: Lab, event: Event, name: str, value: str) -> bool:
    mine = event.fields.get(name)
    if isinstance(mine, str):
        return mine == value
    wanted = as_number(lab, value)
    return mine is not None and wanted is not None and as_number(lab, mine) == wanted


def first_event(lab: Lab) -> int:
    """Position of the first event after the start of the experiment."""
    for event in lab.machine.log.kinds_before(lab.seq, EVENT_KINDS):
        if event.moment <= lab.beginning:
            return event.seq + 1
    return 0


def _memory(lab: Lab, what: str, words: list[str]) -> int:
    return int.from_bytes(memory_at(lab, words[0], _SIZES[what]), "little")


def _bytes(lab: Lab, _: str, words: list[str]) -> bytes:
    return memory_at(lab, words[1], int(words[0]))


def _map(lab: Lab, _: str, words: list[str]) -> int:
    for view in lab.maps():
        if view.name == words[0]:
            entries = view.entries
            if len(words) == 2:
                key = as_number(lab, words[1])
                entries = tuple(entry for entry in entries if int.from_bytes(entry[0], "little") == key)
            if len(entries) != 1:
                raise BadInput(f"Map {words[0][:40]}: {len(entries)} elements fit.")
            return int.from_bytes(entries[0][1], "little")
    raise BadInput(f"There is no map {words[0][:40]!r} now.")


def _entries(lab: Lab, _: str, words: list[str]) -> int:
    for view in lab.maps():
        if view.name == words[0]:
            return len(view.entries)
    raise BadInput(f"There is no map {words[0][:40]!r} now.")


def _bpf(lab: Lab, _: str, words: list[str]) -> int:
    view = lab.bpf_view()
    if view is None:
        raise BadInput("No BPF program is running at this moment.")
    if words[0] == "pc":
        return view.pc
    if words[0].startswith("r"):
        return view.registers[int(words[0][1:])]
    begin = len(view.stack) - int(words[0][3:])
    return int.from_bytes(view.stack[begin : begin + 8], "little")


def _nmissed(lab: Lab, _: str, words: list[str]) -> int:
    probe = kprobe_at(lab, words[0])
    if probe is None:
        raise BadInput(f"There is no probe at {words[0][:60]}.")
    return probe.nmissed


def _console(lab: Lab, _: str, __: list[str]) -> str:
    lines = lab.console.rstrip().splitlines()
    return lines[-1] if lines else ""


def _place(lab: Lab, _: str, __: list[str]) -> str:
    registers = lab.registers()
    return "user" if registers["cs"] & 3 else lab.symbolize(registers["rip"])


_READ: Final[dict[str, Callable[[Lab, str, list[str]], Any]]] = {
    "register": _register, "event": _event, "count": _count, "byte": _memory, "half": _memory, "long": _memory,
    "word": _memory, "bytes": _bytes, "map": _map, "entries": _entries, "bpf": _bpf,
    "nmissed": _nmissed, "console": _console,
    "place": _place,
    "phase": lambda lab, _, __: lab.phase.value,
    "status": lambda lab, _, __: lab.kprobes().status,
    "ring": lambda lab, _, __: lab.registers()["cs"] & 3,
    "task": lambda lab, _, __: lab.task().comm.partition(b"\0")[0].decode(errors="replace"),
    "pid": lambda lab, _, __: lab.task().pid,
    "if": lambda lab, _, __: int(bool(lab.registers()["rflags"] & _IF)),
    "ns": lambda lab, _, __: lab.ns,
}  # fmt: skip

assert _READ.keys() == READINGS.keys()
