"""The application: languages, themes, and which screen comes first."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from textual.app import App
from textual.binding import BindingType
from textual.command import Provider
from textual.filter import LineFilter
from textual.screen import Screen

from kprobesim.error_texts import in_language
from kprobesim.i18n import LANGUAGES, Language, default_language
from kprobesim.tui.actions import APP_ACTIONS, bindings
from kprobesim.tui.ascii_only import AsciiOnly
from kprobesim.tui.key_names import KEY_NAMES
from kprobesim.tui.keymap import Keymap, default_keymap_file, read_keymap
from kprobesim.tui.line_breaks import install
from kprobesim.tui.scenario import Offer, Scenario
from kprobesim.tui.screens.base import SizedScreen
from kprobesim.tui.screens.dialog import Dialog
from kprobesim.tui.screens.help import HelpScreen
from kprobesim.tui.screens.lab import LabScreen
from kprobesim.tui.screens.palette import ActionPalette, ActionProvider
from kprobesim.tui.screens.start import StartScreen
from kprobesim.tui.themes import THEME_NAMES, THEMES
from kprobesim.tui.worker import end_workers

__all__ = ["KprobesimApp", "ascii_wanted", "dress_as_wanted", "run_app"]

_INTERRUPTED = 130
_COMPLAINT_SECONDS = 20


class KprobesimApp(App[None]):
    """kprobesim on a terminal.

    Args:
        scenario: opened at once; None: the start screen asks.
        language: None takes that of the environment.
        scenarios: what the start screen offers; None: there is none behind the scenario.
        ascii_only: draw frames and marks with letters of ASCII.
        keymap: file of the user's own keys; None reads none.

    Attributes:
        keys: the user's own keys, and what was wrong with them.
        ascii_only: as given.
    """

    TITLE = "kprobesim"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(APP_ACTIONS)]
    CSS = """
    SearchIcon { display: none; }
    ActionPalette CommandList > .option-list--option-highlighted {
        color: $block-cursor-foreground; background: $block-cursor-background;
    }
    """
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {ActionProvider}
    COMMAND_PALETTE_BINDING = "ctrl+backslash"

    def __init__(
        self,
        scenario: Scenario | None = None,
        language: Language | None = None,
        *,
        scenarios: Offer | None = None,
        ascii_only: bool = False,
        keymap: Path | None = None,
    ) -> None:
        super().__init__()
        install()
        for theme in THEMES:
            self.register_theme(theme)
        if "TEXTUAL_THEME" not in os.environ:
            self.theme = THEME_NAMES[0]
        self._ascii = AsciiOnly(enabled=ascii_only)
        self.ascii_only = ascii_only
        self.keys = read_keymap(keymap) if keymap is not None else Keymap()
        KEY_NAMES.choose(self.keys.keys, plain=ascii_only)
        self.language: Language = language or default_language()
        self._scenario = scenario
        self._scenarios = scenarios
        self.animation_level = "none"

    def on_mount(self) -> None:
        """Show the first screen, and what is wrong with the user's keys."""
        self.set_keymap({name: ",".join(keys) for name, keys in self.keys.keys.items()})
        for complaint in self.keys.complaints:
            self.notify(in_language(complaint, self.language), severity="warning", timeout=_COMPLAINT_SECONDS)
        for screen in self.first_screens():
            self.push_screen(screen)

    def first_screens(self) -> list[Screen[None]]:
        """What is shown at the beginning, the last one in front."""
        screens: list[Screen[None]] = []
        if self._scenario is None or self._scenarios is not None:
            screens.append(StartScreen(self._scenarios or tuple))
        if self._scenario is not None:
            screens.append(self.lab_screen(self._scenario))
        return screens

    def lab_screen(self, scenario: Scenario) -> LabScreen:
        """The screen for a scenario that is opened."""
        return LabScreen(scenario)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's own, and that for plain marks."""
        return [*super().get_line_filters(), *([self._ascii] if self._ascii.enabled else [])]

    def action_perform(self, name: str) -> None:
        """Carry out an action of the registry on the screen in front.

        Args:
            name: its id.
        """
        for action in APP_ACTIONS:
            if action.id == name:
                action.run(self)

    # What actions call

    def show_help(self) -> None:
        """Explain the selected panel, and list the keys."""
        if isinstance(self.screen, SizedScreen):
            screen = self.screen
            self.push_screen(HelpScreen(screen.PLACE, screen.topic, self.language, self.keys, plain=self.ascii_only))

    def switch_language(self) -> None:
        """The next language, at once and everywhere."""
        self.language = LANGUAGES[(LANGUAGES.index(self.language) + 1) % len(LANGUAGES)]
        for screen in self.screen_stack:
            if isinstance(screen, SizedScreen):
                screen.retell()
            elif isinstance(screen, Dialog):
                screen.retell(self.language)
        self._reopen_palette()

    def _reopen_palette(self) -> None:
        """Textual leaves an open palette with the words and the look that it was opened with."""
        if isinstance(self.screen, ActionPalette):
            typed = self.screen.typed
            self.screen.dismiss()
            self.push_screen(ActionPalette(self.language, typed))

    def switch_theme(self) -> None:
        """The next look."""
        place = THEME_NAMES.index(self.theme) if self.theme in THEME_NAMES else -1
        self.theme = THEME_NAMES[(place + 1) % len(THEME_NAMES)]
        # The look is there with the next message.
        self.call_next(self._reopen_palette)

    def open_palette(self) -> None:
        """Search all actions by name."""
        if not isinstance(self.screen, ActionPalette):
            self.push_screen(ActionPalette(self.language))

    def stop_or_quit(self) -> None:
        """Stop a motion under way; otherwise leave."""
        for screen in self.screen_stack:
            if isinstance(screen, SizedScreen) and screen.stop_motion():
                return
        self.exit()

    def leave_app(self) -> None:
        """Leave."""
        self.exit()


def ascii_wanted() -> bool:
    """``KPROBESIM_ASCII`` asks for frames and marks in letters of ASCII."""
    return bool(os.environ.get("KPROBESIM_ASCII"))


def dress_as_wanted(app: KprobesimApp) -> None:
    """Take the look that ``KPROBESIM_THEME`` names, if there is one of that name."""
    if (theme := os.environ.get("KPROBESIM_THEME", "")) in THEME_NAMES:
        app.theme = theme


def run_app(
    scenario: Scenario | None = None,
    language: Language | None = None,
    *,
    scenarios: Offer | None = None,
) -> int:
    """Run the app on this terminal until it is left.

    ``KPROBESIM_ASCII=1`` draws with letters of ASCII, ``KPROBESIM_KEYS`` names the file of the user's keys,
    ``KPROBESIM_THEME`` the first look; ``NO_COLOR`` and Textual's variables work as everywhere.

    Args:
        scenario: opened at once; None: the start screen asks.
        language: None takes that of the environment.
        scenarios: what the start screen offers; None: there is none behind the scenario.

    Returns:
        the exit code: 0, or 130 after an interrupt.
    """
    app = KprobesimApp(scenario, language, scenarios=scenarios, ascii_only=ascii_wanted(), keymap=default_keymap_file())
    dress_as_wanted(app)
    # What was loaded so far stays: the collector need not walk over it again in the middle of a step.
    gc.freeze()
    try:
        app.run()
    except KeyboardInterrupt:
        return _INTERRUPTED
    finally:
        end_workers()
    return app.return_code or 0
