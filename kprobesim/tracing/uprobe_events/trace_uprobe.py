"""One uprobe event and the probes that write it: Linux 6.1 kernel/trace/trace_uprobe.c."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from kprobesim.errors import LinuxError
from kprobesim.kprobes import PtRegs, RunningKernel
from kprobesim.kprobes.uprobes import Uprobe, UprobeConsumer, Uprobes
from kprobesim.tracing.event_filter import FilterField
from kprobesim.tracing.probe_events.event_text import print_args, print_fmt
from kprobesim.tracing.probe_events.fetch import ArgFetcher
from kprobesim.tracing.probe_events.fetch_parse import ProbeArg
from kprobesim.tracing.trace_event import TraceEvent
from kprobesim.tracing.uprobe_events.command import UprobeDefinition

__all__ = ["TraceUprobe", "UprobeEvent"]

Dispatch = Callable[["TraceUprobe", PtRegs, "int | None"], None]


class UprobeEvent(TraceEvent):
    """What one name under ``events/`` stands for.

    Args:
        group, name: its place under ``events/``.
        is_return: its probes are return probes.
        uprobes: where they are registered.
        kernel: for symbols in arguments.

    Attributes:
        is_return: as given.
        probes: the probes, the oldest first.
    """

    def __init__(self, group: str, name: str, is_return: bool, uprobes: Uprobes, kernel: RunningKernel) -> None:
        super().__init__(group, name)
        self.is_return = is_return
        self.probes: list[TraceUprobe] = []
        self._uprobes = uprobes
        self._kernel = kernel

    @property
    def args(self) -> tuple[ProbeArg, ...]:
        """The arguments; those of all its probes have the same names and types."""
        return self.probes[0].args if self.probes else ()

    @property
    def head_size(self) -> int:
        """Bytes of a record before the arguments."""
        return 24 if self.is_return else 16

    @property
    def fields(self) -> tuple[FilterField, ...]:
        """The place of the hit, then the arguments."""
        names = ("__probe_func", "__probe_ret_ip") if self.is_return else ("__probe_ip",)
        head = [FilterField(name, "unsigned long", 8 + 8 * n, 8, False) for n, name in enumerate(names)]
        for arg in self.args:
            offset = self.head_size + arg.offset
            head.append(
                FilterField(arg.name, arg.fmttype, offset, arg.size, arg.type.is_signed, arg.type.is_string, arg.count)
            )
        return tuple(head)

    def print_fmt(self) -> str:
        """``__set_print_fmt``."""
        return print_fmt(self.is_return, self.args)

    def print_record(self, record: bytes) -> str:
        """``print_uprobe_event``: addresses as numbers, as they are a program's."""
        if self.is_return:
            func, ret_ip = struct.unpack_from("<2Q", record, 8)
            where = f"0x{ret_ip:x} <- 0x{func:x}"
        else:
            (ip,) = struct.unpack_from("<Q", record, 8)
            where = f"0x{ip:x}"
        return " ".join([f"{self.name}: ({where})", *print_args(self.args, record, self.head_size, self._kernel)])

    def register(self) -> None:
        """``probe_event_enable``: register all its probes, or none.

        Raises:
            LinuxError: one is refused, only now: what instruction it is nobody has looked at before.
        """
        try:
            for probe in self.probes:
                probe.enable(self._uprobes)
        except LinuxError:
            self.unregister()
            raise

    def unregister(self) -> None:
        """``__probe_event_disable``."""
        for probe in self.probes:
            probe.disable(self._uprobes)

    def save(self) -> Any:
        """Its changeable state and its probes."""
        return super().save(), tuple((probe, probe.save()) for probe in self.probes)

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        common, probes = state
        super().restore(common)
        for probe, saved in probes:
            probe.restore(saved)
        self.probes = [probe for probe, _ in probes]


class TraceUprobe:
    """``struct trace_uprobe``: one probe of an event.

    Args:
        definition: what the command asked for.
        kernel: whose memory.
        dispatch: called on each hit with this probe, the registers and, for a return, the function.

    Attributes:
        definition, event: what it is, and what it writes to.
        args: its arguments.
        fetchers: how they are fetched.
        size: bytes of the arguments in a record.
        nhit: how often it was hit.
        base: where the file's first byte would be in the process that is being looked at.
    """

    def __init__(self, definition: UprobeDefinition, kernel: RunningKernel, dispatch: Dispatch) -> None:
        self.definition = definition
        self.event: UprobeEvent | None = None
        self.args = definition.args
        self.fetchers = [ArgFetcher(arg, kernel, user_base=lambda: self.base) for arg in self.args]
        self.size = sum(arg.size for arg in self.args)
        self.nhit = 0
        self.base = 0
        self._uprobe: Uprobe | None = None

        def on_hit(regs: PtRegs) -> None:
            self.base = regs.ip - definition.offset
            dispatch(self, regs, None)

        def on_return(func: int, regs: PtRegs) -> None:
            self.base = func - definition.offset
            dispatch(self, regs, func)

        # As in Linux a return probe counts its entries too.
        self.consumer = UprobeConsumer(handler=self._count if definition.is_return else on_hit)
        if definition.is_return:
            self.consumer.ret_handler = on_return

    def _count(self, regs: PtRegs) -> None:
        self.nhit += 1

    def enable(self, uprobes: Uprobes) -> None:
        """``trace_uprobe_enable``.

        Raises:
            LinuxError: it is refused.
        """
        where = self.definition
        if self._uprobe is None:
            name = f"{where.filename}:{where.offset:#x}"
            self._uprobe = uprobes.uprobe_register(where.file, where.offset, self.consumer, name)

    def disable(self, uprobes: Uprobes) -> None:
        """The reverse."""
        if self._uprobe is not None:
            uprobes.uprobe_unregister(self._uprobe, self.consumer)
            self._uprobe = None

    # Texts

    def place(self) -> str:
        """Where it is, as ``uprobe_events`` shows it."""
        where = self.definition
        reference = f"(0x{where.ref_ctr_offset:x})" if where.ref_ctr_offset else ""
        return f"{where.filename}:0x{where.offset:016x}{reference}"

    def show(self) -> str:
        """The line of ``uprobe_events`` (``trace_uprobe_show``)."""
        where = self.definition
        words = [f"{'r' if where.is_return else 'p'}:{where.group}/{where.event}", self.place()]
        return " ".join(words + [f"{arg.name}={arg.comm}" for arg in self.args]) + "\n"

    def match(self, words: list[str]) -> bool:
        """Whether the words behind a delete command fit (``trace_uprobe_match_command_head``)."""
        if not words:
            return True
        if self.place() != words[0] or len(self.args) < len(words) - 1:
            return False
        texts = (f"{arg.name}={arg.comm}" for arg in self.args)
        return all(text == word for text, word in zip(texts, words[1:], strict=False))

    def is_same(self, other: TraceUprobe) -> bool:
        """``trace_uprobe_has_same_uprobe``."""
        here, there = self.definition, other.definition
        if (here.file.inode, here.offset) != (there.file.inode, there.offset):
            return False
        return [arg.comm for arg in self.args] == [arg.comm for arg in other.args]

    # Going back and forth in time

    def save(self) -> Any:
        """Its changeable state."""
        return self.nhit, self._uprobe

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        self.nhit, self._uprobe = state
