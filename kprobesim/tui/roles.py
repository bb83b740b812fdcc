"""What actions ask of the screens that they are carried out on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from kprobesim.lab import Grain
from kprobesim.tui.lecture import Lecture
from kprobesim.tui.lessons.desk import LessonDesk
from kprobesim.tui.motions import Motion

if TYPE_CHECKING:
    from kprobesim.tui.screens.lab_dialogs import LabDialogs

__all__ = ["Bench", "Fork", "Shelf", "Stage", "Traveller"]


class Stage(Protocol):
    """What the actions of the whole app need."""

    def show_help(self) -> None:
        """Explain what is selected, and list the keys."""
        ...

    def switch_language(self) -> None:
        """The next language."""
        ...

    def switch_theme(self) -> None:
        """Dark or light."""
        ...

    def open_palette(self) -> None:
        """Search all actions."""
        ...

    def stop_or_quit(self) -> None:
        """Stop a motion, or leave."""
        ...

    def leave_app(self) -> None:
        """Leave."""
        ...


class Traveller(Protocol):
    """What the actions need that every screen with a machine on it has."""

    @property
    def grain(self) -> Grain:
        """How far one step goes."""
        ...

    def move(self, motion: Motion) -> None:
        """Make a motion."""
        ...

    def change_grain(self, by: int) -> None:
        """Finer (1) or coarser (-1) steps."""
        ...

    def cycle_panel(self, by: int) -> None:
        """The next panel (1) or the one before (-1)."""
        ...

    def scroll_panel(self, by: int) -> None:
        """Look further down (1) or up (-1)."""
        ...

    def stop(self) -> None:
        """Stop a motion."""
        ...

    def leave(self) -> None:
        """Back to the screen before."""
        ...


class Fork(Traveller, Protocol):
    """What the actions of the what-if screen need."""

    def go_to_parting(self) -> None:
        """Both machines to where the lives part."""
        ...

    def go_to_fork(self) -> None:
        """Both machines to where the change is made."""
        ...

    def take(self) -> None:
        """Leave, and put the lab where the life as it was stands."""
        ...


class Shelf(Protocol):
    """What the actions of the screen of files need."""

    def type_line(self) -> None:
        """Ask for a line to type at the machine's console."""
        ...

    def leave(self) -> None:
        """Back to the screen before."""
        ...


class Bench(Traveller, Protocol):
    """What the actions of the lab screen need."""

    @property
    def lecture(self) -> Lecture:
        """Presenting and playing."""
        ...

    @property
    def dialogs(self) -> LabDialogs:
        """What can be asked."""
        ...

    def blank(self) -> None:
        """An empty screen until the next key."""
        ...

    def study(self, what: Callable[[LessonDesk], Motion]) -> None:
        """Do something to the lesson."""
        ...

    def turn_page(self, by: int) -> None:
        """The lesson's next page (1) or the one before (-1)."""
        ...

    def number_key(self, number: int) -> None:
        """A panel by its place in `PANELS`, or a digit of the count that is being typed."""
        ...

    def begin_count(self) -> None:
        """The digits that follow say how often the next motion is made."""
        ...

    def move_cursor(self, by: int) -> None:
        """The next place in the selected panel (1) or the one before (-1)."""
        ...

    def run_to_cursor(self, *, back: bool) -> None:
        """To the instruction or event under the cursor."""
        ...

    def who_set_this(self) -> None:
        """Back to where what is under the cursor got its value."""
        ...

    def toggle_bookmark(self) -> None:
        """Mark this moment, or take the mark away."""
        ...

    def go_to_bookmark(self, by: int) -> None:
        """The next bookmark (1) or the one before (-1)."""
        ...

    def read_on(self, by: int) -> None:
        """Further down (1) or up (-1) in the text."""
        ...

    def toggle_text(self) -> None:
        """Show or hide the text."""
        ...

    def toggle_why(self) -> None:
        """Tell why things happened, or only what."""
        ...

    def toggle_maximised(self) -> None:
        """One large panel, or all."""
        ...

    def rejoin(self) -> None:
        """Back to where the teacher is."""
        ...
