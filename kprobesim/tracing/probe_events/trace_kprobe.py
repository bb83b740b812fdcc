"""One event of ``kprobe_events`` and the probes that write it.

Follows Linux 6.1 kernel/trace/trace_kprobe.c: struct trace_kprobe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Self

from kprobesim.errors import LinuxError
from kprobesim.kprobes import Kprobe, KprobeFlag, KprobeManager, Kretprobe, PtRegs, RethookNode, RunningKernel
from kprobesim.tracing.probe_events.command import ProbeDefinition
from kprobesim.tracing.probe_events.event_text import print_record
from kprobesim.tracing.probe_events.fetch import ArgFetcher
from kprobesim.tracing.probe_events.trace_probe import ProbeEvent, TraceProbe, update_arg
from kprobesim.tracing.symbols import hashed_pointer

__all__ = ["TraceKprobe", "TraceProbeEvent"]

_MAX_ARGSTR_LEN: Final = 63


class TraceProbeEvent(ProbeEvent["TraceKprobe"]):
    """An event of ``kprobe_events``.

    Args:
        group, name, is_return: see `ProbeEvent`.
        manager: where its probes are registered.
    """

    def __init__(self, group: str, name: str, is_return: bool, manager: KprobeManager) -> None:
        super().__init__(group, name, is_return)
        self._manager = manager

    def print_record(self, record: bytes) -> str:
        """``print_kprobe_event``, ``print_kretprobe_event``."""
        return print_record(self.name, self.is_return, self.args, record, self._manager.kernel)

    def register(self) -> None:
        """``enable_trace_kprobe``: arm all its probes, or none.

        Raises:
            LinuxError: one could not be armed.
        """
        armed: list[TraceKprobe] = []
        try:
            for probe in self._live_probes():
                self._manager.kprobes.enable_kprobe(probe.kprobe)
                armed.append(probe)
        except LinuxError:
            for probe in armed:
                self._manager.kprobes.disable_kprobe(probe.kprobe)
            raise

    def unregister(self) -> None:
        """``disable_trace_kprobe``."""
        for probe in self._live_probes():
            self._manager.kprobes.disable_kprobe(probe.kprobe)

    def _live_probes(self) -> list[TraceKprobe]:
        return [p for p in self.probes if p.kprobe.addr is not None and not p.kprobe.flags & KprobeFlag.GONE]


class TraceKprobe(TraceProbe):
    """``struct trace_kprobe``: one probe of an event.

    Args:
        definition: what the command asked for.
        kernel: where it will be.
        dispatch: called on each hit with this probe, the registers and, for a return, where it returns to.

    Attributes:
        args: its arguments, with addresses for symbols once it is registered; there are no fetchers before.
        kprobe, kretprobe: the probe itself; the latter for return probes.
    """

    definition: ProbeDefinition

    def __init__(
        self,
        definition: ProbeDefinition,
        kernel: RunningKernel,
        dispatch: Callable[[TraceKprobe, PtRegs, int | None], None],
    ) -> None:
        super().__init__(definition)
        self._kernel = kernel
        self.kprobe = Kprobe(
            symbol_name=definition.symbol,
            address=definition.address,
            offset=definition.offset,
            disabled=True,
            name=definition.event,
        )
        self.kretprobe: Kretprobe | None = None
        if definition.is_return:

            def on_return(node: RethookNode, regs: PtRegs) -> None:
                dispatch(self, regs, node.ret_addr)

            self.kretprobe = Kretprobe(self.kprobe, handler=on_return, maxactive=definition.maxactive)
        else:

            def on_hit(_: Kprobe, regs: PtRegs) -> int:
                dispatch(self, regs, None)
                return 0

            self.kprobe.pre_handler = on_hit

    @property
    def nmissed(self) -> int:
        """Hits that were not handled; for a return probe also calls without a free node (TFS-13)."""
        return self.kprobe.nmissed + (self.kretprobe.nmissed if self.kretprobe else 0)

    def update_args(self) -> None:
        """Look up the symbols of the arguments.

        Raises:
            LinuxError: see `update_arg`.
        """
        self.args = tuple(update_arg(arg, self._kernel) for arg in self.args)
        self.fetchers = [ArgFetcher(arg, self._kernel) for arg in self.args]

    # Texts

    def place(self) -> str:
        """Where it is, as ``kprobe_events`` shows it: the offset in decimal, a bare address hashed (TFS-03)."""
        where = self.definition
        if where.symbol is None:
            return f"0x{hashed_pointer(self._kernel, where.address or 0)}"
        return f"{where.symbol}+{where.offset}" if where.offset else where.symbol

    def head(self) -> str:
        """``p``, or ``r`` and how many calls it can follow at a time."""
        return f"r{self.kretprobe.maxactive or ''}" if self.kretprobe is not None else "p"

    def is_at(self, place: str) -> bool:
        """``trace_kprobe_match_command_head``: the word is compared with as much of the place as its buffer holds."""
        return self.place()[:_MAX_ARGSTR_LEN] == place

    def has_same_place(self, other: Self) -> bool:
        """As in Linux, two bare addresses count as one place."""
        here, there = self.definition, other.definition
        return (here.symbol or "unknown", here.offset) == (there.symbol or "unknown", there.offset)
