"""The name space of pinned objects, ``/sys/fs/bpf``: a tree of folders and names, each name for a map, program or link.

Follows Linux kernel/bpf/inode.c: bpf_obj_do_pin, bpf_obj_do_get, bpf_lookup. It is data only; a file tree may show it.
"""

from typing import Any

from kprobesim.errors import LinuxError
from kprobesim.linux_errno import Errno

__all__ = ["BPFFS_ROOT", "BpfFs", "sanitize_pin_path"]

BPFFS_ROOT = "/sys/fs/bpf"
_LONGEST_NAME = 255
_LONGEST_PATH = 4095


def sanitize_pin_path(name: str) -> str:
    """Where libbpf pins a map that asks to be pinned by its name: below the root, dots replaced."""
    return f"{BPFFS_ROOT}/{name.replace('.', '_')}"


class BpfFs:
    """Names of objects. An object keeps its name until that is removed; the tree is kept in the order of making."""

    def __init__(self) -> None:
        self._folders: frozenset[str] = frozenset({""})
        self._names: dict[str, Any] = {}

    def pin(self, path: str, target: object) -> None:
        """Give an object a name (BPF_OBJ_PIN).

        Raises:
            LinuxError: EPERM, not below /sys/fs/bpf, or a dot in the name; ENOENT, no such folder; EEXIST;
                ENAMETOOLONG.
        """
        name = self._free(path)
        self._names = {**self._names, name: target}

    def get(self, path: str) -> Any:
        """The object of a name (BPF_OBJ_GET).

        Raises:
            LinuxError: ENOENT; EACCES, it is a folder; EPERM, not below /sys/fs/bpf.
        """
        name = self._inside(path)
        if name in self._folders:
            raise LinuxError(Errno.EACCES, f"{path} is a folder.")
        if name not in self._names:
            raise LinuxError(Errno.ENOENT, f"Nothing is pinned at {path}.")
        return self._names[name]

    def mkdir(self, path: str) -> None:
        """Make a folder; raises what `pin` raises."""
        self._folders |= {self._free(path)}

    def unlink(self, path: str) -> None:
        """Remove a name; the object stays as long as anything else holds it.

        Raises:
            LinuxError: ENOENT; EPERM, it is a folder, or not below /sys/fs/bpf.
        """
        name = self._inside(path)
        if name in self._folders:
            raise LinuxError(Errno.EPERM, f"{path} is a folder.")
        if name not in self._names:
            raise LinuxError(Errno.ENOENT, f"Nothing is pinned at {path}.")
        self._names = {other: target for other, target in self._names.items() if other != name}

    def rmdir(self, path: str) -> None:
        """Remove a folder.

        Raises:
            LinuxError: ENOENT; ENOTDIR, it is an object's name; ENOTEMPTY; EBUSY, it is the root.
        """
        if self.listing(path):
            raise LinuxError(Errno.ENOTEMPTY, f"There are names in {path}.")
        name = self._inside(path)
        if not name:
            raise LinuxError(Errno.EBUSY, "The root of the file system stays.")
        self._folders -= {name}

    def paths_of(self, target: object) -> tuple[str, ...]:
        """All names of an object, in the order of pinning."""
        return tuple(f"{BPFFS_ROOT}/{name}" for name, held in self._names.items() if held is target)

    def listing(self, path: str = BPFFS_ROOT) -> tuple[str, ...]:
        """Names in a folder, sorted; folders end with a slash.

        Raises:
            LinuxError: ENOENT; ENOTDIR, it is an object's name; EPERM, not below /sys/fs/bpf.
        """
        folder = self._inside(path)
        if folder in self._names:
            raise LinuxError(Errno.ENOTDIR, f"{path} is no folder.")
        if folder not in self._folders:
            raise LinuxError(Errno.ENOENT, f"There is no folder {path}.")
        below = [f"{name}/" for name in self._folders if name and _parent(name) == folder]
        below += [name for name in self._names if _parent(name) == folder]
        return tuple(sorted(name.removeprefix(f"{folder}/") if folder else name for name in below))

    def _inside(self, path: str) -> str:
        """A path without the root and superfluous slashes."""
        if len(path) > _LONGEST_PATH:
            raise LinuxError(Errno.ENAMETOOLONG, "The path is too long.")
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if parts[:3] != ["sys", "fs", "bpf"] or ".." in parts:
            raise LinuxError(Errno.EPERM, f"{path} is not in a BPF file system.", hint=f"Pin below {BPFFS_ROOT}.")
        return "/".join(parts[3:])

    def _free(self, path: str) -> str:
        name = self._inside(path)
        last = name.rpartition("/")[2]
        if name in self._folders or name in self._names:
            raise LinuxError(Errno.EEXIST, f"There is something at {path} already.")
        if _parent(name) not in self._folders:
            raise LinuxError(Errno.ENOENT, f"There is no folder for {path}.")
        if "." in last:
            raise LinuxError(Errno.EPERM, f"{last!r} has a dot, which names here may not have.")
        if len(last) > _LONGEST_NAME:
            raise LinuxError(Errno.ENAMETOOLONG, "The name is too long.")
        return name

    def save(self) -> object:
        """All names."""
        return self._folders, self._names

    def restore(self, state: Any) -> None:
        """Put back what ``save`` gave."""
        self._folders, self._names = state


def _parent(name: str) -> str:
    return name.rpartition("/")[0]
