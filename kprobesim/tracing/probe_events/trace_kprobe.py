"""Probe events: one event of the trace, and the probes that write it.

Follows Linux 6.1 kernel/trace/trace_kprobe.c and trace_probe.h: struct trace_kprobe, struct trace_probe_event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from kprobesim.errors import LinuxError
from kprobesim.kprobes import Kprobe, KprobeFlag, KprobeManager, Kretprobe, PtRegs, RethookNode, RunningKernel
from kprobesim.linux_errno import Errno
from kprobesim.tracing.event_filter import FilterField
from kprobesim.tracing.kstrto import kstrtol
from kprobesim.tracing.probe_events.command import ProbeDefinition
from kprobesim.tracing.probe_events.event_text import print_fmt, print_record
from kprobesim.tracing.probe_events.fetch import ArgFetcher
from kprobesim.tracing.probe_events.fetch_parse import FetchInsn, Op, ProbeArg
from kprobesim.tracing.symbols import hashed_pointer
from kprobesim.tracing.trace_event import TraceEvent

__all__ = ["TraceKprobe", "TraceProbeEvent"]

_MAX_ARGSTR_LEN: Final = 63


class TraceProbeEvent(TraceEvent):
    """``struct trace_probe_event``: what one name under ``events/`` stands for.

    Args:
        group, name: its place under ``events/``.
        is_return: its probes are return probes.
        manager: where they are registered.

    Attributes:
        is_return: as given.
        probes: the probes, the oldest first.
    """

    def __init__(self, group: str, name: str, is_return: bool, manager: KprobeManager) -> None:
        super().__init__(group, name)
        self.is_return = is_return
        self.probes: list[TraceKprobe] = []
        self._manager = manager

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

    def save(self) -> Any:
        """Its changeable state and its probes."""
        return super().save(), tuple(self.probes)

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        common, probes = state
        super().restore(common)
        self.probes = list(probes)


class TraceKprobe:
    """``struct trace_kprobe``: one probe of an event.

    Args:
        definition: what the command asked for.
        kernel: where it will be.
        dispatch: called on each hit with this probe, the registers and, for a return, where it returns to.

    Attributes:
        definition, event: what it is, and what it writes to.
        args: its arguments, with addresses for symbols once it is registered.
        kprobe, kretprobe: the probe itself; the latter for return probes.
        nhit: how often it was hit.
        size: bytes of the arguments in a record.
    """

    def __init__(
        self,
        definition: ProbeDefinition,
        kernel: RunningKernel,
        dispatch: Callable[[TraceKprobe, PtRegs, int | None], None],
    ) -> None:
        self.definition = definition
        self.event: TraceProbeEvent | None = None
        self.args = definition.args
        self.size = sum(arg.size for arg in self.args)
        self.nhit = 0
        self.fetchers: list[ArgFetcher] = []
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
        """``traceprobe_update_arg``: look up the symbols of the arguments.

        Raises:
            LinuxError: ENOENT, no such symbol; EINVAL, its offset is no number.
        """
        self.args = tuple(replace(arg, code=self._resolve(arg)) for arg in self.args)
        self.fetchers = [ArgFetcher(arg, self._kernel) for arg in self.args]

    def _resolve(self, arg: ProbeArg) -> tuple[FetchInsn, ...]:
        code = list(arg.code)
        for number, insn in enumerate(code):
            if insn.op is Op.SYMBOL:
                at = next((n for n, letter in enumerate(insn.text) if letter in "+-"), len(insn.text))
                offset = kstrtol(insn.text[at:]) if at < len(insn.text) else 0
                found = self._kernel.kallsyms.lookup_name(insn.text[:at])
                if not found:
                    raise LinuxError(Errno.ENOENT, f"The kernel has no symbol {insn.text[:at]}.")
                code[number + 1] = code[number + 1]._replace(param=found[0].address + offset)
        return tuple(code)

    # Texts

    def place(self) -> str:
        """Where it is, as ``kprobe_events`` shows it: the offset in decimal, a bare address hashed (TFS-03)."""
        where = self.definition
        if where.symbol is None:
            return f"0x{hashed_pointer(self._kernel, where.address or 0)}"
        return f"{where.symbol}+{where.offset}" if where.offset else where.symbol

    def show(self) -> str:
        """The line of ``kprobe_events`` (``trace_kprobe_show``)."""
        head = "p"
        if self.kretprobe is not None:
            head = f"r{self.kretprobe.maxactive or ''}"
        words = [f"{head}:{self.definition.group}/{self.definition.event}", self.place()]
        return " ".join(words + [f"{arg.name}={arg.comm}" for arg in self.args]) + "\n"

    def match(self, words: list[str]) -> bool:
        """Whether the words behind a delete command fit (``trace_kprobe_match_command_head``)."""
        if not words:
            return True
        if self.place()[:_MAX_ARGSTR_LEN] != words[0] or len(self.args) < len(words) - 1:
            return False
        texts = (f"{arg.name}={arg.comm}"[:_MAX_ARGSTR_LEN] for arg in self.args)
        return all(text == word for text, word in zip(texts, words[1:], strict=False))

    def is_same(self, other: TraceKprobe) -> bool:
        """``trace_kprobe_has_same_kprobe``; as in Linux, two bare addresses count as one place."""
        here, there = self.definition, other.definition
        if (here.symbol or "unknown", here.offset) != (there.symbol or "unknown", there.offset):
            return False
        return [arg.comm for arg in self.args] == [arg.comm for arg in other.args]
