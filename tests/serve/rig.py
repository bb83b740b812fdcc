"""A server on this computer, and visitors without a browser."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

from kprobesim.serve.server import WebServer

KEY = "a-key-of-this-test"
PATIENCE = 30.0


@asynccontextmanager
async def served(**more: Any) -> AsyncIterator[tuple[WebServer, str]]:
    """A server and the address that its link holds."""
    server = WebServer(KEY, **more)
    await server.start("127.0.0.1", 0)
    try:
        yield server, f"http://127.0.0.1:{server.port}/{KEY}/"
    finally:
        await server.stop()


@asynccontextmanager
async def seated(client: ClientSession, base: str) -> AsyncIterator[ClientWebSocketResponse]:
    """A visitor whose screen has been drawn."""
    async with client.ws_connect(f"{base}ws?width=100&height=30") as socket:
        await drawn(socket, "kprobesim")
        yield socket


async def drawn(socket: ClientWebSocketResponse, text: str) -> None:
    """Wait until a text comes over the wire."""
    seen = b""
    while text.encode() not in seen:
        message = await asyncio.wait_for(socket.receive(), PATIENCE)
        assert message.type in (WSMsgType.BINARY, WSMsgType.TEXT), f"the session ended without {text!r}"
        seen += message.data if message.type is WSMsgType.BINARY else b""


async def until(done: Callable[[], bool]) -> None:
    end = asyncio.get_running_loop().time() + PATIENCE
    while not done():
        assert asyncio.get_running_loop().time() < end, "it did not happen in time"
        await asyncio.sleep(0.02)


def alive(pid: int | None) -> bool:
    """Whether a process is there, other than as a zombie."""
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
