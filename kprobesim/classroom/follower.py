"""A follower's side: hears where the teacher stands, and says whether the follower is there too."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from kprobesim.classroom.link import Link
from kprobesim.classroom.shared import received
from kprobesim.classroom.wire import LIMIT, PULSE, SILENCE, VERSION, BrokenOff, Line, moment_of
from kprobesim.errors import BadInput, KprobesimError
from kprobesim.lab.recording import LARGEST, Recording
from kprobesim.machine import Moment

__all__ = ["Follower", "State", "Told"]

State = Literal["connecting", "connected", "apart", "lost", "over"]
_REFUSED: Final = {
    "key": ("The teacher's program does not know this key.", "Was the link copied whole?"),
    "full": ("No seat is free with the teacher.", "Ask the teacher for more seats."),
    "version": ("The teacher has another version of kprobesim.", "Install the same one."),
}
_PAUSES: Final = (0.5, 1.0, 2.0, 5.0)
_TO_CONNECT: Final = 10.0


class Told(NamedTuple):
    """What is known of the teacher.

    Attributes:
        state: of the connection, or ``apart``: the teacher's machine cannot be shown.
        name: SHA-256 of the recording, in hex.
        recording: the teacher's, once there is one.
        moment: in it.
    """

    state: State
    name: str = ""
    recording: Recording | None = None
    moment: Moment = Moment(0)


class Follower:
    """Follows one teacher.

    Args:
        link: to the teacher.
        heard: called with everything new, on the loop's thread.
        pulse, silence: seconds; the protocol's own by default.
        pauses: seconds to wait before each new try, the last one again and again.

    Attributes:
        told: what was heard last.
    """

    def __init__(
        self,
        link: Link,
        heard: Callable[[Told], object],
        *,
        pulse: float = PULSE,
        silence: float = SILENCE,
        pauses: tuple[float, ...] = _PAUSES,
    ) -> None:
        self.told = Told("connecting")
        self._link = link
        self._heard = heard
        self._pulse = pulse
        self._silence = silence
        self._pauses = pauses
        self._with = True
        self._say = asyncio.Event()

    def be_with(self, teacher: bool) -> None:
        """Say whether the follower is where the teacher is, or explores."""
        self._with = teacher
        self._say.set()

    async def run(self) -> None:
        """Follow until the teacher says that it is over; a connection that breaks is made anew.

        Raises:
            KprobesimError: the teacher does not let this follower in, or what comes makes no sense.
        """
        tries = 0
        while True:
            try:
                await self._follow()
                self._now("over")
                return
            except BrokenOff:
                self._now("lost")
            if self._was_connected:
                tries = 0
            await asyncio.sleep(self._pauses[min(tries, len(self._pauses) - 1)])
            tries += 1

    def _now(self, state: State) -> None:
        self.told = self.told._replace(state=state)
        self._heard(self.told)

    async def _follow(self) -> None:
        self._was_connected = False
        try:
            async with asyncio.timeout(_TO_CONNECT):
                reader, writer = await asyncio.open_connection(self._link.host, self._link.port, limit=LIMIT)
        except (TimeoutError, OSError) as error:
            raise BrokenOff(f"{self._link.host} does not answer: {error}.") from None
        line = Line(reader, writer, self._silence)
        try:
            await line.say({"kprobesim": VERSION, "key": self._link.key})
            answer = await line.hear()
            if (why := answer.get("refused")) in _REFUSED:
                message, hint = _REFUSED[why]
                raise KprobesimError(message, hint=hint)
            if answer.get("kprobesim") != VERSION:
                raise BadInput("This is not a teacher of kprobesim, or one of another version.")
            self._was_connected = True
            self._now("connected")
            await self._converse(line)
        finally:
            await line.close()

    async def _converse(self, line: Line) -> None:
        self._say.set()
        speaking = asyncio.create_task(self._speak(line))
        try:
            await self._listen(line)
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)

    async def _speak(self, line: Line) -> None:
        with contextlib.suppress(BrokenOff):
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pulse):
                        await self._say.wait()
                message = {"with": self._with} if self._say.is_set() else {}
                self._say.clear()
                await line.say(message)

    async def _listen(self, line: Line) -> None:
        name, recording = "", None
        while True:
            told = await line.hear()
            if "over" in told:
                return
            if "recording" in told:
                name = str(told["recording"])
                data = await line.take(_size(told.get("size")))
                recording = await asyncio.to_thread(received, data, name)
            elif "apart" in told:
                self._now("apart")
            elif "at" in told:
                if recording is None:
                    raise BrokenOff("The teacher tells of a place in no recording.")
                self.told = Told("connected", name, recording, moment_of(told["at"]))
                self._heard(self.told)


def _size(value: object) -> int:
    if type(value) is int and 0 < value <= LARGEST:
        return value
    raise BadInput(f"The teacher's recording is larger than {LARGEST:,} bytes.")
