"""``error_log``: the last eight commands that were refused, and why: Linux kernel/trace/trace.c:tracing_log_err."""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["ErrorLog", "LoggedError"]

_ENTRIES: Final = 8
_CMD_PREFIX: Final = "  Command: "


class LoggedError(NamedTuple):
    """One entry.

    Attributes:
        ns: virtual time.
        where: ``trace_kprobe`` or ``event filter parse error``.
        message: Linux's text.
        command: what was refused.
        column: of the caret in the command.
    """

    ns: int
    where: str
    message: str
    command: str
    column: int

    def __str__(self) -> str:
        seconds, micros = divmod(self.ns // 1000, 1_000_000)
        caret = " " * (len(_CMD_PREFIX) + self.column) + "^"
        return f"[{seconds:5}.{micros:06}] {self.where}: error: {self.message}\n{_CMD_PREFIX}{self.command}\n{caret}\n"


class ErrorLog:
    """The entries, the oldest first."""

    def __init__(self) -> None:
        self.entries: tuple[LoggedError, ...] = ()

    def add(self, entry: LoggedError) -> None:
        """Add the newest entry; the ninth drives the oldest out."""
        self.entries = (*self.entries, entry)[-_ENTRIES:]

    def clear(self) -> None:
        """What ``>`` does."""
        self.entries = ()

    def text(self) -> str:
        """The whole file."""
        return "".join(map(str, self.entries))
