"""The stack panel: the words above RSP, with the names of the trap frame and of ``struct pt_regs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from kprobesim.tui import styles
from kprobesim.tui.cells import fit, row
from kprobesim.tui.panels.panel import Panel, Rows, View
from kprobesim.tui.targets import Target
from kprobesim.tui.wording import say

if TYPE_CHECKING:
    from kprobesim.lab import StackWord

__all__ = ["StackPanel"]

_WIDE = 50
_BEFORE = 7
"""Cells of a narrow line that neither the name of a field nor its value takes."""
_NAME, _SHORT_NAME = 13, 11
"""Cells of that name, the longest being ``regs->orig_ax``; fewer where the value's 16 digits have no room beside it."""
_SLOT_SIZE = 16


class StackPanel(Panel):
    """Top of the stack first; where a trap is being handled, its saved ``ip`` stays in sight."""

    NAME = "stack"

    def heading(self, view: View) -> str:
        """Whose stack, and which."""
        now = view.now
        who = f"{now.comm}/{now.pid}" if now.comm else f"cpu{now.cpu}"
        ring = "user" if now.registers["cs"] & 3 == 3 else "kernel"
        return f"{who} ─ {say(view.language, f'panel.stack.{ring}')}"

    def draw(self, view: View, width: int) -> Rows:
        """One word a row."""
        stack = view.now.stack
        old = {word.address: word.value for word in (view.before or view.now).stack}
        rows = [
            _word(word, word.symbol or _slot_name(word.value, view), old.get(word.address), width, first=index == 0)
            for index, word in enumerate(stack)
        ]
        anchor = next((i for i, word in enumerate(stack) if word.field == "regs->ip"), None)
        if anchor is None:
            anchor = next((i for i, word in enumerate(stack) if word.field == "ip"), None)
        return Rows(rows, anchor, [Target("memory", number=word.address, size=8) for word in stack])


def _slot_name(value: int, view: View) -> str:
    """A place in a probe's slot, by name."""
    for probe in view.now.kprobe.probes:
        # A probe that ftrace serves has none.
        if probe.slot and probe.slot <= value < probe.slot + _SLOT_SIZE:
            return f"slot+{value - probe.slot:#x}"
    return ""


def _word(word: StackWord, symbol: str, old: int | None, width: int, *, first: bool) -> Content:
    wide = width >= _WIDE
    column = _NAME if width >= _BEFORE + _NAME + 16 else _SHORT_NAME
    changed = old is not None and old != word.value
    value = f"{word.value:016x}"
    if symbol and not wide:
        # In the value's stead, and as far as the line goes.
        value = fit(symbol, max(width - _BEFORE - column, 16)).rstrip()
    return row(
        width,
        ("▸" if changed else " ", styles.CHANGED),
        (f"{word.address:016x}" if width >= _WIDE + 16 else f"{word.address & 0xFFFF:04x}", styles.DIM),
        " ",
        (fit(word.field or ("rsp" if first else ""), column), styles.HEAD if word.field else styles.STRONG),
        " ",
        (value, styles.CHANGED if changed else ""),
        " " if wide else "",
        (symbol if wide else "", styles.DIM),
    )
