"""Calls from the host's part of the kernel back into the guest.

A function of the host that answers a hypercall may need the guest to run something: a BPF program that was compiled to
x86-64 code. Such a function is a generator. It yields a `GuestCall`, the stub that issued the hypercall makes the call,
and what that returned is sent back into the generator, until it returns the hypercall's answer.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

from kprobesim.machine.events import StopAtMoment

__all__ = ["Answer", "GuestCall", "each", "is_abandoned", "then"]


class GuestCall(NamedTuple):
    """A function of the guest to be called.

    Attributes:
        address: of its first instruction.
        args: up to five, for RDI, RSI, RDX, RCX and R8.
    """

    address: int
    args: tuple[int, ...]


Answer = int | Generator[GuestCall, int, int]
"""What a function of the host gives: the number itself, or what will come to it by way of the guest."""


def is_abandoned(raised: type[BaseException] | None) -> bool:
    """Whether a host function ends only because the machine was stopped in the middle of it, or taken elsewhere.

    What it would put back when it ends must then stay as it is: that is what somebody wants to look at, or it belongs
    to another time by now.
    """
    return raised is not None and issubclass(raised, StopAtMoment | GeneratorExit)


def then(answer: Answer, go_on: Callable[[int], Answer]) -> Answer:
    """Go on with an answer: now if it is there, otherwise when the guest has come to it."""
    return go_on(answer) if isinstance(answer, int) else _later(answer, go_on)


def _later(answer: Generator[GuestCall, int, int], go_on: Callable[[int], Answer]) -> Generator[GuestCall, int, int]:
    rest = go_on((yield from answer))
    return rest if isinstance(rest, int) else (yield from rest)


def each(answers: Iterator[Answer | None]) -> Answer:
    """Have several functions called one after the other, each when the one before has come to its answer; 0.

    Args:
        answers: gives the next function's answer when asked for it; None says as much as a number.
    """
    for answer in answers:
        if not isinstance(answer, int | None):
            return _each_later(answer, answers)
    return 0


def _each_later(
    answer: Generator[GuestCall, int, int], rest: Iterator[Answer | None]
) -> Generator[GuestCall, int, int]:
    yield from answer
    for following in rest:
        if not isinstance(following, int | None):
            yield from following
    return 0
