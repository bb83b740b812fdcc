"""The what-if screen: a life as it was beside the same life with one thing changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from kprobesim.errors import KprobesimError
from kprobesim.lab import Grain, Moment
from kprobesim.tui import styles
from kprobesim.tui.actions import WHAT_IF_ACTIONS, Place, bindings
from kprobesim.tui.cells import fit, wrap
from kprobesim.tui.motions import Motion, Outcome, finer
from kprobesim.tui.panels.code import CodePanel
from kprobesim.tui.panels.differences import Differences
from kprobesim.tui.panels.events import EventsPanel
from kprobesim.tui.panels.fork_line import ForkLine
from kprobesim.tui.panels.keyline import LEAVE, WHAT_IF_KEYS, KeyLine
from kprobesim.tui.panels.narration import NarrationPanel
from kprobesim.tui.panels.panel import Panel, View
from kprobesim.tui.panels.too_small import TooSmall
from kprobesim.tui.screens.base import SizedScreen
from kprobesim.tui.twins import (
    Living,
    Plan,
    Side,
    Twin,
    Twinned,
    TwinView,
    Undone,
    both,
    side_motion,
    to_fork,
    to_parting,
)
from kprobesim.tui.values import milliseconds
from kprobesim.tui.wording import say, told_error
from kprobesim.tui.worker import Progress

__all__ = ["WhatIfScreen"]

_SLOW = 0.2


class LifeCode(CodePanel):
    """The code of one of the two lives; no key leads here."""

    def label(self, view: View) -> str:
        """The name alone."""
        return say(view.language, "panel.code.title")


class LifeEvents(EventsPanel):
    """The events of one of the two lives."""

    def label(self, view: View) -> str:
        """The name alone."""
        return say(view.language, "panel.events.title")


class Life(Vertical):
    """One of the two lives.

    Args:
        side: 0 for the life as it was, 1 for the one with the change.
    """

    def __init__(self, side: Side) -> None:
        super().__init__(id=f"life{side}")
        self.side: Side = side
        self._view: View | None = None

    def compose(self) -> ComposeResult:
        """Where it is, its code, its events, what just happened."""
        yield Static(classes="where")
        yield LifeCode()
        yield LifeEvents()
        yield NarrationPanel()

    def show(self, twins: TwinView, view: View) -> None:
        """Draw another moment."""
        now, language = view.now, view.language
        word = say(language, f"what_if.side{self.side}")
        told = Content.assemble((f" {word}  ", styles.HEAD), now.place)
        timed = Content.assemble(told, f"   {milliseconds(now.ns)}")
        width = max(self.size.width, 1)
        told = timed if timed.cell_length <= width else told
        self.query_one(".where", Static).update(told.truncate(width, ellipsis=True, pad=True))
        listed = self.query_one(EventsPanel)
        listed.parting = twins.parting[self.side]
        for panel in self.query(Panel):
            if panel.display:
                panel.show(view)
            else:
                panel.keep(view)
        narration, outcome = self.query_one(NarrationPanel), twins.outcomes[self.side]
        if isinstance(outcome, KprobesimError):
            narration.fail(*told_error(outcome, language), language)
        else:
            # Where there are few rows, the story above has said it.
            few = self.screen.has_class("-low") and outcome.key == "at_parting"
            narration.tell(now, Outcome() if few else outcome, language)


class WhatIfScreen(SizedScreen):
    """Both lives, side by side.

    Args:
        plan: what to live, and what is different.
        take: told the moment of the life as it was, when somebody wants to go there.
    """

    PLACE: ClassVar[Place] = "what_if"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings(WHAT_IF_ACTIONS)]

    DEFAULT_CSS = """
    WhatIfScreen { layout: vertical; }
    #change { height: 1; background: $panel; text-style: bold; }
    #story { height: 3; padding: 0 1; }
    #lives { height: 1fr; }
    Life { width: 1fr; }
    Life .where { height: 1; }
    Life LifeCode { height: 1fr; }
    Life LifeEvents { height: 9; }
    Life NarrationPanel { height: 6; }
    Differences { height: 8; }
    WhatIfScreen.-low LifeCode { display: none; }
    WhatIfScreen.-low LifeEvents { height: 1fr; }
    WhatIfScreen.-low Differences { height: 4; }
    WhatIfScreen.-tall Differences { height: 12; }
    WhatIfScreen.-tall #story { height: 4; }
    """

    def __init__(self, plan: Plan, take: Callable[[Moment], object]) -> None:
        super().__init__()
        self.twin = Twin(plan, self.post_message)
        self._take = take
        self.grain = Grain.PHASE
        self.view: TwinView | None = None
        self._before: TwinView | None = None
        self._living: Living | None = None
        self.failure: Exception | None = None
        self._remark = Outcome()

    def compose(self) -> ComposeResult:
        """The question, the story, both lives, what differs, timeline, keys."""
        yield Static(id="change")
        yield Static(id="story")
        with Horizontal(id="lives"):
            yield Life(0)
            yield Life(1)
        yield Differences(id="differences")
        yield ForkLine()
        yield KeyLine(WHAT_IF_KEYS, LEAVE)
        yield TooSmall()

    def on_mount(self) -> None:
        """Let both lives be lived."""
        self.retell()
        self.twin.start()
        self.set_interval(_SLOW, self._watch)

    def on_unmount(self) -> None:
        """End the thread; it looks up every few million instructions."""
        self.twin.close()

    # What came back

    @on(Twinned)
    def _twinned(self, message: Twinned) -> None:
        self.twin.settled()
        self._before, self.view = self.view, message.view
        self._remark, self.failure = message.outcome, None
        self.retell()
        if self.focused is None:
            self.query(LifeEvents).first().focus()

    @on(Undone)
    def _undone(self, message: Undone) -> None:
        self.twin.settled()
        self.failure = message.error
        self.retell()

    @on(Living)
    def _is_living(self, message: Living) -> None:
        self._living = message
        self._tell()

    @on(Progress)
    def _progress(self, message: Progress) -> None:
        if self.twin.busy:
            self.query_one(KeyLine).running(message.instructions)

    def _watch(self) -> None:
        if not self.twin.busy:
            self.query_one(KeyLine).running(None)

    # Drawing

    def retell(self) -> None:
        """Say everything again."""
        super().retell()
        self._tell()
        self.query_one(KeyLine).show(self.grain, self.language, has_text=False)
        twins = self.view
        if twins is None:
            return
        for life in self.query(Life):
            before = None if self._before is None else self._before.sides[life.side]
            life.show(twins, View(twins.sides[life.side], before, self.language))
        self.query_one(Differences).compare(twins, self.language)
        self.query_one(ForkLine).show(twins, self.language)

    def _tell(self) -> None:
        """The question, and the story as far as it is known."""
        width = max(self.app.size.width, 1)
        told, style = self._story(), ""
        if self.failure is not None:
            said, hint = told_error(self.failure, self.language)
            told, style = [f"✗ {said}", hint], styles.FAILED
        question = self.view.story[self.language][0] if self.view is not None else say(self.language, "what_if.title")
        self.query_one("#change", Static).update(Content(fit(f" {question}", width)))
        lines = wrap((" " if self.language == "en" else "").join(told), max(width - 2, 1))
        self.query_one("#story", Static).update(Content("\n").join(Content.styled(line, style) for line in lines))

    def _story(self) -> list[str]:
        if self.view is not None:
            return [self._remark.tell(self.language), *self.view.story[self.language][1:]]
        if self._living is None:
            return [say(self.language, "what_if.begins")]
        insn, head = self._living.insn, self.twin.plan.recording.head
        stage = say(self.language, f"what_if.stage_{self._living.stage.value}", insn=f"{insn:,}", head=f"{head:,}")
        return [stage, say(self.language, "what_if.cancel")]

    def on_resize(self, event: events.Resize) -> None:
        """Lines are cut at the new width."""
        super().on_resize(event)
        self.call_after_refresh(self.retell)

    # What actions call

    def action_perform(self, name: str) -> None:
        """Carry out an action of the registry.

        Args:
            name: its id.
        """
        for action in WHAT_IF_ACTIONS:
            if action.id == name:
                action.run(self)
        super().action_perform(name)

    def move(self, motion: Motion) -> None:
        """Make the same motion with both machines."""
        self.twin.move(both(motion))

    def change_grain(self, by: int) -> None:
        """Step finer or coarser."""
        self.grain = finer(self.grain, by)
        self.query_one(KeyLine).show(self.grain, self.language, has_text=False)

    def go_to_parting(self) -> None:
        """Both to where the lives part."""
        self.twin.move(to_parting)

    def go_to_fork(self) -> None:
        """Both to where the change is made."""
        self.twin.move(to_fork)

    def take(self) -> None:
        """Leave, and put the lab where the life as it was stands."""
        if self.view is not None:
            self._take(self.view.sides[0].moment)
            self.dismiss()

    def cycle_panel(self, by: int) -> None:
        """The next panel that can be scrolled, or the one before."""
        if by > 0:
            self.focus_next(Panel)
        else:
            self.focus_previous(Panel)

    def scroll_panel(self, by: int) -> None:
        """Look further up or down in the focused panel."""
        panel = self.focused
        if isinstance(panel, Panel):
            panel.scroll_halves(by)

    def stop_motion(self) -> bool:
        """Stop what is under way; whether there was anything."""
        if self.view is None:
            self.leave()
            return True
        if self.twin.busy:
            self.twin.stop()
            return True
        return False

    def stop(self) -> None:
        """Stop the motion under way; when there is none, leave."""
        if not self.stop_motion():
            self.leave()

    def leave(self) -> None:
        """Back to the lab; both lives are forgotten."""
        self.dismiss()

    @on(Panel.Chosen)
    def _chosen(self, message: Panel.Chosen) -> None:
        """An event was clicked: that life goes there."""
        life = message.panel.parent
        if message.target.kind == "event" and isinstance(life, Life):
            self.twin.move(side_motion(life.side, message.target.number))
