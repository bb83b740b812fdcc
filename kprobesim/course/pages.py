"""A lesson's text: pages that begin with ``## ``, with marks where a task or a prediction has its place.

A mark is a line of its own, invisible wherever Markdown is shown::

    <!-- task find-the-gate -->
    <!-- predict saved-ip -->
    <!-- show stack: regs->ip -->
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from unicodedata import east_asian_width

from kprobesim.errors import BadInput

__all__ = ["PANELS", "Block", "Page", "Part", "fenced_blocks", "page_behind", "pages_until", "read_pages"]

PANELS: Final = ("code", "registers", "kprobe", "stack", "bpf", "maps", "events", "verifier", "tasks", "console")
"""What a screen can show of the machine; their order is that of the number keys."""

_MARK: Final = re.compile(r"<!--\s*(?:(task|predict)\s+([a-z0-9-]{1,64})|show\s+([a-z]{1,64})(?::\s*(\S.*?))?)\s*-->")
_LONGEST_LOOK: Final = 32
"""Cells of what to look at: it stands in the line that says which key comes next."""
_MOST_PAGES: Final = 60


@dataclass(frozen=True)
class Part:
    """A piece of a page.

    Attributes:
        kind: ``prose``, ``task``, ``predict`` or ``show``.
        text: Markdown, the id of the task or prediction, or the panel to look at.
        look: what there is to see in that panel, or empty.
    """

    kind: Literal["prose", "task", "predict", "show"]
    text: str
    look: str = ""


@dataclass(frozen=True)
class Page:
    """What stands under one heading.

    Attributes:
        title: the heading; the lesson's own title for what stands before the first one.
        parts: in their order.
    """

    title: str
    parts: tuple[Part, ...]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks of this page."""
        return tuple(part.text for part in self.parts if part.kind == "task")

    @property
    def predictions(self) -> tuple[str, ...]:
        """The predictions of this page."""
        return tuple(part.text for part in self.parts if part.kind == "predict")

    def markdown(self, lines: Mapping[str, str]) -> str:
        """The page as Markdown.

        Args:
            lines: what to write for a mark, by ``task ID`` or ``predict ID``.
        """
        pieces = [
            part.text if part.kind == "prose" else f"> **{lines.get(f'{part.kind} {part.text}', part.text)}**"
            for part in self.parts
            if part.kind != "show"
        ]
        return "\n\n".join([f"## {self.title}", *pieces])


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        kind: the word behind the fence.
        text: what is in it.
        line: where it begins, from 1.
        after: the task whose mark stands before it most closely, or empty.
    """

    kind: str
    text: str
    line: int
    after: str


def read_pages(source: str, path: Path, tasks: Sequence[str], predictions: Sequence[str]) -> tuple[Page, ...]:
    """Cut a text into pages.

    Args:
        source: the Markdown.
        path: its file, for complaints.
        tasks: that must have a mark, in this order.
        predictions: that must have one, in any order.

    Raises:
        BadInput: a mark is missing, unknown or out of order, it names no panel, or there is no title.
    """
    lines = source.splitlines()
    if not lines or not lines[0].startswith("# "):
        raise BadInput(f"{path}:1: a lesson's text begins with its title, '# ...'.")
    pages: list[Page] = []
    title, parts, prose = lines[0][2:].strip(), [], list[str]()
    seen: list[tuple[str, str]] = []
    fenced = False

    def close_prose() -> None:
        text = _without_gaps(prose).strip()
        if text:
            parts.append(Part("prose", text))
        prose.clear()

    for number, line in enumerate(lines[1:], 2):
        fenced ^= line.startswith("```")
        mark = None if fenced else _MARK.fullmatch(line.strip())
        if not fenced and line.startswith("## "):
            close_prose()
            pages.append(Page(title, tuple(parts)))
            title, parts = line[3:].strip(), []
            if len(pages) > _MOST_PAGES:
                raise BadInput(f"{path}:{number}: there are more than {_MOST_PAGES} headings.")
        elif mark is not None:
            close_prose()
            kind, name, panel, look = mark[1], mark[2], mark[3], mark[4] or ""
            if panel:
                if panel not in PANELS:
                    raise BadInput(f"{path}:{number}: there is no panel {panel}.", hint=f"Panels: {', '.join(PANELS)}.")
                if sum(1 + _is_wide(mark) for mark in look) > _LONGEST_LOOK:
                    raise BadInput(f"{path}:{number}: what to look at takes more than {_LONGEST_LOOK} cells.")
                parts.append(Part("show", panel, look))
                continue
            if name not in (tasks if kind == "task" else predictions):
                raise BadInput(f"{path}:{number}: lesson.toml has no {kind} {name}.")
            if (kind, name) in seen:
                raise BadInput(f"{path}:{number}: {kind} {name} has a mark already.")
            seen.append((kind, name))
            parts.append(Part("task" if kind == "task" else "predict", name))
        else:
            prose.append(line)
    close_prose()
    pages.append(Page(title, tuple(parts)))
    _complete(path, seen, tasks, predictions)
    return tuple(pages)


def pages_until(pages: Sequence[Page], over: Collection[str], revealed: Collection[str]) -> tuple[Page, ...]:
    """A lesson's text up to the prediction or the task to be dealt with now.

    A prediction holds the text back until its answer was revealed, unless a later task is over already.

    Args:
        pages: the whole text.
        over: the tasks that are done or skipped.
        revealed: the predictions whose answers were shown.
    """
    parts = _parts(pages)
    passed = _passed(parts, over)
    last = len(parts) - 1
    for i, (_, part) in enumerate(parts[passed + 1 :], passed + 1):
        if part.kind == "task" or (part.kind == "predict" and part.text not in revealed):
            last = i
            break
    shown: list[Page] = []
    for number, page in enumerate(pages):
        kept = tuple(part for i, (of, part) in enumerate(parts) if of == number and i <= last)
        if kept or (shown and last == len(parts) - 1):
            shown.append(Page(page.title, kept))
    return tuple(shown)


def page_behind(pages: Sequence[Page], over: Collection[str]) -> int:
    """Index of the page on which a lesson's text goes on behind the last task that is over.

    Args:
        pages: the whole text.
        over: the tasks that are done or skipped.
    """
    parts = _parts(pages)
    behind = parts[_passed(parts, over) + 1 :]
    return next((number for number, part in behind if part.kind != "show"), parts[-1][0])


def _parts(pages: Sequence[Page]) -> list[tuple[int, Part]]:
    return [(number, part) for number, page in enumerate(pages) for part in page.parts]


def _passed(parts: Sequence[tuple[int, Part]], over: Collection[str]) -> int:
    """Index of the last task that is over; -1 if none is."""
    return max((i for i, (_, part) in enumerate(parts) if part.kind == "task" and part.text in over), default=-1)


def fenced_blocks(source: str) -> list[Block]:
    """All fenced blocks of a text that have a kind, in their order."""
    found: list[Block] = []
    kind, begin, after = "", 0, ""
    body: list[str] | None = None
    for number, line in enumerate(source.splitlines(), 1):
        if line.startswith("```"):
            if body is None:
                kind, begin, body = line[3:].strip(), number, []
            else:
                if kind:
                    found.append(Block(kind, "".join(f"{inner}\n" for inner in body), begin, after))
                body = None
        elif body is not None:
            body.append(line)
        elif (mark := _MARK.fullmatch(line.strip())) and mark[1] == "task":
            after = mark[2]
    return found


def _without_gaps(lines: Sequence[str]) -> str:
    """Prose whose paragraphs are broken into lines; Markdown makes a blank of a break, and Chinese has none there."""
    text, fenced = "", False
    for line in lines:
        closed = text.removesuffix("\n")
        inside = fenced
        fenced ^= line.startswith("```")
        words = line.lstrip()
        if not inside and not fenced and closed and words and _is_wide(closed[-1]) and _is_wide(words[0]):
            text, line = closed, words
        text += f"{line}\n"
    return text


def _is_wide(character: str) -> bool:
    return east_asian_width(character) in ("W", "F")


def _complete(path: Path, seen: list[tuple[str, str]], tasks: Sequence[str], predictions: Sequence[str]) -> None:
    order = [name for kind, name in seen if kind == "task"]
    for name in tasks:
        if name not in order:
            raise BadInput(f"{path}: task {name} has no mark.", hint=f"Write <!-- task {name} --> where it belongs.")
    if order != list(tasks):
        raise BadInput(f"{path}: the tasks stand in another order than in lesson.toml.")
    for name in predictions:
        if ("predict", name) not in seen:
            raise BadInput(f"{path}: prediction {name} has no mark.", hint=f"Write <!-- predict {name} -->.")
