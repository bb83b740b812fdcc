"""The application for a teacher whom others follow, and for those who follow."""

from __future__ import annotations

import asyncio

from textual import on
from textual.screen import Screen

from kprobesim.classroom import Crowd, Follower, Leader, Link, Told
from kprobesim.errors import KprobesimError
from kprobesim.i18n import Language
from kprobesim.tui.app import KprobesimApp, ascii_wanted, dress_as_wanted
from kprobesim.tui.keymap import default_keymap_file
from kprobesim.tui.scenario import Offer, Scenario
from kprobesim.tui.screens.follow import FollowScreen, WaitingScreen
from kprobesim.tui.screens.lab import LabScreen
from kprobesim.tui.screens.lead import LeadScreen
from kprobesim.tui.worker import end_workers

__all__ = ["FollowingApp", "LeadingApp", "run_following", "run_leading"]


class LeadingApp(KprobesimApp):
    """Every lab that is opened is told to the class.

    Args:
        leader: listening already.
        link: what followers need.
        scenario, language, scenarios: as for `KprobesimApp`.
    """

    def __init__(
        self,
        leader: Leader,
        link: str,
        scenario: Scenario | None = None,
        language: Language | None = None,
        scenarios: Offer | None = None,
    ) -> None:
        super().__init__(
            scenario, language, scenarios=scenarios, ascii_only=ascii_wanted(), keymap=default_keymap_file()
        )
        self._leader = leader
        self._link = link
        leader.changed = self._crowd_changed

    def lab_screen(self, scenario: Scenario) -> LabScreen:
        """A screen that tells."""
        return LeadScreen(scenario, self._leader, self._link)

    def _crowd_changed(self, crowd: Crowd) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, LeadScreen) and screen.is_mounted:
                screen.show_crowd(crowd)


class FollowingApp(KprobesimApp):
    """Shows what the teacher shows.

    Args:
        link: to the teacher.
        language: None takes that of the environment.
    """

    def __init__(self, link: Link, language: Language | None = None) -> None:
        super().__init__(None, language, ascii_only=ascii_wanted(), keymap=default_keymap_file())
        self.follower = Follower(link, self._heard)
        self._link = link
        self._failure = ""

    def first_screens(self) -> list[Screen[None]]:
        """Wait for the teacher."""
        return [WaitingScreen(str(self._link))]

    def on_mount(self) -> None:
        """Begin to follow."""
        self.run_worker(self._follow())

    async def _follow(self) -> None:
        try:
            await self.follower.run()
        except KprobesimError as error:
            self._failure = str(error)
            self._heard(self.follower.told)

    def _heard(self, told: Told) -> None:
        front = next((screen for screen in self.screen_stack if isinstance(screen, FollowScreen)), None)
        if told.recording is not None and (front is None or (front.following and front.recording != told.name)):
            self._open(told)
        elif front is not None:
            front.heard(told, self._failure)
        else:
            for screen in self.screen_stack:
                if isinstance(screen, WaitingScreen) and screen.is_mounted:
                    screen.heard(told, self._failure)

    def _open(self, told: Told) -> None:
        """Another recording, another lab; help and questions that stood before the old one go with it."""
        screen = FollowScreen(told, self.follower)
        while not isinstance(self.screen, WaitingScreen):
            if isinstance(self.screen, FollowScreen):
                screen.look_as(self.screen)
            self.pop_screen()
        self.push_screen(screen)

    @on(FollowScreen.Rejoined)
    def _rejoined(self) -> None:
        self._heard(self.follower.told)


def run_leading(
    address: tuple[str, int],
    name: str,
    leader: Leader,
    scenario: Scenario | None,
    language: Language,
    scenarios: Offer,
) -> int:
    """Listen, and run a teacher's app on this terminal until it is left.

    Args:
        address: host and port to listen on.
        name: what followers call this computer.
        leader: not listening yet.
        scenario, language, scenarios: as for `KprobesimApp`.

    Returns:
        the exit code.

    Raises:
        OSError: the address cannot be had.
    """

    async def run() -> int:
        await leader.start(*address)
        try:
            app = LeadingApp(leader, leader.link(name), scenario, language, scenarios)
            dress_as_wanted(app)
            await app.run_async()
            return app.return_code or 0
        finally:
            await leader.stop()

    try:
        return asyncio.run(run())
    finally:
        end_workers()


def run_following(link: Link, language: Language) -> int:
    """Run a follower's app on this terminal until it is left.

    Returns:
        the exit code.
    """
    app = FollowingApp(link, language)
    dress_as_wanted(app)
    try:
        app.run()
    finally:
        end_workers()
    return app.return_code or 0
