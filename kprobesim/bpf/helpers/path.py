"""bpf_d_path: a file's name out of its path; follows Linux kernel/trace/bpf_trace.c, and for the walk itself the
``d_path`` of the kernel that runs, which knows one mount.
"""

from kprobesim.bpf.errors import MemoryFault
from kprobesim.bpf.helpers.base import HelperContext
from kprobesim.bpf.helpers.probe_read import nofault_errno
from kprobesim.image.btf import Btf
from kprobesim.linux_errno import Errno

__all__ = ["d_path"]

_LONGEST_NAME = 255
_MOST_PARENTS = 4096
_DELETED = b" (deleted)"


class _Dentries:
    """Dentries in kernel memory, by the kernel's types."""

    def __init__(self, ctx: HelperContext, btf: Btf) -> None:
        self._read = ctx.env.read_kernel
        self._btf = btf

    def word(self, struct: str, path: str, address: int) -> int:
        """A member; MemoryFault for one that this kernel does not have, as for memory that is not there."""
        place = self._btf.struct_member(struct, path)
        if place is None:
            raise MemoryFault(address, 8, write=False)
        return int.from_bytes(self._read(address + place.offset, place.size), "little")

    def pieces(self, dentry: int) -> list[bytes]:
        """What the text is made of, from its end: the names up to the root, each with what stands before it."""
        parent = self.word("dentry", "d_parent", dentry)
        found = [b"\0"]
        if parent == dentry:
            return [*found, b"/"]
        if not self.word("dentry", "d_hash.pprev", dentry):
            found.append(_DELETED)
        for _ in range(_MOST_PARENTS):
            if parent == dentry:
                return found
            length = min(self.word("dentry", "d_name.len", dentry), _LONGEST_NAME)
            found += [self._read(self.word("dentry", "d_name.name", dentry), length), b"/"]
            dentry, parent = parent, self.word("dentry", "d_parent", parent)
        raise MemoryFault(dentry, 8, write=False)


def d_path(ctx: HelperContext, path: int, buf: int, size: int) -> int:
    """The file's name, from the root; its length with the closing zero.

    ENAMETOOLONG if it does not fit: as much as does then stands at the buffer's end. EFAULT or ERANGE where no path is.
    """
    size &= 0xFFFFFFFF
    btf = ctx.env.kernel_btf()
    if not size:
        return 0
    ctx.check_buffer(buf, size)
    try:
        if btf is None:
            raise MemoryFault(path, 8, write=False)
        dentries = _Dentries(ctx, btf)
        pieces = dentries.pieces(dentries.word("path", "dentry", path))
    except MemoryFault as fault:
        return -nofault_errno(fault.addr)
    text = b""
    for piece in pieces:
        if len(piece) + len(text) > size:
            ctx.memory.write(buf + size - len(text), text)
            return -Errno.ENAMETOOLONG
        text = piece + text
    # It is built at the end of the buffer, where it stays, and moved to its beginning.
    ctx.memory.write(buf + size - len(text), text)
    ctx.memory.write(buf, text)
    return len(text)
