"""All probe events of one kernel: defining, enabling and removing them, and what a hit does.

Follows Linux 6.1 kernel/trace/trace_kprobe.c and trace_dynevent.c.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from kprobesim.errors import LinuxError
from kprobesim.kprobes import KprobeManager, PtRegs
from kprobesim.linux_errno import Errno
from kprobesim.tracing.ctype import words as split_words
from kprobesim.tracing.error_log import LoggedError
from kprobesim.tracing.probe_events.command import parse_probe_command
from kprobesim.tracing.probe_events.errors import PROBE_ERRORS, ProbeCommandError
from kprobesim.tracing.probe_events.fetch import store_trace_args
from kprobesim.tracing.probe_events.notrace import check_within_notrace_func
from kprobesim.tracing.probe_events.trace_kprobe import TraceKprobe, TraceProbeEvent
from kprobesim.tracing.trace_array import NMI_MASK, int3_context, thread_context
from kprobesim.tracing.trace_event import EventFile
from kprobesim.tracing.trace_events import TraceEvents, readable

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


class DynEvents:
    """The list behind ``kprobe_events`` and ``dynamic_events``.

    Args:
        manager: where the probes are registered.
        events: the list that the events are in, and the trace that they write to.

    Attributes:
        probes: all probes, in the order in which they were defined.
    """

    def __init__(self, manager: KprobeManager, events: TraceEvents) -> None:
        self._manager = manager
        self._kernel = manager.kernel
        self._machine = manager.kernel.machine
        self.probes: list[TraceKprobe] = []
        self._events = events
        self._trace = events.trace
        self._clear_trace = False

    # Commands

    def run_command(self, command: str, *, delete: str = "-") -> None:
        """Run one line written to ``kprobe_events`` (``create_or_delete_trace_kprobe``).

        Args:
            command: the line, without newline and comment.
            delete: letters that a deletion begins with: ``-``, in ``dynamic_events`` also ``!``.

        Raises:
            LinuxError: what the write returns; an entry in the log has been made where Linux makes one.
        """
        words = split_words(command)
        if not words:
            return
        if command[0] in delete:
            self.release(words)
            return
        try:
            self._create(words)
        except ProbeCommandError as error:
            message = PROBE_ERRORS[error.code]
            self._events.errors.add(
                LoggedError(self._machine.ns, "trace_kprobe", message, " ".join(words), error.caret(words))
            )
            raise

    def _create(self, words: list[str]) -> None:
        """``__trace_kprobe_create`` and ``register_trace_kprobe``."""
        definition = parse_probe_command(words, self._kernel)
        probe = TraceKprobe(definition, self._kernel, self._dispatch)
        key = definition.group, definition.event
        event = self._events.find(*key)
        is_new = event is None
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
        event.probes.append(probe)
        self.probes.append(probe)
        if is_new:
            self._events.add(event, dynamic=True)
        self._machine.emit("event.define", event=event.full_name, id=event.id, command=readable(probe.show()))

    def _check_append(self, probe: TraceKprobe, event: TraceProbeEvent) -> None:
        """``append_trace_kprobe``: a further probe must fit the event (TFS-04)."""
        if event.is_return != probe.definition.is_return:
            raise ProbeCommandError("DIFF_PROBE_TYPE", 0, errno=Errno.EEXIST)
        old, new = event.args, probe.args
        differs = min(len(old), len(new)) + 1 if len(old) != len(new) else 0
        if not differs:
            pairs = enumerate(zip(new, old, strict=True), 1)
            differs = next(
                (n for n, (a, b) in pairs if (a.type, a.count, a.name) != (b.type, b.count, b.name)),
                0,
            )
        if differs:
            raise ProbeCommandError("DIFF_ARG_TYPE", differs + 1, errno=Errno.EEXIST)
        if any(probe.is_same(other) for other in event.probes):
            raise ProbeCommandError("SAME_PROBE", 0, errno=Errno.EEXIST)

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

    def release(self, words: list[str]) -> None:
        """Delete what a command names (``dyn_event_release``, TFS-05).

        Raises:
            LinuxError: EINVAL, no name; ENOENT, no such event; EBUSY, it is enabled.
        """
        head = words[0]
        if head[0] == "-" and head[1:2] != ":":
            raise LinuxError(Errno.EINVAL, "A deletion is written -:NAME.")
        _, colon, name = head.partition(":")
        group, slash, event = name.partition("/")
        if not slash:
            group, event = "", name
        if not colon or (not slash and not event):
            raise LinuxError(Errno.EINVAL, "A deletion is written -:NAME.")
        found = False
        try:
            for probe in list(self.probes):
                where = probe.definition
                if event not in ("", where.event) or (slash and group != where.group) or not probe.match(words[1:]):
                    continue
                found = True
                self._unregister(probe)
        finally:
            self._reset_if_needed()
        if not found:
            raise LinuxError(Errno.ENOENT, f"There is no event {name}.")

    def release_all(self) -> None:
        """Delete all events, or none (``dyn_events_release_all``, TFS-01).

        Raises:
            LinuxError: EBUSY, one is enabled.
        """
        if any(probe.event is not None and probe.event.is_registered for probe in self.probes):
            self._reset_if_needed()
            raise LinuxError(Errno.EBUSY, "An event is enabled.", hint="Write 0 to its enable file first.")
        for probe in list(self.probes):
            self._unregister(probe)
        self._reset_if_needed()

    def _unregister(self, probe: TraceKprobe) -> None:
        event = probe.event
        assert event is not None
        if len(event.probes) == 1:
            if event.is_registered:
                raise LinuxError(
                    Errno.EBUSY,
                    f"The event {event.name} is in use.",
                    hint="Write 0 to its enable file, and take off triggers and programs.",
                )
            self._events.remove(event)
            self._clear_trace |= event.was_enabled
        if probe.kretprobe is not None:
            self._manager.rethooks.unregister_kretprobe(probe.kretprobe)
        else:
            self._manager.kprobes.unregister_kprobe(probe.kprobe)
        event.probes.remove(probe)
        self.probes.remove(probe)
        self._machine.emit("event.remove", event=event.full_name, command=readable(probe.show()))

    def _reset_if_needed(self) -> None:
        """Records of an event that is gone could not be read any more: the trace is emptied (TFS-06)."""
        if self._clear_trace:
            self._clear_trace = False
            self._trace.reset()

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

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory; the events themselves are in `TraceEvents`."""
        return tuple((probe, probe.nhit) for probe in self.probes), self._clear_trace

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        probes, self._clear_trace = state
        self.probes = [probe for probe, _ in probes]
        for probe, nhit in probes:
            probe.nhit = nhit
