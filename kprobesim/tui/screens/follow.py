"""The screens of a follower: waiting for the teacher, and the teacher's lab lived on one's own machine."""

from __future__ import annotations

import threading

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from kprobesim.classroom import Follower, Told, go_there, say
from kprobesim.error_texts import in_language
from kprobesim.i18n import Language
from kprobesim.lab import Lab, Moment
from kprobesim.lab.recording import Recording, replay
from kprobesim.tui.conductor import Arrived, Failed
from kprobesim.tui.key_names import KEY_NAMES
from kprobesim.tui.motions import Interrupt, Motion, Outcome, stay
from kprobesim.tui.panels.class_bar import ClassBar
from kprobesim.tui.panels.too_small import TooSmall
from kprobesim.tui.screens.base import SizedScreen
from kprobesim.tui.screens.lab import LabScreen

__all__ = ["FollowScreen", "WaitingScreen"]


class WaitingScreen(SizedScreen):
    """Nothing has come from the teacher yet.

    Args:
        link: to the teacher.
    """

    DEFAULT_CSS = """
    WaitingScreen #waiting { width: 1fr; height: 1fr; content-align: center middle; text-align: center; }
    """

    def __init__(self, link: str) -> None:
        super().__init__()
        self._link = link
        self._key, self._failure = "connecting", ""

    def compose(self) -> ComposeResult:
        """A sentence."""
        yield Static(id="waiting")
        yield TooSmall()

    def on_mount(self) -> None:
        """Fill in the words."""
        self.retell()

    def retell(self) -> None:
        """Say it again."""
        super().retell()
        text = in_language(self._failure, self.language) or say(self.language, self._key, link=self._link)
        self.query_one("#waiting", Static).update(Content(text))

    def heard(self, told: Told, failure: str) -> None:
        """What is known of the teacher, and why there will be nothing more to know."""
        self._key, self._failure = told.state, failure
        if told.state == "connected":
            self._key = "no_place"
        self.retell()


class Received:
    """A recording that came from a teacher, as something to open.

    Args:
        recording: the teacher's.

    Attributes:
        unwanted: set when nobody waits for it any more.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.unwanted = threading.Event()

    def title(self, language: Language) -> str:
        """Whose it is."""
        return say(language, "title")

    def summary(self, language: Language) -> str:
        """Nothing more."""
        return ""

    def text(self, language: Language) -> str:
        """Its notes."""
        return self._recording.notes

    def open(self) -> Lab:
        """Live it.

        Raises:
            KprobesimError: it cannot be, or is unwanted by now.
        """
        return replay(self._recording, interrupt=self.unwanted.is_set)


class FollowScreen(LabScreen):
    """The teacher's lab. Where the teacher goes it goes too, until the follower moves.

    Args:
        told: what the teacher said last; it holds a recording.
        follower: tells the teacher who is with them.
    """

    class Rejoined(Message):
        """The follower has come back, perhaps to another recording than the one that was left."""

    def __init__(self, told: Told, follower: Follower) -> None:
        assert told.recording is not None
        self._received = Received(told.recording)
        super().__init__(self._received)
        self.recording = told.name
        self.following = True
        self._heard = told
        self._failure = ""
        self._follower = follower
        self._went: Moment | None = None

    def look_as(self, earlier: FollowScreen) -> None:
        """The same panel in front and the same steps as on the screen before, once this one is there."""
        self.grain = earlier.grain
        self.call_after_refresh(self.select_panel, earlier.selected)

    def compose(self) -> ComposeResult:
        """The class above everything else."""
        yield ClassBar()
        yield from super().compose()

    def on_unmount(self) -> None:
        """A replay under way ends."""
        self._received.unwanted.set()

    def retell(self) -> None:
        """Where the teacher is, as well."""
        super().retell()
        self._tell_class()

    def heard(self, told: Told, failure: str) -> None:
        """What is known of the teacher now, and why there will be nothing more to know."""
        self._heard, self._failure = told, failure
        self._tell_class()
        self._keep_up()

    def move(self, motion: Motion) -> None:
        """Whoever moves explores, and may come back."""
        if motion is not stay and self.following:
            self.following = False
            self._follower.be_with(False)
            self._tell_class()
        super().move(motion)

    def rejoin(self) -> None:
        """Back to where the teacher is."""
        self.following, self._went = True, None
        self.conductor.stop()
        self._follower.be_with(True)
        self._tell_class()
        self._keep_up()
        self.post_message(self.Rejoined())

    @property
    def _has_list(self) -> bool:
        return False

    def leave(self) -> None:
        """There is no list to go back to."""

    @on(Arrived)
    @on(Failed)
    def _rested(self) -> None:
        # The lab screen's own handler comes after this one, and only then is the conductor free.
        self.call_later(self._keep_up)

    def _keep_up(self) -> None:
        """Go to where the teacher is by now; what the teacher passed meanwhile is left out."""
        told = self._heard
        if not self.following or self.conductor.busy or self.snapshot is None:
            return
        if told.name == self.recording and told.moment != self._went:
            self._went = told.moment
            super().move(_to(told.moment))

    def _tell_class(self) -> None:
        told, language = self._heard, self.language
        if self._failure:
            mark, key = "✗", ""
        elif told.state in ("lost", "over", "apart"):
            mark, key = "!", told.state
        else:
            mark, key = ("●", "with") if self.following else ("○", "exploring")
        advice = "" if self.following else say(language, "rejoin", press=KEY_NAMES["rejoin"])
        self.query_one(ClassBar).tell(
            f"{mark} {say(language, key) if key else in_language(self._failure, language)}", advice
        )


def _to(moment: Moment) -> Motion:
    def move(lab: Lab, interrupt: Interrupt) -> Outcome:
        go_there(lab, moment, interrupt)
        return Outcome()

    return move
