"""The teacher's side: tells everyone who has the key where the teacher stands."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from kprobesim.classroom.link import Link, new_key
from kprobesim.classroom.shared import Place
from kprobesim.classroom.wire import LIMIT, PULSE, SILENCE, VERSION, BrokenOff, Line

__all__ = ["Crowd", "Leader"]

_KNOCKING: Final = 32
_PATIENCE: Final = 5.0
_WRONG_KEY: Final = 1.0


class Crowd(NamedTuple):
    """How many follow, and how many of them are exploring on their own."""

    following: int
    exploring: int


class Leader:
    """Listens for followers.

    A follower who is slow hears of fewer places, and always of the latest.

    Args:
        key: what lets one in; by default a new one.
        seats: followers at once, at most.
        changed: called when somebody comes, goes, leaves the teacher or comes back.
        pulse, silence: seconds; the protocol's own by default.
    """

    def __init__(
        self,
        key: str | None = None,
        *,
        seats: int = 200,
        changed: Callable[[Crowd], object] = lambda crowd: None,
        pulse: float = PULSE,
        silence: float = SILENCE,
    ) -> None:
        self.key = key or new_key()
        self.port = 0
        self.changed = changed
        self._seats = seats
        self._pulse = pulse
        self._silence = silence
        self._knocking = 0
        self._exploring: dict[asyncio.Task[Any], bool] = {}
        self._news = asyncio.Condition()
        self._place: Place | None = None
        self._over = False
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self, host: str, port: int) -> None:
        """Listen; `port` is then the one that was found free, if 0 was asked for.

        Raises:
            OSError: the address cannot be had.
        """
        self._server = await asyncio.start_server(self._knocked, host, port, limit=LIMIT)
        self.port = self._server.sockets[0].getsockname()[1]

    def link(self, host: str) -> str:
        """What followers need, where `host` is this computer's name for them."""
        return str(Link(host, self.port, self.key))

    @property
    def crowd(self) -> Crowd:
        """Who is there."""
        return Crowd(len(self._exploring), sum(self._exploring.values()))

    def tell(self, place: Place) -> None:
        """The teacher stands somewhere; on the loop's own thread."""
        if place != self._place:
            self._place = place
            self._wake()

    async def stop(self) -> None:
        """Say that it is over, and hang up."""
        self._over = True
        self._wake()
        if self._server is not None:
            self._server.close()
        if self._tasks:
            _, slow = await asyncio.wait(self._tasks, timeout=1.0)
            for task in slow:
                task.cancel()
            await asyncio.gather(*slow, return_exceptions=True)

    def _wake(self) -> None:
        async def wake() -> None:
            async with self._news:
                self._news.notify_all()

        self._keep(asyncio.ensure_future(wake()))

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # One follower

    async def _knocked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._keep(task)
        line = Line(reader, writer, self._silence)
        try:
            if await self._let_in(line, reader, writer):
                self._exploring[task] = False
                self.changed(self.crowd)
                await self._serve(line, task)
        except (BrokenOff, asyncio.CancelledError):
            pass  # asyncio would report a connection that was cancelled as a mistake
        finally:
            if self._exploring.pop(task, None) is not None:
                self.changed(self.crowd)
            await line.close()

    async def _let_in(self, line: Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if self._knocking >= _KNOCKING:
            return False
        self._knocking += 1
        try:
            asked = await Line(reader, writer, min(_PATIENCE, self._silence)).hear()
            key = asked.get("key")
            if not isinstance(key, str) or not secrets.compare_digest(key.encode(errors="replace"), self.key.encode()):
                await asyncio.sleep(_WRONG_KEY)  # so much for guessing
                await line.say({"refused": "key"})
                return False
        finally:
            self._knocking -= 1
        refused = "version" if asked.get("kprobesim") != VERSION else "full" if self.crowd[0] >= self._seats else ""
        await line.say({"refused": refused} if refused else {"kprobesim": VERSION})
        return not refused

    async def _serve(self, line: Line, task: asyncio.Task[Any]) -> None:
        parts = [asyncio.create_task(part) for part in (self._hear(line, task), self._speak(line))]
        try:
            await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)

    async def _hear(self, line: Line, task: asyncio.Task[Any]) -> None:
        with contextlib.suppress(BrokenOff):
            while True:
                told = await line.hear()
                if isinstance(there := told.get("with"), bool) and self._exploring[task] == there:
                    self._exploring[task] = not there
                    self.changed(self.crowd)

    async def _speak(self, line: Line) -> None:
        has, said = "", None
        with contextlib.suppress(BrokenOff):
            while not self._over:
                place = self._place
                if place is said or place is None:
                    await line.say({})
                elif not place.recording:
                    await line.say({"apart": True})
                else:
                    if place.recording != has:
                        await line.say({"recording": place.recording, "size": len(place.data)}, place.data)
                        has = place.recording
                    await line.say({"at": list(place.moment)})
                said = place
                await self._wait_for_news(said)
            await line.say({"over": True})

    async def _wait_for_news(self, said: Place | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pulse), self._news:
                await self._news.wait_for(lambda: self._over or self._place is not said)
