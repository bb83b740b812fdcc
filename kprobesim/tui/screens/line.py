"""A small dialog that asks for a line to type at the machine's console."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input, Label

from kprobesim.i18n import Language
from kprobesim.tui.screens.dialog import Dialog
from kprobesim.tui.wording import say

__all__ = ["LineScreen"]

_MAX_LINE = 4095
_EXAMPLES = {"line": "cat /etc/motd", "command": "probe vfs_read"}


class LineScreen(Dialog[str | None]):
    """Answers the line, or None.

    Args:
        language: of the question.
        earlier: lines typed before, the newest last; the arrows go through them.
        what: ``line`` for the console, ``command`` for the lab.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", show=False),
        Binding("up", "earlier(-1)", show=False, priority=True),
        Binding("down", "earlier(1)", show=False, priority=True),
    ]

    DEFAULT_CSS = """
    LineScreen { align: center bottom; }
    LineScreen Vertical { width: 100%; height: 5; border: round $primary; background: $surface; padding: 0 1; }
    LineScreen Input { border: none; background: $boost; height: 1; padding: 0 1; }
    LineScreen Input:focus { border: none; }
    """

    def __init__(self, language: Language, earlier: tuple[str, ...] = (), what: str = "line") -> None:
        super().__init__(language)
        self._earlier = earlier
        self._place = len(earlier)
        self._what = what

    def compose(self) -> ComposeResult:
        """Question and field."""
        with Vertical():
            yield Label()
            yield Input(placeholder=_EXAMPLES[self._what], max_length=_MAX_LINE)

    def tell(self, language: Language) -> None:
        """Fill in all words."""
        self.query_one(Vertical).border_title = say(language, f"{self._what}.title")
        self.query_one(Label).update(say(language, f"{self._what}.help"))

    def action_earlier(self, by: int) -> None:
        """Show a line typed before."""
        self._place = min(max(self._place + by, 0), len(self._earlier))
        field = self.query_one(Input)
        field.value = self._earlier[self._place] if self._place < len(self._earlier) else ""
        field.cursor_position = len(field.value)

    @on(Input.Submitted)
    def _answered(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)
