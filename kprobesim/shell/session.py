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
_LOG_SHARE: Final = 0.75
_INPUT_WAIT: Final = "input_wait"


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

    @property
    def is_busy(self) -> bool:
        """Nobody reads the console: a command in the foreground waits for something else, as `cat trace_pipe` does."""
        kernel = self._lab.kernel
        if not kernel.has_symbol(_INPUT_WAIT):
            return False
        place = kernel.btf.struct_member("wait_queue_head", "head")
        if place is None:
            return False
        head = kernel.symbol(_INPUT_WAIT) + place.offset
        return kernel.read_u64(head) == head

    def run_line(self, line: str) -> Iterator[str]:
        """Run one command line; yields what the console prints, as it comes.

        Args:
            line: without the newline.

        Raises:
            BadInput: the line is longer than a terminal takes.
            KprobesimError: the command did not end, and Ctrl-C did not end it either.
            GuestError: the kernel cannot go on.
        """
        if len(line.encode(errors="replace")) > _MAX_LINE:
            raise BadInput(f"A command line has at most {_MAX_LINE:,} bytes.")
        self._lab.type(line)
        yield from self._run()

    def interrupt(self) -> Iterator[str]:
        """Press Ctrl-C; yields what the console prints then."""
        self._press_ctrl_c()
        yield from self._run()

    def _press_ctrl_c(self) -> None:
        self._lab.interrupt()

    def _fresh(self) -> str:
        """What the console has printed since this was last asked; a character cut in two waits for its other half."""
        output = self._lab.machine.devices.output
        text = self._decoder.decode(output[self._shown :])
        self._shown = len(output)
        return text

    def _run(self) -> Iterator[str]:
        """Run until nothing more happens. A command without end gets Ctrl-C in time for what comes after it."""
        limit = self._lab.moment.insn + _LIMIT
        pressed = False
        while True:
            stop = self._lab.run(instructions=_SLICE)
            if text := self._fresh():
                yield text
            if stop is not Stop.LIMIT:
                return
            if self._interrupted():
                self._press_ctrl_c()
            log = self._lab.machine.log
            if self._lab.moment.insn > limit or self._lab.seq > log.capacity * _LOG_SHARE:
                if pressed:
                    raise KprobesimError(
                        f"The command was still running after {_LIMIT:,} instructions.",
                        hint="Programs that never end can be started with & behind them.",
                    )
                self._press_ctrl_c()
                pressed, limit = True, self._lab.moment.insn + _LIMIT // 100
