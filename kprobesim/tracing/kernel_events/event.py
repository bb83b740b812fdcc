"""The trace events that come with the kernel: each is one more listener of a tracepoint, making records of its hits.

Follows Linux 6.1 include/trace/trace_events.h and include/trace/perf.h. What an event's records hold and how they read
is an `EventSpec`; this file is what all of them do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from kprobesim.machine import Answer, VCpu, each, then
from kprobesim.tracing.event_filter import FilterField
from kprobesim.tracing.kernel_events.guest import Guest
from kprobesim.tracing.kernel_events.layout import Layout, Value
from kprobesim.tracing.trace_array import TraceArray
from kprobesim.tracing.trace_event import TraceEvent
from kprobesim.tracing.trace_events import TraceEvents
from kprobesim.tracing.tracepoints import Tracepoints

__all__ = ["EventSpec", "KernelEvent", "PerfHandler", "TracepointEvent", "event_head", "text_of"]

_IRQS_OFF, _NEED_RESCHED, _HARDIRQ, _PREEMPT_RESCHED, _NMI = 1, 4, 8, 0x20, 0x40
_HARDIRQ_MASK, _NMI_MASK = 0xF0000, 0xF00000
_TIF_NEED_RESCHED: Final = 1 << 3

PerfHandler = Callable[[VCpu, bytes, int], "Answer | None"]


class EventSpec(NamedTuple):
    """What Linux writes as TRACE_EVENT().

    Attributes:
        group, name: its place under ``events/``.
        layout: TP_STRUCT__entry.
        assign: TP_fast_assign: the fields' values from the guest, the CPU and the tracepoint's arguments.
        print_fmt: of the format file.
        text: TP_printk: the guest, for symbols, and the values.
        tracepoint: who it listens to, if that has another name.
    """

    group: str
    name: str
    layout: Layout
    assign: Callable[[Guest, VCpu, tuple[int, ...]], tuple[Value, ...]]
    print_fmt: str
    text: Callable[[Guest, list[Any]], str]
    tracepoint: str = ""


def event_head(trace: TraceArray, guest: Guest, cpu: VCpu, number: int) -> bytes:
    """The common fields of a record (``tracing_gen_ctx_dec``: the tracepoint's own preempt level is not shown)."""
    preempt_count = trace.preempt_count(cpu.number)
    flags = 0 if cpu.interrupts_enabled() else _IRQS_OFF
    flags |= _HARDIRQ if preempt_count & _HARDIRQ_MASK else 0
    flags |= _NMI if preempt_count & _NMI_MASK else 0
    # On x86 both flags are set together: the second is a bit of the preempt count.
    if guest.member("task_struct", guest.current(cpu), "thread_info.flags") & _TIF_NEED_RESCHED:
        flags |= _NEED_RESCHED | _PREEMPT_RESCHED
    return trace.head(number, (flags, min(preempt_count & 0xFF, 0xF)), cpu.number)


def text_of(value: Value) -> str:
    """The text of a string field."""
    return value.decode("latin-1") if isinstance(value, bytes) else ""


class KernelEvent(TraceEvent):
    """An event that programs can hang on besides the trace.

    Args:
        group, name: its place under ``events/``.
        events: the list that it is in.
        guest: where values are read.

    Attributes:
        handlers: who is given each record, filter or not, as ``perf_trace_NAME`` does.
    """

    def __init__(self, group: str, name: str, events: TraceEvents, guest: Guest) -> None:
        super().__init__(group, name)
        self.handlers: tuple[PerfHandler, ...] = ()
        self._events = events
        self._guest = guest

    def attach(self, handler: PerfHandler) -> None:
        """Have a function called at each hit: with the CPU, the record and the address of the registers.

        The record is 8 bytes of common fields, then the event's own. The registers are those of the program that made
        the system call; 0 where they are the kernel's own at the tracepoint. A program of type TRACEPOINT has the
        record as its context; the first 8 bytes are not for it.

        Raises:
            LinuxError: the event's source cannot be switched on.
        """
        self._events.use(self)
        self.handlers = (*self.handlers, handler)

    def detach(self, handler: PerfHandler) -> None:
        """The reverse of `attach`."""
        self.handlers = tuple(other for other in self.handlers if other != handler)
        self._events.drop(self)

    def hit(self, cpu: VCpu, make: Callable[[], bytes], regs: int = 0) -> Answer:
        """Write a record, if anybody wants one.

        Args:
            cpu: where.
            make: the bytes behind the common fields.
            regs: address of the registers for handlers, see `attach`.
        """
        wanted = self._events.wants(self, cpu.number)
        if not wanted and not self.handlers:
            return 0
        record = event_head(self._events.trace, self._guest, cpu, self.id) + make()

        def write(_: int) -> int:
            if wanted:
                self._events.commit(self, cpu.number, record)
            return 0

        return then(each(handler(cpu, record, regs) for handler in self.handlers), write)

    def save(self) -> Any:
        """Its changeable state."""
        return super().save(), self.handlers

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        common, self.handlers = state
        super().restore(common)


class TracepointEvent(KernelEvent):
    """The event of a tracepoint.

    Args:
        spec: what it is.
        tracepoints: where it listens.
        events: the list that it is in.
        guest: where values are read.
    """

    def __init__(self, spec: EventSpec, tracepoints: Tracepoints, events: TraceEvents, guest: Guest) -> None:
        super().__init__(spec.group, spec.name, events, guest)
        self._spec = spec
        self._tracepoints = tracepoints

    @property
    def fields(self) -> tuple[FilterField, ...]:
        """TP_STRUCT__entry."""
        return self._spec.layout.fields

    def print_fmt(self) -> str:
        """TP_printk as its source has it, macros expanded."""
        return self._spec.print_fmt

    def print_record(self, record: bytes) -> str:
        """TP_printk."""
        return f"{self.name}: {self._spec.text(self._guest, list(self._spec.layout.unpack(record)))}"

    def register(self) -> None:
        """``trace_event_reg``: register with the tracepoint."""
        self._tracepoints.register(self._spec.tracepoint or self.name, self._on_hit)

    def unregister(self) -> None:
        """The reverse."""
        self._tracepoints.unregister(self._spec.tracepoint or self.name, self._on_hit)

    def _on_hit(self, cpu: VCpu, args: tuple[int, ...]) -> Answer:
        spec = self._spec
        return self.hit(cpu, lambda: spec.layout.pack(spec.assign(self._guest, cpu, args)))
