"""A dialog for a lesson's question: options to choose from, or a field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Input, Label, OptionList
from textual.widgets.option_list import Option

from kprobesim.i18n import Language
from kprobesim.tui.lessons.words import Asked, option_keys
from kprobesim.tui.screens.dialog import Dialog
from kprobesim.tui.wording import say

__all__ = ["ReplyScreen"]


class ReplyScreen(Dialog[str | None]):
    """Answers the text that was typed, or the number of the option from 1; None if the learner would rather not.

    Args:
        asked: the question in each language.
        language: of the words.
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

    def __init__(self, asked: Mapping[Language, Asked], language: Language) -> None:
        super().__init__(language)
        self._asked = asked
        self._options = len(asked[language].options)

    def compose(self) -> ComposeResult:
        """The question, then options or a field."""
        with Vertical():
            yield Label()
            if self._options:
                yield OptionList()
            else:
                yield Input()

    def tell(self, language: Language) -> None:
        """Fill in all words, keeping the place among the options."""
        asked = self._asked[language]
        title = "lesson.predict_title" if asked.prediction else "lesson.reply_title"
        box = self.query_one(Vertical)
        box.border_title = say(language, title)
        way, keys = ("choose", option_keys(self._options)) if self._options else ("type", "")
        box.border_subtitle = Content(say(language, f"lesson.keys_{way}", keys=keys))
        self.query_one(Label).update(Content(asked.question))
        for options in self.query(OptionList):
            place = options.highlighted
            options.clear_options()
            options.add_options(Option(Content(f"{n}. {text}")) for n, text in enumerate(asked.options, 1))
            options.highlighted = place

    def on_key(self, event: events.Key) -> None:
        """A digit chooses at once, and means nothing to the lab behind."""
        if event.key in [str(number) for number in range(1, self._options + 1)]:
            event.stop()
            event.prevent_default()
            self.dismiss(event.key)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(str(event.option_index + 1))

    @on(Input.Submitted)
    def _typed(self, event: Input.Submitted) -> None:
        self.dismiss(event.value)
