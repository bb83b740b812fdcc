"""The maps panel: every BPF map as a table of keys and values."""

from __future__ import annotations

from textual.content import Content

from kprobesim.lab import MapView
from kprobesim.tui import styles
from kprobesim.tui.cells import fit_right, row
from kprobesim.tui.panels.panel import Panel, Rows, View, note
from kprobesim.tui.values import number_text

__all__ = ["MapsPanel"]


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
        anchor = None
        before = {which.name: dict(which.entries) for which in (view.before or view.now).maps}
        for which in view.now.maps:
            size = f"{which.key_size}B → {which.value_size}B  {len(which.entries)} / {which.max_entries}"
            rows.append(row(width, (f" {which.name}", styles.HEAD), (f"  {which.type}  {size}", styles.DIM)))
            old = before.get(which.name, {})
            for key, value in which.entries:
                if value != old.get(key) and anchor is None:
                    anchor = len(rows)
                rows.append(_element(which, key, value, old.get(key), width))
        return Rows(rows, anchor)


def _element(which: MapView, key: bytes, value: bytes, old: bytes | None, width: int) -> Content:
    changed = value != old
    # A new element has nothing before it; a plus says so.
    was = "" if not changed else " +" if old is None else f" ← {number_text(old)}"
    return row(
        width,
        ("▸" if changed else " ", styles.CHANGED),
        (fit_right(number_text(key), min(12, width // 3)), ""),
        "  ",
        (number_text(value), styles.CHANGED if changed else ""),
        (was, styles.DIM),
    )
