"""One event probe, the event it writes, and the trigger by which it listens to another event.

Follows Linux 6.1 kernel/trace/trace_eprobe.c.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Self

from kprobesim.kprobes import PtRegs, RunningKernel
from kprobesim.machine import PhysicalMemory
from kprobesim.tracing.event_filter import EventFilter, FilterField
from kprobesim.tracing.event_probes.command import EprobeDefinition
from kprobesim.tracing.probe_events.event_text import args_fmt, print_args
from kprobesim.tracing.probe_events.fetch import ArgFetcher, Load
from kprobesim.tracing.probe_events.fetch_parse import FetchInsn, Op, ProbeArg
from kprobesim.tracing.probe_events.trace_probe import ProbeEvent, TraceProbe, arg_field, update_arg
from kprobesim.tracing.trace_event import COMMON_SIZE, EventFile
from kprobesim.tracing.trace_events import TraceEvents
from kprobesim.tracing.triggers import Trigger

__all__ = ["EprobeEvent", "SourceRecord", "TraceEprobe"]

_MASK64 = (1 << 64) - 1


class SourceRecord(NamedTuple):
    """What arguments are fetched from: a record of the other event.

    Attributes:
        ram, root: guest memory and CR3, for what pointers in it lead to.
        cpu: where the hit was.
        data: the record's bytes.
    """

    ram: PhysicalMemory
    root: int
    cpu: int
    data: bytes


class TraceEprobe(TraceProbe):
    """``struct trace_eprobe``.

    Args:
        definition: what the command asked for.
        kernel: for symbols and memory.

    Raises:
        LinuxError: ENOENT, EINVAL, an argument's symbol; the error log says nothing of it.
    """

    definition: EprobeDefinition

    def __init__(self, definition: EprobeDefinition, kernel: RunningKernel) -> None:
        super().__init__(definition)
        self._kernel = kernel
        self.args = tuple(update_arg(arg, kernel) for arg in self.args)
        self.fetchers = [ArgFetcher(arg, kernel, load=self._loader(arg)) for arg in self.args]

    def _loader(self, arg: ProbeArg) -> Load | None:
        """``process_fetch_insn``: the first stage, where it is about the record or the task."""
        first: FetchInsn = arg.code[0]
        # A text that is not in guest memory has no address to go on from: it can only be taken whole.
        is_text = arg.code[1].op is Op.ST_STRING and not arg.code[1].param
        if first.op is Op.COMM:
            return lambda hit: self._kernel.current(hit.cpu).address + self._kernel.task_offset("comm")
        if first.op is Op.DATA and not is_text:
            return lambda hit: 0
        if first.op is not Op.TP_ARG:
            return None
        field = next(field for field in self.definition.attached.fields if field.name == first.text)
        if field.is_text:
            return (lambda hit: _text(field, hit.data)) if is_text else (lambda hit: 0)
        return lambda hit: _number(field, hit.data)

    def place(self) -> str:
        """The event it listens to."""
        return f"{self.definition.attached.group}.{self.definition.attached.name}"

    def head(self) -> str:
        """The letter of event probes."""
        return "e"

    def is_at(self, place: str) -> bool:
        """``eprobe_dyn_event_match``: a slash will do too."""
        attached = self.definition.attached
        system, _, name = place.partition("/" if "/" in place else ".")
        return (system, name) == (attached.group, attached.name)

    def has_same_place(self, other: Self) -> bool:
        """Whether both listen to the same event."""
        return self.definition.attached is other.definition.attached


class EprobeEvent(ProbeEvent[TraceEprobe]):
    """An event that an event probe writes.

    Args:
        group, name: its place under ``events/``.
        kernel: for symbols.
        events: where the other event is.
        hit: called with the probe, its file, the CPU and a record of the other event.
    """

    def __init__(
        self,
        group: str,
        name: str,
        kernel: RunningKernel,
        events: TraceEvents,
        hit: Callable[[TraceEprobe, EventFile, int, bytes], None],
    ) -> None:
        super().__init__(group, name, False)
        self._kernel = kernel
        self._events = events
        self._hit = hit

    @property
    def head_size(self) -> int:
        """The common fields only."""
        return COMMON_SIZE

    @property
    def fields(self) -> tuple[FilterField, ...]:
        """The arguments."""
        return tuple(arg_field(arg, self.head_size) for arg in self.args)

    def print_fmt(self) -> str:
        """``PROBE_PRINT_EVENT``: nothing stands before the arguments."""
        return args_fmt("", [], self.args)

    def print_record(self, record: bytes) -> str:
        """``print_eprobe_event``."""
        words = print_args(self.args, record, self.head_size, self._kernel)
        return " ".join([f"{self.name}: ({self.probes[0].place()})", *words])

    def register_for(self, file: EventFile) -> None:
        """``enable_eprobe``: listen to the other event in the trace that has been the first to ask.

        Raises:
            LinuxError: the other event's source could not be switched on.
        """
        for probe in self.probes:
            source = probe.definition.attached.file(file.trace)
            only_if = None
            if probe.definition.condition:
                only_if = self._events.parse_filter(probe.definition.attached, probe.definition.condition)
            self._events.add_trigger(source, _EprobeTrigger(probe, file, self._hit, only_if))

    def unregister(self) -> None:
        """``disable_eprobe``."""
        for probe in self.probes:
            for source in probe.definition.attached.files:
                for trigger in source.triggers:
                    if isinstance(trigger, _EprobeTrigger) and trigger.probe is probe:
                        self._events.remove_trigger(source, trigger)


class _EprobeTrigger(Trigger):
    """Not one that anybody could write to a ``trigger`` file, nor one that is shown there.

    Args:
        probe: whose.
        file: its event in the trace.
        hit: see `EprobeEvent`.
        only_if: which records of the other event count.
    """

    kind = "eprobe"
    needs_record = True

    def __init__(
        self,
        probe: TraceEprobe,
        file: EventFile,
        hit: Callable[[TraceEprobe, EventFile, int, bytes], None],
        only_if: EventFilter | None,
    ) -> None:
        super().__init__(None, only_if)
        self.probe = probe
        self._file = file
        self._hit = hit

    def fire(self, cpu: int, regs: PtRegs | None, record: bytes | None = None) -> bool:
        """``eprobe_trigger_func``; what comes of it is told by the record it writes."""
        assert record is not None
        self._hit(self.probe, self._file, cpu, record)
        return False

    def head(self) -> str:
        """Nothing."""
        return ""

    def show(self) -> str:
        """No line."""
        return ""


def _text(field: FilterField, record: bytes) -> bytes:
    """``get_event_field`` of a text, with its NUL."""
    at = field.offset
    if field.type.startswith("__data_loc"):
        at = int.from_bytes(record[at : at + 4], "little") & 0xFFFF
    return record[at:].split(b"\0")[0] + b"\0"


def _number(field: FilterField, record: bytes) -> int:
    """``get_event_field`` of anything else: as wide as a register, with its sign; of an array, the first 8 bytes."""
    size = field.size if field.size in (1, 2, 4) else 8
    value: Any = int.from_bytes(record[field.offset : field.offset + size], "little", signed=field.is_signed)
    return int(value) & _MASK64
