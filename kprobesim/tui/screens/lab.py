"""The lab screen: one lab, seen from all sides, moved by keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from kprobesim.course import Lesson
from kprobesim.errors import KprobesimError
from kprobesim.lab import Grain, Moment
from kprobesim.tui.actions import LAB_ACTIONS, PANELS, bindings
from kprobesim.tui.conductor import Arrived, Conductor, Failed, Progress
from kprobesim.tui.lesson import LessonDesk, LessonView
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
from kprobesim.tui.panels.banner import Banner
from kprobesim.tui.panels.bench import PanelBench
from kprobesim.tui.panels.events import EventsPanel
from kprobesim.tui.panels.header import Header
from kprobesim.tui.panels.keyline import KeyLine
from kprobesim.tui.panels.lesson import LessonBar
from kprobesim.tui.panels.narration import NarrationPanel
from kprobesim.tui.panels.panel import Panel, View
from kprobesim.tui.panels.text_pane import TextPane
from kprobesim.tui.panels.too_small import TooSmall
from kprobesim.tui.panels.track import TimelineBar
from kprobesim.tui.scenario import Scenario
from kprobesim.tui.screens.base import SizedScreen
from kprobesim.tui.screens.goto import GoToScreen
from kprobesim.tui.screens.line import LineScreen
from kprobesim.tui.screens.reply import ReplyScreen
from kprobesim.tui.snapshot import Snapshot
from kprobesim.tui.targets import Target
from kprobesim.tui.wording import say

__all__ = ["LabScreen"]

_ALL_WIDTH, _ALL_HEIGHT = 110, 32
_PAIR_WIDTH = 76
_BROAD = ("verifier", "console")
"""Panels that need a small screen's whole width."""
_SLOW = 0.2
_COUNT_DIGITS = 5


class LabScreen(SizedScreen):
    """A scenario's lab.

    Args:
        scenario: what to open.
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings(LAB_ACTIONS)]
    AUTO_FOCUS = "#code"

    DEFAULT_CSS = """
    LabScreen { layout: vertical; }
    #desk { height: 1fr; }
    #text { width: 33%; display: none; }
    #foot { height: 7; }
    #foot NarrationPanel { width: 1fr; height: 1fr; }
    #recent { width: 44; height: 1fr; }
    LabScreen.-single #recent { display: none; }
    LabScreen.-single #foot { height: 6; }
    LabScreen.-broad #recent { width: 76; }
    LabScreen.-tall #foot { height: 9; }
    LabScreen.-low LessonBar { height: 5; }
    LabScreen.-lesson LessonBar { display: block; }
    LabScreen.-reading #text { display: block; }
    LabScreen.-narrow.-reading #text { width: 1fr; }
    LabScreen.-narrow.-reading #bench { display: none; }
    LabScreen.-narrow.-low.-reading.-lesson #foot { height: 5; }
    """

    def __init__(self, scenario: Scenario) -> None:
        super().__init__()
        self.scenario = scenario
        self.desk = LessonDesk(scenario) if isinstance(scenario, Lesson) else None
        self.conductor = Conductor(self.desk.open if self.desk else scenario.open, self.post_message, self.desk)
        self.lesson: LessonView | None = None
        self._page = 0
        self.grain = Grain.PHASE
        self.snapshot: Snapshot | None = None
        self.outcome = Outcome("opening")
        self.selected = "code"
        self._before: Snapshot | None = None
        self.failure: Exception | None = None
        self._maximised = False
        self._reading = False
        self._count: str | None = None
        self._typed: list[str] = []
        self._done: list[str] = []
        self._bookmarks: dict[Moment, Snapshot] = {}

    def compose(self) -> ComposeResult:
        """Header, banner, panels, narration, keys."""
        yield Header()
        yield Banner()
        with Horizontal(id="desk"):
            yield TextPane(id="text")
            yield PanelBench(id="bench")
        yield LessonBar()
        with Horizontal(id="foot"):
            yield NarrationPanel()
            yield EventsPanel(id="recent")
        yield TimelineBar()
        yield KeyLine()
        yield TooSmall()

    def on_mount(self) -> None:
        """Draw what there is, and open the lab behind it."""
        has_text = bool(self.scenario.text(self.language))
        self._reading = has_text and (self.desk is not None or self.app.size.width >= _ALL_WIDTH)
        self.retell()
        self.conductor.start()
        self.set_interval(_SLOW, self._watch)

    def on_unmount(self) -> None:
        """End the lab's thread."""
        self.conductor.close()

    @property
    def bookmarks(self) -> list[Snapshot]:
        """The marked moments, in order."""
        return sorted(self._bookmarks.values(), key=lambda marked: marked.moment)

    # What came back from the lab

    @on(Arrived)
    def _arrived(self, message: Arrived) -> None:
        self.conductor.settled()
        self._before, self.snapshot = self.snapshot, message.snapshot
        self.outcome, self.failure = message.outcome, None
        if message.lesson is not None:
            if self.lesson is None or self.lesson.page != message.lesson.page:
                self._page = message.lesson.page
                self._reading = True
            self.lesson = message.lesson
            self._tell_lesson()
            self._arrange()
        self._draw()

    @on(Failed)
    def _failed(self, message: Failed) -> None:
        self.conductor.settled()
        if message.snapshot is not None:
            self._before, self.snapshot = self.snapshot, message.snapshot
        self.failure = message.error
        self._draw()

    @on(Progress)
    def _progress(self, message: Progress) -> None:
        if self.conductor.busy:
            self.query_one(KeyLine).running(message.instructions)

    def _watch(self) -> None:
        if not self.conductor.busy:
            self.query_one(KeyLine).running(None)

    # Drawing

    def retell(self) -> None:
        """Say everything again, in the language of the moment."""
        super().retell()
        if self.desk is None:
            self.query_one(TextPane).show(self.scenario.title(self.language), self.scenario.text(self.language))
        self._tell_lesson()
        self._draw()
        self._arrange()

    def _tell_lesson(self) -> None:
        """The page and the task, if this is a lesson."""
        if self.lesson is None:
            return
        self.set_class(True, "-lesson")
        pages = self.lesson.texts[self.language].pages
        number = min(self._page, len(pages) - 1)
        place = say(self.language, "lesson.page", number=number + 1, total=len(pages))
        self.query_one(TextPane).show(place, pages[number])
        self.query_one(LessonBar).show(self.lesson, self.language)

    def _draw(self) -> None:
        language, now = self.language, self.snapshot
        self.query_one(Header).show(now, self.scenario.title(language), language)
        keys = self.query_one(KeyLine)
        keys.show(
            self.grain,
            language,
            has_text=bool(self.scenario.text(language)),
            count=self._count,
            needed=self.lesson.means if self.lesson is not None else (),
            listed=len(self.app.screen_stack) > 2,
        )
        if not self.conductor.busy:
            keys.running(None)
        self._narrate()
        if now is not None:
            self.query_one(Banner).show(now.phase, by_trap_flag=now.profile == "history")
            view = View(now, self._before, language)
            self.query_one(PanelBench).show(view)
            self.query_one("#recent", EventsPanel).show(view)
            self.query_one(TimelineBar).show(now, (marked.seq for marked in self.bookmarks), language)

    def _remark(self, outcome: Outcome) -> None:
        """Say something that is no motion's end."""
        self.outcome, self.failure = outcome, None
        self._narrate()

    def _narrate(self) -> None:
        narration, language = self.query_one(NarrationPanel), self.language
        match self.failure:
            case None:
                narration.tell(self.snapshot, self.outcome, language)
            case KprobesimError() as error:
                narration.fail(str(error).removesuffix(error.hint).strip(), error.hint, language)
            case error:
                sentence = say(language, "narration.mistake", kind=type(error).__name__, message=error)
                narration.fail(sentence, say(language, "narration.mistake_hint"), language)

    def _arrange(self) -> None:
        width, height = self.app.size
        reading = self._reading and bool(self.scenario.text(self.language))
        self.set_class(reading, "-reading")
        room = width - (width // 3 if reading and width >= _ALL_WIDTH else 0)
        single = self._maximised or room < _ALL_WIDTH or height < _ALL_HEIGHT
        self.set_class(single, "-single")
        paired = room >= _PAIR_WIDTH and not self._maximised and self.selected not in _BROAD
        self.query_one(PanelBench).lay_out(room, height, self.selected, single=single, paired=paired)

    def on_resize(self, event: events.Resize) -> None:
        """Choose the layout for the new size."""
        super().on_resize(event)
        self._arrange()

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
            self._page = min(max(self._page + by, 0), last)
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

    def _panel(self) -> Panel:
        if self.selected == "events" and not self.has_class("-single"):
            return self.query_one("#recent", EventsPanel)
        return self.query_one(f"#{self.selected}", Panel)

    def read_on(self, by: int) -> None:
        """Further down (1) or up (-1) in the text, then to its next page; without a text, in the selected panel."""
        if not self.has_class("-reading"):
            self.scroll_panel(by)
        elif not self.query_one(TextPane).read_on(by):
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
