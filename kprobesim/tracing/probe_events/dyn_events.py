"""All probe events of one kernel: defining, enabling and removing them, and what a hit does.

Follows Linux 6.1 kernel/trace/trace_kprobe.c and trace_dynevent.c.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from kprobesim.errors import LinuxError
from kprobesim.kprobes import KprobeManager, PtRegs
from kprobesim.kprobes.kprobe import KprobeFlag
from kprobesim.linux_errno import Errno
from kprobesim.tracing.error_log import ErrorLog, LoggedError
from kprobesim.tracing.event_filter import FILTER_ERRORS, EventFilter, FilterError, parse_filter
from kprobesim.tracing.probe_events.command import parse_probe_command
from kprobesim.tracing.probe_events.errors import PROBE_ERRORS, ProbeCommandError
from kprobesim.tracing.probe_events.event_format import print_event
from kprobesim.tracing.probe_events.fetch import store_trace_args
from kprobesim.tracing.probe_events.notrace import check_within_notrace_func
from kprobesim.tracing.probe_events.trace_kprobe import COMMON_FIELDS, TraceKprobe, TraceProbeEvent
from kprobesim.tracing.trace_array import NMI_MASK, TraceArray, int3_context, thread_context

__all__ = ["DynEvents"]

_FIRST_ID: Final = 1472
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

    Attributes:
        probes: all probes, in the order in which they were defined.
        events: the events by group and name, in the order in which they were made.
        trace: where records go.
        errors: what ``error_log`` reads.
    """

    def __init__(self, manager: KprobeManager) -> None:
        self._manager = manager
        self._kernel = manager.kernel
        self._machine = manager.kernel.machine
        self.probes: list[TraceKprobe] = []
        self.events: dict[tuple[str, str], TraceProbeEvent] = {}
        self.errors = ErrorLog()
        self.trace = TraceArray(manager.kernel, self._print_record)
        self._next_id = _FIRST_ID
        self._by_id: dict[int, TraceProbeEvent] = {}
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
        words = command.split()
        if not words:
            return
        if command[0] in delete:
            self.release(words)
            return
        try:
            self._create(words)
        except ProbeCommandError as error:
            message = PROBE_ERRORS[error.code]
            self.errors.add(LoggedError(self._machine.ns, "trace_kprobe", message, " ".join(words), error.caret(words)))
            raise

    def _create(self, words: list[str]) -> None:
        """``__trace_kprobe_create`` and ``register_trace_kprobe``."""
        definition = parse_probe_command(words, self._kernel)
        probe = TraceKprobe(definition, self._kernel, self._dispatch)
        key = definition.group, definition.event
        event = self.events.get(key)
        is_new = event is None
        if event is None:
            if key in _CORE_EVENTS:
                raise ProbeCommandError("EVENT_EXIST", 0, errno=Errno.EEXIST)
            event = TraceProbeEvent(*key, self._next_id, definition.is_return)
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
            self._next_id += 1
            self.events[key] = self._by_id[event.id] = event
        self._machine.emit(
            "event.define", event=f"{event.group}:{event.name}", id=event.id, command=_readable(probe.show())
        )

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
            probe.kprobe.disabled = not (probe.event and probe.event.enabled)
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
        if any(event.enabled for event in self.events.values()):
            self._reset_if_needed()
            raise LinuxError(Errno.EBUSY, "An event is enabled.", hint="Write 0 to its enable file first.")
        for probe in list(self.probes):
            self._unregister(probe)
        self._reset_if_needed()

    def _unregister(self, probe: TraceKprobe) -> None:
        event = probe.event
        assert event is not None
        if len(event.probes) == 1:
            if event.enabled:
                raise LinuxError(Errno.EBUSY, f"The event {event.name} is enabled.", hint="Write 0 to its enable file.")
            del self.events[event.group, event.name], self._by_id[event.id]
            self._clear_trace |= event.was_enabled
        if probe.kretprobe is not None:
            self._manager.rethooks.unregister_kretprobe(probe.kretprobe)
        else:
            self._manager.kprobes.unregister_kprobe(probe.kprobe)
        event.probes.remove(probe)
        self.probes.remove(probe)
        self._machine.emit("event.remove", event=f"{event.group}:{event.name}", command=_readable(probe.show()))

    def _reset_if_needed(self) -> None:
        """Records of an event that is gone could not be read any more: the trace is emptied (TFS-06)."""
        if self._clear_trace:
            self._clear_trace = False
            self.trace.reset()

    # Switching on and off

    def enable(self, event: TraceProbeEvent, on: bool) -> None:
        """Write to an ``enable`` file (``enable_trace_kprobe``, ``disable_trace_kprobe``).

        Raises:
            LinuxError: a probe could not be armed.
        """
        self.trace.update_buffers()
        if event.enabled == on:
            return
        kprobes = self._manager.kprobes
        for probe in event.probes:
            if probe.kprobe.addr is None or probe.kprobe.flags & KprobeFlag.GONE:
                continue
            (kprobes.enable_kprobe if on else kprobes.disable_kprobe)(probe.kprobe)
        event.enabled = on
        event.was_enabled |= on
        self._machine.emit("event.enable" if on else "event.disable", event=f"{event.group}:{event.name}")

    def set_filter(self, event: TraceProbeEvent, text: str) -> None:
        """Write to a ``filter`` file (``apply_event_filter``, TFS-18).

        Raises:
            FilterError: the expression makes no sense; the file then shows why.
        """
        text = text.rstrip()
        if text.lstrip() == "0":
            event.filter = None
            return
        try:
            event.filter = parse_filter(text, (*event.fields, *COMMON_FIELDS))
        except FilterError as error:
            event.filter = EventFilter(error.shown(text), None)
            code, column = (error.code, error.position) if error.code else ("ERRNO", 0)
            self.errors.add(
                LoggedError(self._machine.ns, "event filter parse error", FILTER_ERRORS[code], text, column)
            )
            raise

    # On a hit

    def _dispatch(self, probe: TraceKprobe, regs: PtRegs, ret_ip: int | None) -> None:
        """``kprobe_dispatcher`` and ``kretprobe_dispatcher``: count, then write a record if the event is enabled."""
        probe.nhit += 1
        event = probe.event
        if event is None or not event.enabled or not self.trace.tracing_on:
            return
        cpu = regs.cpu
        preempt_count = self.trace.preempt_count(cpu)
        if ret_ip is None:
            if preempt_count & NMI_MASK:
                context = int3_context(preempt_count, preemption=self._manager.kprobes.config.preemption)
            else:
                context = thread_context(regs, preempt_count)
            place = _IP.pack(probe.kprobe.addr or 0)
        else:
            context = thread_context(regs, preempt_count)
            place = _FUNC_AND_IP.pack(probe.kprobe.addr or 0, ret_ip)
        head = self.trace.head(event.id, context, cpu) + place
        kept = event.filter.keep if event.filter is not None else None
        old = self.trace.buffers[cpu].old_bytes(len(head) + probe.size) if kept is None else b""
        record = store_trace_args(probe.fetchers, regs, head, probe.size, old)
        if kept is not None and not kept(record, cpu, self._kernel.current(cpu).name):
            return
        if self.trace.write(cpu, record):
            text = print_event(event, record, self._kernel)
            self._machine.emit("trace.entry", event=f"{event.group}:{event.name}", text=_readable(text))

    def _print_record(self, number: int, record: bytes) -> str | None:
        event = self._by_id.get(number)
        return None if event is None else print_event(event, record, self._kernel)

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory."""
        return (
            tuple((probe, probe.nhit) for probe in self.probes),
            tuple(
                (event, event.enabled, event.was_enabled, event.filter, tuple(event.probes))
                for event in self.events.values()
            ),
            self._next_id,
            self._clear_trace,
            self.errors.entries,
            self.trace.save(),
        )

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        probes, events, self._next_id, self._clear_trace, self.errors.entries, trace = state
        self.probes = [probe for probe, _ in probes]
        for probe, nhit in probes:
            probe.nhit = nhit
        self.events, self._by_id = {}, {}
        for event, event.enabled, event.was_enabled, event.filter, members in events:
            event.probes = list(members)
            self.events[event.group, event.name] = self._by_id[event.id] = event
        self.trace.restore(trace)


def _readable(text: str) -> str:
    """A line for people: what was one letter for each byte becomes UTF-8 again."""
    return text.rstrip("\n").encode("latin-1").decode(errors="replace")
