"""One uprobe event and the probes that write it: Linux 6.1 kernel/trace/trace_uprobe.c."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Self

from kprobesim.errors import LinuxError
from kprobesim.kprobes import PtRegs, RunningKernel
from kprobesim.kprobes.uprobes import Uprobe, UprobeConsumer, Uprobes
from kprobesim.tracing.probe_events.event_text import print_args
from kprobesim.tracing.probe_events.fetch import ArgFetcher
from kprobesim.tracing.probe_events.trace_probe import ProbeEvent, TraceProbe
from kprobesim.tracing.uprobe_events.command import UprobeDefinition

__all__ = ["TraceUprobe", "UprobeEvent"]

Dispatch = Callable[["TraceUprobe", PtRegs, "int | None"], None]


class UprobeEvent(ProbeEvent["TraceUprobe"]):
    """An event of ``uprobe_events``.

    Args:
        group, name, is_return: see `ProbeEvent`.
        uprobes: where its probes are registered.
        kernel: for symbols in arguments.
    """

    def __init__(self, group: str, name: str, is_return: bool, uprobes: Uprobes, kernel: RunningKernel) -> None:
        super().__init__(group, name, is_return)
        self._uprobes = uprobes
        self._kernel = kernel

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


class TraceUprobe(TraceProbe):
    """``struct trace_uprobe``: one probe of an event.

    Args:
        definition: what the command asked for.
        kernel: whose memory.
        dispatch: called on each hit with this probe, the registers and, for a return, the function.

    Attributes:
        base: where the file's first byte would be in the process that is being looked at.
    """

    definition: UprobeDefinition

    def __init__(self, definition: UprobeDefinition, kernel: RunningKernel, dispatch: Dispatch) -> None:
        super().__init__(definition)
        self.fetchers = [ArgFetcher(arg, kernel, user_base=lambda: self.base) for arg in self.args]
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

    def head(self) -> str:
        """``p`` or ``r``."""
        return "r" if self.definition.is_return else "p"

    def is_at(self, place: str) -> bool:
        """``trace_uprobe_match_command_head``."""
        return self.place() == place

    def has_same_place(self, other: Self) -> bool:
        """The same byte of the same file, by whatever path."""
        here, there = self.definition, other.definition
        return (here.file.inode, here.offset) == (there.file.inode, there.offset)

    # Going back and forth in time

    def save(self) -> Any:
        """Its changeable state."""
        return super().save(), self._uprobe

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        common, self._uprobe = state
        super().restore(common)
