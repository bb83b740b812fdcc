"""What all screens share: size classes, a message where the terminal is too small, the language, the actions."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.screen import Screen

from kprobesim.i18n import Language
from kprobesim.tui.actions import APP_ACTIONS, Place
from kprobesim.tui.keymap import Keymap
from kprobesim.tui.panels.too_small import HEIGHT, WIDTH, TooSmall
from kprobesim.tui.roles import Stage

__all__ = ["SizedScreen"]


class SizedScreen(Screen[None]):
    """A screen that knows when it has no room, and says its words again when the language changes.

    Attributes:
        PLACE: the kind of screen, by which its actions are found.
    """

    PLACE: ClassVar[Place] = "start"

    # Stronger than any layout, which may be more specific.
    DEFAULT_CSS = """
    SizedScreen.-tiny-width > *, SizedScreen.-tiny-height > * { display: none !important; }
    SizedScreen.-tiny-width > TooSmall, SizedScreen.-tiny-height > TooSmall { display: block !important; }
    """

    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - Textual declares an instance variable
        (0, "-tiny-width"),
        (WIDTH, "-narrow"),
        (110, "-wide"),
        (160, "-broad"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012 - the same
        (0, "-tiny-height"),
        (HEIGHT, "-low"),
        (32, "-high"),
        (46, "-tall"),
    ]

    @property
    def language(self) -> Language:
        """The app's language."""
        from kprobesim.tui.app import KprobesimApp

        assert isinstance(self.app, KprobesimApp)
        return self.app.language

    @property
    def keymap(self) -> Keymap:
        """The user's own keys."""
        from kprobesim.tui.app import KprobesimApp

        assert isinstance(self.app, KprobesimApp)
        return self.app.keys

    @property
    def ascii_only(self) -> bool:
        """Only letters of ASCII are drawn."""
        from kprobesim.tui.app import KprobesimApp

        assert isinstance(self.app, KprobesimApp)
        return self.app.ascii_only

    def retell(self) -> None:
        """Say everything again: the language or the size has changed."""
        self.query_one(TooSmall).tell(self.app.size.width, self.app.size.height, self.language)

    def on_resize(self, event: events.Resize) -> None:
        """Tell the new size."""
        self.query_one(TooSmall).tell(event.size.width, event.size.height, self.language)

    @property
    def topic(self) -> str:
        """The panel that help explains, or empty."""
        return ""

    def stop_motion(self) -> bool:
        """Stop what is under way; whether there was anything."""
        return False

    def action_perform(self, name: str) -> None:
        """Carry out an action of the whole app.

        Args:
            name: its id.
        """
        for action in APP_ACTIONS:
            if action.id == name:
                stage: Stage = self.app  # type: ignore[assignment]
                action.run(stage)
