"""The lab screen: one lab, seen from all sides, moved by keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events, on
from textual.binding import BindingType

from kprobesim.i18n import LANGUAGES
from kprobesim.tui.actions import LAB_ACTIONS, PANELS, bindings
from kprobesim.tui.conductor import Failed
from kprobesim.tui.lessons.desk import LessonDesk
from kprobesim.tui.lessons.next_key import step_to_make
from kprobesim.tui.lessons.words import Asked, answer_keys
from kprobesim.tui.motions import Motion, Outcome, back_to, finer, go_to_event, go_to_moment, run_to, step, who_set
from kprobesim.tui.panels.panel import Panel
from kprobesim.tui.panels.text_pane import TextPane
from kprobesim.tui.panels.track import TimelineBar
from kprobesim.tui.scenario import Scenario
from kprobesim.tui.screens.blank import BlankScreen
from kprobesim.tui.screens.lab_dialogs import LabDialogs
from kprobesim.tui.screens.lab_face import LabFace
from kprobesim.tui.targets import Target
from kprobesim.tui.wording import say

__all__ = ["LabScreen"]

_OF_THE_LAB = ("move", "find", "class", "lesson")
"""Groups of actions that need a lab."""
_WITHOUT_A_LAB = ("finer", "coarser", "stop", "present", "blank", "page_back", "page_on", "rejoin")
"""Those in them that do not."""


class LabScreen(LabFace):
    """A scenario's lab.

    Args:
        scenario: what to open.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(LAB_ACTIONS)]

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self.dialogs = LabDialogs(self)

    # What actions call

    def action_perform(self, name: str) -> None:
        """Carry out an action of the registry.

        Args:
            name: its id.
        """
        for action in LAB_ACTIONS:
            if action.id != name:
                continue
            if self.snapshot is not None or action.group not in _OF_THE_LAB or name in _WITHOUT_A_LAB:
                action.run(self)
            elif self.failure is None:
                self.remark(
                    Outcome("starting", {"what": {each: say(each, f"action.{name}.title") for each in LANGUAGES}})
                )
        super().action_perform(name)

    def begin_count(self) -> None:
        """The digits that follow say how often the next motion is made."""
        self.presses.begin_count()
        self._draw()

    def number_key(self, number: int) -> None:
        """A digit of the count that is being typed; an option of the question that the page asks; otherwise a panel."""
        if self.presses.count is not None:
            self.presses.add_digit(number % 10)
            self._draw()
        elif (asked := self._asked_here()) is None:
            self.select_panel(PANELS[number - 1])
        elif self.reader.has_replied:
            # The machine works the answer out; one who presses again is not to land in a panel.
            return
        elif number <= len(asked.options):
            self.reader.reply()
            self.answer(asked, str(number))
        else:
            self.remark(Outcome("no_option", {"keys": answer_keys(len(asked.options))}))

    def move_cursor(self, by: int) -> None:
        """The next place in the selected panel, or the one before."""
        self._panel().move_cursor(by)
        if self.selected == "verifier":
            self._panel().refresh()

    @property
    def cursor(self) -> Target | None:
        """What the cursor of the selected panel is on."""
        return self._panel().cursor

    def _target(self, *kinds: str) -> Target | None:
        """The same; a sentence where it is on nothing that will do."""
        target = self.cursor
        if target is not None and target.kind in kinds:
            return target
        self.remark(Outcome("no_cursor"))
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
        assert now is not None
        self.failure = None
        if self.bookmarks.toggle(now):
            self.outcome = Outcome("marked", {"place": now.place, "number": len(self.bookmarks)})
        else:
            self.outcome = Outcome("unmarked")
        self._draw()

    def go_to_bookmark(self, by: int) -> None:
        """The next bookmark in time, or the one before."""
        assert self.snapshot is not None
        moment = self.bookmarks.beyond(self.snapshot.moment, by)
        if moment is None:
            self.remark(Outcome("no_bookmark"))
        else:
            self.move(go_to_moment(moment))

    def turn_page(self, by: int) -> None:
        """The page of the lesson behind the one shown (1) or before it (-1)."""
        if self.lesson is not None:
            self.presses.let_go()
            self._bring_up(self.reader.turn(by, narrow=self.has_class("-narrow")))
            self._tell_lesson()
            self._arrange()

    def study(self, what: Callable[[LessonDesk], Motion]) -> None:
        """Do something to the lesson; a sentence where this is none."""
        if self.desk is None:
            self.remark(Outcome("no_lesson"))
        else:
            self.move(what(self.desk))

    def _asked_here(self) -> Asked | None:
        """The question with options that stands on the page in sight."""
        return self.reader.asked(self.language) if self.has_class("-reading") else None

    def answer(self, asked: Asked, text: str) -> None:
        """Answer a question of the lesson.

        Args:
            asked: the question.
            text: what was typed, or an option's number.
        """
        if asked.prediction:
            self.study(lambda desk: desk.predict(asked.prediction, int(text)))
        else:
            self.study(lambda desk: desk.answer(text))

    @on(Failed)
    def _refused(self, message: Failed) -> None:
        """A refused program is shown where it was refused."""
        from kprobesim.bpf.verifier import Rejected

        if isinstance(message.error, Rejected):
            self.conductor.memory.walk_wanted = True
            self.select_panel("verifier")

    def change_grain(self, by: int) -> None:
        """Step finer or coarser."""
        self.grain = finer(self.grain, by)
        self._draw()

    def blank(self) -> None:
        """An empty screen until the next key."""
        self.app.push_screen(BlankScreen())

    def cycle_panel(self, by: int) -> None:
        """Select the next panel or the one before."""
        self.select_panel(PANELS[(PANELS.index(self.selected) + by) % len(PANELS)])

    def select_panel(self, name: str) -> None:
        """Select a panel; where only one is shown, that one."""
        self._panel_wanted = self.lecture.presenting
        if self.has_class("-narrow"):
            self.reader.close_text()
        self._turn_to(name)

    def read_on(self, by: int) -> None:
        """Further down (1) or up (-1) in the text, then to its next page; without a text, in the selected panel."""
        if self.reader.gave_way:
            # The text was left for a panel: it comes back, and goes on.
            self.reader.open_text()
            self._arrange()
            if by > 0:
                self.call_after_refresh(self.read_on, by)
        elif not self.has_class("-reading"):
            self.scroll_panel(by)
        elif not self.query_one(TextPane).read_on(by):
            if by > 0 and self.lesson is not None and step_to_make(self.lesson, self.reader.page(self.language)):
                self.remark(Outcome("steps_first"))
            else:
                self.turn_page(by)

    def scroll_panel(self, by: int) -> None:
        """Look further up or down in the selected panel.

        Args:
            by: in half panels.
        """
        self._panel().scroll_halves(by)

    def toggle_text(self) -> None:
        """Show or hide the scenario's text."""
        if not self.scenario.text(self.language):
            self.remark(Outcome("no_text"))
            return
        if self.reader.in_front:
            self.reader.close_text()
        else:
            self.reader.open_text()
        self._arrange()

    def toggle_why(self) -> None:
        """Tell why things happened, or only what."""
        self._why = not self._why
        self._narrate()

    def toggle_maximised(self) -> None:
        """Give the selected panel all the room, or take it back."""
        self._maximised = not self._maximised
        self._arrange()
        self._panel().focus()

    def stop_motion(self) -> bool:
        """Stop the motion under way; whether there was one."""
        busy = self.conductor.busy
        self.conductor.stop()
        return busy

    def stop(self) -> None:
        """Stop the motion under way; when there is none, forget the count, or go back to the layout before."""
        if self.presses.count is not None:
            self.presses.forget_count()
            self._draw()
        elif self.stop_motion():
            return
        elif self._panel_wanted:
            self._panel_wanted = False
            self._arrange()
        elif self._maximised:
            self.toggle_maximised()

    def rejoin(self) -> None:
        """Nobody leads here."""
        self.remark(Outcome("no_teacher"))

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
