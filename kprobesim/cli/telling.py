"""Events as lines of text or JSON, one at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import click

from kprobesim.i18n import Language

if TYPE_CHECKING:
    from kprobesim.lab import Event, Lab

__all__ = ["is_told", "sentence", "tell"]

_TOLD: Final = (
    "input", "text.poke", "kprobe.", "rethook.", "ftrace.", "fprobe.", "bpf.", "map.", "trace.printk", "console",
    "task.exec", "panic", "filter.", "seccomp.", "socket.",
)  # fmt: skip
_TRAPS: Final = (1, 3)


def is_told(event: Event) -> bool:
    """Whether the plain mode says it: what probes and programs do, and not every interrupt and system call."""
    return event.kind.startswith(_TOLD) or (event.kind in ("trap", "gate") and event.fields["vector"] in _TRAPS)


def sentence(lab: Lab, event: Event, language: Language) -> str:
    """An event as one line: when, where, what and why."""
    told = (" " if language == "en" else "").join(lab.narrate(event, language)).rstrip()
    return f"{event.ns / 1e6:10.3f} ms  cpu{event.cpu}  {told}"


def tell(line: str, speed: float | None) -> None:
    """Print a line, and wait as long as one takes.

    Args:
        line: without the newline.
        speed: lines a second; no waiting without one.
    """
    click.echo(line)
    if speed:
        time.sleep(1 / speed)
