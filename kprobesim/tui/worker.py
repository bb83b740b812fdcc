"""A thread that owns something which only one thread may touch: one motion at a time, a message after each.

The screen asks and goes on drawing; what comes back arrives as a message. Nothing here touches a widget.
"""

from __future__ import annotations

import abc
import gc
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar
from weakref import WeakSet

from textual.message import Message

from kprobesim.errors import KprobesimError
from kprobesim.tui.motions import Interrupt, Outcome

__all__ = ["Patience", "Progress", "Worker", "end_workers"]

_LIMIT = 2_000_000_000
_MOST_WAITING = 32
_PROGRESS_EVERY = 0.1
_LAST_WAIT = 3.0

T = TypeVar("T")


class Progress(Message):
    """A long motion is under way: so many instructions so far."""

    def __init__(self, instructions: int) -> None:
        super().__init__()
        self.instructions = instructions


class Patience:
    """Tells one motion when to give up: when asked to, or when it has run for too many instructions.

    Args:
        post: takes a `Progress` now and then.
    """

    def __init__(self, post: Callable[[Message], object]) -> None:
        self._post = post
        self._asked = threading.Event()
        self._reported = 0.0
        self._start = 0
        self._retired: Callable[[], int] | None = None
        self.limit_reached = False

    @property
    def stopped(self) -> bool:
        """Somebody asked the motion to stop."""
        return self._asked.is_set()

    def stop(self) -> None:
        """Ask the motion to stop; from any thread."""
        self._asked.set()

    def begin(self, retired: Callable[[], int]) -> None:
        """The motion starts now.

        Args:
            retired: says where the machine is, in instructions.
        """
        self._retired, self._start, self._reported = retired, retired(), time.monotonic()

    def __call__(self) -> bool:
        """Whether the motion shall end where it is."""
        assert self._retired is not None
        done = self._retired() - self._start
        if time.monotonic() - self._reported > _PROGRESS_EVERY:
            self._reported = time.monotonic()
            self._post(Progress(done))
        self.limit_reached = self.limit_reached or done >= _LIMIT
        return self.stopped or self.limit_reached


@dataclass(frozen=True, slots=True)
class _Job(Generic[T]):
    motion: Callable[[T, Interrupt], Outcome]
    patience: Patience


class Worker(abc.ABC, Generic[T]):
    """Owns a thing and the only thread that may touch it.

    Args:
        post: takes the messages; must be safe to call from any thread, as `Widget.post_message` is.
    """

    def __init__(self, post: Callable[[Message], object]) -> None:
        self._post = post
        self._jobs: queue.SimpleQueue[_Job[T] | None] = queue.SimpleQueue()
        self._waiting: list[Patience] = []
        self._opening = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lab", daemon=True)

    # For subclasses, on the worker's thread

    @abc.abstractmethod
    def open(self, interrupt: Interrupt) -> T:
        """Make the thing.

        Args:
            interrupt: whether nobody waits for it any more.
        """

    @abc.abstractmethod
    def arrived(self, thing: T, outcome: Outcome) -> Message:
        """What to say when a motion has ended."""

    @abc.abstractmethod
    def failed(self, thing: T | None, error: Exception) -> Message:
        """What to say when one could not be made; without the thing where that cannot be looked at."""

    @abc.abstractmethod
    def retired(self, thing: T) -> int:
        """How many instructions the thing has behind it."""

    def closed(self) -> None:
        """The thread ends."""

    # For the screen's thread

    def start(self) -> None:
        """Make the thing; a message follows."""
        _started.add(self)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """A motion is under way or waits."""
        return bool(self._waiting)

    def move(self, motion: Callable[[T, Interrupt], Outcome]) -> None:
        """Make a motion after those that wait; dropped when too many wait already, as when a key is held down."""
        if len(self._waiting) < _MOST_WAITING:
            job = _Job(motion, Patience(self._post))
            self._waiting.append(job.patience)
            self._jobs.put(job)

    def settled(self) -> None:
        """One motion has come back; to be called for each message about one."""
        if self._waiting:
            self._waiting.pop(0)

    def stop(self) -> None:
        """Ask all motions to stop."""
        for patience in self._waiting:
            patience.stop()

    def close(self) -> None:
        """Stop everything and let the thread end; give up waiting for it after a while."""
        self._opening.set()
        self.stop()
        self._jobs.put(None)
        self.wait(_LAST_WAIT)

    def wait(self, seconds: float | None = None) -> None:
        """Until the thread has ended.

        Args:
            seconds: at most; None: however long it takes.
        """
        if self._thread.is_alive():
            self._thread.join(seconds)

    # The worker's thread

    def _work(self) -> None:
        thing: T | None = None
        try:
            thing = self.open(self._opening.is_set)
            self._post(self.arrived(thing, Outcome()))
            # A kernel's symbols and lines are many objects, which live as long as the lab: the collector shall not stop
            # a step to walk over them.
            gc.freeze()
        except Exception as error:
            self._post(self.failed(None, error))
        while (job := self._jobs.get()) is not None:
            if thing is not None:
                self._post(self._carry_out(thing, job))
        self.closed()
        gc.unfreeze()

    def _carry_out(self, thing: T, job: _Job[T]) -> Message:
        patience = job.patience
        try:
            patience.begin(lambda: self.retired(thing))
            outcome = Outcome("stopped") if patience.stopped else job.motion(thing, patience)
            if patience.stopped:
                outcome = Outcome("stopped")
            elif patience.limit_reached:
                outcome = Outcome("limit", {"instructions": f"{_LIMIT:,}"})
            return self.arrived(thing, outcome)
        except KprobesimError as error:
            return self.failed(thing, error)
        except Exception as error:
            # A mistake in the program must not end a session either.
            return self.failed(None, error)


_started: Final[WeakSet[Worker[Any]]] = WeakSet()
"""A thread that runs keeps its worker here."""


def end_workers() -> None:
    """Wait for the threads that had more to do when they were closed than anybody waits for on a screen.

    To be called before the program ends: Python closes all engines then, also one that a thread is running.
    """
    for worker in tuple(_started):
        worker.close()
        worker.wait()
