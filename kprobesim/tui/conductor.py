"""The thread that owns the lab: one motion at a time, a snapshot after each.

The screen asks and goes on drawing; what comes back arrives as a message. Nothing here touches a widget.
"""

from __future__ import annotations

import gc
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from textual.message import Message

from kprobesim.errors import KprobesimError
from kprobesim.lab import Lab
from kprobesim.tui.lesson import LessonDesk, LessonView
from kprobesim.tui.motions import Motion, Outcome
from kprobesim.tui.snapshot import Memory, Snapshot, observe

__all__ = ["Arrived", "Conductor", "Failed", "Patience", "Progress"]

_LIMIT = 2_000_000_000
_MOST_WAITING = 32
_PROGRESS_EVERY = 0.1
_LAST_WAIT = 3.0


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
        self._lab: Lab | None = None
        self.limit_reached = False

    @property
    def stopped(self) -> bool:
        """Somebody asked the motion to stop."""
        return self._asked.is_set()

    def stop(self) -> None:
        """Ask the motion to stop; from any thread."""
        self._asked.set()

    def begin(self, lab: Lab) -> None:
        """The motion starts now."""
        self._lab, self._start, self._reported = lab, lab.moment.insn, time.monotonic()

    def __call__(self) -> bool:
        """Whether the motion shall end where it is."""
        assert self._lab is not None
        done = self._lab.moment.insn - self._start
        if time.monotonic() - self._reported > _PROGRESS_EVERY:
            self._reported = time.monotonic()
            self._post(Progress(done))
        self.limit_reached = self.limit_reached or done >= _LIMIT
        return self.stopped or self.limit_reached


@dataclass(frozen=True, slots=True)
class _Job:
    motion: Motion
    patience: Patience


class Conductor:
    """Owns a lab and the only thread that may touch it.

    Args:
        open_lab: makes the lab; called on that thread.
        desk: the lesson that the lab belongs to, if it does.
        post: takes the messages; must be safe to call from any thread, as `Widget.post_message` is.

    Attributes:
        memory: what the thread keeps from one look to the next.
    """

    def __init__(
        self, open_lab: Callable[[], Lab], post: Callable[[Message], object], desk: LessonDesk | None = None
    ) -> None:
        self.memory = Memory()
        self._open = open_lab
        self._desk = desk
        self._post = post
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._waiting: list[Patience] = []
        self._thread = threading.Thread(target=self._work, name="lab", daemon=True)

    # For the screen's thread

    def start(self) -> None:
        """Open the lab; `Arrived` or `Failed` follows."""
        self._thread.start()

    @property
    def busy(self) -> bool:
        """A motion is under way or waits."""
        return bool(self._waiting)

    def move(self, motion: Motion) -> None:
        """Make a motion after those that wait; dropped when too many wait already, as when a key is held down."""
        if len(self._waiting) < _MOST_WAITING:
            job = _Job(motion, Patience(self._post))
            self._waiting.append(job.patience)
            self._jobs.put(job)

    def settled(self) -> None:
        """One motion has come back; to be called for each `Arrived` and `Failed`."""
        if self._waiting:
            self._waiting.pop(0)

    def stop(self) -> None:
        """Ask all motions to stop."""
        for patience in self._waiting:
            patience.stop()

    def close(self) -> None:
        """Stop everything and let the thread end."""
        self.stop()
        self._jobs.put(None)
        if self._thread.is_alive():
            self._thread.join(_LAST_WAIT)

    # The lab's thread

    def _work(self) -> None:
        lab: Lab | None = None
        try:
            lab = self._open()
            self._post(self._arrived(lab, Outcome()))
            # A kernel's symbols and lines are many objects, which live as long as the lab: the collector shall not stop
            # a step to walk over them.
            gc.freeze()
        except Exception as error:
            self._post(Failed(error, None))
        while (job := self._jobs.get()) is not None:
            if lab is not None:
                self._post(self._carry_out(lab, job))
        if self._desk is not None:
            self._desk.close()
        gc.unfreeze()

    def _arrived(self, lab: Lab, outcome: Outcome) -> Arrived:
        lesson = None if self._desk is None else self._desk.view()
        return Arrived(observe(lab, self.memory), outcome, lesson)

    def _carry_out(self, lab: Lab, job: _Job) -> Message:
        patience = job.patience
        try:
            patience.begin(lab)
            outcome = Outcome("stopped") if patience.stopped else job.motion(lab, patience)
            if patience.stopped:
                outcome = Outcome("stopped")
            elif patience.limit_reached:
                outcome = Outcome("limit", {"instructions": f"{_LIMIT:,}"})
            return self._arrived(lab, outcome)
        except KprobesimError as error:
            return Failed(error, observe(lab, self.memory))
        except Exception as error:
            # A mistake in the program must not end a session either.
            return Failed(error, None)
