"""Lines of actions: what a lesson's start does, what a solution replays, what a learner types in the plain mode.

One action a line; ``#`` at the beginning of a line makes it a comment::

    load by_pid.bpf             a program of the lesson's folder, named after its file
    program mine                a program written here: its assembly follows, up to a line that says end
    attach by_pid vfs_read      a loaded program to a place; with return: to the function's return
    detach by_pid
    probe vfs_read+0x4 mine     a probe without a handler, with a name if one is given
    probe schedule two post     with a pre_handler and a post_handler, which do nothing
    unprobe vfs_read+0x4        by place or name
    listen samples              user space opens the rings of a perf event array
    consume samples             user space reads a ring buffer, or those rings, to the end
    jit on                      programs loaded from now on become x86-64 code
    type cat /etc/motd          typed at the console; nothing has run yet
    $ cat /etc/motd             typed, and run until the machine waits again
    run                         until the machine waits
    run until trap vector=14    to the next event of a kind, with these fields
    run to vfs_read+0x4         to a place in the code
    step phase 3                forwards, at a grain (phase, instruction, line, bpf, hit), so often
    back instruction            backwards
    seek start                  to the start, the end of what is known, or an event by its number
    answer how-many 2           the answer to a task's question
    predict saved-ip 2          the choice made at a prediction, counted from 1
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from kprobesim.course.strict import ID
from kprobesim.errors import BadInput
from kprobesim.lab import EVENT_KINDS, Grain

__all__ = [
    "INPUT_VERBS",
    "VERBS",
    "Action",
    "event_pattern",
    "grain_and_count",
    "parse_action",
    "parse_actions",
]

_MAX_LINES: Final = 400
_MAX_LINE: Final = 1_000
_MAX_COUNT: Final = 5_000
_GRAINS: Final = {grain.value: grain for grain in Grain}

# Verb: least and most words behind it (-1: the last word takes the rest of the line), and what these are.
VERBS: Final[dict[str, tuple[int, int, str]]] = {
    "load": (1, 2, "FILE [unverified]"),
    "program": (1, 1, "NAME, then its assembly, then end"),
    "attach": (2, 3, "PROGRAM PLACE [return]"),
    "detach": (1, 1, "PROGRAM"),
    "probe": (1, 3, "PLACE [NAME [post]]"),
    "unprobe": (1, 1, "PLACE or NAME"),
    "listen": (1, 1, "MAP, a perf_event_array"),
    "consume": (1, 1, "MAP, a ringbuf or perf_event_array"),
    "jit": (1, 1, "on or off"),
    "type": (1, -1, "a line for the console"),
    "$": (1, -1, "a command"),
    "run": (0, 18, "nothing, until KIND [FIELD=VALUE...], or to PLACE"),
    "step": (0, 2, "[GRAIN] [COUNT]"),
    "back": (0, 2, "[GRAIN] [COUNT]"),
    "seek": (1, 1, "start, end or an event's number"),
    "answer": (2, -1, "ID and the answer"),
    "predict": (2, -1, "ID and the number of an option"),
}

INPUT_VERBS: Final = frozenset(
    {"load", "program", "attach", "detach", "probe", "unprobe", "listen", "consume", "jit", "type", "$"}
)
"""Actions that do something to the machine, and not only go to another moment of it; each is one input of it."""


@dataclass(frozen=True)
class Action:
    """One line.

    Attributes:
        verb: its first word.
        words: the others.
        text: for ``program``: the assembly.
        line: as it was written.
    """

    verb: str
    words: tuple[str, ...]
    text: str
    line: str

    def __str__(self) -> str:
        return f"{self.line}\n{self.text}end" if self.verb == "program" else self.line


def parse_action(line: str, text: str = "") -> Action:
    """One line as an action.

    Args:
        line: without the newline.
        text: for ``program``, the assembly.

    Raises:
        BadInput: it is none.
    """
    line = line.strip()
    if len(line) > _MAX_LINE or "\0" in line:
        raise BadInput(f"An action has at most {_MAX_LINE:,} characters.")
    verb, _, rest = line.partition(" ")
    if verb not in VERBS:
        raise BadInput(f"{verb[:40]!r} is not an action.", hint=f"Actions: {', '.join(VERBS)}.")
    least, most, usage = VERBS[verb]
    words = tuple(rest.split(None, least - 1) if most < 0 else _split(rest))
    if not least <= len(words) <= (most if most >= 0 else least):
        raise BadInput(f"{verb} needs {usage}.")
    action = Action(verb, words, text, line)
    _check_words(action, usage)
    return action


def parse_actions(text: str) -> tuple[Action, ...]:
    """Lines of actions; empty lines and those that begin with # are passed over.

    Raises:
        BadInput: one of them is none; the line is told.
    """
    lines = text.splitlines()
    if len(lines) > _MAX_LINES:
        raise BadInput(f"There are more than {_MAX_LINES} lines.")
    found: list[Action] = []
    numbered = iter(enumerate(lines, 1))
    for number, line in numbered:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        body = ""
        if line.split()[0] == "program":
            body = "".join(f"{inner}\n" for inner in _until_end(numbered, number))
        try:
            found.append(parse_action(line, body))
        except BadInput as error:
            raise BadInput(f"Line {number}: {error.message}", hint=error.hint) from None
    return tuple(found)


def _split(rest: str) -> list[str]:
    try:
        return shlex.split(rest)
    except ValueError:
        return rest.split()


def _until_end(numbered: Iterable[tuple[int, str]], begun: int) -> list[str]:
    body: list[str] = []
    for _, line in numbered:
        if line.strip() == "end":
            return body
        body.append(line)
    raise BadInput(f"Line {begun}: the program has no end.", hint="Close it with a line that says end.")


def _check_words(action: Action, usage: str) -> None:
    """What can be told without a machine is told when the file is read."""
    verb, words = action.verb, action.words
    good = True
    if verb in ("step", "back"):
        grain_and_count(words)
    elif verb == "load":
        good = words[0].endswith(".bpf") and words[1:] in ((), ("unverified",))
    elif verb == "program":
        good = words[0].isidentifier() and len(words[0]) <= 32
    elif verb == "attach":
        good = words[2:] in ((), ("return",))
    elif verb == "probe":
        good = words[2:] in ((), ("post",))
    elif verb == "jit":
        good = words[0] in ("on", "off")
    elif verb == "seek":
        good = words[0] in ("start", "end") or (words[0].isascii() and words[0].isdigit() and len(words[0]) < 10)
    elif verb == "run" and words:
        good = len(words) >= 2 and (words[0] == "until" or (words[0] == "to" and len(words) == 2))
        if good and words[0] == "until":
            event_pattern(words)
    elif verb in ("answer", "predict"):
        good = ID.fullmatch(words[0]) is not None
    if not good:
        raise BadInput(f"{verb} needs {usage}.")


def grain_and_count(words: tuple[str, ...]) -> tuple[Grain, int]:
    """What stands behind ``step`` and ``back``: the grain, a phase by default, and how many steps, one by default.

    Raises:
        BadInput: a word is neither.
    """
    grain, count = Grain.PHASE, 1
    for word in words:
        if word in _GRAINS:
            grain = _GRAINS[word]
        elif word.isascii() and word.isdigit() and len(word) < 6 and 1 <= int(word) <= _MAX_COUNT:
            count = int(word)
        else:
            raise BadInput(
                f"{word[:40]!r} is neither a grain nor a count.",
                hint=f"Grains: {', '.join(_GRAINS)}; a count is 1 to {_MAX_COUNT:,}.",
            )
    return grain, count


def event_pattern(words: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    """What stands behind ``run``, if that is ``until``: a kind of events, and the values of fields by their names.

    Raises:
        BadInput: there is no such kind or field.
    """
    kind = words[1]
    if kind not in EVENT_KINDS:
        raise BadInput(f"There is no event kind {kind[:40]!r}.", hint="docs/events.md lists them.")
    fields = dict(word.partition("=")[::2] for word in words[2:])
    known = [field.name for field in EVENT_KINDS[kind].fields]
    for name in fields:
        if name not in known:
            raise BadInput(f"{kind} has no field {name[:40]!r}.", hint=f"Fields: {', '.join(known)}.")
    return kind, fields
