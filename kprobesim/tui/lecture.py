"""A lab in front of a class: large, playing by itself, asking before it shows, and with notes in a second terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from textual.timer import Timer

from kprobesim.course import Scenario as Demo
from kprobesim.course.podium import Podium, Position, default_podium
from kprobesim.lab import Grain, Phase
from kprobesim.tui.motions import Interrupt, Motion, Outcome, go_to_event, step
from kprobesim.tui.snapshot import Snapshot

if TYPE_CHECKING:
    from kprobesim.lab import Lab

__all__ = ["SPEEDS", "Lecture"]

SPEEDS: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_DWELL: Final = 2.0
_SLOWER: Final = {Phase.BREAKPOINT: 2.0, Phase.SLOT: 2.0, Phase.SECOND_BREAKPOINT: 1.5}
"""How much longer the moments stay that a class has to think about."""
_ANSWER: Final = 3.0
_OVER: Final = ("idle", "no_hit", "no_bpf", "no_program", "oops", "end", "stopped", "limit")
_PROJECTOR: Final = "projector"


class Hall(Protocol):
    """What a lecture needs of the screen that it is given on."""

    @property
    def grain(self) -> Grain:
        """How far one step goes."""
        ...

    @property
    def snapshot(self) -> Snapshot | None:
        """The moment on the screen."""
        ...

    @property
    def theme_name(self) -> str:
        """The look."""
        ...

    def dress(self, theme: str) -> None:
        """Take another look."""
        ...

    def move(self, motion: Motion) -> None:
        """Make a motion."""
        ...

    def after(self, seconds: float, then: Callable[[], None]) -> Timer:
        """Call something later."""
        ...

    def rearrange(self) -> None:
        """The mode has changed: lay everything out, and say again what is played."""
        ...


class Lecture:
    """The state of presenting and playing; on the screen's thread.

    Args:
        hall: the screen.
        demo: what is shown, if it is a demo: it has questions and notes.
        podium: tells the notes where the demo is.

    Attributes:
        presenting: the layout is the large one.
        playing: steps are made without a key.
        speed: of playing; 1 is one step in two seconds.
        question: position of the event that answers the question on the screen; None if there is none.
    """

    def __init__(self, hall: Hall, demo: Demo | None, podium: Podium | None = None) -> None:
        self._hall, self._demo = hall, demo
        self._podium = podium or default_podium()
        self.presenting = False
        self.playing = False
        self.speed = 1.0
        self.question: int | None = None
        self._answered: set[int] = set()
        self._theme = ""
        self._timer: Timer | None = None

    def present(self) -> None:
        """Large and for a projector, or back to the usual."""
        self.presenting = not self.presenting
        if self.presenting:
            self._theme = self._hall.theme_name
            self._hall.dress(_PROJECTOR)
        else:
            self._hall.dress(self._theme)
        self._hall.rearrange()
        self._tell()

    def play(self) -> None:
        """Go on by itself, or stop that; where a question waits, show the answer and go on."""
        if self.question is not None:
            answered, self.question = self.question, None
            self._answered.add(answered)
            self.playing = True
            self._hall.rearrange()
            self._hall.move(_answer(answered, self._demo))
            return
        self.playing = not self.playing
        self._hall.rearrange()
        if self.playing:
            self._step()
        else:
            self._cancel()

    def change_speed(self, by: int) -> None:
        """Faster (1) or slower (-1)."""
        place = SPEEDS.index(self.speed) + by
        self.speed = SPEEDS[min(max(place, 0), len(SPEEDS) - 1)]
        self._hall.rearrange()

    def again(self) -> None:
        """Back one step, and once more forward after a while."""
        self._pause()
        self._hall.move(step(self._hall.grain, back=True))
        self._timer = self._hall.after(_DWELL / self.speed, lambda: self._hall.move(step(self._hall.grain)))

    def arrived(self, outcome: Outcome, now: Snapshot) -> None:
        """A motion ended: the next one follows, unless there is a question or nothing comes any more."""
        self._tell()
        self.question = None
        if outcome.key == "question":
            seq = outcome.values["seq"]
            assert isinstance(seq, int)
            self.question = seq
            self._pause()
        elif outcome.key in _OVER:
            self._pause()
        elif self.playing:
            self._cancel()
            dwell = _DWELL * (_ANSWER if outcome.key == "answer" else _SLOWER.get(now.phase, 1.0))
            self._timer = self._hall.after(dwell / self.speed, self._step)

    def failed(self) -> None:
        """A motion could not be made."""
        self._pause()

    def close(self) -> None:
        """The screen goes away."""
        self._cancel()
        if self.presenting:
            self._hall.dress(self._theme)
            self._podium.leave()

    def _pause(self) -> None:
        self._cancel()
        if self.playing:
            self.playing = False
            self._hall.rearrange()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None

    def _step(self) -> None:
        if self.playing:
            self._hall.move(_play(self._hall.grain, self._demo, frozenset(self._answered)))

    def _tell(self) -> None:
        now = self._hall.snapshot
        if self._demo is None or now is None:
            return
        if self.presenting:
            self._podium.tell(Position(self._demo.id, now.seq))
        else:
            self._podium.leave()


def _play(grain: Grain, demo: Demo | None, answered: frozenset[int]) -> Motion:
    """One step, but not past an event that answers a question which has not been asked."""

    def move(lab: Lab, interrupt: Interrupt) -> Outcome:
        origin, begun = lab.moment, lab.seq
        outcome = step(grain)(lab, interrupt)
        if demo is None:
            return outcome
        for seq, pause in demo.asked(lab):
            if begun <= seq < lab.seq and seq not in answered:
                lab.seek(origin if seq == begun else lab.events(seq - 1, seq)[0])
                return Outcome("question", {"seq": seq, "question": pause.questions})
        return outcome

    return move


def _answer(seq: int, demo: Demo | None) -> Motion:
    def move(lab: Lab, interrupt: Interrupt) -> Outcome:
        go_to_event(seq)(lab, interrupt)
        answers = {} if demo is None else {at: pause.answers for at, pause in demo.asked(lab)}
        return Outcome("answer", {"answer": answers.get(seq, {})})

    return move
