"""The start screen: the list of lessons and demos."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events, on
from textual.app import ComposeResult
from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from kprobesim.course import Lesson, default_store
from kprobesim.error_texts import in_language
from kprobesim.errors import KprobesimError
from kprobesim.i18n import Language
from kprobesim.lab import Grain
from kprobesim.tui import styles
from kprobesim.tui.cells import fit, wrap
from kprobesim.tui.panels.keyline import START_KEYS, KeyLine
from kprobesim.tui.panels.too_small import TooSmall
from kprobesim.tui.scenario import Offer, Scenario
from kprobesim.tui.screens.base import SizedScreen
from kprobesim.tui.wording import say

__all__ = ["StartScreen"]


class Welcome(Widget):
    """A sentence on what this is."""

    DEFAULT_CSS = """
    Welcome { height: 4; padding: 1 2 0 2; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._text = ""

    def tell(self, language: Language) -> None:
        """Say it in a language."""
        self._text = say(language, "start.welcome")
        self.refresh()

    def render(self) -> Content:
        """Name and sentence."""
        lines = wrap(self._text, self.content_size.width)
        return Content("\n").join([Content.styled("kprobesim", styles.STRONG), *lines])


def _state(scenario: Scenario) -> str:
    """How far the learner is in a lesson: ``done``, ``begun``, or nothing to tell."""
    if not isinstance(scenario, Lesson):
        return ""
    progress, _ = default_store().load(scenario.id)
    if {task.id for task in scenario.tasks} <= set(progress.done):
        return "done"
    return "begun" if progress.done or progress.skipped else ""


class StartScreen(SizedScreen):
    """Choose what to open.

    Args:
        offer: what can be chosen, in the order of the list.
    """

    DEFAULT_CSS = """
    StartScreen { layout: vertical; }
    #scenarios { height: 1fr; margin: 0 1; border: round $primary; border-title-color: $foreground; }
    """

    def __init__(self, offer: Offer) -> None:
        super().__init__()
        self._offer = offer
        self._scenarios: Sequence[Scenario] = ()
        self._known = False
        self._complaint = ""

    def compose(self) -> ComposeResult:
        """A welcome, the list, the keys."""
        yield Welcome()
        yield OptionList(id="scenarios")
        yield KeyLine(START_KEYS)
        yield TooSmall()

    def on_mount(self) -> None:
        """Fill in the words."""
        self.retell()

    def retell(self) -> None:
        """Say everything again, keeping the place in the list."""
        super().retell()
        if not (self._known or self.is_current):
            # Behind a lab, which shall not wait for the list.
            return
        self._read()
        language = self.language
        self.query_one(Welcome).tell(language)
        self.query_one(KeyLine).show(Grain.PHASE, language, has_text=False)
        options = self.query_one("#scenarios", OptionList)
        options.border_title = say(language, "start.title")
        place = options.highlighted or 0
        options.clear_options()
        width = max(self.app.size.width - 12, 20)
        options.add_options(self._option(*numbered, width) for numbered in enumerate(self._scenarios, 1))
        if self._scenarios:
            options.highlighted = place
        else:
            options.add_option(
                Option(in_language(self._complaint, language) or say(language, "start.empty"), disabled=True)
            )

    def _read(self) -> None:
        """Ask once what there is."""
        if self._known:
            return
        self._known = True
        try:
            self._scenarios = self._offer()
        except KprobesimError as error:
            self._complaint = str(error)

    def on_screen_resume(self) -> None:
        """Fill in the words that nobody could see before; who comes back from a lesson sees what is done."""
        self.retell()

    def _option(self, number: int, scenario: Scenario, width: int) -> Option:
        state = _state(scenario)
        mark = say(self.language, f"start.{state}") if state else ""
        title = (f"{number:>2}  {scenario.title(self.language)}{mark and f'   {mark}'}", styles.STRONG)
        line = fit(scenario.summary(self.language), width).rstrip()
        return Option(Content.assemble(title, *(("\n    ", (line, styles.DIM)) if line else ())))

    def on_resize(self, event: events.Resize) -> None:
        """Summaries are cut at the new width."""
        super().on_resize(event)
        self.retell()

    def action_perform(self, name: str) -> None:
        """Carry out an action of the whole app, or what a click at the foot asks the list for.

        Args:
            name: its id, or that of a key.
        """
        options = self.query_one("#scenarios", OptionList)
        if name == "down":
            options.action_cursor_down()
        elif name == "enter":
            options.action_select()
        else:
            super().action_perform(name)

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        if event.option_index < len(self._scenarios):
            from kprobesim.tui.app import KprobesimApp

            assert isinstance(self.app, KprobesimApp)
            self.app.push_screen(self.app.lab_screen(self._scenarios[event.option_index]))
