"""The lab screen: one lab, seen from all sides, moved by keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events, on
from textual.binding import BindingType

from kprobesim.tui.actions import LAB_ACTIONS, PANELS, bindings
from kprobesim.tui.lesson import LessonDesk
from kprobesim.tui.motions import (
    GRAINS,
    Motion,
    Outcome,
    back_to,
    do_line,
    go_to_event,
    go_to_moment,
    go_to_place,
    repeated,
    run_to,
    stay,
    step,
    type_line,
    who_set,
)
from kprobesim.tui.panels.panel import Panel
from kprobesim.tui.panels.track import TimelineBar
from kprobesim.tui.scenario import Scenario
from kprobesim.tui.screens.goto import GoToScreen
from kprobesim.tui.screens.lab_face import LabFace
from kprobesim.tui.screens.line import LineScreen
from kprobesim.tui.screens.reply import ReplyScreen
from kprobesim.tui.targets import Target

__all__ = ["LabScreen"]

_COUNT_DIGITS = 5


class LabScreen(LabFace):
    """A scenario's lab.

    Args:
        scenario: what to open.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(LAB_ACTIONS)]

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self._typed: list[str] = []
        self._done: list[str] = []

    # What actions call

    def action_perform(self, name: str) -> None:
        """Carry out an action of the registry.

        Args:
            name: its id.
        """
        for action in LAB_ACTIONS:
            if action.id == name:
                action.run(self)
        super().action_perform(name)

    def move(self, motion: Motion) -> None:
        """Make a motion when those before it are done, as often as the count says."""
        count, self._count = int(self._count or 1), None
        if self.snapshot is not None:
            self.conductor.move(repeated(motion, count) if count > 1 else motion)

    def begin_count(self) -> None:
        """The digits that follow say how often the next motion is made."""
        self._count = ""
        self._draw()

    def number_key(self, number: int) -> None:
        """A digit of the count that is being typed, otherwise a panel."""
        if self._count is None:
            self.select_panel(PANELS[number - 1])
        elif len(self._count) < _COUNT_DIGITS:
            self._count += str(number % 10)
            self._draw()

    def move_cursor(self, by: int) -> None:
        """The next place in the selected panel, or the one before."""
        self._panel().move_cursor(by)
        if self.selected == "verifier":
            self._panel().refresh()

    def _target(self, *kinds: str) -> Target | None:
        """What the cursor of the selected panel is on; a sentence where it is on nothing that will do."""
        target = self._panel().cursor
        if target is not None and target.kind in kinds:
            return target
        self._remark(Outcome("no_cursor"))
        return None

    def run_to_cursor(self, *, back: bool) -> None:
        """To the instruction or event under the cursor."""
        target = self._target("code", "event")
        if target is not None:
            self._go(target, back=back)

    def _go(self, target: Target, *, back: bool = False) -> None:
        if target.kind == "event":
            self.move(go_to_event(target.number))
        else:
            self.move(back_to(target.number) if back else run_to(target.number))

    def who_set_this(self) -> None:
        """Back to where what is under the cursor got its value."""
        target = self._target("register", "memory", "element", "code")
        if target is not None:
            self.move(who_set(target))

    def toggle_bookmark(self) -> None:
        """Mark this moment, or take the mark away."""
        now = self.snapshot
        if now is None:
            return
        self.failure = None
        if self._bookmarks.pop(now.moment, None) is None:
            self._bookmarks[now.moment] = now
            self.outcome = Outcome("marked", {"place": now.place, "number": len(self._bookmarks)})
        else:
            self.outcome = Outcome("unmarked")
        self._draw()

    def go_to_bookmark(self, by: int) -> None:
        """The next bookmark in time, or the one before."""
        now = self.snapshot
        if now is None:
            return
        moments = [marked.moment for marked in self.bookmarks]
        ahead = [moment for moment in moments if (moment > now.moment if by > 0 else moment < now.moment)]
        if not ahead:
            self._remark(Outcome("no_bookmark"))
            return
        self.move(go_to_moment(ahead[0] if by > 0 else ahead[-1]))

    def turn_page(self, by: int) -> None:
        """The page of the lesson behind the one shown (1) or before it (-1)."""
        if self.lesson is not None:
            last = len(self.lesson.texts["en"].pages) - 1
            self._page = min(max((last if self._page is None else self._page) + by, 0), last)
            self._tell_lesson()

    def study(self, what: Callable[[LessonDesk], Motion]) -> None:
        """Do something to the lesson; a sentence where this is none."""
        if self.desk is None or self.lesson is None:
            self._remark(Outcome("no_lesson"))
            return
        self.move(what(self.desk))

    def reply(self) -> None:
        """Answer the question that waits."""
        asked = self.lesson.texts[self.language].asked if self.lesson is not None else None
        if asked is None:
            self._remark(Outcome("nothing_asked"))
            return

        def answered(text: str | None) -> None:
            if text is None:
                return
            if asked.prediction:
                self.study(lambda desk: desk.predict(asked.prediction, int(text)))
            else:
                self.study(lambda desk: desk.answer(text))

        self.app.push_screen(ReplyScreen(asked, self.language), answered)

    def ask_command(self) -> None:
        """Ask for something to do to the lab, in the words of the lessons."""

        def answered(text: str | None) -> None:
            if text:
                self._done.append(text)
                self.move(self.desk.do(text) if self.desk is not None else do_line(text))

        self.app.push_screen(LineScreen(self.language, tuple(self._done), "command"), answered)

    def type_line(self) -> None:
        """Ask for a line to type at the machine's console, and show what comes."""

        def answered(text: str | None) -> None:
            if text is not None:
                self.select_panel("console")
                self._typed.append(text)
                self.move(self.desk.do(f"$ {text}") if self.desk is not None and text else type_line(text))

        self.app.push_screen(LineScreen(self.language, tuple(self._typed)), answered)

    def change_grain(self, by: int) -> None:
        """Step finer or coarser."""
        index = GRAINS.index(self.grain) + by
        self.grain = GRAINS[min(max(index, 0), len(GRAINS) - 1)]
        self._draw()

    def ask_place(self) -> None:
        """Ask where to go."""

        def answered(text: str | None) -> None:
            if text:
                self.move(go_to_place(text))

        self.app.push_screen(GoToScreen(self.language), answered)

    def cycle_panel(self, by: int) -> None:
        """Select the next panel or the one before."""
        self.select_panel(PANELS[(PANELS.index(self.selected) + by) % len(PANELS)])

    def select_panel(self, name: str) -> None:
        """Select a panel; where only one is shown, that one."""
        self.selected = name
        if self.has_class("-narrow"):
            self._reading = False
        self._arrange()
        self._panel().focus()
        if name == "verifier" and not self.conductor.memory.walk_wanted:
            self.conductor.memory.walk_wanted = True
            self.move(stay)

    def scroll_panel(self, by: int) -> None:
        """Look further up or down in the selected panel.

        Args:
            by: in half panels.
        """
        panel = self._panel()
        panel.scroll_rows(by * max(panel.content_size.height // 2, 1))

    def toggle_text(self) -> None:
        """Show or hide the scenario's text."""
        if not self.scenario.text(self.language):
            self._remark(Outcome("no_text"))
            return
        self._reading = not self._reading
        self._arrange()

    def toggle_maximised(self) -> None:
        """Give the selected panel all the room, or take it back."""
        self._maximised = not self._maximised
        self._arrange()
        self._panel().focus()

    def stop(self) -> None:
        """Stop the motion under way; when there is none, forget the count, or go back to the usual layout."""
        if self._count is not None:
            self._count = None
            self._draw()
        elif self.conductor.busy:
            self.conductor.stop()
        elif self._maximised:
            self.toggle_maximised()

    def rejoin(self) -> None:
        """Nobody leads here."""
        self._remark(Outcome("no_teacher"))

    def leave(self) -> None:
        """Back to the list of scenarios."""
        if len(self.app.screen_stack) > 2:
            self.dismiss()

    # Mouse and focus

    @on(Panel.Chosen)
    def _chosen(self, message: Panel.Chosen) -> None:
        """A second click: run there, or ask who set it."""
        if message.target.kind in ("code", "event"):
            self._go(message.target)
        elif message.target.kind != "visit":
            self.move(who_set(message.target))

    @on(TimelineBar.Picked)
    def _picked(self, message: TimelineBar.Picked) -> None:
        self.move(go_to_event(message.seq))

    @on(TimelineBar.Wheeled)
    def _wheeled(self, message: TimelineBar.Wheeled) -> None:
        self.move(step(self.grain, back=message.back))

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """A click selects a panel, too."""
        if isinstance(event.widget, Panel):
            name = event.widget.NAME
            if name != self.selected and not event.widget.has_class("-near"):
                self.selected = name
                self._arrange()
