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
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kprobesim.course.conditions import as_number, as_text
from kprobesim.course.strict import ID, read_text
from kprobesim.errors import BadInput, KprobesimError
from kprobesim.lab import EVENT_KINDS, Grain, Stop

if TYPE_CHECKING:
    from kprobesim.kprobes import Kprobe, PtRegs
    from kprobesim.lab import Event, Lab

__all__ = ["INPUT_VERBS", "VERBS", "Action", "Budget", "parse_action", "parse_actions", "perform"]

_MAX_LINES: Final = 400
_MAX_LINE: Final = 1_000
_MAX_COUNT: Final = 5_000
_PATIENCE: Final = 150
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


class Budget:
    """How long something may take; asked by the machine every few million instructions or few hundred steps.

    Counted and not timed, so that the same lesson gives the same answer everywhere.

    Args:
        patience: how often it may be asked.
        interrupt: asked each time as well: whether a person wants this to end.
    """

    def __init__(self, patience: int = _PATIENCE, interrupt: Callable[[], bool] = lambda: False) -> None:
        self._left = patience
        self._interrupt = interrupt
        self.interrupted = False

    def __call__(self) -> bool:
        """Whether to stop here.

        Raises:
            KprobesimError: it takes too long.
        """
        self._left -= 1
        if self._left < 0:
            raise KprobesimError("This takes too long: the machine was still busy.", hint="Is there an endless loop?")
        self.interrupted = self.interrupted or self._interrupt()
        return self.interrupted


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


def perform(lab: Lab, action: Action, folder: Path, budget: Budget) -> str:
    """Do an action to a machine.

    Args:
        lab: the machine.
        action: neither ``answer`` nor ``predict``, which are the session's.
        folder: where ``load`` finds its files.
        budget: how long it may take.

    Returns:
        What the console printed meanwhile.

    Raises:
        KprobesimError: it cannot be done, or takes too long.
    """
    before = len(lab.console)
    _DO[action.verb](lab, action, folder, budget)
    return lab.console[before:]


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
        _grain_and_count(words)
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
            _pattern(words)
    elif verb in ("answer", "predict"):
        good = ID.fullmatch(words[0]) is not None
    if not good:
        raise BadInput(f"{verb} needs {usage}.")


def _grain_and_count(words: tuple[str, ...]) -> tuple[Grain, int]:
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


def _pattern(words: tuple[str, ...]) -> tuple[str, dict[str, str]]:
    kind = words[1]
    if kind not in EVENT_KINDS:
        raise BadInput(f"There is no event kind {kind[:40]!r}.", hint="docs/events.md lists them.")
    fields = dict(word.partition("=")[::2] for word in words[2:])
    known = [field.name for field in EVENT_KINDS[kind].fields]
    for name in fields:
        if name not in known:
            raise BadInput(f"{kind} has no field {name[:40]!r}.", hint=f"Fields: {', '.join(known)}.")
    return kind, fields


def _to_rest(lab: Lab, budget: Budget) -> None:
    lab.run(interrupt=budget)


def _load(lab: Lab, action: Action, folder: Path, _: Budget) -> None:
    name = action.words[0]
    lab.load_program(read_text(folder, name), Path(name).stem, verified=len(action.words) == 1)


def _program(lab: Lab, action: Action, _: Path, __: Budget) -> None:
    lab.load_program(action.text, action.words[0])


def _attach(lab: Lab, action: Action, _: Path, __: Budget) -> None:
    lab.attach(action.words[0], action.words[1], returns=len(action.words) == 3)


def _detach(lab: Lab, action: Action, _: Path, __: Budget) -> None:
    link = lab.attached(action.words[0])
    if link is not None:
        return lab.detach(link)
    raise BadInput(f"No program named {action.words[0][:40]!r} is attached.")


def _probe(lab: Lab, action: Action, _: Path, __: Budget) -> None:
    if action.words[2:] == ("post",):
        lab.kprobe(action.words[0], name=action.words[1], pre_handler=_go_on, post_handler=_look_on)
    else:
        lab.kprobe(action.words[0], name=action.words[1] if len(action.words) == 2 else "")


def _go_on(_: Kprobe, __: PtRegs) -> int:
    return 0


def _look_on(_: Kprobe, __: PtRegs, ___: int) -> None:
    """That there is a post_handler decides how a probe is served; it need not do anything for that."""


def _unprobe(lab: Lab, action: Action, _: Path, __: Budget) -> None:
    wanted = action.words[0]
    address = as_number(lab, wanted)
    for probe in lab.manager.kprobes:
        if probe.name == wanted or (address is not None and probe.addr == address):
            return lab.unregister_kprobe(probe)
    raise BadInput(f"There is no probe at {wanted[:60]!r}.")


def _listen(lab: Lab, action: Action, _: Path, __: Budget) -> None:
    lab.open_perf_buffer(action.words[0])


def _consume(lab: Lab, action: Action, _: Path, __: Budget) -> None:
    name = action.words[0]
    if any(which.name == name and which.type == "perf_event_array" for which in lab.maps()):
        lab.read_perf_buffer(name)
    else:
        lab.read_ringbuf(name)


def _jit(lab: Lab, action: Action, _: Path, __: Budget) -> None:
    lab.set_bpf_jit(int(action.words[0] == "on"))


def _type(lab: Lab, action: Action, _: Path, __: Budget) -> None:
    lab.type(action.words[0])


def _command(lab: Lab, action: Action, _: Path, budget: Budget) -> None:
    lab.type(action.words[0])
    _to_rest(lab, budget)


def _run(lab: Lab, action: Action, _: Path, budget: Budget) -> None:
    if not action.words:
        _to_rest(lab, budget)
    elif action.words[0] == "to":
        _reached(lab.run(to=action.words[1], interrupt=budget), budget, action)
    else:
        kind, fields = _pattern(action.words)
        while True:
            _reached(lab.run(until=[kind], interrupt=budget), budget, action)
            event = lab.last_event
            if budget.interrupted or (event is not None and _has(lab, event, fields)):
                return
            budget()


def _has(lab: Lab, event: Event, fields: dict[str, str]) -> bool:
    for name, wanted in fields.items():
        if name not in event.fields:
            return False
        value = event.fields[name]
        if as_text(lab, value) != wanted and (as_number(lab, wanted) is None or _differs(lab, value, wanted)):
            return False
    return True


def _differs(lab: Lab, value: object, wanted: str) -> bool:
    return as_number(lab, value) != as_number(lab, wanted)


def _reached(stop: Stop, budget: Budget, action: Action) -> None:
    if stop not in (Stop.MOMENT, Stop.ADDRESS) and not budget.interrupted:
        raise KprobesimError(f"'{action.line}': the machine did not come there, it waits for input.")


def _step(lab: Lab, action: Action, _: Path, budget: Budget) -> None:
    grain, count = _grain_and_count(action.words)
    for _turn in range(count):
        if not lab.step(grain, back=action.verb == "back", interrupt=budget) or budget.interrupted:
            return


def _seek(lab: Lab, action: Action, _: Path, __: Budget) -> None:
    where = action.words[0]
    if where == "start":
        lab.seek(lab.beginning)
    elif where == "end":
        lab.seek_end()
    elif int(where) < lab.event_count:
        lab.seek(lab.events(int(where), int(where) + 1)[0])
    else:
        raise BadInput(f"There is no event {where}; {lab.event_count:,} are known.")


_DO: Final[dict[str, Callable[[Lab, Action, Path, Budget], None]]] = {
    "load": _load, "program": _program, "attach": _attach, "detach": _detach, "probe": _probe, "unprobe": _unprobe,
    "listen": _listen, "consume": _consume, "jit": _jit, "type": _type, "$": _command,
    "run": _run, "step": _step, "back": _step, "seek": _seek,
}  # fmt: skip
