"""A real browser without a window, driven over its own debugging protocol.

Chromium is not part of the project: where it is missing, tests that need it say so and are skipped.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

__all__ = ["Browser", "browser", "needs_chromium"]

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FOUND = next((path for name in _NAMES if (path := shutil.which(name))), None)
_PATIENCE = 40.0
_VIRTUAL_KEYS = {"ArrowRight": 39, "ArrowLeft": 37, "ArrowDown": 40, "ArrowUp": 38, "Enter": 13, "Home": 36, "End": 35}

needs_chromium = pytest.mark.skipif(
    _FOUND is None, reason="no Chromium here: what browsers show is not tested (Debian: apt-get install chromium)"
)


class Browser:
    """One page.

    Attributes:
        requests: addresses that the page asked for, in order.
        complaints: errors of its scripts and of its policy.
        received: bytes that came over websockets.
    """

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0
        self._reader = asyncio.create_task(self._read())
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.received = b""

    async def __aenter__(self) -> Browser:
        for domain in ("Page", "Network", "Runtime", "Log"):
            await self.call(f"{domain}.enable")
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                break
            told = json.loads(message.data)
            if "id" in told and (answer := self._answers.pop(told["id"], None)) is not None and not answer.done():
                answer.set_result(told)
            match told.get("method"):
                case "Network.requestWillBeSent":
                    self.requests.append(told["params"]["request"]["url"])
                case "Network.webSocketCreated":
                    self.requests.append(told["params"]["url"])
                case "Network.webSocketFrameReceived":
                    frame = told["params"]["response"]
                    self.received += base64.b64decode(frame["payloadData"]) if frame["opcode"] == 2 else b""
                case "Runtime.exceptionThrown":
                    self.complaints.append(str(told["params"]["exceptionDetails"]))
                case "Log.entryAdded" if told["params"]["entry"]["level"] == "error":
                    self.complaints.append(told["params"]["entry"]["text"])

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        told = await asyncio.wait_for(answer, _PATIENCE)
        assert "error" not in told, told
        result: dict[str, Any] = told["result"]
        return result

    async def open(self, url: str, width: int = 1280, height: int = 800) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete'")

    async def value(self, script: str) -> Any:
        """What a piece of JavaScript comes to."""
        told = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def until(self, script: str) -> None:
        """Wait until a piece of JavaScript is true."""
        end = asyncio.get_running_loop().time() + _PATIENCE
        while not await self.value(script):
            assert asyncio.get_running_loop().time() < end, f"never true: {script}"
            await asyncio.sleep(0.05)

    async def press(self, key: str) -> None:
        """A key by the name that JavaScript gives it."""
        code = _VIRTUAL_KEYS.get(key, ord(key.upper()) if len(key) == 1 else 0)
        text = {"text": "\r" if key == "Enter" else key} if key == "Enter" or len(key) == 1 else {}
        for sort in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=sort, key=key, windowsVirtualKeyCode=code, **text)

    async def click(self, selector: str) -> None:
        """The middle of an element."""
        box = await self.value(
            f"(b => [b.x + b.width / 2, b.y + b.height / 2])"
            f"(document.querySelector({selector!r}).getBoundingClientRect())"
        )
        for sort in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=sort, x=box[0], y=box[1], button="left", clickCount=1)

    async def picture(self) -> bytes:
        """The page as PNG."""
        told = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(told["data"])


@asynccontextmanager
async def browser(*arguments: str) -> AsyncIterator[Browser]:
    """A browser with one empty page; it finds no host but this one.

    Args:
        arguments: more of Chromium's.
    """
    assert _FOUND is not None, "the test is marked with needs_chromium"
    folder = Path(tempfile.mkdtemp(prefix="kprobesim-browser-"))
    process = await asyncio.create_subprocess_exec(
        _FOUND, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--remote-debugging-port=0",
        f"--user-data-dir={folder}", *arguments, "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, start_new_session=os.name != "nt",
    )  # fmt: skip
    try:
        port = await _port(folder / "DevToolsActivePort")
        async with ClientSession() as client:
            async with client.get(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [target for target in await answer.json() if target["type"] == "page"]
            address = pages[0]["webSocketDebuggerUrl"]
            async with client.ws_connect(address, max_msg_size=1 << 26) as socket, Browser(socket) as page:
                yield page
    finally:
        with suppress(ProcessLookupError):
            if sys.platform == "win32":
                process.kill()
            else:
                os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        shutil.rmtree(folder, ignore_errors=True)


async def _port(path: Path) -> int:
    end = asyncio.get_running_loop().time() + _PATIENCE
    while not (path.is_file() and path.read_text().strip()):
        assert asyncio.get_running_loop().time() < end, "Chromium did not start"
        await asyncio.sleep(0.05)
    return int(path.read_text().splitlines()[0])
