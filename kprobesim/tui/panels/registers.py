"""The registers panel: each register at its own place, with the value it had before where that was another one."""

from __future__ import annotations

from textual.content import Content

from kprobesim.tui import styles
from kprobesim.tui.cells import fit, row
from kprobesim.tui.panels.panel import Panel, Rows, View
from kprobesim.tui.targets import Target
from kprobesim.tui.values import FLAGS

__all__ = ["RegistersPanel", "old_value"]

_GENERAL = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", *(f"r{number}" for number in range(8, 16)))
_BOTH = 56


class RegistersPanel(Panel):
    """All registers of the current CPU."""

    NAME = "registers"

    def heading(self, view: View) -> str:
        """Where RIP is, by name."""
        return view.now.place

    def draw(self, view: View, width: int) -> Rows:
        """RIP, flags, segments, then the general registers."""
        return Rows(
            [
                _register("rip", view, width),
                _flags(view, width),
                _segments(view, width),
                *(_register(name, view, width) for name in _GENERAL),
            ],
            targets=[Target("register", name) for name in ("rip", "rflags", "cs", *_GENERAL)],
        )


def _before(view: View, name: str) -> int:
    before = view.before or view.now
    return before.registers[name] if before.cpu == view.now.cpu else view.now.registers[name]


def _register(name: str, view: View, width: int) -> Content:
    value, old = view.now.registers[name], _before(view, name)
    changed = value != old
    label = view.now.labels.get(name, "")
    digits = f"{value:016x}"
    zeros = len(digits) - len(digits.lstrip("0"))
    parts: list[tuple[str, str]] = [
        ("▸" if changed else " ", styles.CHANGED),
        (f"{name:<4}", styles.STRONG if changed else ""),
        (digits[:zeros], styles.DIM),
        (digits[zeros:], styles.CHANGED if changed else ""),
        (" ", ""),
    ]
    room = width - 22
    if changed and room >= _BOTH - 22:
        parts += [(fit(f"← {old_value(old)}", 19), styles.DIM), (label, "")]
    elif changed:
        parts.append((f"←{old_value(old, room - 1)}", styles.DIM))
    else:
        parts.append((label, styles.DIM))
    return row(width, *parts)


def old_value(old: int, room: int = 16) -> str:
    """The value before, in hex; its last digits where the whole does not fit."""
    whole = f"{old:x}"
    if len(whole) <= room:
        return whole
    return f"…{whole[1 - room :]}"


def _flags(view: View, width: int) -> Content:
    value, old = view.now.registers["rflags"], _before(view, "rflags")
    parts: list[tuple[str, str]] = [
        ("▸" if value != old else " ", styles.CHANGED),
        ("flags ", styles.STRONG if value != old else ""),
    ]
    for name, bit in FLAGS:
        is_set, was_set = value >> bit & 1, old >> bit & 1
        style = styles.CHANGED if is_set != was_set else "" if is_set else styles.DIM
        parts.append((name if is_set else name.lower(), f"{style} {styles.USED}" if is_set != was_set else style))
        parts.append((" ", ""))
    return row(width, *parts)


def _segments(view: View, width: int) -> Content:
    cs, old = view.now.registers["cs"], _before(view, "cs")
    changed = cs != old
    return row(
        width,
        ("▸" if changed else " ", styles.CHANGED),
        ("cs  ", styles.STRONG if changed else ""),
        (f"{cs:04x}", styles.CHANGED if changed else ""),
        (f"  ring {cs & 3}", styles.STRONG if changed else ""),
        (f" ←{old & 3}" if cs & 3 != old & 3 else "", styles.DIM),
    )
