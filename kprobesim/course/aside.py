"""What is found out by running the machine aside: afterwards it is where it was, with the future that it had."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kprobesim.course.conditions import as_text
from kprobesim.course.perform import Budget, perform
from kprobesim.course.questions import Computed
from kprobesim.course.readings import read_value

if TYPE_CHECKING:
    from kprobesim.lab import Lab
    from kprobesim.machine import Life

__all__ = ["aside", "compute", "read_file"]

_SHOWN: Final = 64 * 1024
"""Characters of a file's end."""


@contextmanager
def aside(lab: Lab) -> Iterator[None]:
    """What is done to the machine inside is forgotten."""
    life = lab.timeline.life()
    try:
        yield
    finally:
        lab.timeline.live(life)


def compute(lab: Lab, computed: Computed, begin: Life, folder: Path) -> str:
    """What the machine works out, as text.

    Args:
        lab: the machine.
        computed: what to do with it, and what to read then.
        begin: its life at the lesson's start.
        folder: the lesson's, where actions find their files.

    Raises:
        KprobesimError: it cannot be worked out.
    """
    with aside(lab):
        if computed.begin == "start":
            lab.timeline.live(begin)
        budget = Budget()
        for action in computed.after:
            perform(lab, action, folder, budget)
        return as_text(lab, read_value(lab, computed.read))


def read_file(lab: Lab, path: str) -> str | None:
    """What ``cat`` of a file of the machine shows now; None if there is none.

    Args:
        lab: the machine.
        path: absolute.
    """
    with aside(lab):
        budget = Budget()
        # An input that does nothing: from here on the known future does not happen, but what is under way does.
        lab.timeline.input(f"read {path}", lambda: None)
        lab.run(interrupt=budget)
        before = len(lab.console)
        lab.type(f"cat {path}")
        lab.run(interrupt=budget)
        text = lab.console[before:]
    return None if text.startswith(f"cat: {path}: ") else text[-_SHOWN:]
