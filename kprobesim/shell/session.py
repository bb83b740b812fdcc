"""A session at the machine's console: command lines in, what a Linux console would print out.

The commands are run by the toy kernel's own ``sh``, in ring 3.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from typing import Final

from kprobesim.errors import BadInput, KprobesimError
from kprobesim.lab import Lab, Stop

__all__ = ["ShellSession"]

_SLICE: Final = 2_000_000
_LIMIT: Final = 3_000_000_000
_MAX_LINE: Final = 4095


class ShellSession:
    """A shell on a booted machine.

    Args:
        lab: whose console is used.
        interrupted: asked between slices of a run; true when the user pressed Ctrl-C since it was last asked.
    """

    def __init__(self, lab: Lab, interrupted: Callable[[], bool] = lambda: False) -> None:
        self._lab = lab
        self._interrupted = interrupted
        self._shown = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for _ in self._run():
            pass
        lab.type("sh")
        for _ in self._run():
            pass

    @property
    def is_off(self) -> bool:
        """The machine was switched off."""
        return self._lab.machine.off is not None

    def run_line(self, line: str) -> Iterator[str]:
        """Run one command line; yields what the console prints, as it comes.

        Args:
            line: without the newline.

        Raises:
            BadInput: the line is longer than a terminal takes.
            KprobesimError: the command was still running after some minutes of virtual time.
            GuestError: the kernel cannot go on.
        """
        if len(line.encode(errors="replace")) > _MAX_LINE:
            raise BadInput(f"A command line has at most {_MAX_LINE:,} bytes.")
        self._lab.type(line)
        yield from self._run()

    def _fresh(self) -> str:
        """What the console has printed since this was last asked; a character cut in two waits for its other half."""
        output = self._lab.machine.devices.output
        text = self._decoder.decode(output[self._shown :])
        self._shown = len(output)
        return text

    def _run(self) -> Iterator[str]:
        begin = self._lab.moment.insn
        while True:
            stop = self._lab.run(instructions=_SLICE)
            if text := self._fresh():
                yield text
            if stop is not Stop.LIMIT:
                return
            if self._interrupted():
                self._lab.interrupt()
            if self._lab.moment.insn - begin > _LIMIT:
                raise KprobesimError(
                    f"The command was still running after {_LIMIT:,} instructions.",
                    hint="Programs that never end can be started with & behind them.",
                )
