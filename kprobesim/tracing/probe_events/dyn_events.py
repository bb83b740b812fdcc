"""All probe events of the kernel's code: where their probes are registered, and what a hit does.

Follows Linux 6.1 kernel/trace/trace_kprobe.c.
"""

from __future__ import annotations

import struct
from typing import Final

from kprobesim.errors import LinuxError
from kprobesim.kprobes import KprobeManager, PtRegs
from kprobesim.linux_errno import Errno
from kprobesim.tracing.probe_events.command import parse_probe_command
from kprobesim.tracing.probe_events.errors import ProbeCommandError
from kprobesim.tracing.probe_events.event_list import ProbeEventList
from kprobesim.tracing.probe_events.fetch import store_trace_args
from kprobesim.tracing.probe_events.notrace import check_within_notrace_func
from kprobesim.tracing.probe_events.trace_kprobe import TraceKprobe, TraceProbeEvent
from kprobesim.tracing.trace_array import NMI_MASK, int3_context, thread_context
from kprobesim.tracing.trace_event import EventFile
from kprobesim.tracing.trace_events import TraceEvents

__all__ = ["DynEvents"]

_IP: Final = struct.Struct("<Q")
_FUNC_AND_IP: Final = struct.Struct("<2Q")
# Events of the tracing core itself: they have no files that can be enabled, but their names are taken.
_CORE_EVENTS: Final = frozenset(
    ("ftrace", name)
    for name in ("function", "funcgraph_entry", "funcgraph_exit", "context_switch", "wakeup", "kernel_stack",
                 "user_stack", "bprint", "print", "raw_data", "bputs", "mmiotrace_rw", "mmiotrace_map", "branch",
                 "hwlat", "func_repeats", "osnoise", "timerlat")
)  # fmt: skip


class DynEvents(ProbeEventList[TraceKprobe]):
    """The list behind ``kprobe_events``.

    Args:
        manager, events: see `ProbeEventList`.
    """

    SUBSYSTEM = "trace_kprobe"

    def __init__(self, manager: KprobeManager, events: TraceEvents) -> None:
        super().__init__(manager, events)
        self._manager = manager
        self._trace = events.trace

    def _create(self, words: list[str]) -> None:
        """``__trace_kprobe_create`` and ``register_trace_kprobe``."""
        definition = parse_probe_command(words, self._kernel)
        probe = TraceKprobe(definition, self._kernel, self._dispatch)
        key = definition.group, definition.event
        event = self._events.find(*key)
        if key in _CORE_EVENTS or not isinstance(event, TraceProbeEvent | None):
            raise ProbeCommandError("EVENT_EXIST", 0, errno=Errno.EEXIST)
        if event is None:
            event = TraceProbeEvent(*key, definition.is_return, self._manager)
        else:
            self._check_append(probe, event)
        probe.event = event
        try:
            self._register(probe)
        except LinuxError as error:
            codes = {Errno.EILSEQ: "BAD_INSN_BNDRY", Errno.ENOENT: "BAD_PROBE_ADDR"}
            if error.errno in (Errno.ENOMEM, Errno.EEXIST):
                raise
            raise ProbeCommandError(codes.get(error.errno, "FAIL_REG_PROBE"), 1, errno=error.errno) from error
        self._append(probe, event)

    def _register(self, probe: TraceKprobe) -> None:
        """``__register_trace_kprobe``: disabled, unless the event is enabled already (TFS-02)."""
        try:
            check_within_notrace_func(self._manager.kprobes, probe.kprobe)
            probe.update_args()
            probe.kprobe.disabled = not (probe.event and probe.event.is_registered)
            if probe.kretprobe is not None:
                self._manager.rethooks.register_kretprobe(probe.kretprobe)
            else:
                self._manager.kprobes.register_kprobe(probe.kprobe)
        except LinuxError as error:
            # The module that the symbol names may come later.
            if error.errno is not Errno.ENOENT or ":" not in (probe.definition.symbol or ""):
                raise

    def _take_away(self, probe: TraceKprobe) -> None:
        if probe.kretprobe is not None:
            self._manager.rethooks.unregister_kretprobe(probe.kretprobe)
        else:
            self._manager.kprobes.unregister_kprobe(probe.kprobe)

    # On a hit

    def _dispatch(self, probe: TraceKprobe, regs: PtRegs, ret_ip: int | None) -> None:
        """``kprobe_dispatcher`` and ``kretprobe_dispatcher``: count, then write a record if the event is enabled."""
        probe.nhit += 1
        event, cpu = probe.event, regs.cpu
        if event is None or not self._events.wants(event, cpu):
            return
        preempt_count = self._trace.preempt_count(cpu)
        if ret_ip is None:
            if preempt_count & NMI_MASK:
                context = int3_context(preempt_count, preemption=self._manager.kprobes.config.preemption)
            else:
                context = thread_context(regs, preempt_count)
            place = _IP.pack(probe.kprobe.addr or 0)
        else:
            context = thread_context(regs, preempt_count)
            place = _FUNC_AND_IP.pack(probe.kprobe.addr or 0, ret_ip)
        head = self._trace.head(event.id, context, cpu) + place

        def record(file: EventFile) -> bytes:
            # One that may be dropped is made elsewhere, and finds nothing old there.
            old = b"" if file.filter is not None else file.trace.buffers[cpu].old_bytes(len(head) + probe.size)
            return store_trace_args(probe.fetchers, regs, head, probe.size, old)

        self._events.commit_each(event, cpu, record, regs)
