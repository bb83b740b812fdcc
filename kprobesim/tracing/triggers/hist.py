"""Histograms of an event's records: the trigger, and the ``hist`` file that shows them.

Follows Linux 6.1 kernel/trace/trace_events_hist.c (event_hist_trigger, hist_trigger_show) and tracing_map.c.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kprobesim.kprobes import PtRegs, RunningKernel
from kprobesim.tracing.event_filter import EventFilter
from kprobesim.tracing.trace_array import TraceArray
from kprobesim.tracing.triggers.hist_parse import HistField, HistSpec
from kprobesim.tracing.triggers.trigger import Trigger

if TYPE_CHECKING:
    from kprobesim.tracing.trace_event import EventFile

__all__ = ["HistTrigger", "hist_file"]

_MASK64: Final = (1 << 64) - 1
_STACK_DEPTH: Final = 16
_BAR: Final = 20
_MAX_TEXT: Final = 255
_LOC: Final = struct.Struct("<I")

Key = tuple[Any, ...]


@dataclass
class _Entry:
    """``struct tracing_map_elt``: the sums, hitcount first, and who hit it first."""

    sums: list[int]
    comm: str


class HistTrigger(Trigger):
    """``hist``: counts and sums by key.

    Args:
        spec: what to count.
        trace: for stacks and the time.
        kernel: for the names of tasks, symbols and system calls.
        only_if: which records count.
    """

    kind = "hist"
    needs_record = True

    def __init__(self, spec: HistSpec, trace: TraceArray, kernel: RunningKernel, only_if: EventFilter | None) -> None:
        super().__init__(None, only_if)
        self.spec = spec
        self.paused = spec.pause
        self._trace = trace
        self._kernel = kernel
        self._entries: dict[Key, _Entry] = {}
        self._hits = self._drops = 0
        self._saved: object = None

    def matches(self, spec: HistSpec, only_if: EventFilter | None) -> bool:
        """``hist_trigger_match``."""
        texts = [condition and condition.text for condition in (self.filter, only_if)]
        return self.spec.matches(spec) and texts[0] == texts[1]

    def clear(self) -> None:
        """``hist_clear``."""
        self._entries, self._hits, self._drops, self._saved = {}, 0, 0, None

    # On a hit

    def fire(self, cpu: int, regs: PtRegs | None, record: bytes | None = None) -> bool:
        """Add a record to its entry; one for which there is no room is dropped."""
        assert record is not None
        self._saved = None
        key = tuple(self._value(field, cpu, record, regs) for field in self.spec.keys)
        entry = self._entries.get(key)
        if entry is None:
            if len(self._entries) >= 1 << self.spec.bits:
                self._drops += 1
                return False
            task = self._kernel.current(cpu)
            name = task.name if task.pid else "<idle>"
            entry = self._entries[key] = _Entry([0] * (1 + len(self.spec.values)), name)
        self._hits += 1
        entry.sums[0] += 1
        for number, field in enumerate(self.spec.values, 1):
            entry.sums[number] = entry.sums[number] + self._number(field, cpu, record) & _MASK64
        return True

    def _value(self, field: HistField, cpu: int, record: bytes, regs: PtRegs | None) -> Any:
        if field.name == "stacktrace":
            return tuple(self._trace.stack_trace(cpu, regs)[:_STACK_DEPTH])
        if field.is_text:
            assert field.field is not None
            return _text(record, field.field.offset)
        return self._number(field, cpu, record)

    def _number(self, field: HistField, cpu: int, record: bytes) -> int:
        """The value as an unsigned 64-bit number, after log2 or buckets."""
        if field.name == "common_timestamp":
            ns = self._kernel.machine.ns
            value = (ns + 500) // 1000 if field.modifier == "usecs" else ns
        elif field.field is None:
            value = cpu
        else:
            place = field.field
            data = record[place.offset : place.offset + place.size]
            value = int.from_bytes(data, "little", signed=place.is_signed) & _MASK64
        if field.modifier == "log2":
            return (value - 1).bit_length() if value > 1 else 0
        return value - value % field.buckets if field.buckets else value

    # Texts

    def head(self) -> str:
        """The trigger without the condition."""
        return self.spec.show()

    def show(self) -> str:
        """Its line of the ``trigger`` file."""
        condition = f" if {self.filter.text}" if self.filter is not None else ""
        return f"{self.head()}{condition} [{'paused' if self.paused else 'active'}]\n"

    def table(self) -> str:
        """The histogram (``hist_trigger_show``)."""
        entries = self._sorted()
        lines = [f"{{ {self._key(key, entry)}}}{self._sums(entry)}\n" for key, entry in entries]
        return (
            f"# event histogram\n#\n# trigger info: {self.show()}#\n\n{''.join(lines)}\nTotals:\n"
            f"    Hits: {self._hits}\n    Entries: {len(entries)}\n    Dropped: {self._drops}\n"
        )

    def _sorted(self) -> list[tuple[Key, _Entry]]:
        entries = list(self._entries.items())
        for sort in reversed(self.spec.sort):
            entries.sort(key=self._order(sort.index), reverse=sort.descending)
        return entries

    def _order(self, index: int) -> Callable[[tuple[Key, _Entry]], Any]:
        """What entries compare by; stacks do not compare."""
        sums = 1 + len(self.spec.values)
        if index < sums:
            return lambda item: item[1].sums[index]
        field = self.spec.keys[index - sums]
        if field.name == "stacktrace":
            return lambda item: 0
        if field.field is not None and field.field.is_signed and not field.modifier.startswith(("log2", "buckets")):
            return lambda item: item[0][index - sums] - (item[0][index - sums] >> 63 << 64)
        return lambda item: item[0][index - sums]

    def _key(self, key: Key, entry: _Entry) -> str:
        """``hist_trigger_print_key``, with the blank that a stack does without."""
        texts = [self._one(field, value, entry) for field, value in zip(self.spec.keys, key, strict=True)]
        multiline = any(field.name == "stacktrace" for field in self.spec.keys)
        return ", ".join(texts) + ("" if multiline else " ")

    def _one(self, field: HistField, value: Any, entry: _Entry) -> str:
        name, symbols = field.name, self._kernel.kallsyms
        if name == "stacktrace":
            return "stacktrace:\n" + "".join(f"         {symbols.sprint_symbol(address)}\n" for address in value)
        if field.is_text:
            return f"{name}: {value:<50}"
        match field.modifier:
            case "hex":
                shown = f"{value:x}"
            case "sym":
                shown = f"[{value:x}] {symbols.sprint_symbol(value).partition('+')[0]:<45}"
            case "sym-offset":
                shown = f"[{value:x}] {symbols.sprint_symbol(value):<55}"
            case "execname":
                shown = f"{entry.comm:<16}[{value:10}]"
            case "syscall":
                shown = f"{self._syscall(value):<30}[{value:3}]"
            case "log2":
                shown = f"~ 2^{value:<2}"
            case "buckets":
                shown = f"~ {value}-{value + field.buckets - 1}"
            case _:
                shown = f"{value:10}"
        return f"{name}: {shown}"

    def _syscall(self, number: int) -> str:
        """``get_syscall_name``, from the kernel's own table."""
        if number < 1 << 12 and self._kernel.has_symbol("sys_call_table"):
            table = self._kernel.kallsyms.lookup_name("sys_call_table")[0]
            place = self._kernel.kallsyms.lookup_size_offset(self._kernel.read_u64(table.address + 8 * number))
            if place is not None and place[0].name.startswith("__x64_sys_"):
                return place[0].name.removeprefix("__x64_")
        return "unknown_syscall"

    def _sums(self, entry: _Entry) -> str:
        """``hist_trigger_print_val`` for all values."""
        text = f" hitcount: {entry.sums[0]:10}"
        for number, field in enumerate(self.spec.values, 1):
            value = entry.sums[number]
            column = [other.sums[number] for other in self._entries.values()]
            if field.modifier == "percent":
                share = value * 10000 // sum(column) if sum(column) else 0
                text += f"  {field.name} (%): {share // 100:3}.{share % 100:02}"
            elif field.modifier == "graph":
                share = value * 10000 // max(column) if max(column) else 0
                text += f"  {field.name}: {'#' * (share * _BAR // 10000):<{_BAR}}"
            else:
                text += f"  {field.name}: {value:10x}" if field.modifier == "hex" else f"  {field.name}: {value:10}"
        return text

    # Going back and forth in time

    def save(self) -> Any:
        """What was counted so far."""
        if self._saved is None:
            entries = tuple((key, tuple(entry.sums), entry.comm) for key, entry in self._entries.items())
            self._saved = entries, self._hits, self._drops
        return super().save(), self._saved

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        common, (entries, self._hits, self._drops) = state
        super().restore(common)
        self._entries = {key: _Entry(list(sums), comm) for key, sums, comm in entries}
        self._saved = state[1]


def hist_file(file: EventFile) -> str:
    """An event's ``hist`` file: all its histograms."""
    return "\n\n".join(trigger.table() for trigger in file.triggers if isinstance(trigger, HistTrigger))


def _text(record: bytes, offset: int) -> str:
    (location,) = _LOC.unpack_from(record, offset)
    text = record[location & 0xFFFF :][: min(location >> 16, _MAX_TEXT)]
    return text.split(b"\0")[0].decode("latin-1")
