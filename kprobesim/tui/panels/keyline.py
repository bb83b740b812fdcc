"""The bottom line: the keys that matter, clickable; while a motion runs, that it does and how to stop it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from kprobesim.i18n import Language
from kprobesim.lab import Grain
from kprobesim.tui import styles
from kprobesim.tui.cells import fit
from kprobesim.tui.key_names import KEY_NAMES
from kprobesim.tui.wording import say

__all__ = [
    "END_LECTURE",
    "FILES_KEYS",
    "LAB_KEYS",
    "LEAVE",
    "LECTURE_KEYS",
    "LECTURE_PANEL_KEYS",
    "QUIT",
    "START_KEYS",
    "WHAT_IF_KEYS",
    "Entry",
    "KeyLine",
]


class Entry(NamedTuple):
    """A place in the line.

    Attributes:
        actions: their keys are named; a click does the last of them. On the start screen also names of keys.
        word: key of the short text.
    """

    actions: tuple[str, ...]
    word: str

    @property
    def action(self) -> str:
        """What a click does."""
        return self.actions[-1]


_STEP: Final = Entry(("step_back", "step_forward"), "step")
_GRAIN: Final = Entry(("coarser", "finer"), "grain")
_HIT: Final = Entry(("next_hit",), "hit")
_BACK: Final = Entry(("previous_hit",), "back")


def _named(*names: str) -> tuple[Entry, ...]:
    """Actions whose short text has their own name."""
    return tuple(Entry((name,), name) for name in names)


_PANEL: Final = Entry(("next_panel",), "panel")

LAB_KEYS: Final = (
    _STEP,
    _GRAIN,
    _HIT,
    *_named("text", "help"),
    _BACK,
    *_named("language", "read_on"),
    _PANEL,
    *_named("go_to", "run_to_cursor", "who_set_this", "what_if", "maximise", "type_line", "command", "write_program"),
    *_named("palette"),
)
"""The most important first, as narrow screens drop the last ones."""

WHAT_IF_KEYS: Final = (
    _STEP,
    _GRAIN,
    *_named("parting", "fork"),
    _HIT,
    _BACK,
    _PANEL,
    *_named("take", "help", "language"),
)

START_KEYS: Final = (Entry(("up", "down"), "choose"), Entry(("enter",), "open"), *_named("help", "language", "theme"))

FILES_KEYS: Final = _named("type_line", "help", "language", "palette")

LECTURE_KEYS: Final = (
    _STEP,
    *_named("play", "again"),
    Entry(("slower", "faster"), "speed"),
    *_named("blank"),
    _PANEL,
    _GRAIN,
    *_named("language"),
)
LECTURE_PANEL_KEYS: Final = (_STEP, Entry(("stop",), "letters"), *LECTURE_KEYS[1:])
"""The same where one panel is looked at instead of the large letters."""

QUIT: Final = Entry(("quit",), "quit")
LEAVE: Final = Entry(("stop",), "return")
END_LECTURE: Final = Entry(("present",), "present")
TO_LIST: Final = Entry(("leave",), "leave")
_MOTIONS: Final = 2
"""So many entries stay in front of those that a task needs; the way back to the text comes right behind them."""
_UNKNOWN = -1
"""How far a motion is of which nothing is told."""


class KeyLine(Widget):
    """One line.

    Args:
        keys: from left to right, as many as fit.
        last: always shown.
    """

    DEFAULT_CSS = """
    KeyLine {
        height: 1; background: $panel;
        link-style: none; link-color: $foreground; link-background: $panel;
        link-style-hover: bold; link-color-hover: $foreground; link-background-hover: $primary 40%;
    }
    """

    def __init__(self, keys: Sequence[Entry] = LAB_KEYS, last: Entry = QUIT) -> None:
        super().__init__()
        self._keys, self._last = keys, last
        self._grain = Grain.PHASE
        self._language: Language = "en"
        self._so_far: int | None = None
        self._has_text = False
        self._count: str | None = None
        self._needed: tuple[str, ...] = ()
        self._listed = False

    def show(
        self,
        grain: Grain,
        language: Language,
        *,
        has_text: bool,
        count: str | None = None,
        needed: tuple[str, ...] = (),
        listed: bool = False,
    ) -> None:
        """Show the keys.

        Args:
            grain: of one step.
            language: of the words.
            has_text: there is a text that can be shown and hidden.
            count: digits typed so far of how often the next motion is made; None where none is being typed.
            needed: actions that the task at hand needs; they come right behind the motions.
            listed: there is a list of lessons to go back to.
        """
        told = grain, language, has_text, count, needed, listed
        if told != (self._grain, self._language, self._has_text, self._count, self._needed, self._listed):
            self._grain, self._language, self._has_text, self._count, self._needed, self._listed = told
            self.refresh()

    def offer(self, keys: Sequence[Entry], last: Entry = QUIT) -> None:
        """Show other keys from now on.

        Args:
            keys: from left to right, as many as fit.
            last: always shown.
        """
        if (keys, last) != (self._keys, self._last):
            self._keys, self._last = keys, last
            self.refresh()

    def running(self, instructions: int | None) -> None:
        """Say that a motion runs, or (None) that it does not any more."""
        if instructions != self._so_far:
            self._so_far = instructions
            self.refresh()

    def working(self) -> None:
        """Say that something takes its time, where nothing more is known of it."""
        if self._so_far is None:
            self.running(_UNKNOWN)

    def _grain_text(self) -> str:
        """The grain, always as wide as the widest, so that nothing behind it moves."""
        names = {grain: say(self._language, f"grain.{grain.value}") for grain in Grain}
        return fit(names[self._grain], max(cell_len(name) for name in names.values()))

    def render(self) -> Content:
        """As many entries as fit whole."""
        width = self.size.width
        if self._so_far is not None:
            key = "keys.working" if self._so_far == _UNKNOWN else "keys.running"
            text = say(self._language, key, instructions=f"{self._so_far:,}")
            return Content.styled(f" ▶▶ {text}", styles.STRONG).truncate(width, ellipsis=True, pad=True)
        if self._count is not None:
            text = say(self._language, "keys.count", count=self._count or "_")
            return Content.styled(f" × {text}", styles.STRONG).truncate(width, ellipsis=True, pad=True)
        last = self._entry(TO_LIST if self._listed and self._last is QUIT else self._last)
        line = Content("")
        needed = [entry for entry in self._keys if entry.action in self._needed]
        if needed:
            needed += [entry for entry in self._keys if entry.action == "text"]
        others = [entry for entry in self._keys if entry not in needed]
        for entry in (*others[:_MOTIONS], *needed, *others[_MOTIONS:]):
            if entry.action in ("text", "read_on") and not self._has_text:
                continue
            written = self._entry(entry)
            if line.cell_length + written.cell_length + last.cell_length > width:
                break
            line = Content.assemble(line, written)
        return Content.assemble(line, last).truncate(width, pad=True)

    def _entry(self, entry: Entry) -> Content:
        text = self._grain_text() if entry.word == "grain" else say(self._language, f"keys.{entry.word}")
        key = " ".join(KEY_NAMES.short(action) for action in entry.actions)
        click = f"@click=screen.perform('{entry.action}')"
        return Content.from_markup(f"[{click}] [b]$key[/b] $text [/]", key=key, text=text)
