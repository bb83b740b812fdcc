"""The BPF panel: the program's instructions on the left, R0 to R10 on the right."""

from __future__ import annotations

import re
from itertools import zip_longest

from textual.content import Content

from kprobesim.lab import BpfView
from kprobesim.tui import styles
from kprobesim.tui.cells import fit, row
from kprobesim.tui.panels.panel import Panel, Rows, View, note
from kprobesim.tui.snapshot import ProgramView
from kprobesim.tui.wording import say

__all__ = ["BpfPanel"]

_REGISTERS = 11
_VALUE = 12
_VALUE_WIDE = 24
_STACK = 512
_LISTING_WIDE = 44
_CLOBBERED = 0xDEADBEEFDEADBEEF
"""What the interpreter puts into R1 to R5 after a call: they hold nothing that a program may rely on."""


class BpfPanel(Panel):
    """The program that runs, or dimmed the one that ran last."""

    NAME = "bpf"

    def heading(self, view: View) -> str:
        """The program's name, and whether it runs."""
        program = view.now.program
        if program is None:
            return ""
        state = "running" if program.running else "resting"
        return f"{program.name} ─ {say(view.language, f'panel.bpf.{state}')}"

    def draw(self, view: View, width: int) -> Rows:
        """The listing keeps its current line in sight; the registers stay where they are."""
        program = view.now.program
        if program is None:
            return Rows(note(width, view, "panel.bpf.empty"))
        right = (_VALUE_WIDE if width >= 70 else _VALUE) + 5
        listing, anchor = _listing(program, width - right - 1)
        registers = [_register(number, program, view, right) for number in range(_REGISTERS)]
        height = max(self.content_size.height, 1)
        # The listing scrolls by itself, as the registers beside it must not move.
        top = min(max((anchor or 0) - height // 2, 0), max(len(listing) - height, 0))
        if len(listing) > height:
            listing = listing[top : top + height]
        blank_left, blank_right = Content(" " * (width - right - 1)), Content(" " * right)
        pairs = zip_longest(listing, registers)
        return Rows([Content.assemble(left or blank_left, " ", right_ or blank_right) for left, right_ in pairs])


def _listing(program: ProgramView, width: int) -> tuple[list[Content], int | None]:
    running = program.running
    rows: list[Content] = []
    anchor = None
    for index, (slot, text) in enumerate(program.lines):
        here = running is not None and slot == running.pc
        if here:
            anchor = index
        short = text if width >= _LISTING_WIDE else _short(text)
        style = styles.CURRENT if here else styles.DIM if running is None else ""
        rows.append(row(width, "▶" if here else " ", f"{slot:>3} ", short, style=style))
    return rows, anchor


def _short(text: str) -> str:
    """An instruction without its opcode and without a helper's prefix and number."""
    return re.sub(r"^call bpf_(\w+)#\d+", r"call \1", text.partition(") ")[2] or text)


def _register(number: int, program: ProgramView, view: View, width: int) -> Content:
    running = program.running
    if running is None:
        return row(width, "  ", (f"R{number:<3}", styles.DIM))
    value = running.registers[number]
    before = view.before.program if view.before is not None else None
    old = before.running.registers[number] if before and before.running and before.name == program.name else value
    changed = value != old
    text = "fp" if number == 10 else _value(value, running, view, width - 5)
    return row(
        width,
        ("▸" if changed else " ", styles.CHANGED),
        (f"R{number:<3}", styles.STRONG if changed else ""),
        (fit(text, width - 5), styles.CHANGED if changed else ""),
    )


def _value(value: int, running: BpfView, view: View, room: int) -> str:
    """A register's value by what it means: a map, a place on the stack, a number."""
    if value == _CLOBBERED:
        return say(view.language, "panel.bpf.clobbered")
    for which in view.now.maps:
        if value == which.address:
            return f"map[{which.name}]"
    fp = running.registers[10]
    if fp - _STACK <= value <= fp:
        return f"fp{value - fp:+d}" if value != fp else "fp"
    if value < 1 << 32:
        return f"{value:,}"
    whole = f"{value:#x}"
    return whole if len(whole) <= room else f"…{whole[3 - room :]}"
