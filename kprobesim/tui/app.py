"""The application: languages, themes, and which screen comes first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import App
from textual.binding import BindingType
from textual.command import CommandPalette, Provider

from kprobesim.i18n import LANGUAGES, Language, default_language
from kprobesim.tui.actions import APP_ACTIONS, bindings
from kprobesim.tui.line_breaks import install
from kprobesim.tui.scenario import Scenario
from kprobesim.tui.screens.base import SizedScreen
from kprobesim.tui.screens.help import HelpScreen
from kprobesim.tui.screens.lab import LabScreen
from kprobesim.tui.screens.palette import ActionProvider
from kprobesim.tui.screens.start import StartScreen
from kprobesim.tui.wording import say

__all__ = ["KprobesimApp", "run_app"]

_THEMES = ("textual-dark", "textual-light")
_INTERRUPTED = 130


class KprobesimApp(App[None]):
    """kprobesim on a terminal.

    Args:
        scenario: opened at once; None: the start screen asks.
        language: None takes that of the environment.
        scenarios: what the start screen offers.
    """

    TITLE = "kprobesim"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(APP_ACTIONS)]
    CSS = """
    SearchIcon { display: none; }
    """
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {ActionProvider}
    COMMAND_PALETTE_BINDING = "ctrl+backslash"

    def __init__(
        self,
        scenario: Scenario | None = None,
        language: Language | None = None,
        *,
        scenarios: Sequence[Scenario] = (),
    ) -> None:
        super().__init__()
        install()
        self.language: Language = language or default_language()
        self._scenario = scenario
        self._scenarios = scenarios
        self.animation_level = "none"

    def on_mount(self) -> None:
        """Show the first screen."""
        if self._scenario is None or self._scenarios:
            self.push_screen(StartScreen(self._scenarios))
        if self._scenario is not None:
            self.push_screen(LabScreen(self._scenario))

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
            panel = self.screen.selected if isinstance(self.screen, LabScreen) else ""
            self.push_screen(HelpScreen(panel, self.language))

    def switch_language(self) -> None:
        """The next language, at once and everywhere."""
        self.language = LANGUAGES[(LANGUAGES.index(self.language) + 1) % len(LANGUAGES)]
        for screen in self.screen_stack:
            if isinstance(screen, SizedScreen):
                screen.retell()

    def switch_theme(self) -> None:
        """Dark or light."""
        self.theme = _THEMES[1 - _THEMES.index(self.theme)] if self.theme in _THEMES else _THEMES[0]

    def open_palette(self) -> None:
        """Search all actions by name."""
        if not isinstance(self.screen, CommandPalette):
            self.push_screen(CommandPalette(placeholder=say(self.language, "palette.search")))

    def stop_or_quit(self) -> None:
        """Stop a motion under way; otherwise leave."""
        for screen in self.screen_stack:
            if isinstance(screen, LabScreen) and screen.conductor.busy:
                screen.conductor.stop()
                return
        self.exit()

    def leave_app(self) -> None:
        """Leave."""
        self.exit()


def run_app(
    scenario: Scenario | None = None,
    language: Language | None = None,
    *,
    scenarios: Sequence[Scenario] = (),
) -> int:
    """Run the app on this terminal until it is left.

    Args:
        scenario: opened at once; None: the start screen asks.
        language: None takes that of the environment.
        scenarios: what the start screen offers.

    Returns:
        the exit code: 0, or 130 after an interrupt.
    """
    app = KprobesimApp(scenario, language, scenarios=scenarios)
    try:
        app.run()
    except KeyboardInterrupt:
        return _INTERRUPTED
    return app.return_code or 0
