"""Files of the guest, found and read as its kernel keeps them: dentries, inodes, pages.

The host reads the structures by the kernel's own types while the guest stands still, so no lock is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from kprobesim.errors import ImageError, LinuxError
from kprobesim.image import BtfKind
from kprobesim.kprobes.kernel import DIRECT_MAP, RunningKernel
from kprobesim.linux_errno import Errno
from kprobesim.machine import PAGE_SIZE

__all__ = ["GuestFile", "GuestFiles"]

_S_IFMT, _S_IFREG, _S_IFDIR = 0o170000, 0o100000, 0o040000
_LIST_MAX: Final = 65536
_NAME_MAX: Final = 255


class GuestFile(NamedTuple):
    """A file by its inode.

    Attributes:
        inode: address of its ``struct inode``.
        size: in bytes.
        is_regular: it is a file with contents.
    """

    inode: int
    size: int
    is_regular: bool


class GuestFiles:
    """The file tree of a running kernel.

    Args:
        kernel: whose.
    """

    def __init__(self, kernel: RunningKernel) -> None:
        self._kernel = kernel
        self._places: dict[tuple[str, str], tuple[int, int]] = {}

    def member(self, struct: str, address: int, path: str) -> int:
        """A member of a structure, as an unsigned number.

        Raises:
            ImageError: the kernel's types have no such member.
            MemoryFault: it is not mapped.
        """
        offset, size = self.place(struct, path)
        return int.from_bytes(self._kernel.read(address + offset, size), "little")

    def set_member(self, struct: str, address: int, path: str, value: int) -> None:
        """Write a member of a structure; what does not fit it is cut off.

        Raises:
            ImageError, MemoryFault: as for `member`.
        """
        offset, size = self.place(struct, path)
        self._kernel.write(address + offset, (value & (1 << 8 * size) - 1).to_bytes(size, "little"))

    def place(self, struct: str, path: str) -> tuple[int, int]:
        """Offset and size of a member.

        Raises:
            ImageError: the kernel's types have no such member.
        """
        key = struct, path
        if key not in self._places:
            found = self._kernel.btf.struct_member(struct, path)
            if found is None:
                raise ImageError(f"{self._kernel.image.name}: struct {struct} has no member {path}.")
            self._places[key] = found.offset, found.size
        return self._places[key]

    def entries(self, head: int, struct: str, link: str) -> Iterator[int]:
        """The structures that hang in a ``struct list_head``, in order.

        Args:
            head: address of the list.
            struct, link: what they are, and which member they hang by.
        """
        offset, _ = self.place(struct, link)
        at = self._kernel.read_u64(head)
        for _ in range(_LIST_MAX):
            if at == head:
                return
            yield at - offset
            at = self._kernel.read_u64(at)

    # Names

    def kern_path(self, path: str, cpu: int) -> GuestFile:
        """``kern_path``: what is at a path.

        Args:
            path: absolute, or relative to the working directory of the task that runs on a CPU.
            cpu: that CPU.

        Raises:
            LinuxError: ENOENT, nothing is; ENOTDIR, a component in front of the last is no directory.
        """
        fs = self.member("task_struct", self._kernel.current(cpu).address, "fs")
        dentry = self.member("fs_struct", fs, "root.dentry" if path.startswith("/") else "pwd.dentry")
        for name in path.split("/"):
            inode = self.member("dentry", dentry, "d_inode")
            if self.member("inode", inode, "i_mode") & _S_IFMT != _S_IFDIR:
                raise LinuxError(Errno.ENOTDIR, f"In {path} something before {name!r} is no directory.")
            if name == "..":
                dentry = self.member("dentry", dentry, "d_parent")
            elif name not in ("", "."):
                dentry = self._child(dentry, name.encode("latin-1"))
                if not dentry:
                    raise LinuxError(Errno.ENOENT, f"There is no {path}.")
        inode = self.member("dentry", dentry, "d_inode")
        mode = self.member("inode", inode, "i_mode")
        return GuestFile(inode, self.member("inode", inode, "i_size"), mode & _S_IFMT == _S_IFREG)

    def _child(self, parent: int, name: bytes) -> int:
        """The dentry of a name in a directory, 0 if there is none. All files are in the dentry cache for good."""
        offset, _ = self.place("dentry", "d_subdirs")
        for dentry in self.entries(parent + offset, "dentry", "d_child"):
            length = self.member("dentry", dentry, "d_name.len")
            if length != len(name) or length > _NAME_MAX or not self.member("dentry", dentry, "d_inode"):
                continue
            if self._kernel.read(self.member("dentry", dentry, "d_name.name"), length) == name:
                return dentry
        return 0

    # Contents

    def page(self, inode: int, index: int) -> int:
        """Physical address of a page of a file as its processes map it, 0 if it has none (``filemap_get_page``)."""
        mapping = self.member("inode", inode, "i_mapping")
        pages = self.member("address_space", mapping, "i_pages")
        page = self._kernel.read_u64(pages + 8 * index) if pages and index < PAGE_SIZE // 8 else 0
        if page:
            return self.page_to_phys(page)
        image, size = (self.member("address_space", mapping, name) for name in ("image", "image_size"))
        at = image + index * PAGE_SIZE
        if index * PAGE_SIZE >= size or at % PAGE_SIZE:
            return 0
        return self._kernel.machine.ram.translate(self._kernel.root, at)

    def read(self, inode: int, offset: int, size: int) -> bytes:
        """Bytes of a file; fewer at its end."""
        found = b""
        size = max(0, min(size, self.member("inode", inode, "i_size") - offset))
        while len(found) < size:
            at = offset + len(found)
            page = self.page(inode, at // PAGE_SIZE)
            room = min(size - len(found), PAGE_SIZE - at % PAGE_SIZE)
            found += self._kernel.machine.ram.read(page + at % PAGE_SIZE, room) if page else bytes(room)
        return found

    # Physical pages

    def page_to_phys(self, page: int) -> int:
        """``page_to_phys``."""
        return (page - self._mem_map()) // self._page_size() * PAGE_SIZE

    def phys_to_page(self, physical: int) -> int:
        """``phys_to_page``: address of the ``struct page``."""
        return self._mem_map() + physical // PAGE_SIZE * self._page_size()

    def _mem_map(self) -> int:
        return self._kernel.read_u64(self._kernel.symbol("mem_map"))

    def _page_size(self) -> int:
        found = self._kernel.btf.find("page", BtfKind.STRUCT)
        if found is None:
            raise ImageError(f"{self._kernel.image.name}: the image's types have no struct page.")
        return found.size

    @staticmethod
    def direct(physical: int) -> int:
        """``__va``."""
        return DIRECT_MAP + physical
