"""The switches of ``trace_options`` and ``options/``: Linux 6.1 kernel/trace/trace.h (TRACE_FLAGS), trace.c."""

from __future__ import annotations

from typing import Final

from kprobesim.errors import LinuxError
from kprobesim.linux_errno import Errno

__all__ = ["TraceOptions"]

_ON_AT_BOOT: Final = frozenset(
    ("print-parent", "trace_printk", "annotate", "context-info", "record-cmd", "overwrite", "irq-info", "markers",
     "hash-ptr", "function-trace")
)  # fmt: skip
_NAMES: Final = (
    "print-parent", "sym-offset", "sym-addr", "verbose", "raw", "hex", "bin", "block", "trace_printk", "annotate",
    "userstacktrace", "sym-userobj", "printk-msg-only", "context-info", "latency-format", "record-cmd", "record-tgid",
    "overwrite", "disable_on_free", "irq-info", "markers", "event-fork", "pause-on-trace", "hash-ptr", "function-trace",
    "function-fork", "display-graph", "stacktrace",
)  # fmt: skip
# Those of the tracer nop, which are there to try out options with.
_TRACER_NAMES: Final = ("test_nop_accept", "test_nop_refuse")


class TraceOptions:
    """All options and which are on.

    Attributes:
        names: of all options of the trace, in Linux's order.
        tracer_names: of the options of the tracer nop.
        of_the_kernel: the names of those for which an instance has no file (``TOP_LEVEL_TRACE_FLAGS``).
        on: the names of those that are on.
    """

    names = _NAMES
    tracer_names = _TRACER_NAMES
    of_the_kernel = frozenset({"trace_printk", "printk-msg-only", "record-cmd"})

    def __init__(self) -> None:
        self.on = _ON_AT_BOOT

    def __contains__(self, name: str) -> bool:
        return name in self.on

    def set(self, name: str, on: bool) -> None:
        """``set_tracer_flag``, ``set_tracer_option``.

        Raises:
            LinuxError: EINVAL, no such option, or one that refuses to be set.
        """
        if name not in self.names + self.tracer_names:
            raise LinuxError(Errno.EINVAL, f"There is no option {name}.", hint="trace_options lists them.")
        if (name in self.on) == on:
            return
        if name == "test_nop_refuse":
            raise LinuxError(Errno.EINVAL, "test_nop_refuse is there to be refused.")
        self.on = self.on | {name} if on else self.on - {name}

    def text(self) -> str:
        """The ``trace_options`` file."""
        return "".join(f"{'' if name in self.on else 'no'}{name}\n" for name in self.names + self.tracer_names)
