"""The host's half of the guest's ``hostfs.c``: file operations that arrive as hypercalls.

A node is a path: what it stands for is looked up on each operation, as every write to ``kprobe_events`` may change it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from kprobesim.errors import LinuxError
from kprobesim.kprobes import RunningKernel
from kprobesim.linux_errno import Errno
from kprobesim.machine import Hypercall, VCpu
from kprobesim.tracing.tracefs import Directory, File, Node, Stream

__all__ = ["IRQ_WORK_VECTOR", "HostFs", "Operation", "errno_of"]

IRQ_WORK_VECTOR: Final = 0xF6
_O_ACCMODE, _O_WRONLY, _O_TRUNC = 0o3, 0o1, 0o1000
_NAME_MAX: Final = 255
_IO: Final = struct.Struct("<3Q")
_DIRENT: Final = struct.Struct("<2Q256s")

Operation = Callable[[VCpu, int, int, int], int]
"""What a stub asks for: given the vCPU and three arguments, it returns what the guest gets, or raises LinuxError."""


def errno_of(operation: Operation) -> Hypercall:
    """The same as the guest knows it: what would be raised is returned as a negative errno.

    Args:
        operation: to be called by the guest.
    """

    def answer(cpu: VCpu, first: int, second: int, third: int) -> int:
        try:
            return operation(cpu, first, second, third)
        except LinuxError as error:
            return -error.errno

    return answer


class _OpenFile(NamedTuple):
    """An open file: its path, and the text as it was when reading began, or the stream."""

    path: str
    text: bytes | None = None
    stream: Stream | None = None


class HostFs:
    """All trees, the nodes that were ever looked up, and the files that are open.

    Args:
        kernel: whose hypercall stubs are bound.
        roots: the trees by node number; the kernel knows the numbers.
    """

    def __init__(self, kernel: RunningKernel, roots: Mapping[int, Directory]) -> None:
        self._kernel = kernel
        self._machine = kernel.machine
        self._roots = {f"/{number}": tree for number, tree in roots.items()}
        self._paths = ["", *self._roots]
        self._nodes = {path: number for number, path in enumerate(self._paths)}
        self._open: dict[int, _OpenFile] = {}
        self._next_handle = 1
        self._waiting = False
        self._bind()

    def _bind(self) -> None:
        """Connect the stubs. All are deferred: opening and writing may patch the kernel's text."""
        functions: dict[str, Operation] = {
            "hostfs_lookup": self._lookup,
            "hostfs_readdir": self._readdir,
            "hostfs_open": self._open_file,
            "hostfs_read": self._read,
            "hostfs_write": self._write,
            "hostfs_release": self._release,
            "hostfs_mkdir": self._changing(lambda directory: directory.mkdir),
            "hostfs_unlink": self._changing(lambda directory: directory.unlink),
            "hostfs_rmdir": self._changing(lambda directory: directory.rmdir),
        }
        self._kernel.bind({}, {name: errno_of(function) for name, function in functions.items()})

    def _changing(self, change: Callable[[Directory], Callable[[str], None] | None]) -> Operation:
        """An operation on a name in a directory; below it no file may be open (``__remove_instance``)."""

        def operation(cpu: VCpu, node: int, name_at: int, _: int) -> int:
            path, directory = self._directory(node)
            function, name = change(directory), self.read_name(cpu, name_at)
            if function is None:
                raise LinuxError(Errno.EPERM, "Here no name can be made or removed.")
            if any(opened.path.startswith(f"{path}/{name}/") for opened in self._open.values()):
                raise LinuxError(Errno.EBUSY, f"A file of {name} is open.")
            function(name)
            return 0

        return operation

    # Paths

    def path_of(self, node: int) -> str:
        """The path of a node that the kernel has looked up; its first component is the root's number."""
        return self._paths[node]

    def resolve(self, path: str) -> Node:
        """What is at a path, whose first component is a root's number.

        Raises:
            LinuxError: ENOENT, nothing.
        """
        _, root, *names = path.split("/")
        node: Node = self._roots[f"/{root}"]
        for name in names:
            child = node.children().get(name) if isinstance(node, Directory) else None
            if child is None:
                raise LinuxError(Errno.ENOENT, f"There is no {name}.")
            node = child
        return node

    def _directory(self, node: int) -> tuple[str, Directory]:
        path = self._paths[node]
        found = self.resolve(path)
        if not isinstance(found, Directory):
            raise LinuxError(Errno.ENOTDIR, f"{path} is no directory.")
        return path, found

    def _number(self, path: str) -> int:
        if path not in self._nodes:
            self._nodes[path] = len(self._paths)
            self._paths.append(path)
        return self._nodes[path]

    # Operations

    def _lookup(self, cpu: VCpu, parent: int, name_at: int, _: int) -> int:
        path, directory = self._directory(parent)
        data = self.read_name(cpu, name_at)
        found = directory.children().get(data)
        if found is None:
            raise LinuxError(Errno.ENOENT, f"There is no {data}.")
        return self._number(self._child(path, data, found)) << 16 | found.mode

    def _child(self, path: str, name: str, found: Node) -> str:
        """The path of what is in a folder; a tree that hangs in another one too (tracefs in debugfs) has one path."""
        return next((root for root, tree in self._roots.items() if tree is found), f"{path}/{name}")

    def read_name(self, cpu: VCpu, address: int) -> str:
        """A name in the kernel's memory, of at most 255 bytes; what is behind it may not be mapped."""
        room = min(_NAME_MAX + 1, 4096 - (address & 4095))
        data = self._machine.ram.read_virtual(cpu.root, address, room)
        if b"\0" not in data and room <= _NAME_MAX:
            data += self._machine.ram.read_virtual(cpu.root, address + room, _NAME_MAX + 1 - room)
        return data.split(b"\0")[0].decode("latin-1")

    def _readdir(self, cpu: VCpu, node: int, index: int, buffer: int) -> int:
        path, directory = self._directory(node)
        children = directory.children()
        if index >= len(children):
            return 0
        name = sorted(children)[index]
        number = self._number(self._child(path, name, children[name]))
        entry = _DIRENT.pack(number, children[name].mode, name.encode("latin-1"))
        self._machine.ram.write_virtual(cpu.root, buffer, entry)
        return 1

    def _open_file(self, cpu: VCpu, node: int, flags: int, _: int) -> int:
        path = self._paths[node]
        found = self.resolve(path)
        if isinstance(found, File) and found.refusal is not None:
            raise LinuxError(found.refusal, f"{path} cannot be opened.")
        if isinstance(found, File) and flags & _O_ACCMODE and flags & _O_TRUNC:
            found.truncate()
        stream = None
        if isinstance(found, File) and found.stream is not None and flags & _O_ACCMODE != _O_WRONLY:
            stream = found.stream()
        handle = self._next_handle
        self._next_handle += 1
        self._open[handle] = _OpenFile(path, stream=stream)
        return handle

    def _file(self, handle: int) -> tuple[_OpenFile, File]:
        opened = self._open[handle]
        found = self.resolve(opened.path)
        assert isinstance(found, File)
        return opened, found

    def _io(self, cpu: VCpu, address: int) -> tuple[int, int, int]:
        page, count, pos = _IO.unpack(self._machine.ram.read_virtual(cpu.root, address, _IO.size))
        return page, count, pos

    def _read(self, cpu: VCpu, handle: int, io_at: int, _: int) -> int:
        opened, found = self._file(handle)
        page, count, pos = self._io(cpu, io_at)
        if opened.stream is not None:
            more = opened.stream.read(count)
            if more is None:
                self._waiting = True
                return -Errno.EAGAIN
            piece = more
        elif found.read is None:
            raise LinuxError(Errno.EINVAL, "This file cannot be read.")
        else:
            text = opened.text
            if text is None or pos == 0:
                made = found.read()
                text = made.encode("latin-1") if isinstance(made, str) else made
                self._open[handle] = opened._replace(text=text)
            piece = text[pos : pos + count]
        self._machine.ram.write_virtual(cpu.root, page, piece)
        return len(piece)

    def _write(self, cpu: VCpu, handle: int, io_at: int, _: int) -> int:
        found = self._file(handle)[1]
        page, count, _pos = self._io(cpu, io_at)
        if found.write is None:
            raise LinuxError(Errno.EINVAL, "This file cannot be written.")
        found.write(self._machine.ram.read_virtual(cpu.root, page, count))
        return count

    def _release(self, cpu: VCpu, handle: int, _: int, __: int) -> int:
        stream = self._open.pop(handle).stream
        if stream is not None:
            stream.close()
        return 0

    def wake_up(self, cpu: int) -> None:
        """Something that a reader waits for is there: interrupt the CPU that made it (``irq_work_queue``)."""
        if self._waiting:
            self._waiting = False
            self._machine.cpus[cpu].raise_interrupt(IRQ_WORK_VECTOR)
            self._machine.reschedule()

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory."""
        streams = tuple((handle, opened.stream.save()) for handle, opened in self._open.items() if opened.stream)
        return tuple(self._paths), dict(self._open), streams, self._next_handle, self._waiting

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        paths, opened, streams, self._next_handle, self._waiting = state
        self._paths = list(paths)
        self._nodes = {path: number for number, path in enumerate(paths)}
        self._open = dict(opened)
        for handle, saved in streams:
            stream = self._open[handle].stream
            assert stream is not None
            stream.restore(saved)
