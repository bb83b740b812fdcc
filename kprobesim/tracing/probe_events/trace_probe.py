"""What probe events of the kernel's code and of programs share: the event, and one probe that writes it.

Follows Linux 6.1 kernel/trace/trace_probe.h and trace_probe.c: struct trace_probe_event, struct trace_probe.
"""

from __future__ import annotations

import abc
from dataclasses import replace
from typing import Any, Generic, Protocol, Self, TypeVar

from kprobesim.errors import LinuxError
from kprobesim.kprobes import RunningKernel
from kprobesim.linux_errno import Errno
from kprobesim.tracing.event_filter import FilterField
from kprobesim.tracing.kstrto import kstrtol
from kprobesim.tracing.probe_events.event_text import print_fmt
from kprobesim.tracing.probe_events.fetch import ArgFetcher
from kprobesim.tracing.probe_events.fetch_parse import Op, ProbeArg
from kprobesim.tracing.trace_event import TraceEvent

__all__ = ["ProbeEvent", "TraceProbe", "arg_field", "update_arg"]


class Definition(Protocol):
    """What every command that defines a probe asks for."""

    @property
    def group(self) -> str:
        """Of the event."""

    @property
    def event(self) -> str:
        """The event's name in it."""

    @property
    def is_return(self) -> bool:
        """Probe the return of the function."""

    @property
    def args(self) -> tuple[ProbeArg, ...]:
        """What to record."""


class TraceProbe(abc.ABC):
    """``struct trace_probe``: one probe of an event.

    Args:
        definition: what the command asked for.

    Attributes:
        definition, event: what it is, and what it writes to.
        args: its arguments.
        fetchers: how they are fetched.
        size: bytes of the arguments in a record.
        nhit: how often it was hit.
        order: how many probes of all sorts were defined before it.
    """

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.event: ProbeEvent[Any] | None = None
        self.args = definition.args
        self.fetchers: list[ArgFetcher] = []
        self.size = sum(arg.size for arg in self.args)
        self.nhit = 0
        self.order = 0

    @abc.abstractmethod
    def place(self) -> str:
        """Where it is, as the file of its commands shows it."""

    @abc.abstractmethod
    def head(self) -> str:
        """What it is, as that file shows it in front of the colon."""

    @abc.abstractmethod
    def is_at(self, place: str) -> bool:
        """Whether a word of a delete command names its place."""

    @abc.abstractmethod
    def has_same_place(self, other: Self) -> bool:
        """Whether it is where another probe of its sort is."""

    def show(self) -> str:
        """Its line of that file (``trace_kprobe_show``, ``trace_uprobe_show``)."""
        words = [f"{self.head()}:{self.definition.group}/{self.definition.event}", self.place()]
        return " ".join(words + [f"{arg.name}={arg.comm}" for arg in self.args]) + "\n"

    def match(self, words: list[str]) -> bool:
        """Whether the words behind a delete command fit (``trace_probe_match_command_args``)."""
        if not words:
            return True
        if not self.is_at(words[0]) or len(self.args) < len(words) - 1:
            return False
        texts = (f"{arg.name}={arg.comm}" for arg in self.args)
        return all(text == word for text, word in zip(texts, words[1:], strict=False))

    def is_same(self, other: Self) -> bool:
        """``trace_kprobe_has_same_kprobe``, ``trace_uprobe_has_same_uprobe``."""
        return self.has_same_place(other) and [arg.comm for arg in self.args] == [arg.comm for arg in other.args]

    # Going back and forth in time

    def save(self) -> Any:
        """Its changeable state."""
        return self.nhit

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        self.nhit = state


P = TypeVar("P", bound=TraceProbe)


def update_arg(arg: ProbeArg, kernel: RunningKernel) -> ProbeArg:
    """``traceprobe_update_arg``: an argument with the address of the symbol that it names.

    Raises:
        LinuxError: ENOENT, no such symbol; EINVAL, its offset is no number.
    """
    code = list(arg.code)
    for number, insn in enumerate(code):
        if insn.op is Op.SYMBOL:
            at = next((n for n, letter in enumerate(insn.text) if letter in "+-"), len(insn.text))
            offset = kstrtol(insn.text[at:]) if at < len(insn.text) else 0
            found = kernel.kallsyms.lookup_name(insn.text[:at])
            if not found:
                raise LinuxError(Errno.ENOENT, f"The kernel has no symbol {insn.text[:at]}.")
            code[number + 1] = code[number + 1]._replace(param=found[0].address + offset)
    return replace(arg, code=tuple(code))


def arg_field(arg: ProbeArg, start: int) -> FilterField:
    """The field of an argument (``traceprobe_define_arg_fields``).

    Args:
        arg: the argument.
        start: bytes of a record before the arguments.
    """
    kind = arg.type
    return FilterField(arg.name, arg.fmttype, start + arg.offset, arg.size, kind.is_signed, kind.is_string, arg.count)


class ProbeEvent(TraceEvent, Generic[P]):
    """``struct trace_probe_event``: what one name under ``events/`` stands for. ``P`` is the sort of its probes.

    Args:
        group, name: its place under ``events/``.
        is_return: its probes are return probes.

    Attributes:
        is_return: as given.
        probes: the probes, the oldest first.
    """

    def __init__(self, group: str, name: str, is_return: bool) -> None:
        super().__init__(group, name)
        self.is_return = is_return
        self.probes: list[P] = []

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
            head.append(arg_field(arg, self.head_size))
        return tuple(head)

    def print_fmt(self) -> str:
        """``__set_print_fmt``."""
        return print_fmt(self.is_return, self.args)

    def save(self) -> Any:
        """Its changeable state, and which probes it has; theirs is saved by the list that they are on."""
        return super().save(), tuple(self.probes)

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        common, probes = state
        super().restore(common)
        self.probes = list(probes)
