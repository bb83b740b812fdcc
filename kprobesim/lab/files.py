"""The trees of pseudo files that the machine mounts, looked at from outside: nothing in the machine changes by it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from kprobesim.errors import BadInput, LinuxError
from kprobesim.lab.lab import Lab
from kprobesim.linux_errno import Errno
from kprobesim.tracing.tracefs import Directory, Node

__all__ = ["FileEntry", "list_directory", "read_file"]

_MOST_TEXT: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A name in a directory.

    Attributes:
        path: from the root of the machine's file system.
        directory: it is one.
        mode: the lower nine bits of the inode's mode.
    """

    path: str
    directory: bool
    mode: int

    @property
    def name(self) -> str:
        """The last component; the whole path of a tree's root."""
        return PurePosixPath(self.path).name


def list_directory(lab: Lab, path: str = "") -> tuple[FileEntry, ...]:
    """What is in a directory, directories first.

    Args:
        lab: the machine.
        path: of the directory; empty for the places where the trees are mounted.

    Raises:
        LinuxError: ENOENT or ENOTDIR.
    """
    if not path:
        return tuple(FileEntry(mount, True, 0o755) for mount in lab.tracing.mounts)
    node = _node(lab, path)
    if not isinstance(node, Directory):
        raise LinuxError(Errno.ENOTDIR, f"{path} is no directory.")
    entries = [
        FileEntry(f"{path}/{name}", isinstance(child, Directory), child.permissions)
        for name, child in node.children().items()
    ]
    return tuple(sorted(entries, key=lambda entry: (not entry.directory, entry.path)))


def read_file(lab: Lab, path: str) -> str:
    """The text of a file as ``cat`` would print it; one letter for each byte, at most one MiB.

    Raises:
        LinuxError: ENOENT, EISDIR, or what reading it gives.
        BadInput: reading would take its bytes away, or it is only written to.
    """
    node = _node(lab, path)
    if isinstance(node, Directory):
        raise LinuxError(Errno.EISDIR, f"{path} is a directory.")
    if node.stream is not None:
        raise BadInput(
            f"{path} is a stream: what is read from it is gone.", hint=f"Type cat {path} at the console to read it."
        )
    if node.read is None:
        raise BadInput(f"{path} is only written to.", hint=f"Type echo ... > {path} at the console.")
    text = node.read()
    return (text if isinstance(text, str) else text.decode("latin-1"))[:_MOST_TEXT]


def _node(lab: Lab, path: str) -> Node:
    for mount, root in lab.tracing.mounts.items():
        if path == mount or path.startswith(f"{mount}/"):
            node: Node = root
            for name in path[len(mount) :].split("/")[1:]:
                child = node.children().get(name) if isinstance(node, Directory) else None
                if child is None:
                    raise LinuxError(Errno.ENOENT, f"There is no {path}.")
                node = child
            return node
    raise LinuxError(Errno.ENOENT, f"There is no {path}.")
