"""What a teacher writes on the board: ``kprobesim://192.168.1.5:8100/k3x9mwq2ab``."""

from __future__ import annotations

import contextlib
import re
import secrets
import socket
from typing import Final, NamedTuple

from kprobesim.errors import BadInput

__all__ = ["PORT", "Link", "names_of", "new_key", "read_address", "read_link"]

PORT: Final = 8100
_LETTERS: Final = "abcdefghkmnpqrstuvwxyz23456789"
"""Without those that look alike on a board."""
_KEY_LENGTH: Final = 10
_HOST: Final = r"(\[[0-9A-Za-z:.%_-]{2,60}\]|[A-Za-z0-9_.-]{1,253})"
_LINK: Final = re.compile(rf"(?:kprobesim://)?{_HOST}(?::(\d{{1,5}}))?/([A-Za-z0-9_-]{{8,64}})/?")
_ADDRESS: Final = re.compile(rf"{_HOST}(?::(\d{{1,5}}))?")


class Link(NamedTuple):
    """Where a teacher is, and the word that lets one in."""

    host: str
    port: int
    key: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"kprobesim://{host}:{self.port}/{self.key}"


def new_key() -> str:
    """A word that nobody guesses at one try in a second, and everybody can type."""
    return "".join(secrets.choice(_LETTERS) for _ in range(_KEY_LENGTH))


def read_link(text: str) -> Link:
    """A link as somebody typed it; the beginning and the usual port may be left out.

    Raises:
        BadInput: it is none.
    """
    found = _LINK.fullmatch(text.strip())
    if found is None:
        raise BadInput(f"{text[:100]!r} is not a link to follow.", hint="It looks like HOST:PORT/KEY.")
    return Link(found[1].strip("[]"), _port(found[2]), found[3])


def read_address(text: str) -> tuple[str, int]:
    """Host and port to listen on, as in ``0.0.0.0:8100``.

    Raises:
        BadInput: it is no address.
    """
    found = _ADDRESS.fullmatch(text.strip())
    if found is None:
        raise BadInput(f"{text[:100]!r} is not an address.", hint="It looks like 127.0.0.1:8100 or 0.0.0.0:8100.")
    return found[1].strip("[]"), _port(found[2])


def names_of(host: str) -> list[str]:
    """What others call a computer that listens on `host`, the name for the network last."""
    if host not in ("0.0.0.0", "::"):
        return [host]
    found = ["127.0.0.1"]
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent: the system only says from where it would be
        found.append(probe.getsockname()[0])
    return found


def _port(text: str | None) -> int:
    port = PORT if text is None else int(text)
    if port > 65535:
        raise BadInput(f"There is no port {port}.")
    return port
