"""Programs on events, raw tracepoints, uprobes and many functions at once: what each attachment does.

Follows Linux 6.1 kernel/events/core.c:perf_event_set_bpf_prog, kernel/bpf/syscall.c:bpf_raw_tp_link_attach and
kernel/trace/bpf_trace.c:bpf_kprobe_multi_link_attach. A link holds nothing that a journey in time could make untrue.
"""

from __future__ import annotations

import abc
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

from kprobesim.errors import LinuxError
from kprobesim.kprobes import Fprobe, KprobeManager, PtRegs
from kprobesim.kprobes.uprobes import GuestFile, UprobeConsumer
from kprobesim.linux_errno import Errno
from kprobesim.machine import Answer, VCpu
from kprobesim.tracing.bpf import Attachment, BpfPrograms
from kprobesim.tracing.bpf_runs import Guard
from kprobesim.tracing.guest_elf import function_offset
from kprobesim.tracing.kernel_events import KernelEvent
from kprobesim.tracing.trace_events import TraceEvents
from kprobesim.tracing.tracepoints import Tracepoints

__all__ = [
    "KprobeMultiLink",
    "Link",
    "LinkGroup",
    "Places",
    "ProbeLink",
    "RawTracepointLink",
    "TracepointLink",
    "UprobeLink",
]


class Places(NamedTuple):
    """Where programs can be attached in one kernel.

    Attributes:
        manager: the kprobe manager.
        programs: the programs.
        events: the events.
        tracepoints: the tracepoints behind them.
    """

    manager: KprobeManager
    programs: BpfPrograms
    events: TraceEvents
    tracepoints: Tracepoints


@runtime_checkable
class Link(Protocol):
    """A program's attachment, before and after it is made.

    ``attach`` may be called more than once: each time the machine's life passes this point again. Whoever writes one
    tells `BpfPrograms.add_link` of it, so that bpftool shows it.
    """

    def attach(self) -> None:
        """Let the program run from now on.

        Raises:
            LinuxError: what Linux would refuse it with.
        """
        ...

    def detach(self) -> None:
        """Undo it; the program stays loaded."""
        ...

    def __str__(self) -> str:
        """What is attached to what, in a few words."""
        ...


@dataclass(frozen=True)
class ProbeLink:
    """A program on a kprobe or return probe."""

    programs: BpfPrograms
    attachment: Attachment

    def attach(self) -> None:
        """See Link."""
        self.programs.attach(self.attachment)

    def detach(self) -> None:
        """See Link."""
        self.programs.detach(self.attachment)

    def __str__(self) -> str:
        kind = "kprobe" if self.attachment.kretprobe is None else "kretprobe"
        probe = self.attachment.kprobe
        offset = f"+{probe.offset:#x}" if probe.offset else ""
        return f"{self.attachment.program} to {kind} {probe.symbol_name or hex(probe.address or 0)}{offset}"


@dataclass(eq=False)
class LinkGroup:
    """Several links that come and go together."""

    links: Sequence[Link]
    text: str

    def attach(self) -> None:
        """See Link; all of them, or none."""
        for number, link in enumerate(self.links):
            try:
                link.attach()
            except LinuxError:
                for made in reversed(self.links[:number]):
                    made.detach()
                raise

    def detach(self) -> None:
        """See Link."""
        for link in reversed(self.links):
            link.detach()

    def __str__(self) -> str:
        return self.text


@dataclass(eq=False)
class PlacedLink(abc.ABC):
    """A program on something that the kernel has; the rest of what they do is the same for all of these.

    Args:
        places: the kernel's.
        program: the program's name.
    """

    places: Places
    program: str

    @property
    @abc.abstractmethod
    def _where(self) -> str:
        """What the program is on, as events tell it."""

    @abc.abstractmethod
    def attach(self) -> None:
        """See Link."""

    def detach(self) -> None:
        """See Link."""
        self._let_go()
        self.places.programs.remove_link(self, self.program, self._where)

    @abc.abstractmethod
    def _let_go(self) -> None:
        """The program is not run from now on."""

    def __str__(self) -> str:
        return f"{self.program} to {self._where}"


@dataclass(eq=False)
class TracepointLink(PlacedLink):
    """A program of type TRACEPOINT on an event that comes with the kernel.

    Args:
        places, program: see `PlacedLink`.
        group, name: the event.
        cookie: what ``bpf_get_attach_cookie`` answers.
    """

    group: str
    name: str
    cookie: int = 0

    def attach(self) -> None:
        """See Link.

        Raises:
            LinuxError: ENOENT, no such event; EINVAL, a program of another type; EACCES, it reads more than the event's
                records have.
        """
        event = self._event()
        program = self.places.programs.attachable(self.program, "tracepoint")
        last = event.fields[-1]
        if program.max_ctx_offset > last.offset + last.size:
            raise LinuxError(
                Errno.EACCES,
                f"{self.program} reads {program.max_ctx_offset} bytes of its context; records of {self.group}:"
                f"{self.name} have {last.offset + last.size}.",
                hint=f"events/{self.group}/{self.name}/format lists the fields.",
            )
        self.places.programs.reserve_contexts()
        event.attach(self._on_hit)
        query = {"fd_type": "tracepoint", "tracepoint": self.name}
        self.places.programs.add_link(self, self.program, self._where, query)

    def _let_go(self) -> None:
        self._event().detach(self._on_hit)

    def _event(self) -> KernelEvent:
        event = self.places.events.find(self.group, self.name)
        if not isinstance(event, KernelEvent):
            raise LinuxError(
                Errno.ENOENT,
                f"The kernel has no tracepoint {self.group}/{self.name}.",
                hint="available_events lists them.",
            )
        return event

    def _on_hit(self, cpu: VCpu, record: bytes, regs: int) -> Answer:
        return self.places.programs.run_on(self.program, cpu, record, regs=regs, cookie=self.cookie)

    @property
    def _where(self) -> str:
        return f"tracepoint {self.group}:{self.name}"


@dataclass(eq=False)
class RawTracepointLink(PlacedLink):
    """A program of type RAW_TRACEPOINT on a tracepoint: its context is the arguments, 8 bytes each.

    Args:
        places, program: see `PlacedLink`.
        name: of the tracepoint.
    """

    name: str
    prog_type: ClassVar[str] = "raw_tracepoint"

    def attach(self) -> None:
        """See Link.

        Raises:
            LinuxError: ENOENT, no such tracepoint; EINVAL, a program of another type, or one that reads more arguments
                than there are.
        """
        tracepoints, programs = self.places.tracepoints, self.places.programs
        count = len(tracepoints.argument_sizes(self.name))
        program = programs.attachable(self.program, self.prog_type)
        if count and program.max_ctx_offset > 8 * count:
            raise LinuxError(
                Errno.EINVAL,
                f"{self.program} reads {program.max_ctx_offset} bytes of its context; {self.name} has {count} "
                "arguments.",
            )
        programs.reserve_contexts()
        tracepoints.register(self.name, self._on_hit)
        query = {"fd_type": "raw_tracepoint", "tracepoint": self.name}
        programs.add_link(self, self.program, self._where, query, "raw_tracepoint")

    def _let_go(self) -> None:
        self.places.tracepoints.unregister(self.name, self._on_hit)

    def _on_hit(self, cpu: VCpu, args: tuple[int, ...]) -> Answer:
        context = struct.pack(f"<{len(args)}Q", *args)
        return self.places.programs.run_on(self.program, cpu, context, guard=Guard.PROGRAM)

    @property
    def _where(self) -> str:
        return f"raw_tracepoint {self.name}"


@dataclass(eq=False)
class UprobeLink(PlacedLink):
    """A program of type KPROBE on a place in the guest's programs.

    Args:
        places, program: see `PlacedLink`.
        path: of the file, absolute.
        function: of the file, or empty: the offset then counts from the file's beginning.
        offset: in bytes.
        returns: the function's return is probed and not its entry.
        cookie: what ``bpf_get_attach_cookie`` answers.
    """

    path: str
    function: str
    offset: int
    returns: bool = False
    cookie: int = 0
    _consumer: UprobeConsumer = field(init=False)

    def __post_init__(self) -> None:
        if self.returns:
            self._consumer = UprobeConsumer(ret_handler=lambda func, regs: self._on_hit(regs))
        else:
            self._consumer = UprobeConsumer(handler=self._on_hit)

    def attach(self) -> None:
        """See Link.

        Raises:
            LinuxError: ENOENT, no such file or function; EINVAL, a program of another type, or one that overrides
                return values; what uprobe_register() says.
        """
        programs = self.places.programs
        if programs.attachable(self.program, "kprobe").kprobe_override:
            raise LinuxError(Errno.EINVAL, "Only at a kprobe can a return value be overridden, not at a uprobe.")
        file, offset = self._find()
        self.places.manager.uprobes.uprobe_register(file, offset, self._consumer, f"{self.path}:{offset:#x}")
        query = {"fd_type": "uretprobe" if self.returns else "uprobe", "filename": self.path, "offset": offset}
        programs.add_link(self, self.program, self._where, query)

    def _let_go(self) -> None:
        uprobes = self.places.manager.uprobes
        for uprobe in list(uprobes):
            if self._consumer in uprobe.consumers:
                uprobes.uprobe_unregister(uprobe, self._consumer)

    def _find(self) -> tuple[GuestFile, int]:
        manager = self.places.manager
        files = manager.uprobes.files
        file = files.kern_path(self.path, manager.kernel.machine.current_cpu.number)
        if not self.function or not file.is_regular:
            return file, self.offset
        found = function_offset(files.read(file.inode, 0, file.size), self.function)
        if found is None:
            raise LinuxError(Errno.ENOENT, f"{self.path} has no function {self.function}.")
        return file, found + self.offset

    def _on_hit(self, regs: PtRegs) -> Answer:
        return self.places.programs.run(self.program, regs.cpu, regs.address, cookie=self.cookie, guard=Guard.NONE)

    @property
    def _where(self) -> str:
        place = self.function + (f"+{self.offset:#x}" if self.offset else "") if self.function else hex(self.offset)
        return f"{'uretprobe' if self.returns else 'uprobe'} {self.path}:{place}"


@dataclass(eq=False)
class KprobeMultiLink(PlacedLink):
    """A program of type KPROBE on the entries or returns of many functions, by one fprobe.

    Args:
        places, program: see `PlacedLink`.
        pattern: what was asked for.
        sites: addresses of the functions.
        returns: their returns are probed and not their entries.
        cookie: what ``bpf_get_attach_cookie`` answers.
    """

    pattern: str
    sites: tuple[int, ...]
    returns: bool = False
    cookie: int = 0
    _fprobe: Fprobe = field(init=False)

    def __post_init__(self) -> None:
        name = f"{'kretprobe' if self.returns else 'kprobe'}.multi {self.pattern}"
        self._fprobe = Fprobe(name=name)
        if self.returns:
            self._fprobe.exit_handler = self._on_hit
        else:
            self._fprobe.entry_handler = self._on_hit

    def attach(self) -> None:
        """See Link.

        Raises:
            LinuxError: EINVAL, a program of another type, or one that overrides return values where that is not
                allowed.
        """
        programs = self.places.programs
        if programs.attachable(self.program, "kprobe").kprobe_override:
            for site in self.sites:
                programs.check_error_injection(site)
        self.places.manager.fprobes.register_fprobe_ips(self._fprobe, self.sites)
        programs.add_link(self, self.program, self._where, {}, "kprobe_multi")

    def _let_go(self) -> None:
        self.places.manager.fprobes.unregister_fprobe(self._fprobe)

    @property
    def _where(self) -> str:
        return self._fprobe.name

    def _on_hit(self, _: Fprobe, ip: int, regs: PtRegs, data: bytearray | None) -> Answer:
        return self.places.programs.run(self.program, regs.cpu, regs.address, ip=ip, cookie=self.cookie)
