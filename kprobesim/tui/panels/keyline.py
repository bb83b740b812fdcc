"""The bottom line: the keys that matter, clickable; while a motion runs, that it does and how to stop it."""

from __future__ import annotations

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from kprobesim.i18n import Language
from kprobesim.lab import Grain
from kprobesim.tui import styles
from kprobesim.tui.wording import say

__all__ = ["KeyLine"]

_ENTRIES = (
    ("← →", "step_forward", "step"),
    ("↑ ↓", "finer", "grain"),
    ("Space", "next_hit", "hit"),
    ("⌫", "previous_hit", "back"),
    ("F1", "help", "help"),
    ("Enter", "go_to", "go_to"),
    ("F2", "text", "text"),
    ("F3", "language", "language"),
    ("Tab", "next_panel", "panel"),
    ("F5", "maximise", "maximise"),
    ("Ctrl+P", "palette", "palette"),
    ("q", "quit", "quit"),
)
"""Key, action, key of the short text; the most important first, as narrow screens drop the last ones."""


class KeyLine(Widget):
    """One line."""

    DEFAULT_CSS = """
    KeyLine {
        height: 1; background: $panel;
        link-style: none; link-color: $foreground; link-background: $panel;
        link-style-hover: bold; link-color-hover: $foreground; link-background-hover: $primary 40%;
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self._grain = Grain.PHASE
        self._language: Language = "en"
        self._so_far: int | None = None

    def show(self, grain: Grain, language: Language) -> None:
        """Show the keys."""
        self._grain, self._language = grain, language
        self.refresh()

    def running(self, instructions: int | None) -> None:
        """Say that a motion runs, or (None) that it does not any more."""
        if instructions != self._so_far:
            self._so_far = instructions
            self.refresh()

    def render(self) -> Content:
        """As many entries as fit whole."""
        width = self.size.width
        if self._so_far is not None:
            text = say(self._language, "keys.running", instructions=f"{self._so_far:,}")
            return Content.styled(f" ▶▶ {text}", styles.STRONG).truncate(width, ellipsis=True, pad=True)
        line = Content("")
        for key, action, word in _ENTRIES:
            grain = say(self._language, f"grain.{self._grain.value}")
            text = say(self._language, f"keys.{word}", grain=grain)
            needed = cell_len(key) + 1 + cell_len(text) + 2
            if line.cell_length + needed > width:
                break
            click = f"@click=screen.perform('{action}')"
            entry = Content.from_markup(f"[{click}] [b]$key[/b] $text [/]", key=key, text=text)
            line = Content.assemble(line, entry)
        return line.truncate(width, pad=True)
