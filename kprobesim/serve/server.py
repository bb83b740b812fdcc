"""The web server: who may come in, who has a seat, and the page around the terminal.

Everything lies below ``/KEY/``; without the key there is only a page that says so. The page fetches nothing from
anywhere else, and its policy would not let it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final

from aiohttp import web

from kprobesim.errors import KprobesimError
from kprobesim.i18n import Language, Texts
from kprobesim.serve.session import LARGEST_MESSAGE, Session, size_of, within

__all__ = ["SHORTEST_KEY", "WebServer"]

SHORTEST_KEY: Final = 16
_TEXTS: Final = Texts("kprobesim.serve.texts")
_COOKIE: Final = "kprobesim_visitor"
_HEARTBEAT: Final = 15.0
_FOLDERS_PER_SEAT: Final = 8
_FONT_SIZES: Final = (8, 64, 16)
"""The smallest, the largest and the usual."""
_FILES: Final = {
    "textual.js": ("textual_serve", "static/js/textual.js", "text/javascript"),
    "xterm.css": ("textual_serve", "static/css/xterm.css", "text/css"),
    "mono.ttf": ("textual_serve", "static/fonts/RobotoMono-VariableFont_wght.ttf", "font/ttf"),
    "page.js": ("kprobesim.serve", "page/page.js", "text/javascript"),
    "page.css": ("kprobesim.serve", "page/page.css", "text/css"),
}
# The terminal for browsers writes its styles into the page.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; img-src 'self' data:; "
    "connect-src 'self' {socket}; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS: Final = {
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class WebServer:
    """Serves the TUI to browsers.

    Args:
        key: what the address must hold.
        seats: visitors at once, at most.
        language: for everyone; None goes by the browser.
        recordings: offered to everyone beside lessons and demos.
        idle: seconds without a key after which a visitor loses the seat.
        teacher: link to the one whom everybody follows, its host in numbers; empty: nobody.
        tell: takes a line for whoever runs the server.
    """

    def __init__(
        self,
        key: str,
        *,
        seats: int = 20,
        language: Language | None = None,
        recordings: Sequence[Path] = (),
        idle: float = 3600.0,
        teacher: str = "",
        tell: Callable[[str], object] = lambda line: None,
    ) -> None:
        if len(key) < SHORTEST_KEY:
            raise KprobesimError(f"A key has at least {SHORTEST_KEY} characters.")
        self.key = key
        self.port = 0
        self._seats = seats
        self._language = language
        self._recordings = list(recordings)
        self._idle = idle
        self._teacher = teacher
        self._tell = tell
        self._sessions: set[Session] = set()
        self._folders: OrderedDict[str, Path] = OrderedDict()
        self._home = tempfile.TemporaryDirectory(prefix="kprobesim-serve-", ignore_cleanup_errors=True)
        self._signing = secrets.token_bytes(32)
        self._runner: web.AppRunner | None = None

    @property
    def sessions(self) -> tuple[Session, ...]:
        """Those under way, one for each seat that is taken."""
        return tuple(self._sessions)

    @property
    def visitors(self) -> int:
        """How many seats are taken."""
        return len(self._sessions)

    async def start(self, host: str, port: int) -> None:
        """Listen; `port` is then the one that was found free, if 0 was asked for.

        Raises:
            OSError: the address cannot be had.
        """
        app = web.Application(middlewares=[self._guard], client_max_size=LARGEST_MESSAGE)
        app.add_routes(
            [
                web.get("/{key}/", self._index),
                web.get("/{key}/ws", self._visit),
                web.get("/{key}/file/{name}", self._file),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Send everyone away, end all processes, and forget what visitors left."""
        await asyncio.gather(*(session.close() for session in self.sessions))
        if self._runner is not None:
            await self._runner.cleanup()
        self._home.cleanup()

    # Who may come in

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        given = request.path.split("/")[1]
        if not secrets.compare_digest(given.encode(errors="replace"), self.key.encode()):
            return self._notice(request, 403, "refused")
        return await handler(request)

    def _speak(self, request: web.Request) -> Language:
        if self._language is not None:
            return self._language
        wanted = request.headers.get("Accept-Language", "").lower()
        return "zh" if wanted.startswith("zh") else "en"

    def _notice(self, request: web.Request, status: int, what: str) -> web.Response:
        """A page without a terminal."""
        language = self._speak(request)
        words = {name: escape(_say(language, name, self._seats)) for name in (f"{what}_title", what)}
        title, sentence = words.values()
        page = (
            f'<!doctype html><html lang="{_tag(language)}"><meta charset="utf-8"><title>kprobesim</title>'
            f"<style>body{{font:1.2rem/1.6 system-ui,sans-serif;max-width:40rem;margin:4rem auto}}</style>"
            f"<h1>{title}</h1><p>{sentence}</p>"
        )
        again = {"Refresh": "10", "Retry-After": "10"} if status == 503 else {}
        policy = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
        return web.Response(text=page, status=status, content_type="text/html", headers={**_HEADERS, **policy, **again})

    # What there is

    async def _index(self, request: web.Request) -> web.Response:
        if self.visitors >= self._seats:
            return self._notice(request, 503, "full")
        language = self._speak(request)
        values = {
            "language": _tag(language),
            "font_size": str(within(request.query.get("fontsize"), *_FONT_SIZES)),
            **{name: escape(_say(language, name, self._seats)) for name in ("loading", "ended", "again")},
        }
        page = (files("kprobesim.serve") / "page/index.html").read_text(encoding="utf-8")
        for name, value in values.items():
            page = page.replace(f"@{name}@", value)
        policy = _POLICY.format(socket=_socket_origin(request))
        response = web.Response(
            text=page, content_type="text/html", headers={**_HEADERS, "Content-Security-Policy": policy}
        )
        if self._visitor(request) is None:
            name = secrets.token_hex(16)
            value = f"{name}.{self._signature(name)}"
            response.set_cookie(_COOKIE, value, httponly=True, samesite="Strict", path="/")
        return response

    async def _file(self, request: web.Request) -> web.Response:
        if (found := _FILES.get(request.match_info["name"])) is None:
            raise web.HTTPNotFound
        package, path, kind = found
        headers = {**_HEADERS, "Cache-Control": "private, max-age=86400"}
        return web.Response(body=(files(package) / path).read_bytes(), content_type=kind, headers=headers)

    async def _visit(self, request: web.Request) -> web.StreamResponse:
        if self.visitors >= self._seats:
            return self._notice(request, 503, "full")
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT, max_msg_size=LARGEST_MESSAGE, compress=False)
        folder = self._folder(self._visitor(request) or secrets.token_hex(16))
        session = Session(socket, folder, self._speak(request), self._recordings, self._idle, self._teacher)
        self._sessions.add(session)
        try:
            await socket.prepare(request)
            self._tell(f"{self.visitors} of {self._seats} seats taken")
            await session.run(*size_of(request.query.get("width"), request.query.get("height")))
        finally:
            self._sessions.discard(session)
            if session.status:
                self._tell(f"a session ended with status {session.status}: {_last_line(session.errors)}")
            self._tell(f"{self.visitors} of {self._seats} seats taken")
        return socket

    # Visitors who come back

    def _visitor(self, request: web.Request) -> str | None:
        """The name in the visitor's cookie, if this server gave it."""
        name, _, signature = request.cookies.get(_COOKIE, "").partition(".")
        good = hmac.compare_digest(signature.encode(errors="replace"), self._signature(name).encode())
        return name if good else None

    def _signature(self, name: str) -> str:
        return hmac.new(self._signing, name.encode(errors="replace"), hashlib.sha256).hexdigest()

    def _folder(self, visitor: str) -> Path:
        """Where a visitor's progress is kept until the server ends, or too many others have come."""
        if visitor not in self._folders:
            self._folders[visitor] = Path(tempfile.mkdtemp(dir=self._home.name))
        self._folders.move_to_end(visitor)
        while len(self._folders) > self._seats * _FOLDERS_PER_SEAT:
            _, old = self._folders.popitem(last=False)
            shutil.rmtree(old, ignore_errors=True)
        return self._folders[visitor]


def _say(language: Language, name: str, seats: int) -> str:
    return _TEXTS.get(language, f"page.{name}", seats=seats) or name


def _tag(language: Language) -> str:
    return "zh-CN" if language == "zh" else "en"


def _last_line(errors: bytes) -> str:
    lines = errors.decode(errors="replace").split("\n")
    text = next((line for line in reversed(lines) if line.strip()), "no message")
    return "".join(letter if letter.isprintable() else " " for letter in text)[:200]


def _socket_origin(request: web.Request) -> str:
    """The page's own origin for websockets, which some browsers do not count as 'self'."""
    host = request.host
    if not all(letter.isalnum() or letter in ".-:[]" for letter in host):
        return ""
    return f"ws://{host} wss://{host}"
