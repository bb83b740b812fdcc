"""What a tree of pseudo files is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from kprobesim.errors import LinuxError
from kprobesim.linux_errno import Errno
from kprobesim.tracing.probe_events.kstrto import kstrtoul

__all__ = ["Directory", "File", "Node", "number_from_user", "run_commands"]

S_IFDIR: Final = 0o040000
S_IFREG: Final = 0o100000
_WRITE_BUFSIZE: Final = 4096


@dataclass(frozen=True)
class File:
    """A file whose text is made when it is read.

    Attributes:
        permissions: the mode's lower nine bits.
        read: makes the text; None: it cannot be read.
        write: takes what one write(2) brings; None: it cannot be written.
        truncate: what opening it for writing with O_TRUNC does.
        stream: takes up to so many bytes off a stream, None when there is nothing yet; goes before ``read``.
    """

    permissions: int = 0o444
    read: Callable[[], str | bytes] | None = None
    write: Callable[[bytes], None] | None = None
    truncate: Callable[[], None] = field(default=lambda: None)
    stream: Callable[[int], bytes | None] | None = None

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
    """

    children: Callable[[], Mapping[str, Node]]
    permissions: int = 0o755

    @property
    def mode(self) -> int:
        """As in ``struct inode``."""
        return S_IFDIR | self.permissions


Node = File | Directory


def number_from_user(data: bytes, base: int = 10) -> int:
    """``kstrtoul_from_user``: the number that was written.

    Raises:
        LinuxError: EINVAL, no number; ERANGE, too large.
    """
    return kstrtoul(data.split(b"\0")[0].decode("latin-1"), base)


def run_commands(data: bytes, run: Callable[[str], None]) -> None:
    """``trace_parse_run_command``: line by line; the first that fails ends it, those before it stay (TFS-20).

    Text is Latin-1 throughout, one letter for each byte, as the columns of carets count bytes.

    Raises:
        LinuxError: of the line that failed; EINVAL for a line of 4096 bytes and more.
    """
    for line in data.split(b"\0")[0].decode("latin-1").split("\n"):
        if len(line) >= _WRITE_BUFSIZE - 1:
            raise LinuxError(Errno.EINVAL, "A command has at most 4094 bytes.")
        run(line.partition("#")[0])
