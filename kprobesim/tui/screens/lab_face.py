"""What the lab screen shows: its parts and their layout, and what came back from the lab."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.timer import Timer

from kprobesim.course import Lesson
from kprobesim.course import Scenario as Demo
from kprobesim.course.trail import STEP_BLOCKS
from kprobesim.errors import GuestError, KprobesimError, TripleFault
from kprobesim.lab import Grain
from kprobesim.tui.actions import Place
from kprobesim.tui.bookmarks import Bookmarks
from kprobesim.tui.conductor import Arrived, Conductor, Failed
from kprobesim.tui.layout import has_room_for_all, layout_of
from kprobesim.tui.lecture import Lecture
from kprobesim.tui.lessons.desk import LessonDesk
from kprobesim.tui.lessons.next_key import Reading, next_key, step_to_make
from kprobesim.tui.lessons.reader import Reader
from kprobesim.tui.lessons.view import LessonView
from kprobesim.tui.motions import Motion, Outcome, stay
from kprobesim.tui.panels.banner import Banner
from kprobesim.tui.panels.bench import PanelBench
from kprobesim.tui.panels.events import EventsPanel
from kprobesim.tui.panels.header import Header
from kprobesim.tui.panels.keyline import END_LECTURE, LAB_KEYS, LECTURE_KEYS, LECTURE_PANEL_KEYS, QUIT, KeyLine
from kprobesim.tui.panels.lesson import LessonBar
from kprobesim.tui.panels.narration import NarrationPanel
from kprobesim.tui.panels.panel import Panel, View
from kprobesim.tui.panels.spotlight import Spotlight
from kprobesim.tui.panels.text_pane import TextPane
from kprobesim.tui.panels.too_small import TooSmall
from kprobesim.tui.panels.track import TimelineBar
from kprobesim.tui.presses import Presses
from kprobesim.tui.scenario import Scenario
from kprobesim.tui.screens.base import SizedScreen
from kprobesim.tui.snapshot import Snapshot
from kprobesim.tui.wording import say, told_error
from kprobesim.tui.worker import Progress

__all__ = ["LabFace"]

_FRAME = 6
"""Cells of a frame beside its title."""
_SLOW = 0.2


class LabFace(SizedScreen):
    """A scenario's lab as it is seen; what can be done in it is in `LabScreen`.

    Args:
        scenario: what to open.

    Attributes:
        desk: the lesson's side of the lab; None where the scenario is no lesson.
        conductor: plays the motions.
        reader: where the reader is in the text.
        presses: how the key of a motion is pressed.
        bookmarks: the moments that were marked.
        grain: how far a step goes.
        snapshot: the moment that is shown; None until the lab is open.
        outcome: how the last motion ended.
        failure: why it did not.
        selected: the name of the panel that the keys are for.
        lecture: presenting and playing.
    """

    PLACE: ClassVar[Place] = "lab"
    AUTO_FOCUS = "#code"

    DEFAULT_CSS = """
    LabFace { layout: vertical; }
    #desk { height: 1fr; }
    #text { width: 33%; display: none; }
    #foot { height: 7; }
    #foot NarrationPanel { width: 1fr; height: 1fr; }
    #recent { width: 44; height: 1fr; }
    LabFace.-single #recent { display: none; }
    LabFace.-single #foot { height: 6; }
    LabFace.-broad #recent { width: 76; }
    LabFace.-tall #foot { height: 9; }
    LabFace.-low LessonBar { height: 5; }
    LabFace.-lesson LessonBar { display: block; }
    LabFace.-reading #text { display: block; }
    LabFace.-narrow.-reading #text { width: 1fr; }
    LabFace.-narrow.-reading #bench { display: none; }
    LabFace.-narrow.-low.-reading.-lesson #foot { height: 5; }
    LabFace.-narrow.-low.-reading.-lesson.-brief #foot { height: 4; }
    LabFace.-narrow.-low #text MarkdownH1, LabFace.-narrow.-low #text MarkdownH2 { margin: 0; }
    LabFace.-present Header, LabFace.-present LessonBar, LabFace.-present #text { display: none; }
    LabFace.-spot #desk { display: none; }
    LabFace.-spot Spotlight { display: block; }
    LabFace.-present NarrationPanel { padding: 0 2; }
    LabFace.-present.-high NarrationPanel { padding: 1 4; }
    LabFace.-present #foot { height: 8; }
    LabFace.-present.-high #foot { height: 12; }
    LabFace.-present Panel.-near { text-opacity: 92%; border: round $foreground 15%; }
    """

    def __init__(self, scenario: Scenario) -> None:
        super().__init__()
        self.scenario = scenario
        self.desk = LessonDesk(scenario) if isinstance(scenario, Lesson) else None
        self.conductor = Conductor(self.desk.open if self.desk else scenario.open, self.post_message, self.desk)
        self.reader = Reader()
        self.presses = Presses()
        self.bookmarks = Bookmarks()
        self.lecture = Lecture(self, scenario if isinstance(scenario, Demo) else None)
        self.grain = Grain.PHASE
        self.snapshot: Snapshot | None = None
        self.outcome = Outcome("opening")
        self.selected = "code"
        self._before: Snapshot | None = None
        self.failure: Exception | None = None
        self._maximised = False
        self._panel_wanted = False
        self._why = not isinstance(scenario, Lesson) or scenario.narration != "brief"
        self._waits = 0

    def compose(self) -> ComposeResult:
        """Header, banner, panels, narration, keys."""
        yield Header()
        yield Banner()
        yield Spotlight(plain=self.ascii_only)
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
        self.reader.in_front = has_text and (self.desk is not None or has_room_for_all(self.app.size.width))
        self.retell()
        self.call_after_refresh(self.conductor.start)
        self.set_interval(_SLOW, self._watch)

    def on_unmount(self) -> None:
        """End the lab's thread."""
        self.lecture.close()
        self.conductor.close()

    @property
    def lesson(self) -> LessonView | None:
        """How the lesson stands; None until there is one."""
        return self.reader.lesson

    # What came back from the lab

    @on(Arrived)
    def _arrived(self, message: Arrived) -> None:
        self.conductor.settled()
        self._before, self.snapshot = self.snapshot, message.snapshot
        self.outcome, self.failure = message.outcome, None
        if message.lesson is not None:
            if message.outcome.key.startswith("predicted"):
                self.query_one(TextPane).keep_quote()
            self._bring_up(self.reader.take(message.lesson, message.outcome.key, narrow=self.has_class("-narrow")))
            self._tell_lesson()
            self._arrange()
        self._draw()
        self.lecture.arrived(message.outcome, message.snapshot)
        self.presses.drawn()

    def _bring_up(self, panel: str) -> None:
        """The panel that the page asks for, if it does."""
        if panel:
            self._turn_to(panel)

    def _turn_to(self, panel: str) -> None:
        """Have a panel selected; the verifier's shows what has to be worked out first."""
        self.selected = panel
        self._arrange()
        self._panel().focus()
        if panel == "verifier" and not self.conductor.memory.walk_wanted:
            self.conductor.memory.walk_wanted = True
            self.move(stay)

    @on(Failed)
    def _failed(self, message: Failed) -> None:
        self.reader.reply_failed()
        self.conductor.settled()
        if message.snapshot is not None:
            self._before, self.snapshot = self.snapshot, message.snapshot
        self.failure = message.error
        self.lecture.failed()
        self._draw()

    @on(Progress)
    def _progress(self, message: Progress) -> None:
        if self.conductor.busy:
            self.query_one(KeyLine).running(message.instructions)

    def _watch(self) -> None:
        self._waits = self._waits + 1 if self.conductor.busy else 0
        if not self._waits:
            self.query_one(KeyLine).running(None)
        elif self._waits > 1:
            self.query_one(KeyLine).working()

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
        place = say(self.language, "lesson.page", number=self.reader.page(self.language) + 1, total=self.lesson.pages)
        pane = self.query_one(TextPane)
        keys = say(self.language, "lesson.page_keys")
        # What has no room in the frame is left out whole.
        pane.show(
            place + keys if cell_len(place + keys) <= pane.outer_size.width - _FRAME else place,
            self.reader.page_text(self.language),
        )
        self.query_one(LessonBar).show(self.lesson, self.language, turned=self.reader.turned)
        self._tell_next()

    @on(TextPane.Moved)
    def _tell_next(self) -> None:
        """Which key comes next, and how to read on."""
        lesson, pane = self.lesson, self.query_one(TextPane)
        if lesson is None:
            return
        page = self.reader.page(self.language)
        due = lesson.steps[lesson.made] if step_to_make(lesson, page) else None
        here = due if due is not None and due.page == page else None
        shown, narrow = self.has_class("-reading"), self.has_class("-narrow")
        how = Reading(
            page=page,
            shown=shown,
            more=pane.goes_on,
            listed=here is None or pane.shows_block(here.block, STEP_BLOCKS),
            gave_way=self.reader.gave_way,
            hidden=self.reader.unseen_panel if narrow else "",
            look=self.reader.look(self.language) if not narrow or self.reader.gave_way else "",
            grain=self.grain,
            has_list=self._has_list,
        )
        turns = page < self.reader.last_page(self.language) and here is None
        more = "more" if pane.goes_on else "next_page" if turns else ""
        pane.border_subtitle = say(self.language, f"lesson.{more}") if more else ""
        self.query_one(LessonBar).tell_next(next_key(lesson, self.language, how))

    @property
    def _has_list(self) -> bool:
        """There is a list of scenarios to go back to."""
        return self.app.screen_stack.index(self) > 1

    def _draw(self) -> None:
        language, now = self.language, self.snapshot
        self.query_one(Header).show(now, self.scenario.title(language), language)
        keys = self.query_one(KeyLine)
        keys.show(
            self.grain,
            language,
            has_text=bool(self.scenario.text(language)),
            count=self.presses.count,
            needed=self.lesson.means if self.lesson is not None else (),
            listed=self._has_list,
        )
        self._tell_next()
        if not self.conductor.busy:
            keys.running(None)
        self._narrate()
        if now is not None:
            self.query_one(Banner).show(now.phase, now.serving, by_trap_flag=now.profile == "history")
            view = View(now, self._before, language)
            self.query_one(Spotlight).show(view)
            self.query_one(PanelBench).show(view)
            self.query_one("#recent", EventsPanel).show(view)
            self.query_one(TimelineBar).show(now, (marked.seq for marked in self.bookmarks.in_order), language)

    def remark(self, outcome: Outcome) -> None:
        """Say something that is no motion's end."""
        self.outcome, self.failure = outcome, None
        self._narrate()

    def _narrate(self) -> None:
        narration, language = self.query_one(NarrationPanel), self.language
        match self.failure:
            case None:
                self.set_class(not self._why, "-brief")
                narration.tell(self.snapshot, self.outcome, language, why=self._why)
            case GuestError() as error if self.snapshot is not None:
                sentence, hint = told_error(error, language)
                # A triple fault's hint is on the report, which only the command line prints.
                narration.mourn(sentence, "" if isinstance(error, TripleFault) else hint, language)
            case KprobesimError() as error:
                narration.fail(*told_error(error, language), language)
            case error:
                sentence = say(language, "narration.mistake", kind=type(error).__name__, message=error)
                narration.fail(sentence, say(language, "narration.mistake_hint"), language)
        if playing := "playing" if self.lecture.playing else "paused" if self.lecture.presenting else "":
            narration.play(say(language, f"lecture.{playing}", speed=f"{self.lecture.speed:g}"))

    def _arrange(self) -> None:
        large = self.lecture.presenting
        reading = self.reader.in_front and bool(self.scenario.text(self.language)) and not large
        self.set_class(reading, "-reading")
        self.set_class(large, "-present")
        self.set_class(large and not self._panel_wanted, "-spot")
        self.query_one(NarrationPanel).enlarge(large)
        keys = LECTURE_PANEL_KEYS if self._panel_wanted else LECTURE_KEYS
        self.query_one(KeyLine).offer(*(keys, END_LECTURE) if large else (LAB_KEYS, QUIT))
        layout = layout_of(self.app.size, self.selected, reading=reading, maximised=self._maximised, large=large)
        self.set_class(layout.single, "-single")
        if not reading:
            self.reader.saw_panels()
        self._tell_next()
        self.query_one(PanelBench).lay_out(layout, self.selected)

    def on_resize(self, event: events.Resize) -> None:
        """Choose the layout for the new size."""
        super().on_resize(event)
        self._arrange()

    # What a lecture needs

    def move(self, motion: Motion) -> None:
        """Make a motion when those before it are done, as often as the count says."""
        motion = self.presses.press(motion)
        if self.snapshot is not None:
            desk = self.desk
            if desk is not None and self.reader.asks_to_hold:
                motion = self.presses.ended_by(motion, lambda: desk.met_at)
            self.conductor.move(motion)

    @property
    def theme_name(self) -> str:
        """The look."""
        return self.app.theme

    def dress(self, theme: str) -> None:
        """Take another look."""
        self.app.theme = theme

    def after(self, seconds: float, then: Callable[[], None]) -> Timer:
        """Call something later."""
        return self.set_timer(seconds, then)

    def rearrange(self) -> None:
        """Presenting or playing has changed."""
        self._panel_wanted = self._panel_wanted and self.lecture.presenting
        self._arrange()
        self._narrate()

    @property
    def topic(self) -> str:
        """The selected panel."""
        return self.selected

    def _panel(self) -> Panel:
        if self.selected == "events" and not self.has_class("-single"):
            return self.query_one("#recent", EventsPanel)
        return self.query_one(f"#{self.selected}", Panel)
