"""The thread that owns the lab of a screen, and what it says after each motion."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Final

from textual.message import Message

from kprobesim.tui.lessons.desk import LessonDesk
from kprobesim.tui.lessons.view import LessonView
from kprobesim.tui.motions import Interrupt, Outcome
from kprobesim.tui.snapshot import Memory, Snapshot, observe
from kprobesim.tui.worker import Worker

if TYPE_CHECKING:
    from kprobesim.lab import Lab

__all__ = ["Arrived", "Conductor", "Failed"]


_PARTS: Final = ("kprobesim.machine.machine", "kprobesim.bpf", "kprobesim.tracing.front", "kprobesim.lab.lab")


class Abandoned(Exception):
    """Nobody waits for the lab any more."""


class Arrived(Message):
    """A motion ended."""

    def __init__(self, snapshot: Snapshot, outcome: Outcome, lesson: LessonView | None) -> None:
        super().__init__()
        self.snapshot = snapshot
        self.outcome = outcome
        self.lesson = lesson


class Failed(Message):
    """A motion could not be made; the snapshot shows where the lab is now, if there is one."""

    def __init__(self, error: Exception, snapshot: Snapshot | None) -> None:
        super().__init__()
        self.error = error
        self.snapshot = snapshot


class Conductor(Worker["Lab"]):
    """Owns a lab.

    Args:
        open_lab: makes the lab; called on the conductor's thread.
        desk: the lesson that the lab belongs to, if it does.
        post: takes the messages.

    Attributes:
        memory: what the thread keeps from one look to the next.
        watch: called with the lab on its thread whenever it has come to rest somewhere.
    """

    def __init__(
        self, open_lab: Callable[[], Lab], post: Callable[[Message], object], desk: LessonDesk | None = None
    ) -> None:
        super().__init__(post)
        self.memory = Memory()
        self.watch: Callable[[Lab], object] = lambda lab: None
        self._open_lab = open_lab
        self._desk = desk

    def open(self, interrupt: Interrupt) -> Lab:
        """Load the machine, room by room, and open the lab.

        Raises:
            Abandoned: somebody left meanwhile.
        """
        for part in _PARTS:
            import_module(part)
            if interrupt():
                raise Abandoned
        return self._open_lab()

    def arrived(self, thing: Lab, outcome: Outcome) -> Message:
        """A snapshot, how the motion ended, and where the learner is."""
        self.watch(thing)
        lesson = None if self._desk is None else self._desk.view()
        return Arrived(observe(thing, self.memory), outcome, lesson)

    def failed(self, thing: Lab | None, error: Exception) -> Message:
        """The error, and where the lab is; for a refused program also what the verifier did with it."""
        from kprobesim.bpf.verifier import Rejected

        if thing is not None:
            self.watch(thing)
        if thing is not None and isinstance(error, Rejected):
            self.memory.refuse(thing, error)
        return Failed(error, None if thing is None else observe(thing, self.memory))

    def retired(self, thing: Lab) -> int:
        """Instructions of the lab's life so far."""
        return thing.moment.insn

    def closed(self) -> None:
        """The lesson notes where its machine stands."""
        if self._desk is not None:
            self._desk.close()
