"""Playing a lesson as a test: its solution, and what its text says.

Fenced blocks whose first word is one of `BLOCKS` are played where they stand, from the lesson's start on; a task's
solution is played at its mark, unless the blocks before it have done the task already.

======= ==========================================================================================================
do      actions, one a line
events  ``→  trap``: a key (→ ← Space, →… ←… held down, ``→ instruction``, ``Enter vfs_read``, ``: run until trap``),
        and the kind of the event that it comes to
seen    ``→  #BP  vfs_read+0x1  IF 1  NONE``: a key; phase, place, interrupt flag, kprobe_status
memory  ``vfs_read+0x0  cc 48 89 e5``: bytes at a place, now
value   ``count trap vector=3  2``: a reading, two blanks, what it gives
console ``# cat /etc/motd`` and under it what the console prints; a line ``...`` stands for any lines
bpf     a program that the verifier accepts; with the word rejected behind: one that it refuses, or cannot be assembled;
        words behind that are in its answer: ``bpf rejected R0 !read_ok``
======= ==========================================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from kprobesim.bpf import assemble
from kprobesim.course.actions import parse_action, parse_actions
from kprobesim.course.aside import aside
from kprobesim.course.conditions import Condition, as_text
from kprobesim.course.lesson import Lesson, Task
from kprobesim.course.pages import Block, fenced_blocks
from kprobesim.course.perform import Budget
from kprobesim.course.readings import check_reading, memory_at, read_value
from kprobesim.course.session import LessonSession
from kprobesim.course.trail import HELD, KEYS, WRITTEN, event_kind, is_step, standing
from kprobesim.errors import BadInput, KprobesimError
from kprobesim.i18n import Language
from kprobesim.lab import Lab

__all__ = ["BLOCKS", "play_solutions", "play_text"]


def play_solutions(lesson: Lesson) -> Iterator[str]:
    """Play each task's solution from the start on; yields a sentence for everything that is not as it should be.

    A task must not be met before its solution is played, and must be met afterwards.
    """
    session = LessonSession.open(lesson)
    for task in lesson.tasks:
        if session.report(task, "en").met:
            yield f"task {task.id} is met before anything was done for it"
        yield from _solve(session, task)
    for prediction in lesson.predictions.values():
        try:
            session.reveal(prediction.id, "en")
        except KprobesimError as error:
            yield f"prediction {prediction.id}: {error}"


def play_text(lesson: Lesson, language: Language) -> Iterator[str]:
    """Play the blocks of a text; yields a sentence for everything that is not as it says."""
    session = LessonSession.open(lesson)
    blocks = [block for block in fenced_blocks(lesson.source(language)) if block.kind.split()[0] in BLOCKS]
    marks = ["", *(task.id for task in lesson.tasks)]
    reached = 0
    for block in blocks:
        wanted = marks.index(block.after)
        while reached < wanted:
            yield from _pass_task(session, lesson.tasks[reached])
            reached += 1
        for wrong in _play(session, block):
            yield f"{language}.md:{block.line}: {wrong}"
    for task in lesson.tasks[reached:]:
        yield from _pass_task(session, task)


def _pass_task(session: LessonSession, task: Task) -> Iterator[str]:
    if session.report(task, "en").met:
        session.check("en")
    else:
        yield from _solve(session, task)


def _solve(session: LessonSession, task: Task) -> Iterator[str]:
    try:
        for action in task.solution:
            session.act(action)
        report = session.check("en")
    except KprobesimError as error:
        yield f"task {task.id}: its solution cannot be played: {error}"
        report = session.report(task, "en")
    if not report.met:
        for goal in report.goals:
            if not goal.met:
                yield f"task {task.id}: not met by its solution: {goal.text} {goal.why}"
        if session.task is task:
            session.skip()


def _play(session: LessonSession, block: Block) -> Iterator[str]:
    kind, *words = block.kind.split()
    try:
        yield from BLOCKS[kind](session, block.text, words)
    except KprobesimError as error:
        yield f"{error}"


def _do(session: LessonSession, text: str, _: list[str]) -> Iterator[str]:
    for action in parse_actions(text):
        session.act(action)
    yield from ()


def _events(session: LessonSession, text: str, _: list[str]) -> Iterator[str]:
    yield from _keys(session, text, event_kind)


def _seen(session: LessonSession, text: str, _: list[str]) -> Iterator[str]:
    yield from _keys(session, text, standing)


def _keys(session: LessonSession, text: str, seen: Callable[[Lab], str]) -> Iterator[str]:
    for line in text.splitlines():
        key, _sep, wanted = line.partition("  ")
        if not is_step(key):
            raise BadInput(
                f"{line[:60]!r} does not begin with a key and two blanks.",
                hint=f"Keys: {', '.join(KEYS)}, Enter PLACE, : ACTION.",
            )
        if key in KEYS:
            _move(session, key, seen, wanted)
        else:
            word, _, rest = key.partition(" ")
            session.act(parse_action(WRITTEN[word] + rest))
        if seen(session.lab) != wanted:
            yield f"{key} shows {seen(session.lab)!r}, not {wanted!r}"


def _move(session: LessonSession, key: str, seen: Callable[[Lab], str], wanted: str) -> None:
    grain, back = KEYS[key]
    budget = Budget()
    # Where something was done to the machine, the first step back only comes to the last event of that.
    while session.lab.step(grain, back=back, interrupt=budget) and key in HELD and seen(session.lab) != wanted:
        pass


def _memory(session: LessonSession, text: str, _: list[str]) -> Iterator[str]:
    for line in text.splitlines():
        place, _sep, digits = line.partition("  ")
        try:
            data = bytes.fromhex(digits)
        except ValueError:
            raise BadInput(f"{line[:60]!r} is not a place, two blanks and bytes.") from None
        there = memory_at(session.lab, place, len(data))
        if there != data:
            yield f"at {place} stands {there.hex(' ')}, not {digits}"


def _value(session: LessonSession, text: str, _: list[str]) -> Iterator[str]:
    for line in text.splitlines():
        reading, _sep, wanted = line.rpartition("  ")
        value = read_value(session.lab, check_reading(reading.strip()))
        if not Condition((("eq", wanted),)).holds(session.lab, value):
            yield f"{reading.strip()} is {as_text(session.lab, value)}, not {wanted}"


def _console(session: LessonSession, text: str, _: list[str]) -> Iterator[str]:
    command: str | None = None
    wanted: list[str] = []
    for line in [*text.splitlines(), "# "]:
        if not line.startswith("# "):
            wanted.append(line)
            continue
        if command is not None:
            printed = session.act(parse_action(f"$ {command}")).splitlines()
            if not _fits(printed, wanted):
                yield f"'{command}' prints {printed!r}"
        command, wanted = line[2:], []


def _fits(printed: list[str], wanted: list[str]) -> bool:
    if not wanted:
        return not printed
    if wanted[0] == "...":
        return any(_fits(printed[skip:], wanted[1:]) for skip in range(len(printed) + 1))
    return bool(printed) and _is_line(printed[0].rstrip(), wanted[0].rstrip()) and _fits(printed[1:], wanted[1:])


def _is_line(printed: str, wanted: str) -> bool:
    """Whether a line is the quoted one; only its end need be quoted, as addresses differ from kernel to kernel."""
    return printed.endswith(wanted[3:]) if wanted.startswith("...") else printed == wanted


def _bpf(session: LessonSession, text: str, words: list[str]) -> Iterator[str]:
    try:
        assembly = assemble(text)
        with aside(session.lab):
            session.lab.load_program(assembly, "quoted")
    except KprobesimError as error:
        if words[:1] != ["rejected"]:
            yield f"the program is refused: {error}"
        elif " ".join(words[1:]) not in str(error):
            yield f"the program is refused with {str(error)!r}, not with {' '.join(words[1:])!r}"
        return
    if words[:1] == ["rejected"]:
        yield "the program is accepted"


BLOCKS: Final[dict[str, Callable[[LessonSession, str, list[str]], Iterator[str]]]] = {
    "do": _do, "events": _events, "seen": _seen, "memory": _memory, "value": _value, "console": _console, "bpf": _bpf,
}  # fmt: skip
"""Kinds of fenced blocks that are played."""
