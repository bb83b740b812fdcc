"""What a tree of pseudo files is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from kprobesim.errors import LinuxError
from kprobesim.linux_errno import Errno
from kprobesim.tracing.kstrto import kstrtoul

__all__ = ["Directory", "File", "Node", "Stream", "number_from_user", "run_commands", "text_from_user"]

S_IFDIR: Final = 0o040000
S_IFREG: Final = 0o100000
_WRITE_BUFSIZE: Final = 4096


class Stream(Protocol):
    """What an open file gives that is not a text: each byte once, and maybe not now."""

    def read(self, size: int) -> bytes | None:
        """Up to so many bytes; none: it is at its end; None: there is nothing yet."""

    def close(self) -> None:
        """The last one has closed the file."""

    def save(self) -> object:
        """Its changeable state."""

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""


@dataclass(frozen=True)
class File:
    """A file whose text is made when it is read.

    Attributes:
        permissions: the mode's lower nine bits.
        read: makes the text; None: it cannot be read.
        write: takes what one write(2) brings; None: it cannot be written.
        truncate: what opening it for writing with O_TRUNC does.
        stream: opens a stream; a file with one has no text.
        refusal: why it cannot be opened at all.
    """

    permissions: int = 0o444
    read: Callable[[], str | bytes] | None = None
    write: Callable[[bytes], None] | None = None
    truncate: Callable[[], None] = field(default=lambda: None)
    stream: Callable[[], Stream] | None = None
    refusal: Errno | None = None

    @property
    def mode(self) -> int:
        """As in ``struct inode``."""
        return S_IFREG | self.permissions


@dataclass(frozen=True)
class Directory:
    """A directory whose names are looked up when somebody asks.

    Attributes:
        children: makes the names and what they stand for.
        permissions: the mode's lower nine bits.
        mkdir, unlink, rmdir: make and remove names; None: that cannot be done here. They raise LinuxError.
    """

    children: Callable[[], Mapping[str, Node]]
    permissions: int = 0o755
    mkdir: Callable[[str], None] | None = None
    unlink: Callable[[str], None] | None = None
    rmdir: Callable[[str], None] | None = None

    @property
    def mode(self) -> int:
        """As in ``struct inode``."""
        return S_IFDIR | self.permissions


Node = File | Directory


def text_from_user(data: bytes) -> str:
    """What was written, up to the first NUL; one letter for each byte."""
    return data.split(b"\0")[0].decode("latin-1")


def number_from_user(data: bytes, base: int = 10) -> int:
    """``kstrtoul_from_user``: the number that was written.

    Raises:
        LinuxError: EINVAL, no number; ERANGE, too large.
    """
    return kstrtoul(text_from_user(data), base)


def run_commands(data: bytes, run: Callable[[str], None]) -> None:
    """``trace_parse_run_command``: line by line; the first that fails ends it, those before it stay (TFS-20).

    Text is Latin-1 throughout, one letter for each byte, as the columns of carets count bytes.

    Raises:
        LinuxError: of the line that failed; EINVAL for a line of 4096 bytes and more.
    """
    for line in text_from_user(data).split("\n"):
        if len(line) >= _WRITE_BUFSIZE - 1:
            raise LinuxError(Errno.EINVAL, "A command has at most 4094 bytes.")
        run(line.partition("#")[0])
