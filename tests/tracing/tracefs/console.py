"""A booted machine with its shell, for tests of the files under /sys/kernel/tracing."""

from collections.abc import Iterable

from kprobesim.errors import LinuxError
from kprobesim.lab import Lab
from kprobesim.shell import ShellSession

HEADER_LINES = 12


class Console:
    """Commands in, what the console prints out; the working directory is /sys/kernel/tracing."""

    def __init__(self, cpus: int = 1, profile: str = "bare") -> None:
        self.lab = Lab.open(cpus=cpus, profile=profile)
        self._session = ShellSession(self.lab)
        self.run("cd /sys/kernel/tracing")

    def run(self, *lines: str) -> str:
        """What the commands print."""
        return "".join(text for line in lines for text in self._session.run_line(line))

    def trace(self) -> list[str]:
        """The lines of the trace behind its header."""
        return self.run("cat trace").splitlines()[HEADER_LINES:]


def define(lab: Lab, command: str) -> LinuxError | None:
    """Give a command to kprobe_events, past the guest; what it is refused with, if it is."""
    try:
        lab.tracing.dyn_events.run_command(command)
    except LinuxError as error:
        return error
    return None


def last_error(lab: Lab) -> tuple[str, int]:
    """Message and caret column of the newest entry of error_log."""
    entry = lab.tracing.events.errors.entries[-1]
    return entry.message, entry.column


def functions(trace: Iterable[str]) -> list[str]:
    """What stands behind the time in lines of the trace."""
    return [line.split(": ", 1)[1] for line in trace]
