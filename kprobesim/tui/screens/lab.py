"""The lab screen: one lab, seen from all sides, moved by keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.binding import BindingType
from textual.message import Message

from kprobesim.i18n import LANGUAGES
from kprobesim.tui.actions import LAB_ACTIONS, PANELS, bindings
from kprobesim.tui.conductor import Failed
from kprobesim.tui.lesson import LessonDesk
from kprobesim.tui.lesson_words import Asked, answer_keys
from kprobesim.tui.motions import (
    GRAINS,
    Motion,
    Outcome,
    back_to,
    do_line,
    go_to_event,
    go_to_moment,
    go_to_place,
    in_turn,
    moment_of,
    run_to,
    step,
    type_line,
    who_set,
)
from kprobesim.tui.next_key import step_to_make
from kprobesim.tui.panels.panel import Panel
from kprobesim.tui.panels.text_pane import TextPane
from kprobesim.tui.panels.track import TimelineBar
from kprobesim.tui.scenario import Scenario
from kprobesim.tui.screens.blank import BlankScreen
from kprobesim.tui.screens.goto import GoToScreen
from kprobesim.tui.screens.lab_face import LabFace
from kprobesim.tui.screens.line import LineScreen
from kprobesim.tui.screens.program import Draft, ProgramScreen, draft_beside
from kprobesim.tui.screens.reply import ReplyScreen
from kprobesim.tui.targets import Target
from kprobesim.tui.wording import say

if TYPE_CHECKING:
    from kprobesim.tui.screens.what_if_form import Wish
    from kprobesim.tui.twins import Plan

__all__ = ["LabScreen"]

_COUNT_DIGITS = 5
_OF_THE_LAB = ("move", "find", "class", "lesson")
"""Groups of actions that need a lab."""
_WITHOUT_A_LAB = ("finer", "coarser", "stop", "present", "blank", "page_back", "page_on", "rejoin")
"""Those in them that do not."""


class Planned(Message):
    """A life can be lived twice."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan


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
        self._wish: Wish | None = None
        self._draft = Draft("prog", "vfs_read")

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
                self._remark(
                    Outcome("starting", {"what": {each: say(each, f"action.{name}.title") for each in LANGUAGES}})
                )
        super().action_perform(name)

    def begin_count(self) -> None:
        """The digits that follow say how often the next motion is made."""
        self._count = ""
        self._draw()

    def number_key(self, number: int) -> None:
        """A digit of the count that is being typed; an option of the question that the page asks; otherwise a panel."""
        if self._count is None and (asked := self._asked_here()) is not None:
            if self._replied is self.lesson:
                # The machine works the answer out; one who presses again is not to land in a panel.
                return
            if number <= len(asked.options):
                self._replied = self.lesson
                self._answer(asked, str(number))
            else:
                self._remark(Outcome("no_option", {"keys": answer_keys(len(asked.options))}))
        elif self._count is None:
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
            self._page = min(max(self._page + by, 0), last)
            self._turned = True
            if self._gave_way:
                self._read()
            self._bring_up(self.lesson.made)
            self._tell_lesson()
            self._arrange()

    def study(self, what: Callable[[LessonDesk], Motion]) -> None:
        """Do something to the lesson; a sentence where this is none."""
        if self.desk is None or self.lesson is None:
            self._remark(Outcome("no_lesson" if self.desk is None else "opening"))
            return
        self.move(what(self.desk))

    def reply(self) -> None:
        """Answer the question that waits; while something is under way it may be another one by then."""
        if self.conductor.busy:
            return
        texts = self.lesson.texts if self.lesson is not None else {}
        waiting = {language: text.asked for language, text in texts.items() if text.asked is not None}
        if self.language not in waiting:
            self._remark(Outcome("nothing_asked"))
            return

        asked = waiting[self.language]

        def answered(text: str | None) -> None:
            if text is not None:
                self._answer(asked, text)

        self.app.push_screen(ReplyScreen(waiting, self.language), answered)

    def _asked_here(self) -> Asked | None:
        """The question with options that stands on the page in sight."""
        if self.lesson is None or not self.has_class("-reading"):
            return None
        text = self.lesson.texts[self.language]
        return (
            text.asked if text.asked is not None and text.asked.options and self._page >= len(text.pages) - 1 else None
        )

    def _answer(self, asked: Asked, text: str) -> None:
        if asked.prediction:
            self.study(lambda desk: desk.predict(asked.prediction, int(text)))
        else:
            self.study(lambda desk: desk.answer(text))

    def ask_command(self) -> None:
        """Ask for something to do to the lab, in the words of the lessons."""
        if self.snapshot is None:
            return

        def answered(text: str | None) -> None:
            if text:
                self._done.append(text)
                self.move(self.desk.do(text) if self.desk is not None else do_line(text))

        self.app.push_screen(LineScreen(self.language, tuple(self._done), "command"), answered)

    def show_files(self) -> None:
        """The machine's pseudo files, as a tree beside the console."""
        from kprobesim.tui.screens.files import FilesScreen

        if self.snapshot is not None:
            self.app.push_screen(FilesScreen(self.conductor.move, self._typing))

    def _typing(self, text: str) -> Motion:
        """Type a line; in a lesson it is remembered."""
        # Hints and quoted sessions show the prompt, and it is copied along.
        text = text.removeprefix("$ ").removeprefix("# ")
        return self.desk.do(f"$ {text}") if self.desk is not None and text else type_line(text)

    def write_program(self) -> None:
        """Ask for a program of several lines, load it, and attach it if a place is given."""

        def answered(draft: Draft | None) -> None:
            if draft is None:
                return
            self._draft = draft
            if draft.send:
                do = self.desk.do if self.desk is not None else do_line
                steps = [do(f"program {draft.name}", draft.text)]
                if draft.where:
                    steps.append(do(f"attach {draft.name} {draft.where}"))
                self.move(in_turn(*steps))

        if self.snapshot is not None:
            self._draft = draft_beside(self._draft, self.page_text)
            self.app.push_screen(ProgramScreen(self._draft, self.language), answered)

    @on(Failed)
    def _refused(self, message: Failed) -> None:
        """A refused program is shown where it was refused."""
        from kprobesim.bpf.verifier import Rejected

        if isinstance(message.error, Rejected):
            self.conductor.memory.walk_wanted = True
            self.select_panel("verifier")

    def type_line(self) -> None:
        """Ask for a line to type at the machine's console, and show what comes."""
        if self.snapshot is None:
            return

        def answered(text: str | None) -> None:
            if text is not None:
                self.select_panel("console")
                self._typed.append(text)
                self.move(self._typing(text))

        self.app.push_screen(LineScreen(self.language, tuple(self._typed)), answered)

    def change_grain(self, by: int) -> None:
        """Step finer or coarser."""
        index = GRAINS.index(self.grain) + by
        self.grain = GRAINS[min(max(index, 0), len(GRAINS) - 1)]
        self._draw()

    def ask_place(self) -> None:
        """Ask where to go."""
        if self.snapshot is None:
            return

        def answered(text: str | None) -> None:
            if text:
                self.move(go_to_place(text))

        self.app.push_screen(GoToScreen(self.language), answered)

    def ask_what_if(self) -> None:
        """Ask what should have been different, and live the life twice."""
        from kprobesim.tui.screens.what_if_form import WhatIfForm, change_of
        from kprobesim.tui.twins import plan_of

        if self.snapshot is None:
            return

        def answered(wish: Wish | None) -> None:
            if wish is not None:
                self._wish = wish
                self.conductor.move(
                    plan_of(
                        lambda lab: change_of(wish, lab),
                        lambda lab: moment_of(lab, wish.at),
                        lambda plan: self.post_message(Planned(plan)),
                    )
                )

        form = WhatIfForm(self.snapshot, self._panel().cursor, self.language, self._wish)
        self.app.push_screen(form, answered)

    @on(Planned)
    def _planned(self, message: Planned) -> None:
        from kprobesim.tui.screens.what_if import WhatIfScreen

        self.app.push_screen(WhatIfScreen(message.plan, lambda moment: self.move(go_to_moment(moment))))

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
            self._reading, self._gave_way = False, False
        self._turn_to(name)

    def read_on(self, by: int) -> None:
        """Further down (1) or up (-1) in the text, then to its next page; without a text, in the selected panel."""
        if self._gave_way:
            # The text was left for a panel: it comes back, and goes on.
            self._read()
            self._arrange()
            if by > 0:
                self.call_after_refresh(self.read_on, by)
        elif not self.has_class("-reading"):
            self.scroll_panel(by)
        elif not self.query_one(TextPane).read_on(by):
            if by > 0 and self.lesson is not None and step_to_make(self.lesson, self._page):
                self._remark(Outcome("steps_first"))
            else:
                self.turn_page(by)

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
        self._reading, self._gave_way = not self._reading, False
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
        if self._count is not None:
            self._count = None
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
