"""The app on a long session, for `bench_tui`: a probed toyix that has lived for so many instructions.

Hits of ``vfs_read`` lie at the beginning and at the end; between them a program keeps the CPU busy.
"""

from __future__ import annotations

import sys
from typing import Final

from kprobesim.i18n import Language
from kprobesim.lab import Lab, Stop
from kprobesim.tui import run_app
from kprobesim.tui.screens.program import TEMPLATE

__all__ = ["LongSession"]

_TURN: Final = 4
"""Instructions of one turn of ``spin -n``."""


class LongSession:
    """A scenario that opens at its end.

    Args:
        instructions: that lie behind it, about.
    """

    def __init__(self, instructions: int) -> None:
        self._instructions = instructions

    def title(self, language: Language) -> str:
        """A few words."""
        return f"{self._instructions:,} instructions"

    def summary(self, language: Language) -> str:
        """Nothing."""
        return ""

    def text(self, language: Language) -> str:
        """Nothing."""
        return ""

    def open(self) -> Lab:
        """Live that long, then stop at the first hit of a command that reads a file."""
        lab = Lab.open("toyix", optimization=False)
        lab.load_program(TEMPLATE, "by_pid")
        lab.attach("by_pid", "vfs_read")
        lab.type("cat /etc/motd")
        assert lab.run() is Stop.IDLE
        lab.type(f"spin -n {self._instructions // _TURN}")
        assert lab.run() is Stop.IDLE
        assert lab.moment.insn >= self._instructions
        lab.type("cat /etc/motd")
        lab.run(until=["kprobe.hit"])
        return lab


if __name__ == "__main__":
    run_app(LongSession(int(sys.argv[1])), "en")
