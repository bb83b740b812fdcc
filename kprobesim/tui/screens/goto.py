"""A small dialog that asks where to go."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Label

from kprobesim.errors import BadInput
from kprobesim.i18n import Language
from kprobesim.tui.motions import go_to_place
from kprobesim.tui.screens.dialog import Dialog
from kprobesim.tui.wording import say

__all__ = ["GoToScreen"]


class GoToScreen(Dialog[str | None]):
    """Answers the text that was typed, once it can be read, or None.

    Args:
        language: of the question.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", show=False)]

    DEFAULT_CSS = """
    GoToScreen { align: center middle; }
    GoToScreen Vertical {
        width: 64; max-width: 100%; height: auto; border: round $primary; background: $surface; padding: 0 1;
        border-subtitle-color: $foreground;
    }
    GoToScreen Label { width: 1fr; height: auto; }
    GoToScreen Input { border: none; background: $boost; height: 1; margin: 1 0; padding: 0 1; }
    GoToScreen Input:focus { border: none; }
    GoToScreen #complaint { color: $text-error; text-style: bold; width: 1fr; height: auto; min-height: 1; }
    """

    def __init__(self, language: Language) -> None:
        super().__init__(language)
        self._unreadable = False

    def compose(self) -> ComposeResult:
        """Question, field, complaint."""
        with Vertical():
            yield Label(id="help")
            yield Input(placeholder="1234   i2500000   24.6ms   vfs_read+0x1")
            yield Label("", id="complaint")

    def tell(self, language: Language) -> None:
        """Fill in all words."""
        box = self.query_one(Vertical)
        box.border_title, box.border_subtitle = say(language, "goto.title"), say(language, "goto.keys")
        self.query_one("#help", Label).update(say(language, "goto.help"))
        complaint = f"✗ {say(language, 'goto.unreadable')}" if self._unreadable else ""
        self.query_one("#complaint", Label).update(complaint)

    @on(Input.Submitted)
    def _answered(self, event: Input.Submitted) -> None:
        try:
            go_to_place(event.value)
        except BadInput:
            self._unreadable = True
            self.tell(self._language)
            return
        self.dismiss(event.value)
