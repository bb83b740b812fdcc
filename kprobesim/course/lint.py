"""What is wrong with a lesson, for its author."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kprobesim.course.lesson import Lesson, read_lesson
from kprobesim.course.pages import Block, fenced_blocks
from kprobesim.course.replay import BLOCKS, play_solutions, play_text
from kprobesim.course.trail import Trail
from kprobesim.errors import BadInput, KprobesimError
from kprobesim.i18n import LANGUAGES

__all__ = ["lint_lesson", "lint_texts"]

_CODE: Final = re.compile(r"`([^`\n]+)`")
_SHOWN: Final = ("text", "c", "asm")
"""Blocks that are not played: remarks in them are in the language of the text."""
_LIST: Final = re.compile(r"^(?:[-*]|\d+\.) ", re.MULTILINE)


def lint_lesson(folder: Path) -> Iterator[str]:
    """Everything that is wrong with a lesson, one sentence each; the lesson is played to find out.

    Args:
        folder: the lesson's.
    """
    try:
        lesson = read_lesson(folder)
    except BadInput as error:
        yield str(error)
        return
    wrong = list(lint_texts(lesson))
    yield from wrong
    if wrong:
        return
    try:
        yield from play_solutions(lesson)
        # The blocks are the same in both languages, which was seen above.
        yield from play_text(lesson, "en")
    except KprobesimError as error:
        yield f"{lesson.id}: the lesson cannot be played: {error}"


def lint_texts(lesson: Lesson) -> Iterator[str]:
    """Whether both languages are there and tell the same: headings, marks, lists, blocks, names in code.

    Args:
        lesson: whose texts.
    """
    try:
        texts = {language: lesson.source(language) for language in LANGUAGES}
        pages = {language: lesson.pages(language) for language in LANGUAGES}
    except BadInput as error:
        yield str(error)
        return
    english, chinese = pages["en"], pages["zh"]
    if len(english) != len(chinese):
        yield f"en.md has {len(english)} headings, zh.md {len(chinese)}."
        return
    for one, other in zip(english, chinese, strict=True):
        if [(part.kind, part.text, bool(part.look)) for part in one.parts if part.kind != "prose"] != [
            (part.kind, part.text, bool(part.look)) for part in other.parts if part.kind != "prose"
        ]:
            yield f"'{one.title}' and '{other.title}' have other tasks, predictions or panels to show."
    cues = {language: Trail(pages[language]).cues for language in LANGUAGES}
    for cue, same in zip(cues["en"], cues["zh"], strict=False):
        if cue != same:
            yield f"'{english[cue.page].title}': 'show {cue.panel}' stands behind other steps in zh.md."
    blocks = {language: fenced_blocks(text) for language, text in texts.items()}
    if [_compared(block) for block in blocks["en"]] != [_compared(block) for block in blocks["zh"]]:
        yield "The fenced blocks of en.md and zh.md are not the same."
    for block in blocks["en"]:
        if block.kind.split()[0] not in BLOCKS and block.kind not in _SHOWN:
            yield f"en.md:{block.line}: blocks of kind {block.kind!r} are not known; played: {', '.join(BLOCKS)}."
    quoted = {language: set(_CODE.findall(text)) for language, text in texts.items()}
    for name in sorted(quoted["en"] ^ quoted["zh"]):
        there, missing = ("en", "zh") if name in quoted["en"] else ("zh", "en")
        yield f"`{name}` stands in {there}.md and not in {missing}.md."
    counts = {language: len(_LIST.findall(text)) for language, text in texts.items()}
    if counts["en"] != counts["zh"]:
        yield f"en.md has {counts['en']} list items, zh.md {counts['zh']}."
    for task in lesson.tasks:
        if len(task.hints) < 2:
            yield f"task {task.id} has fewer than two hints."
        if not task.solution:
            yield f"task {task.id} has no solution."


def _compared(block: Block) -> tuple[str, object, str]:
    """What a block must have in common with that of the other language."""
    return block.kind, block.text.count("\n") if block.kind in _SHOWN else block.text, block.after
