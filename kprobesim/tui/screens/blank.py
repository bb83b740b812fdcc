"""Nothing on the screen, so that a class looks at who speaks."""

from __future__ import annotations

from textual import events
from textual.screen import ModalScreen

__all__ = ["BlankScreen"]


class BlankScreen(ModalScreen[None]):
    """Gone with the next key or click."""

    DEFAULT_CSS = """
    BlankScreen { background: black; }
    """

    def on_key(self, event: events.Key) -> None:
        """The key means nothing else."""
        event.stop()
        event.prevent_default()
        self.dismiss()

    def on_click(self) -> None:
        """The same with the mouse."""
        self.dismiss()
