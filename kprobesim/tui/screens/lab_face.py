"""What the lab screen shows: its parts and their layout, and what came back from the lab."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.timer import Timer

from kprobesim.course import Cue, Lesson
from kprobesim.course import Scenario as Demo
from kprobesim.course.trail import HELD, STEP_BLOCKS
from kprobesim.errors import GuestError, KprobesimError
from kprobesim.lab import Grain, Moment
from kprobesim.tui.actions import Place
from kprobesim.tui.conductor import Arrived, Conductor, Failed
from kprobesim.tui.lecture import Lecture
from kprobesim.tui.lesson import LessonDesk, LessonView
from kprobesim.tui.motions import Interrupt, Motion, Outcome, repeated, stay
from kprobesim.tui.next_key import Reading, next_key, step_to_make
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
from kprobesim.tui.scenario import Scenario
from kprobesim.tui.screens.base import SizedScreen
from kprobesim.tui.snapshot import Snapshot
from kprobesim.tui.wording import say
from kprobesim.tui.worker import Progress

if TYPE_CHECKING:
    from kprobesim.lab import Lab

__all__ = ["LabFace"]

_ALL_WIDTH, _ALL_HEIGHT = 110, 32
_PAIR_WIDTH = 76
_FRAME = 6
"""Cells of a frame beside its title."""
_BROAD = ("verifier", "console")
"""Panels that need a small screen's whole width."""
_BROAD_IF_LOW = (*_BROAD, "bpf")
"""Those that need it where there are few rows."""
_SLOW = 0.2
_RELEASED = 0.3
"""Seconds without a press after which a key is no longer held."""


class LabFace(SizedScreen):
    """A scenario's lab as it is seen; what can be done in it is in `LabScreen`.

    Args:
        scenario: what to open.

    Attributes:
        desk: the lesson's side of the lab; None where the scenario is no lesson.
        conductor: plays the motions.
        lesson: how the lesson stands; None until there is one.
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
        self.lesson: LessonView | None = None
        self._replied: LessonView | None = None
        self._page = 0
        self.lecture = Lecture(self, scenario if isinstance(scenario, Demo) else None)
        self.grain = Grain.PHASE
        self.snapshot: Snapshot | None = None
        self.outcome = Outcome("opening")
        self.selected = "code"
        self._before: Snapshot | None = None
        self.failure: Exception | None = None
        self._maximised = False
        self._reading = False
        self._panel_wanted = False
        self._gave_way = False
        self._unseen = False
        self._turned = False
        self._cue: Cue | None = None
        self._why = not isinstance(scenario, Lesson) or scenario.narration != "brief"
        self._count: str | None = None
        self._pressed_at = self._held_since = -math.inf
        self._waits = 0
        self._bookmarks: dict[Moment, Snapshot] = {}

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
        self._reading = has_text and (self.desk is not None or self.app.size.width >= _ALL_WIDTH)
        self.retell()
        self.call_after_refresh(self.conductor.start)
        self.set_interval(_SLOW, self._watch)

    def on_unmount(self) -> None:
        """End the lab's thread."""
        self.lecture.close()
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
            made = self.lesson.made if self.lesson is not None else message.lesson.made
            if self.lesson is None or message.outcome.key == "skipped":
                self._page = message.lesson.page
                self._read()
            elif message.outcome.key == "task_met":
                # Who asked whether it is done wants to know how the text goes on.
                self._read()
            if message.outcome.key.startswith("predicted"):
                self.query_one(TextPane).keep_quote()
            self._turned = False
            self.lesson = message.lesson
            self._bring_up(made)
            self._tell_lesson()
            self._arrange()
        self._draw()
        self.lecture.arrived(message.outcome, message.snapshot)

    def _read(self) -> None:
        """The text is wanted in front."""
        self._reading, self._gave_way = True, False

    def _bring_up(self, made: int) -> None:
        """The panel that the page asks for, once what is listed before it was done.

        Args:
            made: how many of the lesson's steps were made before; where there is no room for the text beside the panel,
                it is left for the panel by a step and never on turning a page, as then it is to be read.
        """
        lesson = self.lesson
        assert lesson is not None
        here = [cue for cue in lesson.cues if cue.page == self._page]
        cue = next((cue for cue in reversed(here) if cue.step <= lesson.made), None)
        fresh = cue is not None and cue != self._cue
        self._unseen = fresh or (self._unseen and cue is not None)
        self._cue = cue
        if self.has_class("-narrow") and any(made < one.due <= lesson.made for one in here):
            self._reading, self._gave_way, fresh = False, True, True
        if fresh and cue is not None:
            self._turn_to(cue.panel)

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
        self._replied = None
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
        place = say(self.language, "lesson.page", number=self._open_page + 1, total=self.lesson.pages)
        pane = self.query_one(TextPane)
        keys = say(self.language, "lesson.page_keys")
        # What has no room in the frame is left out whole.
        pane.show(place + keys if cell_len(place + keys) <= pane.outer_size.width - _FRAME else place, self.page_text)
        self.query_one(LessonBar).show(self.lesson, self.language, turned=self._turned)
        self._tell_next()

    @on(TextPane.Moved)
    def _tell_next(self) -> None:
        """Which key comes next, and how to read on."""
        lesson, pane = self.lesson, self.query_one(TextPane)
        if lesson is None:
            return
        page = self._open_page
        due = lesson.steps[lesson.made] if step_to_make(lesson, page) else None
        here = due if due is not None and due.page == page else None
        shown = self.has_class("-reading")
        how = Reading(
            page=page,
            shown=shown,
            more=pane.goes_on,
            listed=here is None or pane.shows_block(here.block, STEP_BLOCKS),
            gave_way=self._gave_way,
            look=self._cue.panel if self._cue is not None and self._unseen and self.has_class("-narrow") else "",
            grain=self.grain,
            has_list=self._has_list,
        )
        turns = page < len(lesson.texts[self.language].pages) - 1 and here is None
        more = "more" if pane.goes_on else "next_page" if turns else ""
        pane.border_subtitle = say(self.language, f"lesson.{more}") if more else ""
        self.query_one(LessonBar).tell_next(next_key(lesson, self.language, how))

    @property
    def page_text(self) -> str:
        """The lesson's page that is open, as Markdown; empty where there is no lesson."""
        if self.lesson is None:
            return ""
        return self.lesson.texts[self.language].pages[self._open_page]

    @property
    def _open_page(self) -> int:
        """Index of the lesson's page that is open, at most the last one that may be read."""
        assert self.lesson is not None
        return min(self._page, len(self.lesson.texts[self.language].pages) - 1)

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
            count=self._count,
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
            self.query_one(TimelineBar).show(now, (marked.seq for marked in self.bookmarks), language)

    def _remark(self, outcome: Outcome) -> None:
        """Say something that is no motion's end."""
        self.outcome, self.failure = outcome, None
        self._narrate()

    def _narrate(self) -> None:
        narration, language = self.query_one(NarrationPanel), self.language
        match self.failure:
            case None:
                self.set_class(not self._why, "-brief")
                narration.tell(self.snapshot, self.outcome, language, why=self._why)
            case KprobesimError() as error:
                narration.fail(str(error).removesuffix(error.hint).strip(), error.hint, language)
                if isinstance(error, GuestError) and self.snapshot is not None:
                    narration.mourn(error, language)
            case error:
                sentence = say(language, "narration.mistake", kind=type(error).__name__, message=error)
                narration.fail(sentence, say(language, "narration.mistake_hint"), language)
        if playing := "playing" if self.lecture.playing else "paused" if self.lecture.presenting else "":
            narration.play(say(language, f"lecture.{playing}", speed=f"{self.lecture.speed:g}"))

    def _arrange(self) -> None:
        width, height = self.app.size
        large = self.lecture.presenting
        reading = self._reading and bool(self.scenario.text(self.language)) and not large
        self.set_class(reading, "-reading")
        self.set_class(large, "-present")
        self.set_class(large and not self._panel_wanted, "-spot")
        self.query_one(NarrationPanel).enlarge(large)
        keys = LECTURE_PANEL_KEYS if self._panel_wanted else LECTURE_KEYS
        self.query_one(KeyLine).offer(*(keys, END_LECTURE) if large else (LAB_KEYS, QUIT))
        room = width - (width // 3 if reading and width >= _ALL_WIDTH else 0)
        single = self._maximised or large or room < _ALL_WIDTH or height < _ALL_HEIGHT
        self.set_class(single, "-single")
        broad = _BROAD if height >= _ALL_HEIGHT else _BROAD_IF_LOW
        paired = room >= _PAIR_WIDTH and not self._maximised and self.selected not in broad
        self._unseen = self._unseen and reading
        self._tell_next()
        self.query_one(PanelBench).lay_out(room, height, self.selected, single=single, paired=paired)

    def on_resize(self, event: events.Resize) -> None:
        """Choose the layout for the new size."""
        super().on_resize(event)
        self._arrange()

    # What a lecture needs

    def move(self, motion: Motion) -> None:
        """Make a motion when those before it are done, as often as the count says."""
        count, self._count = int(self._count or 1), None
        now = time.monotonic()
        if now - self._pressed_at > _RELEASED:
            self._held_since = now
        self._pressed_at = now
        if self.snapshot is not None:
            motion = repeated(motion, count) if count > 1 else motion
            self.conductor.move(self._until_met(motion) if self._is_to_be_held else motion)

    @property
    def _is_to_be_held(self) -> bool:
        """The page asks for a key to be held."""
        return self.lesson is not None and any(
            step.page == self._page and step.key in HELD for step in self.lesson.steps
        )

    def _until_met(self, motion: Motion) -> Motion:
        """A motion of a held key, which ends where the task is met: nobody lets go of a key in time."""
        desk, since = self.desk, self._held_since

        def move(lab: Lab, interrupt: Interrupt) -> Outcome:
            met = desk is not None and desk.met_at > since
            return stay(lab, interrupt) if met else motion(lab, interrupt)

        return move

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
