"""Ctrl-C: while something runs it is for that; at a prompt, pressed twice, it is for kprobesim."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Final

import click

from kprobesim.errors import BadInput
from kprobesim.i18n import Texts, default_language

__all__ = ["CtrlC", "typed_lines"]

_TEXTS: Final = Texts("kprobesim.cli.texts")
_PROMPT: Final = "> "


class CtrlC:
    """As a context around something that runs: Ctrl-C is noted, for it to ask about.

    A second one meanwhile, which the first did not end, is for kprobesim.
    """

    def __init__(self) -> None:
        self._waiting = False
        self._count = 0

    @property
    def pressed(self) -> bool:
        """It was pressed since this began."""
        return self._count > 0

    def was_pressed(self) -> bool:
        """The same, to hand to what asks now and then."""
        return self.pressed

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
            continue
        except UnicodeDecodeError:
            raise BadInput("Standard input is not UTF-8 text.") from None
        leaving = not is_terminal
        yield line
