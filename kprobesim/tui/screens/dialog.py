"""What all dialogs share: they say their words again when the language changes behind them."""

from __future__ import annotations

from typing import TypeVar

from textual.screen import ModalScreen

from kprobesim.i18n import Language

__all__ = ["Dialog"]

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer]):
    """A dialog over another screen.

    Args:
        language: of its words.
    """

    # The frame may have a colour that is too dark for words.
    DEFAULT_CSS = """
    Dialog > * { border-title-color: $foreground; border-subtitle-color: $foreground; }
    """

    def __init__(self, language: Language) -> None:
        super().__init__()
        self._language: Language = language

    def on_mount(self) -> None:
        """Say the words for the first time."""
        self.tell(self._language)

    def retell(self, language: Language) -> None:
        """Say everything again; what was typed or chosen stays."""
        self._language = language
        self.tell(language)

    def tell(self, language: Language) -> None:
        """Fill in all words."""
        raise NotImplementedError
