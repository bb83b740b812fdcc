"""The BPF panel: the program's instructions on the left, R0 to R10 and what is on its stack on the right."""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import TYPE_CHECKING

from textual.content import Content

from kprobesim.tui import styles
from kprobesim.tui.cells import fit, row
from kprobesim.tui.panels.code import plain_text
from kprobesim.tui.panels.panel import Panel, Rows, View, note
from kprobesim.tui.snapshot import ProgramView
from kprobesim.tui.targets import Target
from kprobesim.tui.wording import say

if TYPE_CHECKING:
    from kprobesim.lab import BpfView

__all__ = ["BpfPanel"]

_REGISTERS = 11
_VALUE = 12
_VALUE_WIDE = 24
_STACK = 512
_WORD = 8
_BROAD = 70
_LABEL = 7
_LISTING_WIDE = 44
_BESIDE = 64
_X86_WIDE = 42
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
        how = " ─ JIT" if program.code else ""
        return f"{program.name}{how} ─ {say(view.language, f'panel.bpf.{state}')}"

    def draw(self, view: View, width: int) -> Rows:
        """The listing keeps its current line in sight."""
        program = view.now.program
        if program is None:
            return Rows(note(width, view, "panel.bpf.empty"))
        return _listing(program, view.now.registers["rip"], width)

    def aside_width(self, view: View, width: int) -> int:
        """The registers stay where they are while the listing scrolls."""
        if view.now.program is None:
            return 0
        if width < _BROAD:
            return _VALUE + 5
        return 2 * (_VALUE + 5) + 1 if self.content_size.height < _REGISTERS else _VALUE_WIDE + 5

    def aside(self, view: View, width: int) -> list[Content]:
        """R0 to R10 and the words of the stack that are not 0; in two columns where the panel is broad and low."""
        program = view.now.program
        assert program is not None
        height, column = self.content_size.height, _VALUE + 5
        if width <= 2 * column or height >= _REGISTERS:
            return _state(program, view, width)
        rows = _state(program, view, column)
        pairs = zip_longest(rows[:height], rows[height:], fillvalue=Content(" " * column))
        return [Content.assemble(one, " ", other) for one, other in pairs]


def _state(program: ProgramView, view: View, width: int) -> list[Content]:
    registers = [_register(number, program, view, width) for number in range(_REGISTERS)]
    return [*registers, *_stack(program, view, width)]


def _stack(program: ProgramView, view: View, width: int) -> list[Content]:
    """The words below R10 that are not 0, or were not."""
    running = program.running
    if running is None:
        return []
    earlier = _running_before(program, view) or running
    rows = []
    for below in range(_WORD, len(running.stack) + 1, _WORD):
        value, old = (int.from_bytes(each.stack[-below:][:_WORD], "little") for each in (running, earlier))
        if value or old:
            changed, room = value != old, width - _LABEL - 1
            rows.append(
                row(
                    width,
                    ("▸" if changed else " ", styles.CHANGED),
                    (fit(f"fp-{below}", _LABEL), styles.STRONG if changed else styles.DIM),
                    (fit(_value(value, running, view, room), room), styles.CHANGED if changed else ""),
                )
            )
    return rows


def _running_before(program: ProgramView, view: View) -> BpfView | None:
    """The same program's state at the position before, if it ran there."""
    before = view.before.program if view.before is not None else None
    return before.running if before is not None and before.name == program.name else None


def _listing(program: ProgramView, rip: int, width: int) -> Rows:
    """BPF instructions, and where there is machine code that of each beside it, or below where there is no room."""
    running = program.running
    beside = width >= _BESIDE
    column = width // 2 if program.code and beside else width
    rows: list[Content] = []
    targets: list[Target | None] = []
    anchor = None
    lines = [(-1, "prologue"), *program.lines] if program.code else program.lines
    for slot, text in lines:
        code = program.code.get(slot, ())
        here = running is not None and slot == running.pc and not program.code
        at = next((index for index, (address, raw, _) in enumerate(code) if address <= rip < address + len(raw)), None)
        here = here or at is not None
        if here:
            anchor = len(rows) + (at or 0) * beside
        short = text if column >= _LISTING_WIDE else _short(text)
        style = styles.CURRENT if here else styles.DIM if running is None else ""
        number = f"{slot:>3} " if slot >= 0 else "    "
        first = row(column, "▶" if here else " ", number, short, style=style)
        x86 = [_x86(insn, index == at, width - column if beside else width) for index, insn in enumerate(code)]
        if beside and x86:
            pairs = zip_longest([first], x86)
            rows += [Content.assemble(one or Content(" " * column), other) for one, other in pairs]
            targets += [Target("code", number=address, size=min(len(raw), 8)) for address, raw, _ in code]
        else:
            rows += [first, *x86]
            targets.append(None)
            targets += [Target("code", number=address, size=min(len(raw), 8)) for address, raw, _ in code]
    return Rows(rows, anchor, targets)


def _x86(insn: tuple[int, bytes, str], here: bool, width: int) -> Content:
    _, raw, text = insn
    shown = fit(raw.hex(" "), 22) if width >= _X86_WIDE else ""
    return row(
        width, ("▶" if here else " ", styles.STRONG), "   " if width < _X86_WIDE else " ", (shown, styles.DIM),
        plain_text(text, ""), style=styles.CURRENT if here else "",
    )  # fmt: skip


def _short(text: str) -> str:
    """An instruction without its opcode and without a helper's prefix and number."""
    return re.sub(r"^call bpf_(\w+)#\d+", r"call \1", text.partition(") ")[2] or text)


def _register(number: int, program: ProgramView, view: View, width: int) -> Content:
    running = program.running
    if running is None:
        return row(width, "  ", (f"R{number:<3}", styles.DIM))
    value = running.registers[number]
    before = _running_before(program, view)
    old = before.registers[number] if before is not None else value
    changed = value != old
    text = "fp" if number == 10 and value else _value(value, running, view, width - 5)
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
    # In the prologue of machine code there is no frame yet.
    if fp and fp - _STACK <= value <= fp:
        return f"fp{value - fp:+d}" if value != fp else "fp"
    if value < 1 << 32:
        return f"{value:,}"
    whole = f"{value:#x}"
    return whole if len(whole) <= room else f"…{whole[3 - room :]}"
