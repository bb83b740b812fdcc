"""The hypercall that a vCPU is in: its arguments, its answer, and the calls into the guest that the answer takes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from kprobesim.machine.registers import RegisterSet
from kprobesim.machine.upcalls import Answer, GuestCall

if TYPE_CHECKING:
    from collections.abc import Generator

    from kprobesim.machine.engine import Engine

__all__ = ["HypercallSide"]

_THREE_WORDS: Final = struct.Struct("<3Q")
_ARGUMENTS: Final = ("rdi", "rsi", "rdx", "rcx", "r8")


class HypercallSide:
    """The part of `VCpu` that functions of the host deal with.

    Args:
        engine: holds the registers.
    """

    def __init__(self, engine: Engine) -> None:
        handle = engine.handle
        call = RegisterSet(handle, ("rdi", "rsi", "rdx", "cr3", "rsp"))
        self._read_call, self._call_words = call.read, call.words
        self._more = RegisterSet(handle, ("rcx", "r8", "r9"))
        self._answer = RegisterSet(handle, ("rax", "r10"))
        self._guest_call = RegisterSet(handle, ("r10", *_ARGUMENTS))
        self._write_guest_call = [self._guest_call.writer(1 + count) for count in range(1 + len(_ARGUMENTS))]
        self._suspended: list[Generator[GuestCall, int, int]] = []

    def call_arguments(self) -> tuple[int, int, int]:
        """RDI, RSI and RDX of a hypercall under way."""
        self._read_call()
        arguments: tuple[int, int, int] = _THREE_WORDS.unpack_from(self._call_words)
        return arguments

    def more_arguments(self) -> tuple[int, int, int]:
        """RCX, R8 and R9 of a hypercall under way, for stubs of functions with more than three arguments."""
        self._more.read()
        arguments: tuple[int, int, int] = _THREE_WORDS.unpack_from(self._more.words)
        return arguments

    @property
    def root(self) -> int:
        """CR3 at the hypercall under way."""
        return self._call_words[3]

    @property
    def stack_pointer(self) -> int:
        """RSP at the hypercall under way."""
        return self._call_words[4]

    def answer(self, answer: Answer) -> None:
        """Return from a hypercall under way: now, or after the calls into the guest that the answer takes."""
        if isinstance(answer, int):
            words = self._answer.words
            words[0], words[1] = answer & 0xFFFF_FFFF_FFFF_FFFF, 0
            self._answer.write()
        else:
            self._suspended.append(answer)
            self._go_on(None)

    def resume(self) -> None:
        """The guest has made the call that it was asked for; RDI is what it returned."""
        self._go_on(self.call_arguments()[0])

    def _go_on(self, returned: int | None) -> None:
        """Let the innermost answer go on with what its call returned; None starts it."""
        try:
            answer = self._suspended[-1]
            address, args = next(answer) if returned is None else answer.send(returned)
        except StopIteration as done:
            self._suspended.pop()
            self.answer(done.value)
            return
        words, count = self._guest_call.words, len(args)
        words[0] = address
        words[1 : 1 + count] = list(args)
        self._write_guest_call[count]()

    @property
    def suspended(self) -> bool:
        """A function of the host waits for the guest; such a moment is passed through but cannot be kept."""
        return bool(self._suspended)

    def _abandon(self) -> None:
        """Forget the functions that wait for the guest: the machine is at a moment where none does."""
        self._suspended.clear()
