"""Every action there is, once: bindings, help screen and command palette are all made from these tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Generic, Literal, NamedTuple, Never, TypeVar

from textual.binding import Binding

from kprobesim.course import PANELS
from kprobesim.i18n import Language
from kprobesim.lab import Grain
from kprobesim.tui.key_names import key_text
from kprobesim.tui.motions import step, to_end, to_start
from kprobesim.tui.roles import Bench, Fork, Shelf, Stage, Traveller
from kprobesim.tui.wording import say

__all__ = [
    "ACTIONS",
    "APP_ACTIONS",
    "FILES_ACTIONS",
    "LAB_ACTIONS",
    "PANELS",
    "WHAT_IF_ACTIONS",
    "Action",
    "Entry",
    "Place",
    "bindings",
    "entries",
]

GROUPS: Final = ("what_if", "move", "find", "look", "class", "lesson", "app")
"""The headings under which help lists actions, in order."""


Place = Literal["start", "lab", "what_if", "files"]
"""The kinds of screens."""


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
    Action("go_to", ("enter", "g"), "move", lambda bench: bench.dialogs.ask_place()),
    Action("count", ("asterisk", "x"), "move", lambda bench: bench.begin_count()),
    Action("cursor_down", ("shift+down", "J"), "find", lambda bench: bench.move_cursor(1)),
    Action("cursor_up", ("shift+up", "K"), "find", lambda bench: bench.move_cursor(-1)),
    Action("run_to_cursor", ("f6", "r"), "find", lambda bench: bench.run_to_cursor(back=False)),
    Action("back_to_cursor", ("shift+f6", "f18", "R"), "find", lambda bench: bench.run_to_cursor(back=True)),
    Action("who_set_this", ("f7", "w"), "find", lambda bench: bench.who_set_this()),
    Action("bookmark", ("f8", "m"), "find", lambda bench: bench.toggle_bookmark()),
    Action("next_bookmark", ("right_square_bracket",), "find", lambda bench: bench.go_to_bookmark(1)),
    Action("previous_bookmark", ("left_square_bracket",), "find", lambda bench: bench.go_to_bookmark(-1)),
    Action("write_program", ("insert", "b"), "find", lambda bench: bench.dialogs.write_program()),
    Action("what_if", ("f12", "f"), "find", lambda bench: bench.dialogs.ask_what_if()),
    Action("command", ("colon", "ctrl+d"), "find", lambda bench: bench.dialogs.ask_command()),
    Action("type_line", ("f9", "dollar_sign", "s"), "find", lambda bench: bench.dialogs.type_line()),
    *(
        Action(f"panel_{name}", (str(number % 10),), "look", lambda bench, number=number: bench.number_key(number))  # type: ignore[misc]
        for number, name in enumerate(PANELS, 1)
    ),
    Action("files", ("ctrl+f", "o"), "look", lambda bench: bench.dialogs.show_files()),
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
    Action("reply", ("ctrl+a", "a"), "lesson", lambda bench: bench.dialogs.reply()),
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
