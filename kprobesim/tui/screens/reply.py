"""A dialog for a lesson's question: options to choose from, or a field."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList
from textual.widgets.option_list import Option

from kprobesim.i18n import Language
from kprobesim.tui.lesson import Asked, option_keys
from kprobesim.tui.wording import say

__all__ = ["ReplyScreen"]


class ReplyScreen(ModalScreen[str | None]):
    """Answers the text that was typed, or the number of the option from 1; None if the learner would rather not.

    Args:
        asked: the question.
        language: of the title.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", show=False)]

    DEFAULT_CSS = """
    ReplyScreen { align: center middle; }
    ReplyScreen Vertical {
        width: 76; max-width: 100%; height: auto; max-height: 90%; border: round $primary; background: $surface;
        padding: 0 1; border-subtitle-color: $foreground;
    }
    ReplyScreen Label { width: 1fr; height: auto; margin: 0 0 1 0; text-style: bold; }
    ReplyScreen OptionList { height: auto; max-height: 14; border: none; }
    ReplyScreen OptionList:focus { border: none; }
    ReplyScreen Input { border: round $primary; height: 3; padding: 0 1; }
    """

    def __init__(self, asked: Asked, language: Language) -> None:
        super().__init__()
        self._asked = asked
        self._language = language

    def compose(self) -> ComposeResult:
        """The question, then options or a field."""
        with Vertical() as box:
            box.border_title = say(
                self._language, "lesson.predict_title" if self._asked.prediction else "lesson.reply_title"
            )
            count = len(self._asked.options)
            way, keys = ("choose", option_keys(count)) if count else ("type", "")
            box.border_subtitle = Content(say(self._language, f"lesson.keys_{way}", keys=keys))
            yield Label(Content(self._asked.question))
            if self._asked.options:
                yield OptionList(*(Option(Content(f"{n}. {text}")) for n, text in enumerate(self._asked.options, 1)))
            else:
                yield Input()

    def on_key(self, event: events.Key) -> None:
        """A digit chooses at once, and means nothing to the lab behind."""
        if event.key in [str(number) for number in range(1, len(self._asked.options) + 1)]:
            event.stop()
            event.prevent_default()
            self.dismiss(event.key)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(str(event.option_index + 1))

    @on(Input.Submitted)
    def _typed(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)
