"""``kprobesim serve``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import click

from kprobesim.classroom.link import Link, names_of, read_link
from kprobesim.cli.options import lang_option
from kprobesim.errors import BadInput
from kprobesim.i18n import Texts, default_language
from kprobesim.lab.recording import load_recording
from kprobesim.serve.confine import HAS_LIMITS

if TYPE_CHECKING:
    from kprobesim.serve.server import WebServer

__all__ = ["command"]

_TERMINATED: Final = 128 + signal.SIGTERM
_MINUTE: Final = 60
_TEXTS: Final = Texts("kprobesim.cli.texts")


@click.command()
@click.argument("recordings", nargs=-1, type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for the network.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0: any that is free.")
@click.option("--public-url", metavar="URL", help="How browsers reach it, if that is another address.")
@click.option("--seats", default=20, show_default=True, type=click.IntRange(1, 500), help="Visitors at once.")
@click.option("--idle", default=60, show_default=True, type=click.IntRange(1, 1440), help="Minutes without a key.")
@click.option("--follow", "teacher", metavar="LINK", help="Everybody follows this teacher (kprobesim share).")
@lang_option
def command(
    recordings: tuple[Path, ...],
    host: str,
    port: int,
    public_url: str | None,
    seats: int,
    idle: int,
    teacher: str | None,
) -> None:
    """Show kprobesim in browsers, to each visitor a session of their own.

    The link that is printed holds a key; who has it may come in. KPROBESIM_KEY sets the key, for a link that stays.
    RECORDINGS are offered beside the lessons and demos.
    """
    if public_url is not None and not _is_web_address(public_url):
        raise click.UsageError("--public-url begins with http:// or https:// and a host.")
    for recording in recordings:
        load_recording(recording)
    key = os.environ.get("KPROBESIM_KEY") or secrets.token_urlsafe(16)
    if len(key) < 16 or not key.replace("-", "").replace("_", "").isalnum() or not key.isascii():
        raise BadInput("KPROBESIM_KEY needs at least 16 letters and digits.")
    if teacher is not None and recordings:
        raise click.UsageError("Who follows a teacher sees the teacher's recording: give either.")
    server = _server(key, seats, recordings, idle, "" if teacher is None else _in_numbers(read_link(teacher)))
    sys.exit(asyncio.run(_serve(server, host, port, public_url)))


def _is_web_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc)


def _in_numbers(link: Link) -> str:
    """Looked up once: a visitor's process may ask no name server."""
    try:
        found = socket.getaddrinfo(link.host, link.port, type=socket.SOCK_STREAM)
    except OSError:
        raise BadInput(f"There is no computer called {link.host}.") from None
    return str(link._replace(host=str(found[0][4][0])))


def _server(key: str, seats: int, recordings: tuple[Path, ...], idle: int, teacher: str) -> WebServer:
    try:
        import textual_serve  # noqa: F401

        from kprobesim.serve.server import WebServer
    except ModuleNotFoundError as error:
        raise BadInput(f"serve needs the package {error.name}.", hint="Run: pip install 'kprobesim[serve]'.") from None
    return WebServer(
        key,
        seats=seats,
        language=default_language() if os.environ.get("KPROBESIM_LANG") else None,
        recordings=recordings,
        idle=idle * _MINUTE,
        teacher=teacher,
        tell=lambda line: click.echo(line, err=True),
    )


async def _serve(server: WebServer, host: str, port: int, public_url: str | None) -> int:
    ended = asyncio.Event()
    with contextlib.suppress(NotImplementedError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    try:
        await server.start(host, port)
        for url in _links(host, server.port, public_url):
            click.echo(f"{url}/{server.key}/")
        click.echo("Ctrl-C ends it.", err=True)
        if not HAS_LIMITS:
            click.echo(_TEXTS.get(default_language(), "serve.no_limits"), err=True)
        await ended.wait()
        return _TERMINATED
    finally:
        await server.stop()


def _links(host: str, port: int, public_url: str | None) -> list[str]:
    """Where to find it: as told; otherwise this computer's name for itself, and the one the network knows."""
    if public_url is not None:
        return [public_url.rstrip("/")]
    return [f"http://{f'[{name}]' if ':' in name else name}:{port}" for name in names_of(host)]
