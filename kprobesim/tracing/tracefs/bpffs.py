"""``/sys/fs/bpf``: folders and names of pinned programs and maps. Follows Linux kernel/bpf/inode.c."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kprobesim.bpf.bpffs import BPFFS_ROOT, BpfFs
from kprobesim.linux_errno import Errno
from kprobesim.tracing.tracefs.nodes import Directory, File, Node

__all__ = ["bpffs_directory"]


def bpffs_directory(names: BpfFs, forgotten: Callable[[], None], path: str = BPFFS_ROOT) -> Directory:
    """A folder of the tree.

    Args:
        names: what is pinned where.
        forgotten: called when a name is gone: what it stood for may now be nobody's.
        path: of the folder.
    """

    def children() -> Mapping[str, Node]:
        found: dict[str, Node] = {}
        for name in names.listing(path):
            folder = name.removesuffix("/")
            if folder != name:
                found[folder] = bpffs_directory(names, forgotten, f"{path}/{folder}")
            else:
                # Only bpf(BPF_OBJ_GET) opens them (bpffs_obj_open).
                found[name] = File(0o600, refusal=Errno.EIO)
        return found

    def unlink(name: str) -> None:
        names.unlink(f"{path}/{name}")
        forgotten()

    return Directory(
        children,
        0o1777 if path == BPFFS_ROOT else 0o755,
        mkdir=lambda name: names.mkdir(f"{path}/{name}"),
        unlink=unlink,
        rmdir=lambda name: names.rmdir(f"{path}/{name}"),
    )
