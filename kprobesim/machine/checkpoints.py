"""Checkpoints: RAM by pages that neighbours share, CPU contexts, and the Python state of whoever takes part."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol

from kprobesim.machine.machine import Machine, MachineState
from kprobesim.machine.shadow import Shadow

__all__ = ["Checkpoint", "Checkpoints", "Component"]

_KEEP: Final = 160
_RECENT: Final = 64
_CLOSE: Final = 12


class Component(Protocol):
    """Something outside the machine whose state must go back with it: the kprobe manager, BPF maps."""

    def save(self) -> object:
        """A copy of all mutable state that is not in guest memory."""
        ...

    def restore(self, state: object) -> None:
        """Go back to a copy from `save`."""
        ...


class Checkpoint(NamedTuple):
    """The whole state between two instructions.

    Attributes:
        insn: instructions retired.
        inputs: inputs applied.
        pages: contents of every page of RAM; equal pages of neighbouring checkpoints are one object.
        machine: the machine's state apart from RAM.
        components: the components' states, in their order.
    """

    insn: int
    inputs: int
    pages: tuple[bytes, ...]
    machine: MachineState
    components: tuple[object, ...]


class Checkpoints:
    """A bounded collection of checkpoints of one machine, ordered by time.

    The most recent ones are all kept; the older, the sparser. Beside them are a few close ones, made where somebody
    steps, which soon give way to others.

    Args:
        machine: whose.
        components: saved and restored with it, in this order.
    """

    def __init__(self, machine: Machine, components: Iterable[Component]) -> None:
        self._machine = machine
        self._components = tuple(components)
        self._kept: list[Checkpoint] = []
        self._close: deque[Checkpoint] = deque(maxlen=_CLOSE)
        self._shadow = Shadow(machine.ram)

    def __len__(self) -> int:
        return len(self._kept)

    def take(self, inputs: int) -> Checkpoint:
        """Make a checkpoint of the present, without keeping it.

        Args:
            inputs: how many inputs have been applied.
        """
        return Checkpoint(
            self._machine.retired,
            inputs,
            self._shadow.pages(),
            self._machine.save(),
            tuple(component.save() for component in self._components),
        )

    def keep(self, checkpoint: Checkpoint) -> None:
        """Add a checkpoint to the collection, unless one with the same place is there."""
        key = (checkpoint.insn, checkpoint.inputs)
        at = bisect_right(self._kept, key, key=lambda kept: (kept.insn, kept.inputs))
        if at and (self._kept[at - 1].insn, self._kept[at - 1].inputs) == key:
            return
        self._kept.insert(at, checkpoint)
        if len(self._kept) > _KEEP:
            old = self._kept[:-_RECENT]
            self._kept = old[:1] + old[2::2] + self._kept[-_RECENT:]

    def keep_close(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint until a few more have been made."""
        self._close.append(checkpoint)

    def before(self, insn: int, inputs: int) -> Checkpoint:
        """The latest checkpoint from which instruction ``insn`` can be reached with at most ``inputs`` inputs applied.

        Raises:
            LookupError: none was ever kept.
        """
        at = bisect_right(self._kept, insn, key=lambda kept: kept.insn)
        while at and self._kept[at - 1].inputs > inputs:
            at -= 1
        if not at:
            raise LookupError("no checkpoint was taken at the start")
        near = [one for one in self._close if one.insn <= insn and one.inputs <= inputs]
        return max([self._kept[at - 1], *near], key=lambda kept: (kept.insn, kept.inputs))

    def last_kept(self, insn: int) -> int:
        """Where the latest of the lasting checkpoints up to an instruction is."""
        at = bisect_right(self._kept, insn, key=lambda kept: kept.insn)
        return self._kept[max(at - 1, 0)].insn

    def forget_after(self, insn: int, inputs: int) -> None:
        """Drop all checkpoints of a future that will not come."""
        self._kept = [kept for kept in self._kept if kept.insn <= insn and kept.inputs <= inputs]
        self._close = deque((kept for kept in self._close if kept.insn <= insn and kept.inputs <= inputs), _CLOSE)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Put RAM, machine and components back."""
        self._shadow.restore(checkpoint.pages)
        self._machine.restore(checkpoint.machine)
        for component, state in zip(self._components, checkpoint.components, strict=True):
            component.restore(state)
