"""The kprobe panel: what ``struct kprobe_ctlblk`` and the probe at hand hold at this moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from kprobesim.tui import styles
from kprobesim.tui.cells import fit, row
from kprobesim.tui.panels.code import plain_text
from kprobesim.tui.panels.panel import Panel, Rows, View, note
from kprobesim.tui.snapshot import Snapshot
from kprobesim.tui.wording import say

if TYPE_CHECKING:
    from kprobesim.lab import KprobeView, ProbeView

__all__ = ["KprobePanel"]

_NAMES = 10


class KprobePanel(Panel):
    """The state of the kprobe machinery."""

    NAME = "kprobe"

    def heading(self, view: View) -> str:
        """The probe that is shown."""
        probe = _at_hand(view.now)
        return "" if probe is None else probe.name

    def draw(self, view: View, width: int) -> Rows:
        """Per-CPU state first, then the probe at hand, then the others by name."""
        now, before = view.now.kprobe, (view.before or view.now).kprobe
        rows = [
            _line(width, "current", now.current or "NULL", before.current or "NULL"),
            _line(width, "status", _status(now), _status(before)),
            _line(width, "saved IF", _saved(now), _saved(before)),
        ]
        probe = _at_hand(view.now)
        if probe is None:
            return Rows(rows + note(width, view, "panel.kprobe.empty"))
        old = next((item for item in before.probes if item.address == probe.address), probe)
        rows += [
            _line(width, "nmissed", str(probe.nmissed), str(old.nmissed)),
            _line(width, say(view.language, "panel.kprobe.at"), _place(probe), _place(old)),
            _line(width, say(view.language, "panel.kprobe.text"), _text(probe, view), _text(old, view)),
            *_slot(probe, view, width),
        ]
        for other in now.probes:
            if other is not probe:
                rows.append(
                    _line(
                        width,
                        say(view.language, "panel.kprobe.also"),
                        f"{other.name} {'●' if other.armed else '○'}",
                        None,
                    )
                )
        return Rows(rows)


def _at_hand(now: Snapshot) -> ProbeView | None:
    """The probe being handled, or hit last, or the first."""
    probes = now.kprobe.probes
    for probe in probes:
        if now.kprobe.current and probe.name == now.kprobe.current:
            return probe
    for probe in probes:
        if probe.address == now.probed:
            return probe
    return probes[0] if probes else None


def _line(width: int, name: str, value: str, old: str | None) -> Content:
    changed = old is not None and value != old
    return row(
        width,
        ("▸" if changed else " ", styles.CHANGED),
        (fit(name, _NAMES), styles.STRONG if changed else ""),
        (value, styles.CHANGED if changed else ""),
        (f" ← {old}" if changed else "", styles.DIM),
    )


def _status(view: KprobeView) -> str:
    return view.status.removeprefix("KPROBE_") if not view.previous else f"{view.status} ({view.previous})"


def _saved(view: KprobeView) -> str:
    return str(int(view.saved_if)) if view.current else "-"


def _place(probe: ProbeView) -> str:
    return f"{probe.symbol}+{probe.offset:#x}"


def _text(probe: ProbeView, view: View) -> str:
    # While several bytes are written, the first one is an int3 before the probe is armed, and still so afterwards.
    byte = f"{probe.byte:02x}"
    if probe.byte != probe.hidden:
        byte = say(view.language, "panel.code.hidden", byte=byte, hidden=f"{probe.hidden:02x}")
    return f"{'●' if probe.armed else '○'} {byte}"


def _slot(probe: ProbeView, view: View, width: int) -> list[Content]:
    if probe.ftrace:
        return [_line(width, "slot", say(view.language, "panel.kprobe.ftrace"), None)]
    if probe.emulated:
        return [_line(width, "slot", say(view.language, "panel.kprobe.emulated"), None)]
    rip = view.now.registers["rip"]
    rows = [_line(width, "slot", f"{probe.slot:x}", None)]
    for line in probe.slot_code:
        here = line.address <= rip < line.address + len(line.memory)
        raw = fit(line.memory.hex(" "), 15 if width < 44 else 24)
        parts = ("▶" if here else " ", f" {raw} ", plain_text(line.text, ""))
        rows.append(row(width, *parts, style=styles.CURRENT if here else ""))
    return rows
