"""The lab screen of a teacher whom others follow."""

from __future__ import annotations

import asyncio
import contextlib

from textual.app import ComposeResult

from kprobesim.classroom import Crowd, Leader, Shared, say
from kprobesim.lab import Lab
from kprobesim.tui.panels.class_bar import ClassBar
from kprobesim.tui.scenario import Scenario
from kprobesim.tui.screens.lab import LabScreen

__all__ = ["LeadScreen"]


class LeadScreen(LabScreen):
    """A lab whose every move is told to the class.

    Args:
        scenario: what to open.
        leader: tells it.
        link: what followers need.
    """

    def __init__(self, scenario: Scenario, leader: Leader, link: str) -> None:
        super().__init__(scenario)
        self._leader = leader
        self._link = link
        self._shared = Shared()
        self._loop = asyncio.get_running_loop()
        self.conductor.watch = self._look

    def compose(self) -> ComposeResult:
        """The class above everything else."""
        yield ClassBar()
        yield from super().compose()

    def retell(self) -> None:
        """The link, and who is there, as well."""
        super().retell()
        self.show_crowd(self._leader.crowd)

    def show_crowd(self, crowd: Crowd) -> None:
        """Somebody came, went, left the teacher or came back."""
        counted = say(self.language, "crowd", following=crowd.following, exploring=crowd.exploring)
        self.query_one(ClassBar).tell(f"▲ kprobesim follow {self._link.removeprefix('kprobesim://')}", counted)

    def _look(self, lab: Lab) -> None:
        """On the lab's thread."""
        place = self._shared.look(lab)
        with contextlib.suppress(RuntimeError):  # the app is ending
            self._loop.call_soon_threadsafe(self._leader.tell, place)
