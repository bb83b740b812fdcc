"""Whose turn it is: the vCPUs run one after the other, for lengths that only the seed decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kprobesim.machine.vcpu import VCpu

__all__ = ["Turns"]

_MIN, _SPREAD = 512, 1024
_ENDLESS: Final = 1 << 62
_MASK64: Final = (1 << 64) - 1


class Turns:
    """The turns of one machine's vCPUs.

    Args:
        cpus: all of them, in the order of their turns.
        seed: of the lengths.

    Attributes:
        number: of the vCPU whose turn it is.
        left: instructions that are left of its turn.
    """

    def __init__(self, cpus: Sequence[VCpu], seed: int) -> None:
        self.number = 0
        self.left = 0
        self._cpus = cpus
        self._random = seed & _MASK64

    def next(self) -> VCpu | None:
        """The vCPU that runs now, or None if all wait."""
        cpu = self._cpus[self.number]
        if self.left > 0 and cpu.runnable:
            return cpu
        for offset in range(1, len(self._cpus) + 1):
            number = (self.number + offset) % len(self._cpus)
            if self._cpus[number].runnable:
                self.number, self.left = number, self._length()
                return self._cpus[number]
        return None

    def _length(self) -> int:
        if len(self._cpus) == 1:
            return _ENDLESS
        self._random = (self._random * 6364136223846793005 + 1442695040888963407) & _MASK64
        return _MIN + (self._random >> 33) % _SPREAD

    def save(self) -> tuple[int, int, int]:
        """Everything that `restore` needs."""
        return self.number, self.left, self._random

    def restore(self, state: tuple[int, int, int]) -> None:
        """Go back to what `save` returned."""
        self.number, self.left, self._random = state
