"""The pair of events of each system call: Linux 6.1 kernel/trace/trace_syscalls.c.

All of them share the two tracepoints of ``raw_syscalls``: whichever call comes by is looked up by its number. What the
arguments are called, and of which type they are, the kernel itself says in ``__syscalls_metadata``.
"""

from __future__ import annotations

import struct
from typing import Any, Final, NamedTuple

from kprobesim.errors import ImageError
from kprobesim.image import KernelImage
from kprobesim.kprobes import RunningKernel
from kprobesim.machine import Answer, VCpu
from kprobesim.tracing.event_filter import FilterField
from kprobesim.tracing.kernel_events.event import KernelEvent
from kprobesim.tracing.kernel_events.guest import Guest
from kprobesim.tracing.trace_events import TraceEvents
from kprobesim.tracing.tracepoints import Tracepoints

__all__ = ["SyscallEnterEvent", "SyscallExitEvent", "SyscallMetadata", "SyscallTracing", "read_metadata"]

_METADATA: Final = struct.Struct("<QiiQQ")
_POINTER: Final = struct.Struct("<Q")
_ENTER_HEAD: Final = struct.Struct("<i4x")
_EXIT: Final = struct.Struct("<i4xq")
_SYSCALL_MAX: Final = 1024
_MAX_ARGS: Final = 6
_NAME_MAX: Final = 128
_ENTER_ARGS_AT: Final = 16
_NR_FIELD: Final = FilterField("__syscall_nr", "int", 8, 4, True)


class SyscallMetadata(NamedTuple):
    """``struct syscall_metadata``.

    Attributes:
        name: ``sys_read``.
        number: index in ``sys_call_table``.
        types, args: of the parameters, as the source has them.
    """

    name: str
    number: int
    types: tuple[str, ...]
    args: tuple[str, ...]


def read_metadata(kernel: RunningKernel) -> tuple[SyscallMetadata, ...]:
    """What the image says about its system calls, by number (``init_ftrace_syscalls``).

    Raises:
        ImageError: the tables point outside the image.
    """
    image, kallsyms = kernel.image, kernel.kallsyms
    table = kallsyms.lookup_name("sys_call_table")
    if not table or not kernel.tables.syscalls_metadata:
        return ()
    known = {}
    for address in kernel.tables.syscalls_metadata:
        name, _, count, types, args = _METADATA.unpack(image.read(address, _METADATA.size))
        if not 0 <= count <= _MAX_ARGS:
            raise ImageError(f"{image.name}: the system call described at {address:#x} has {count} arguments.")
        known[_text(image, name)] = _texts(image, types, count), _texts(image, args, count)
    found = []
    entry = kallsyms.lookup_size_offset(table[0].address)
    for number in range(min(entry[2] // 8 if entry else 0, _SYSCALL_MAX)):
        (function,) = _POINTER.unpack(image.read(table[0].address + 8 * number, 8))
        place = kallsyms.lookup_size_offset(function)
        name = place[0].name.removeprefix("__x64_") if place and place[1] == 0 else ""
        if name in known:
            found.append(SyscallMetadata(name, number, *known[name]))
    return tuple(found)


def _texts(image: KernelImage, address: int, count: int) -> tuple[str, ...]:
    if not count:
        return ()
    return tuple(_text(image, pointer) for (pointer,) in _POINTER.iter_unpack(image.read(address, 8 * count)))


def _text(image: KernelImage, address: int) -> str:
    data = b""
    while b"\0" not in data and len(data) < _NAME_MAX:
        data += image.read(address + len(data), 1)
    return data.split(b"\0")[0].decode("latin-1")


class _SyscallEvent(KernelEvent):
    """One event of a system call.

    Args:
        name: of the event.
        metadata: of the call.
        tracing: where all of them listen.
        events: the list that it is in.
        guest: where values are read.
    """

    def __init__(
        self, name: str, metadata: SyscallMetadata, tracing: SyscallTracing, events: TraceEvents, guest: Guest
    ) -> None:
        super().__init__("syscalls", name, events, guest)
        self.metadata = metadata
        self._tracing = tracing

    def register(self) -> None:
        """``reg_event_syscall_enter``, ``reg_event_syscall_exit``."""
        self._tracing.add(self)

    def unregister(self) -> None:
        """The reverse."""
        self._tracing.remove(self)


class SyscallEnterEvent(_SyscallEvent):
    """``sys_enter_NAME``: number and arguments."""

    @property
    def fields(self) -> tuple[FilterField, ...]:
        """Every argument takes 8 bytes and counts as unsigned, whatever its type."""
        pairs = zip(self.metadata.types, self.metadata.args, strict=True)
        found = (FilterField(arg, kind, _ENTER_ARGS_AT + 8 * n, 8, False) for n, (kind, arg) in enumerate(pairs))
        return _NR_FIELD, *found

    def print_fmt(self) -> str:
        """``__set_enter_print_fmt``."""
        args = self.metadata.args
        head = ", ".join(f"{arg}: 0x%08lx" for arg in args)
        return ", ".join([f'"{head}"', *(f"((unsigned long)(REC->{arg}))" for arg in args)])

    def print_record(self, record: bytes) -> str:
        """``print_syscall_enter``."""
        args = self.metadata.args
        words = struct.unpack_from(f"<{len(args)}Q", record, _ENTER_ARGS_AT)
        shown = ", ".join(f"{arg}: {word:x}" for arg, word in zip(args, words, strict=True))
        return f"{self.metadata.name}({shown})"

    def enter(self, cpu: VCpu, regs: int) -> Answer:
        """``ftrace_syscall_enter``."""

        def make() -> bytes:
            words = self._guest.syscall_arguments(cpu, regs)[: len(self.metadata.args)]
            return _ENTER_HEAD.pack(self.metadata.number) + struct.pack(f"<{len(words)}Q", *words)

        return self.hit(cpu, make, regs)


class SyscallExitEvent(_SyscallEvent):
    """``sys_exit_NAME``: number and result."""

    @property
    def fields(self) -> tuple[FilterField, ...]:
        """``syscall_exit_fields_array``."""
        return _NR_FIELD, FilterField("ret", "long", 16, 8, True)

    def print_fmt(self) -> str:
        """The same for all."""
        return '"0x%lx", REC->ret'

    def print_record(self, record: bytes) -> str:
        """``print_syscall_exit``."""
        (ret,) = _POINTER.unpack_from(record, 16)
        return f"{self.metadata.name} -> 0x{ret:x}"

    def exit(self, cpu: VCpu, regs: int, ret: int) -> Answer:
        """``ftrace_syscall_exit``."""
        signed = ret - (1 << 64) if ret >> 63 else ret
        return self.hit(cpu, lambda: _EXIT.pack(self.metadata.number, signed), regs)


class SyscallTracing:
    """The one listener of ``sys_enter`` and ``sys_exit`` behind all events of system calls.

    Args:
        tracepoints: where it listens.
        guest: for the number of a call.
    """

    def __init__(self, tracepoints: Tracepoints, guest: Guest) -> None:
        self._tracepoints = tracepoints
        self._guest = guest
        self._enter: dict[int, SyscallEnterEvent] = {}
        self._exit: dict[int, SyscallExitEvent] = {}

    def add(self, event: _SyscallEvent) -> None:
        """Give an event the calls of its number; with the first one the tracepoint is turned on.

        Raises:
            LinuxError: the tracepoint cannot be.
        """
        if isinstance(event, SyscallEnterEvent):
            if not self._enter:
                self._tracepoints.register("sys_enter", self._on_enter)
            self._enter[event.metadata.number] = event
        elif isinstance(event, SyscallExitEvent):
            if not self._exit:
                self._tracepoints.register("sys_exit", self._on_exit)
            self._exit[event.metadata.number] = event

    def remove(self, event: _SyscallEvent) -> None:
        """The reverse of `add`."""
        if isinstance(event, SyscallEnterEvent):
            del self._enter[event.metadata.number]
            if not self._enter:
                self._tracepoints.unregister("sys_enter", self._on_enter)
        elif isinstance(event, SyscallExitEvent):
            del self._exit[event.metadata.number]
            if not self._exit:
                self._tracepoints.unregister("sys_exit", self._on_exit)

    def _on_enter(self, cpu: VCpu, args: tuple[int, ...]) -> Answer:
        event = self._enter.get(self._guest.regs(cpu, args[0]).orig_ax)
        return 0 if event is None else event.enter(cpu, args[0])

    def _on_exit(self, cpu: VCpu, args: tuple[int, ...]) -> Answer:
        event = self._exit.get(self._guest.regs(cpu, args[0]).orig_ax)
        return 0 if event is None else event.exit(cpu, args[0], args[1])

    # Going back and forth in time

    def save(self) -> object:
        """Who listens."""
        return dict(self._enter), dict(self._exit)

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        enter, leave = state
        self._enter, self._exit = dict(enter), dict(leave)
