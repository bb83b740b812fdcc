"""The bottom line: the keys that matter, clickable; while a motion runs, that it does and how to stop it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from kprobesim.i18n import Language
from kprobesim.lab import Grain
from kprobesim.tui import styles
from kprobesim.tui.ascii_only import keys_in_ascii
from kprobesim.tui.cells import fit
from kprobesim.tui.wording import say

__all__ = ["FILES_KEYS", "LAB_KEYS", "LEAVE", "LECTURE_KEYS", "LECTURE_PANEL_KEYS", "WHAT_IF_KEYS", "KeyLine"]

Entry = tuple[str, str, str]

LAB_KEYS: Final = (
    ("← →", "step_forward", "step"),
    ("↑ ↓", "finer", "grain"),
    ("Space", "next_hit", "hit"),
    ("F2", "text", "text"),
    ("F1", "help", "help"),
    ("⌫", "previous_hit", "back"),
    ("F3", "language", "language"),
    ("PgDn", "read_on", "read_on"),
    ("Tab", "next_panel", "panel"),
    ("Enter", "go_to", "go_to"),
    ("F6", "run_to_cursor", "run_to_cursor"),
    ("F7", "who_set_this", "who_set_this"),
    ("F12", "what_if", "what_if"),
    ("F5", "maximise", "maximise"),
    ("F9", "type_line", "type_line"),
    (":", "command", "command"),
    ("Ins", "write_program", "write_program"),
    ("Ctrl+P", "palette", "palette"),
)
"""Key, action, key of the short text; the most important first, as narrow screens drop the last ones."""

WHAT_IF_KEYS: Final = (
    ("← →", "step_forward", "step"),
    ("↑ ↓", "finer", "grain"),
    ("Enter", "parting", "parting"),
    ("F12", "fork", "fork"),
    ("Space", "next_hit", "hit"),
    ("⌫", "previous_hit", "back"),
    ("Tab", "next_panel", "panel"),
    ("Ctrl+G", "take", "take"),
    ("F1", "help", "help"),
    ("F3", "language", "language"),
)

FILES_KEYS: Final = (
    ("F9", "type_line", "type_line"),
    ("F1", "help", "help"),
    ("F3", "language", "language"),
    ("Ctrl+P", "palette", "palette"),
)

LECTURE_KEYS: Final = (
    ("← →", "step_forward", "step"),
    ("Ctrl+Y", "play", "play"),
    ("Ctrl+U", "again", "again"),
    ("- +", "faster", "speed"),
    ("Ctrl+K", "blank", "blank"),
    ("Tab", "next_panel", "panel"),
    ("↑ ↓", "finer", "grain"),
    ("F3", "language", "language"),
    ("Ctrl+L", "present", "present"),
)
LECTURE_PANEL_KEYS: Final = (LECTURE_KEYS[0], ("Esc", "stop", "letters"), *LECTURE_KEYS[1:])
"""The same where one panel is looked at instead of the large letters."""

QUIT: Final = ("q", "quit", "quit")
LEAVE: Final = ("Esc", "stop", "return")
F10: Final = ("F10", "leave", "leave")
_MOTIONS: Final = 2
"""So many entries stay in front of those that a task needs; the way back to the text comes right behind them."""
_UNKNOWN = -1
"""How far a motion is of which nothing is told."""


class KeyLine(Widget):
    """One line.

    Args:
        keys: from left to right, as many as fit.
        last: always shown.
        plain: name keys in letters of ASCII.
    """

    DEFAULT_CSS = """
    KeyLine {
        height: 1; background: $panel;
        link-style: none; link-color: $foreground; link-background: $panel;
        link-style-hover: bold; link-color-hover: $foreground; link-background-hover: $primary 40%;
    }
    """

    def __init__(self, keys: Sequence[Entry] = LAB_KEYS, last: Entry = QUIT, *, plain: bool = False) -> None:
        super().__init__()
        self._keys, self._last, self._plain = keys, last, plain
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

    def offer(self, keys: Sequence[Entry]) -> None:
        """Show other keys from now on."""
        if keys is not self._keys:
            self._keys = keys
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
        last = self._entry(*(F10 if self._listed and self._last is QUIT else self._last))
        line = Content("")
        needed = [entry for entry in self._keys if entry[1] in self._needed]
        if needed:
            needed += [entry for entry in self._keys if entry[1] == "text"]
        others = [entry for entry in self._keys if entry not in needed]
        for key, action, word in (*others[:_MOTIONS], *needed, *others[_MOTIONS:]):
            if action in ("text", "read_on") and not self._has_text:
                continue
            entry = self._entry(key, action, word)
            if line.cell_length + entry.cell_length + last.cell_length > width:
                break
            line = Content.assemble(line, entry)
        return Content.assemble(line, last).truncate(width, pad=True)

    def _entry(self, key: str, action: str, word: str) -> Content:
        text = self._grain_text() if word == "grain" else say(self._language, f"keys.{word}")
        click = f"@click=screen.perform('{action}')"
        key = keys_in_ascii(key) if self._plain else key
        return Content.from_markup(f"[{click}] [b]$key[/b] $text [/]", key=key, text=text)
