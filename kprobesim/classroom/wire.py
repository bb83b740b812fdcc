"""The protocol: lines of JSON, none longer than a kilobyte, and the bytes of recordings between them.

=====================================================  ===============================================================
from a follower
``{"kprobesim": 1, "key": "..."}``                     first of all
``{"with": true}``                                     whether the follower is where the teacher is
``{}``                                                 still there; so often that silence means the line is dead
from the teacher
``{"kprobesim": 1}``                                   the key is right
``{"refused": "key"}``                                 it is not, or ``full``, or another ``version``
``{"recording": "SHA-256", "size": 4711}``             a recording; so many bytes follow
``{"at": [2500000, 1, 0]}``                            the moment in that recording where the teacher stands
``{"apart": true}``                                    the teacher's machine is one that cannot be told as data
``{"over": true}``                                     the teacher has ended the lesson
``{}``                                                 still there
=====================================================  ===============================================================
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from kprobesim.errors import KprobesimError
from kprobesim.machine import Moment

__all__ = ["LIMIT", "PULSE", "SILENCE", "VERSION", "BrokenOff", "Line", "moment_of"]

VERSION: Final = 1
LIMIT: Final = 1024
"""Bytes of a line."""
PULSE: Final = 5.0
"""Seconds between two signs of life."""
SILENCE: Final = 20.0
"""Seconds of silence after which the other side is gone."""
_TO_CLOSE: Final = 1.0
_FURTHEST: Final = 20_000_000_000
_FINEST: Final = 1_000_000


class BrokenOff(KprobesimError):
    """The connection is over, or the other side does not speak the protocol."""


class Line:
    """One connection.

    Args:
        reader, writer: of asyncio; the reader's limit must be `LIMIT`.
        silence: seconds after which the other side is given up.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, silence: float = SILENCE) -> None:
        self._reader = reader
        self._writer = writer
        self._silence = silence

    async def hear(self) -> dict[str, Any]:
        """The next message.

        Raises:
            BrokenOff: there is none.
        """
        try:
            async with asyncio.timeout(self._silence):
                told = json.loads(await self._reader.readuntil(b"\n"))
        except TimeoutError:
            raise BrokenOff("Nothing is heard from the other side any more.") from None
        except (asyncio.IncompleteReadError, OSError):
            raise BrokenOff("The other side has closed the connection.") from None
        except (asyncio.LimitOverrunError, ValueError, RecursionError):
            raise BrokenOff("The other side does not speak kprobesim's protocol.") from None
        if not isinstance(told, dict):
            raise BrokenOff("The other side does not speak kprobesim's protocol.")
        return told

    async def take(self, size: int) -> bytes:
        """So many bytes; as long as some keep coming, it may take its time.

        Raises:
            BrokenOff: they do not come.
        """
        taken = bytearray()
        try:
            while len(taken) < size:
                async with asyncio.timeout(self._silence):
                    part = await self._reader.read(min(size - len(taken), 1 << 16))
                if not part:
                    raise BrokenOff("The other side has closed the connection.")
                taken += part
        except (TimeoutError, OSError):
            raise BrokenOff("Nothing is heard from the other side any more.") from None
        return bytes(taken)

    async def say(self, message: dict[str, Any], data: bytes = b"") -> None:
        """Send a message, and bytes behind it.

        Raises:
            BrokenOff: the other side does not take it.
        """
        try:
            self._writer.write(json.dumps(message).encode() + b"\n" + data)
            async with asyncio.timeout(self._silence):
                await self._writer.drain()
        except (TimeoutError, OSError, RuntimeError):
            raise BrokenOff("The other side does not listen any more.") from None

    async def close(self) -> None:
        """Hang up."""
        self._writer.close()
        try:
            async with asyncio.timeout(_TO_CLOSE):
                await self._writer.wait_closed()
        except (TimeoutError, OSError):
            self._writer.transport.abort()


def moment_of(value: Any) -> Moment:
    """A moment out of a message.

    Raises:
        BrokenOff: it is none, or lies further than any recording.
    """
    limits = (_FURTHEST, _FINEST, _FINEST)
    if (
        isinstance(value, list)
        and len(value) == len(limits)
        and all(type(number) is int and 0 <= number <= most for number, most in zip(value, limits, strict=True))
    ):
        return Moment(*value)
    raise BrokenOff("The other side tells of a place that there cannot be.")
