"""Ctrl-C: while something runs it is for that; at a prompt, pressed twice, it is for kprobesim."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final

import click

from kprobesim.errors import BadInput
from kprobesim.i18n import Language, Texts, default_language

__all__ = ["DROPPED", "CtrlC", "body", "typed_lines"]

DROPPED: Final = "\x03"
"""Stands among typed lines for a Ctrl-C at the prompt, as in what a terminal sends."""

_TEXTS: Final = Texts("kprobesim.cli.texts")
_PROMPT: Final = "> "


class CtrlC:
    """As a context around something that runs: Ctrl-C is noted, for it to ask about.

    A second one meanwhile, which the first did not end, is for kprobesim.
    """

    def __init__(self) -> None:
        self._waiting = False
        self._count = 0

    def was_pressed(self) -> bool:
        """It was pressed since this began."""
        return self._count > 0

    def take(self) -> bool:
        """Whether it was pressed since this was last asked."""
        waiting, self._waiting = self._waiting, False
        return waiting

    def __enter__(self) -> None:
        self._count = 0
        self._before = signal.signal(signal.SIGINT, self._note)

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _note(self, _: int, __: FrameType | None) -> None:
        self._waiting = True
        self._count += 1
        if self._count > 1:
            raise KeyboardInterrupt


def typed_lines() -> Iterator[str]:
    """Lines from standard input, with a prompt if somebody sits there; to them the first Ctrl-C says how to leave.

    It is `DROPPED` among the lines.

    Raises:
        BadInput: standard input is not UTF-8.
        KeyboardInterrupt: Ctrl-C, at a prompt the second one in a row.
    """
    is_terminal = sys.stdin.isatty()
    leaving = not is_terminal
    while True:
        try:
            line = input(_PROMPT if is_terminal else "")
        except EOFError:
            return
        except KeyboardInterrupt:
            if leaving:
                raise
            leaving = True
            click.echo()
            click.echo(_TEXTS.get(default_language(), "typed.leave"))
            yield DROPPED
            continue
        except UnicodeDecodeError:
            raise BadInput("Standard input is not UTF-8 text.") from None
        leaving = not is_terminal
        yield line


def body(lines: Iterator[str], say: Callable[[str], None], language: Language) -> str | None:
    """The lines of a program up to ``end``.

    Args:
        lines: what is typed behind its first line.
        say: prints a line.
        language: to speak.

    Returns:
        None if Ctrl-C was pressed meanwhile: what was typed of it is dropped, and that is said.
    """
    text = ""
    for line in lines:
        if line == DROPPED:
            say(_TEXTS.get(language, "typed.dropped") or "")
            return None
        if line.strip() == "end":
            break
        text += f"{line}\n"
    return text
