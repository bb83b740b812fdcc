"""One visitor: a process that draws, a websocket that shows it, and what is passed between them.

The process speaks the protocol of Textual's web driver: a letter for the sort of packet, four bytes of length, the
payload. The browser's half is a JSON list: a word, then its argument. What comes from there is a stranger's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from aiohttp import WSMsgType, web

import kprobesim
from kprobesim.i18n import Language

__all__ = ["LARGEST_MESSAGE", "Session", "size_of", "within"]

LARGEST_MESSAGE: Final = 1 << 16
"""Bytes of one message from a browser: a paste, at most."""
_LARGEST_PACKET: Final = 1 << 24
_READY: Final = b"__GANGLION__\n"
_PRELUDE_LINES: Final = 10
_KEPT_ERRORS: Final = 4096
_LAST_WAIT: Final = 2.0
_COLUMNS: Final = (1, 400)
_ROWS: Final = (1, 200)
_FPS: Final = "30"
_KEPT_VARIABLES: Final = ("PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "LD_LIBRARY_PATH")


class Session:
    """A visitor's process, from its start to its end.

    Args:
        socket: the visitor's, prepared.
        folder: the visitor's own; the process works there, and keeps the progress in lessons there.
        language: of the screen.
        recordings: files that are offered beside lessons and demos.
        idle: seconds without a key after which the session ends.
        teacher: link to the one whom everybody follows, its host in numbers; empty: nobody.

    Attributes:
        errors: the end of what the process wrote to its standard error.
        status: with which it ended, once it has.
    """

    def __init__(
        self,
        socket: web.WebSocketResponse,
        folder: Path,
        language: Language,
        recordings: Sequence[Path] = (),
        idle: float = 3600.0,
        teacher: str = "",
    ) -> None:
        self.errors = b""
        self.status: int | None = None
        self._socket = socket
        self._folder = folder
        self._language = language
        self._recordings = [str(path.resolve()) for path in recordings]
        self._idle = idle
        self._teacher = teacher
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The process's number, once there is one."""
        return None if self._process is None else self._process.pid

    async def run(self, width: int, height: int) -> None:
        """Until the app is left, the browser goes, or nothing is typed for too long.

        Args:
            width, height: of the browser's terminal, in cells.
        """
        pipe = asyncio.subprocess.PIPE
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "kprobesim.serve.visit", self._teacher, *self._recordings),
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            cwd=self._folder,
            env=self._environment(width, height),
            start_new_session=True,  # Ctrl-C at the server's terminal is the server's
        )
        work = [asyncio.create_task(part) for part in (self._to_browser(), self._from_browser())]
        errors = asyncio.create_task(self._keep_errors())
        try:
            await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            with contextlib.suppress(ConnectionError):
                await self._socket.close()
            self.status = await self._end(process)
            errors.cancel()
            await asyncio.gather(errors, return_exceptions=True)

    async def close(self) -> None:
        """Send the visitor away; `run` returns soon after."""
        with contextlib.suppress(ConnectionError):
            await self._socket.close(code=1001)

    def _environment(self, width: int, height: int) -> dict[str, str]:
        """Only what the process needs: a stranger's process has no business with the host's variables."""
        kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        return {
            **kept,
            "PYTHONPATH": str(Path(kprobesim.__file__).resolve().parents[1]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUTF8": "1",
            "HOME": str(self._folder),
            "KPROBESIM_DATA": str(self._folder),
            "KPROBESIM_LANG": self._language,
            "TEXTUAL_DRIVER": "textual.drivers.web_driver:WebDriver",
            "TEXTUAL_COLOR_SYSTEM": "truecolor",
            "TEXTUAL_FPS": _FPS,
            "COLUMNS": str(width),
            "ROWS": str(height),
        }

    # From the process

    async def _to_browser(self) -> None:
        assert self._process is not None and self._process.stdout is not None
        stream = self._process.stdout
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ValueError):
            for _ in range(_PRELUDE_LINES):
                if await stream.readline() in (b"", _READY):
                    break
            while True:
                head = await stream.readexactly(5)
                size = int.from_bytes(head[1:], "big")
                if size > _LARGEST_PACKET:
                    return
                payload = await stream.readexactly(size)
                if head[:1] == b"D":
                    await self._socket.send_bytes(payload)
                # The other sorts deliver files, open addresses and copy to clipboards: nothing for visitors.

    async def _keep_errors(self) -> None:
        assert self._process is not None and self._process.stderr is not None
        while data := await self._process.stderr.read(_KEPT_ERRORS):
            self.errors = (self.errors + data)[-_KEPT_ERRORS:]

    # From the browser

    async def _from_browser(self) -> None:
        with contextlib.suppress(TimeoutError, ConnectionError):
            while True:
                message = await self._socket.receive(timeout=self._idle)
                if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                    return
                if message.type is WSMsgType.TEXT:
                    await self._obey(message.data)

    async def _obey(self, text: str) -> None:
        """Carry out a message; one that makes no sense is passed over."""
        try:
            envelope = json.loads(text)
        except (ValueError, RecursionError):
            return
        if not isinstance(envelope, list) or not 1 <= len(envelope) <= 2:
            return
        match envelope:
            case ["stdin", str(keys)]:
                await self._send(b"D", keys.encode(errors="replace"))
            case ["resize", dict(size)]:
                width, height = size_of(size.get("width"), size.get("height"))
                await self._tell({"type": "resize", "width": width, "height": height})
            case ["focus" | "blur" as word]:
                await self._tell({"type": word})
            case ["ping", str(mark)] if len(mark) <= 32:
                await self._socket.send_json(["pong", mark])

    async def _tell(self, what: dict[str, object]) -> None:
        await self._send(b"M", json.dumps(what).encode())

    async def _send(self, sort: bytes, payload: bytes) -> None:
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.write(sort + len(payload).to_bytes(4, "big") + payload)
        await self._process.stdin.drain()

    # The end

    async def _end(self, process: asyncio.subprocess.Process) -> int:
        """Ask the process to leave, then make it."""
        with contextlib.suppress(ConnectionError, RuntimeError):
            await self._tell({"type": "quit"})
        for force in (None, process.terminate, process.kill):
            if force is not None:
                with contextlib.suppress(ProcessLookupError):
                    force()
            drained = asyncio.create_task(_drain(process))
            try:
                async with asyncio.timeout(_LAST_WAIT):
                    return await process.wait()
            except TimeoutError:
                continue
            finally:
                drained.cancel()
                await asyncio.gather(drained, return_exceptions=True)
        return await process.wait()


async def _drain(process: asyncio.subprocess.Process) -> None:
    """A process that still writes would wait for ever."""
    assert process.stdout is not None
    while await process.stdout.read(1 << 16):
        pass


def size_of(width: Any, height: Any) -> tuple[int, int]:
    """A terminal's size out of what a stranger says it is.

    Args:
        width, height: a number or its digits; anything else counts as 80 x 24.
    """
    return within(width, *_COLUMNS, 80), within(height, *_ROWS, 24)


def within(value: Any, least: int, most: int, otherwise: int) -> int:
    """A whole number out of what a stranger says, brought between two bounds; `otherwise` if it is none."""
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        return otherwise
    return min(max(int(text), least), most)
