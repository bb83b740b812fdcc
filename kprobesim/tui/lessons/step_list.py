"""The steps that a text lists, as a narrow column shows them."""

from __future__ import annotations

import re
from itertools import groupby
from typing import Final

from rich.cells import cell_len

from kprobesim.course.trail import KEYS, STEP_BLOCKS, WRITTEN

__all__ = ["with_short_steps"]

_BLOCK: Final = re.compile(rf"^```({'|'.join(STEP_BLOCKS)})\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FIELDS: Final = 4
_COMPILED: Final = re.compile(r"bpf_prog_[0-9a-f]{16}_(.+)")


def with_short_steps(markdown: str) -> str:
    """A text whose lists of steps are in columns: what repeats is counted, what does not change is left out.

    Args:
        markdown: of a page.
    """
    return _BLOCK.sub(lambda found: f"```{found[1]}\n{_columns(found[2])}\n```", markdown)


def _columns(block: str) -> str:
    rows = []
    before = ["", ""]
    for line, same in groupby(block.splitlines()):
        key, _, rest = line.partition("  ")
        count = len(list(same))
        if key.partition(" ")[0] in WRITTEN:
            # What is written says where it leads.
            rows.append((key, ""))
            continue
        key = _shown(key)
        fields = rest.split("  ")
        if len(fields) == _FIELDS:
            phase, place, *state = fields
            # Interrupt flag and kprobe_status stand where they have become others.
            changed = [new for new, old in zip(state, before, strict=True) if old and new != old]
            before = state
            rest = "  ".join([*_where(phase, place), *changed])
        rows.append((f"{key} x{count}" if count > 1 else key, rest))
    width = max((cell_len(key) for key, rest in rows if rest), default=0)
    return "\n".join(f"{key}{' ' * (width - cell_len(key))}  {rest}".rstrip() for key, rest in rows)


def _shown(key: str) -> str:
    """An arrow without its grain: the screen says it."""
    return key.partition(" ")[0] if key in KEYS else key


def _where(phase: str, place: str) -> list[str]:
    """A phase that is called as the function is said once; a compiled program goes by its own name without its tag, and
    one that is interpreted is at no place of the kernel's.
    """
    if phase == "BPF":
        compiled = _COMPILED.fullmatch(place)
        return [compiled[1]] if compiled else [phase]
    return [place] if place.partition("+")[0] == phase else [phase, place]
