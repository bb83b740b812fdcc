"""Why a program was refused, for people: records first, see ``explain_text`` for their words.

The kernel's message is looked up among its templates; the instruction is found in the source; for the registers that
matter, the failing path is walked back to where their values come from.
"""

import functools
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files

from kprobesim.bpf.disasm import insn_text
from kprobesim.bpf.isa import Insn, Level
from kprobesim.bpf.verifier.log import reg_text
from kprobesim.bpf.verifier.reg import Reg
from kprobesim.bpf.verifier.reg_type import NOT_INIT, PTR_TO_STACK
from kprobesim.bpf.verifier.state import BPF_REG_FP, SLOT0
from kprobesim.bpf.verifier.verifier import Verdict
from kprobesim.bpf.verifier.walk import Origin, Walk, place_name, read_places
from kprobesim.linux_errno import Errno

__all__ = ["Decision", "Diagnostic", "Fact", "Spot", "explain", "match_message"]

_MOST_FACTS = 3
_MOST_ORIGINS = 8
_MOST_PROCESSED = 100_000
_REGISTER = re.compile(r"\bR(\d+)\b")
_ACCESS = re.compile(r"\*\(u\d+ \*\)\(r(\d+) [+-]\s*\w+\)")


@dataclass(frozen=True, slots=True)
class Spot:
    """A piece of source.

    Attributes:
        line: number of its line from 1, or None where the source is the disassembly.
        text: the line.
        start, end: what of it is to be underlined.
    """

    line: int | None
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Fact:
    """What the verifier knew of a place before an instruction.

    Attributes:
        insn: the instruction.
        name: ``R1``, ``fp-8``.
        text: as the log prints it; empty if nothing was ever written there.
        reg: all of it.
        origins: where it came from, the latest step first.
    """

    insn: int
    name: str
    text: str
    reg: Reg
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class Decision:
    """A conditional jump on the failing path: its instruction, its text, and whether it jumped."""

    insn: int
    text: str
    taken: bool


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One refusal.

    Attributes:
        errno: what bpf(2) returns.
        message: the kernel's last sentence, empty where it says none.
        template: name of the message in ``texts/messages.toml``; ``other`` if it has none, ``silent`` or
            ``log_full`` if there is none.
        fields: what stands in the message, by the template's names.
        insn: the instruction, or None for the program as a whole.
        statement: the instruction as the log prints it.
        spot: its place in the source.
        facts: the registers that matter, then those that went into them by arithmetic.
        decisions: how the failing path got there, the last ones.
    """

    errno: int
    message: str
    template: str
    fields: Mapping[str, str]
    insn: int | None
    statement: str
    spot: Spot | None
    facts: tuple[Fact, ...] = ()
    decisions: tuple[Decision, ...] = field(default=())


@functools.cache
def _templates() -> tuple[tuple[str, re.Pattern[str]], ...]:
    table = tomllib.loads((files("kprobesim.bpf.verifier.texts") / "messages.toml").read_text(encoding="utf-8"))
    return tuple((name, _pattern(text)) for name, text in table.items())


def _pattern(text: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", text)
    made = re.escape(parts[0])
    for name, literal in zip(parts[1::2], parts[2::2], strict=True):
        inside = r"\d+" if name == "reg" else ".*?"
        made += f"(?P<{name}>{inside}){re.escape(literal)}"
    return re.compile(made, re.DOTALL)


def match_message(message: str) -> tuple[str, dict[str, str]]:
    """The template of one of the verifier's messages, and what stands in it; ``other`` if it has none."""
    for name, pattern in _templates():
        found = pattern.fullmatch(message)
        if found:
            return name, {key: value.strip() for key, value in found.groupdict().items()}
    return "other", {}


def explain(verdict: Verdict, source: str = "", lines: Mapping[int, int] | None = None) -> Diagnostic | None:
    """The diagnostic of a refusal; None for an accepted program.

    Args:
        verdict: what ``verify`` gave; its program is verified once more to see how it got there.
        source: the text that the program was made of, for the place to be shown in.
        lines: slot -> line number in ``source`` from 1, as ``Assembly.lines`` and BTF's line info have it; a slot
            without one belongs to the line before it.
    """
    rejected = verdict.rejected
    if rejected is None:
        return None
    errno = int(rejected.errno)
    if not rejected.message:
        template = "log_full" if rejected.errno is Errno.ENOSPC else "silent"
        return Diagnostic(errno, "", template, {"hint": rejected.hint or rejected.errno.text}, None, "", None)
    template, fields = match_message(rejected.message)
    insn = rejected.insn
    if insn is None or not 0 <= insn < len(verdict.insns):
        return Diagnostic(errno, rejected.message, template, fields, None, "", None)
    # Walking costs several times what verifying did; a program that took that long is too large in any case.
    walk = verdict.last_path() if verdict.stats.insn_processed <= _MOST_PROCESSED else Walk([], 0, verdict.insns)
    reached = bool(len(walk)) and walk[-1].insn == insn and walk[-1].outcome == "rejected"
    statement = walk[-1].text if reached else insn_text(verdict.insns, insn, Level.V4)
    registers = _registers(rejected.message, verdict.insns[insn], fields)
    spot = _spot(insn, statement, source, lines, registers)
    facts = tuple(_facts(walk, registers)) if reached else ()
    decisions = tuple(_decisions(walk)) if reached else ()
    return Diagnostic(errno, rejected.message, template, fields, insn, statement, spot, facts, decisions)


def _registers(message: str, insn: Insn, fields: Mapping[str, str]) -> list[int]:
    """Registers that the message names, then those that the instruction reads."""
    named = [int(number) for number in _REGISTER.findall(message)]
    if insn.code == 0x85 and named and "size" not in fields and ("unsigned or" in message or "if (var" in message):
        named.append(named[0] - 1)
    read = [place for place in read_places(insn) if place < SLOT0]
    known = [number for number in (*named, *read) if 0 <= number < SLOT0]
    return list(dict.fromkeys(known))[:_MOST_FACTS]


def _facts(walk: Walk, registers: list[int]) -> list[Fact]:
    facts = [_fact(walk, len(walk) - 1, number) for number in registers]
    operands = [
        (position, int(origin.source[1:]))
        for fact in facts
        for origin in fact.origins
        if origin.kind == "arithmetic" and origin.source and (position := walk.position(origin.visit)) is not None
    ]
    seen = {(fact.insn, fact.name) for fact in facts}
    for position, number in operands[: _MOST_FACTS - 1]:
        if (walk[position].insn, place_name(number)) not in seen:
            facts.append(_fact(walk, position, number))
    return facts


def _fact(walk: Walk, position: int, number: int) -> Fact:
    visit = walk[position]
    reg = visit.before[-1].values[number]
    text = "" if reg.type == NOT_INIT else reg_text(reg)
    frame_pointer = number == BPF_REG_FP and reg.type == PTR_TO_STACK
    origins = [] if frame_pointer else walk.origins(position, place_name(number), _MOST_ORIGINS)
    return Fact(visit.insn, place_name(number), text, reg, tuple(origins))


def _decisions(walk: Walk, limit: int = 8) -> list[Decision]:
    found = []
    for position in range(len(walk) - 1, -1, -1):
        taken = walk.taken(position)
        before = walk.parent(position)
        if taken is not None and before is not None:
            found.append(Decision(walk[before].insn, walk[before].text, taken))
            if len(found) == limit:
                break
    return found[::-1]


def _spot(insn: int, statement: str, source: str, lines: Mapping[int, int] | None, registers: list[int]) -> Spot:
    number = None
    if lines:
        at = max((slot for slot in lines if slot <= insn), default=None)
        number = lines[at] if at is not None else None
    rows = source.splitlines()
    if number is not None and 0 < number <= len(rows):
        text = rows[number - 1].rstrip()
    else:
        number, text = None, statement
    start, end = _underlined(text, registers)
    return Spot(number, text, start, end)


def _underlined(text: str, registers: list[int]) -> tuple[int, int]:
    """The expression with the first of the registers in it; the whole statement if there is none."""
    code = text.split(";")[0].split("#")[0] if not text.startswith("(") else text
    for register in registers:
        for access in _ACCESS.finditer(code):
            if int(access[1]) == register:
                return access.span()
        found = re.search(rf"\b[rw]{register}\b", code)
        if found:
            return found.span()
    begin = len(code) - len(code.lstrip())
    return begin, max(len(code.rstrip()), begin + 1)
