"""The maps panel: every BPF map as a table of keys and values."""

from __future__ import annotations

from rich.cells import cell_len
from textual.content import Content

from kprobesim.tui import styles
from kprobesim.tui.cells import fit_right, row
from kprobesim.tui.panels.panel import Panel, Rows, View, note
from kprobesim.tui.targets import Target
from kprobesim.tui.values import number_text

__all__ = ["MapsPanel"]

_BAR = 24


class MapsPanel(Panel):
    """All maps; what changed since the moment shown before is marked and has its old value beside it."""

    NAME = "maps"

    def heading(self, view: View) -> str:
        """Names of the maps."""
        return " ".join(which.name for which in view.now.maps)

    def draw(self, view: View, width: int) -> Rows:
        """A line for each map, then its elements."""
        if not view.now.maps:
            return Rows(note(width, view, "panel.maps.empty"))
        rows: list[Content] = []
        targets: list[Target | None] = []
        anchor = None
        before = {which.name: dict(which.entries) for which in (view.before or view.now).maps}
        for which in view.now.maps:
            size = f"{which.key_size}B → {which.value_size}B  {len(which.entries)} / {which.max_entries}"
            rows.append(row(width, (f" {which.name}", styles.HEAD), (f"  {which.type}  {size}", styles.DIM)))
            targets.append(None)
            old = before.get(which.name, {})
            most = max((_count(value) for _, value in which.entries), default=0)
            for key, value in which.entries:
                if value != old.get(key) and anchor is None:
                    anchor = len(rows)
                rows.append(_element(key, value, old.get(key), most, width))
                targets.append(Target("element", which.name, key=key))
        return Rows(rows, anchor, targets)


def _count(value: bytes) -> int:
    """A value as a number, for its bar; 0 for what is more than one word."""
    return int.from_bytes(value, "little") if len(value) in (1, 2, 4, 8) else 0


def _bar(value: bytes, most: int, width: int) -> str:
    """How large a value is beside the largest: at least one block for what is not 0."""
    count = _count(value)
    # Addresses and negative numbers are no quantities.
    if width < 4 or not 0 < count <= most < 1 << 47:
        return ""
    return "■" * max(1, round(count / most * width))


def _element(key: bytes, value: bytes, old: bytes | None, most: int, width: int) -> Content:
    changed = value != old
    # A new element has nothing before it; a plus says so.
    was = "" if not changed else " +" if old is None else f" ← {number_text(old)}"
    told = f"{number_text(value)}{was}"
    left = min(12, width // 3) + 3
    column = min(max(18, width - left - _BAR), width - left)
    return row(
        width,
        ("▸" if changed else " ", styles.CHANGED),
        (fit_right(number_text(key), min(12, width // 3)), ""),
        "  ",
        (number_text(value), styles.CHANGED if changed else ""),
        (was, styles.DIM),
        " " * (column - cell_len(told)),
        (_bar(value, most, width - left - column - 1), styles.HEAD),
    )
