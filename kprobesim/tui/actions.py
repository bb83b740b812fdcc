"""Every action there is, once: bindings, key line, help screen and command palette are all made from these tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, Literal, NamedTuple, Never, Protocol, TypeVar

from textual.binding import Binding

from kprobesim.course import PANELS
from kprobesim.i18n import Language
from kprobesim.lab import Grain
from kprobesim.tui.key_names import key_text
from kprobesim.tui.lecture import Lecture
from kprobesim.tui.lesson import LessonDesk
from kprobesim.tui.motions import Motion, step, to_end, to_start
from kprobesim.tui.wording import say

__all__ = [
    "ACTIONS",
    "APP_ACTIONS",
    "FILES_ACTIONS",
    "LAB_ACTIONS",
    "PANELS",
    "WHAT_IF_ACTIONS",
    "Action",
    "Bench",
    "Entry",
    "Fork",
    "Place",
    "Shelf",
    "Stage",
    "Traveller",
    "bindings",
    "entries",
]

GROUPS: Final = ("what_if", "move", "find", "look", "class", "lesson", "app")
"""The headings under which help lists actions, in order."""


Place = Literal["start", "lab", "what_if", "files"]
"""The kinds of screens."""


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

    def blank(self) -> None:
        """An empty screen until the next key."""
        ...

    def show_files(self) -> None:
        """The machine's pseudo files, as a tree."""
        ...

    def write_program(self) -> None:
        """Ask for a BPF program, load it and attach it."""
        ...

    def ask_what_if(self) -> None:
        """Ask what should have been different."""
        ...

    def ask_place(self) -> None:
        """Ask where to go."""
        ...

    def ask_command(self) -> None:
        """Ask for something to do to the lab."""
        ...

    def study(self, what: Callable[[LessonDesk], Motion]) -> None:
        """Do something to the lesson."""
        ...

    def reply(self) -> None:
        """Answer the lesson's question."""
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

    def type_line(self) -> None:
        """Ask for a line to type at the machine's console."""
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


T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Entry(NamedTuple):
    """An action as lists show it: its id, its group, all its keys as text."""

    id: str
    group: str
    keys: str

    def title(self, language: Language) -> str:
        """A few words."""
        return say(language, f"action.{self.id}.title")

    def help(self, language: Language) -> str:
        """A sentence."""
        return say(language, f"action.{self.id}.help")


@dataclass(frozen=True, slots=True)
class Action(Generic[T_contra]):
    """One thing that can be asked for.

    Attributes:
        id: its texts are ``action.<id>.title`` and ``action.<id>.help``.
        keys: the first is the one that is shown; letters only as aliases, as an input method swallows them.
        group: where the help screen lists it.
        run: does it.
        priority: the key works whatever has the focus.
    """

    id: str
    keys: tuple[str, ...]
    group: str
    run: Callable[[T_contra], None]
    priority: bool = False

    @property
    def entry(self) -> Entry:
        """What lists show of it."""
        return self.entry_for(self.keys)

    def entry_for(self, keys: Iterable[str]) -> Entry:
        """The same where a user has chosen other keys."""
        return Entry(self.id, self.group, "  ".join(key_text(key) for key in keys))


MOVE_ACTIONS: Final[tuple[Action[Traveller], ...]] = (
    Action("step_forward", ("right", "l"), "move", lambda here: here.move(step(here.grain))),
    Action("step_back", ("left", "shift+right", "h"), "move", lambda here: here.move(step(here.grain, back=True))),
    Action("finer", ("down", "j"), "move", lambda here: here.change_grain(1)),
    Action("coarser", ("up", "k"), "move", lambda here: here.change_grain(-1)),
    Action("next_hit", ("space", "n"), "move", lambda here: here.move(step(Grain.HIT))),
    Action(
        "previous_hit",
        ("backspace", "shift+space", "N"),
        "move",
        lambda here: here.move(step(Grain.HIT, back=True)),
    ),
    Action("start", ("home",), "move", lambda here: here.move(to_start)),
    Action("end", ("end", "G"), "move", lambda here: here.move(to_end)),
    Action("stop", ("escape",), "move", lambda here: here.stop()),
    Action("next_panel", ("tab",), "look", lambda here: here.cycle_panel(1)),
    Action("previous_panel", ("shift+tab",), "look", lambda here: here.cycle_panel(-1)),
    Action("scroll_up", ("ctrl+up", "ctrl+pageup"), "look", lambda here: here.scroll_panel(-1)),
    Action("scroll_down", ("ctrl+down", "ctrl+pagedown"), "look", lambda here: here.scroll_panel(1)),
    Action("leave", ("f10",), "app", lambda here: here.leave()),
)
"""What every screen with a machine on it can do."""

LAB_ACTIONS: Final[tuple[Action[Bench], ...]] = (
    *MOVE_ACTIONS,
    Action("go_to", ("enter", "g"), "move", lambda bench: bench.ask_place()),
    Action("count", ("asterisk", "x"), "move", lambda bench: bench.begin_count()),
    Action("cursor_down", ("shift+down", "J"), "find", lambda bench: bench.move_cursor(1)),
    Action("cursor_up", ("shift+up", "K"), "find", lambda bench: bench.move_cursor(-1)),
    Action("run_to_cursor", ("f6", "r"), "find", lambda bench: bench.run_to_cursor(back=False)),
    Action("back_to_cursor", ("shift+f6", "f18", "R"), "find", lambda bench: bench.run_to_cursor(back=True)),
    Action("who_set_this", ("f7", "w"), "find", lambda bench: bench.who_set_this()),
    Action("bookmark", ("f8", "m"), "find", lambda bench: bench.toggle_bookmark()),
    Action("next_bookmark", ("right_square_bracket",), "find", lambda bench: bench.go_to_bookmark(1)),
    Action("previous_bookmark", ("left_square_bracket",), "find", lambda bench: bench.go_to_bookmark(-1)),
    Action("write_program", ("insert", "b"), "find", lambda bench: bench.write_program()),
    Action("what_if", ("f12", "f"), "find", lambda bench: bench.ask_what_if()),
    Action("command", ("colon", "ctrl+d"), "find", lambda bench: bench.ask_command()),
    Action("type_line", ("f9", "dollar_sign", "s"), "find", lambda bench: bench.type_line()),
    *(
        Action(f"panel_{name}", (str(number % 10),), "look", lambda bench, number=number: bench.number_key(number))  # type: ignore[misc]
        for number, name in enumerate(PANELS, 1)
    ),
    Action("files", ("ctrl+f", "o"), "look", lambda bench: bench.show_files()),
    Action("maximise", ("f5", "z"), "look", lambda bench: bench.toggle_maximised()),
    Action("read_back", ("pageup",), "look", lambda bench: bench.read_on(-1)),
    Action("read_on", ("pagedown",), "look", lambda bench: bench.read_on(1)),
    Action("text", ("f2", "t"), "look", lambda bench: bench.toggle_text()),
    Action("why", ("slash", "ideographic_comma"), "look", lambda bench: bench.toggle_why()),
    Action("present", ("ctrl+l", "P"), "class", lambda bench: bench.lecture.present()),
    Action("play", ("ctrl+y", "p"), "class", lambda bench: bench.lecture.play()),
    Action("again", ("ctrl+u", "u"), "class", lambda bench: bench.lecture.again()),
    Action("faster", ("plus", "equals_sign"), "class", lambda bench: bench.lecture.change_speed(1)),
    Action("slower", ("minus",), "class", lambda bench: bench.lecture.change_speed(-1)),
    Action("blank", ("ctrl+k", "full_stop"), "class", lambda bench: bench.blank()),
    Action("check", ("ctrl+e", "c"), "lesson", lambda bench: bench.study(lambda desk: desk.check)),
    Action("hint", ("ctrl+t", "i"), "lesson", lambda bench: bench.study(lambda desk: desk.hint)),
    Action("reply", ("ctrl+a", "a"), "lesson", lambda bench: bench.reply()),
    Action("explore", ("ctrl+x", "e"), "lesson", lambda bench: bench.study(lambda desk: desk.explore)),
    Action("skip", ("ctrl+n",), "lesson", lambda bench: bench.study(lambda desk: desk.skip)),
    Action("solution", ("ctrl+o",), "lesson", lambda bench: bench.study(lambda desk: desk.solution)),
    Action("reset", ("ctrl+r",), "lesson", lambda bench: bench.study(lambda desk: desk.reset)),
    Action("page_back", ("less_than_sign", "ctrl+left"), "lesson", lambda bench: bench.turn_page(-1)),
    Action("page_on", ("greater_than_sign", "ctrl+right"), "lesson", lambda bench: bench.turn_page(1)),
    Action("rejoin", ("ctrl+g", "y"), "lesson", lambda bench: bench.rejoin()),
)

WHAT_IF_ACTIONS: Final[tuple[Action[Fork], ...]] = (
    *MOVE_ACTIONS,
    Action("parting", ("enter", "p"), "what_if", lambda fork: fork.go_to_parting()),
    Action("fork", ("f12", "f"), "what_if", lambda fork: fork.go_to_fork()),
    Action("take", ("ctrl+g",), "what_if", lambda fork: fork.take()),
)

APP_ACTIONS: Final[tuple[Action[Stage], ...]] = (
    Action("help", ("f1", "question_mark"), "app", lambda stage: stage.show_help()),
    Action("language", ("f3",), "app", lambda stage: stage.switch_language(), priority=True),
    Action("theme", ("f4",), "app", lambda stage: stage.switch_theme(), priority=True),
    Action("palette", ("ctrl+p",), "app", lambda stage: stage.open_palette(), priority=True),
    Action("stop_or_quit", ("ctrl+c",), "app", lambda stage: stage.stop_or_quit(), priority=True),
    Action("quit", ("q", "ctrl+q"), "app", lambda stage: stage.leave_app()),
)


def bindings(actions: tuple[Action[T], ...]) -> list[Binding]:
    """Key bindings that call ``action_perform`` with the action's id."""
    return [
        Binding(
            ",".join(action.keys), f"perform('{action.id}')", action.id, show=False, priority=action.priority,
            id=action.id,
        )
        for action in actions
    ]  # fmt: skip


FILES_ACTIONS: Final[tuple[Action[Shelf], ...]] = (
    Action("type_line", ("f9", "dollar_sign", "s"), "find", lambda shelf: shelf.type_line()),
    Action("leave", ("f10",), "app", lambda shelf: shelf.leave()),
    Action("stop", ("escape",), "move", lambda shelf: shelf.leave()),
)

ACTIONS: Final[Mapping[Place, tuple[Action[Never], ...]]] = {
    "start": APP_ACTIONS,
    "lab": (*LAB_ACTIONS, *APP_ACTIONS),
    "what_if": (*WHAT_IF_ACTIONS, *APP_ACTIONS),
    "files": (*FILES_ACTIONS, *APP_ACTIONS),
}
"""All actions that there are on a screen."""


def entries(place: Place, keymap: Mapping[str, tuple[str, ...]] | None = None) -> list[Entry]:
    """The same as lists show them.

    Args:
        place: the kind of screen.
        keymap: the user's own keys, by action.
    """
    chosen = keymap or {}
    return [action.entry_for(chosen.get(action.id, action.keys)) for action in ACTIONS[place]]
