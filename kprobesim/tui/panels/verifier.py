"""The verifier panel: every instruction on every path, what was known there, and where a value came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content

from kprobesim.tui import styles
from kprobesim.tui.cells import fit, row, wrap
from kprobesim.tui.panels.panel import Panel, Rows, View, note
from kprobesim.tui.targets import Target
from kprobesim.tui.walk import WalkView
from kprobesim.tui.wording import say

if TYPE_CHECKING:
    from kprobesim.bpf.verifier import Visit, Walk

__all__ = ["VerifierPanel"]

_ENDS = {"exit": "■", "pruned": "≡", "rejected": "✗", "next": " "}


class VerifierPanel(Panel):
    """Paths on the left, one after the other; beside them the state at the visit that the cursor is on."""

    NAME = "verifier"

    def heading(self, view: View) -> str:
        """What Linux prints at the end of its log."""
        walk = view.now.walk
        if walk is None:
            return ""
        name = say(view.language, "panel.verifier.refused") if walk.refused else walk.name
        return f"{name} ─ processed {walk.processed} insns, {walk.states} states"

    def draw(self, view: View, width: int) -> Rows:
        """One visit a row, a line between two paths; on the path to the cursor a dot."""
        told = view.now.walk
        if told is None:
            return Rows(note(width, view, "panel.verifier.empty"))
        walk, chosen = told.walk, self._chosen(told)
        way = set(walk.path(chosen)) if len(walk) else set()
        same = set(walk.at(walk[chosen].insn)) if len(walk) else set()
        rows: list[Content] = []
        targets: list[Target | None] = []
        anchor, path = None, 0
        for position, visit in enumerate(walk):
            if visit.path != path:
                path = visit.path
                rows.append(
                    row(width, (f" ── {say(view.language, 'panel.verifier.path', number=path + 1)}", styles.HEAD))
                )
                targets.append(None)
            if position == chosen:
                anchor = len(rows)
            rows.append(_visit(visit, position == chosen, position in way, position in same, width))
            targets.append(Target("visit", number=position))
            if visit.outcome == "rejected":
                rows += _diagnosis(told, view, width)
                targets += [None] * (len(rows) - len(targets))
        if not any(visit.outcome == "rejected" for visit in walk):
            rows += _diagnosis(told, view, width)
            targets += [None] * (len(rows) - len(targets))
        if walk.dropped:
            rows += note(width, view, "panel.verifier.dropped", count=f"{walk.dropped:,}")
        return Rows(rows, anchor, targets)

    def _chosen(self, told: WalkView) -> int:
        cursor = self.cursor
        if cursor is not None and cursor.kind == "visit" and cursor.number < len(told.walk):
            return cursor.number
        return next((place for place, visit in enumerate(told.walk) if visit.outcome == "rejected"), 0)

    def aside_width(self, view: View, width: int) -> int:
        """Half of the panel."""
        return width // 2 if view.now.walk is not None and width >= 40 else 0

    def aside(self, view: View, width: int) -> list[Content]:
        """State before and after, then the origin of each value that the instruction reads."""
        from kprobesim.bpf.verifier.walk import place_name, read_places

        told = view.now.walk
        if told is None or not len(told.walk):
            return []
        walk, position = told.walk, self._chosen(told)
        visit = walk[position]
        rows = [row(width, (fit(f"{visit.insn}: {visit.text}", width), styles.STRONG))]
        rows += _state(visit, width)
        if visit.message:
            rows += [row(width, (line, styles.FAILED)) for line in wrap(f"✗ {visit.message}", width)]
        for place in read_places(walk.insns[visit.insn]):
            rows += _origins(walk, position, place_name(place), view, width)
        return rows


def _diagnosis(told: WalkView, view: View, width: int) -> list[Content]:
    """Why the program is refused, below the instruction that it is refused for."""
    from kprobesim.bpf.verifier.explain_text import diagnostic_text

    if told.diagnostic is None:
        return []
    lines = diagnostic_text(told.diagnostic, view.language).splitlines()
    return [row(width, (f" {piece}", styles.FAILED)) for line in lines for piece in _pieces(line, max(width - 1, 1))]


def _pieces(line: str, width: int) -> list[str]:
    """A line as it is where it fits, as its blanks are meant; otherwise wrapped."""
    return [line] if cell_len(line) <= width else wrap(line, width)


def _visit(visit: Visit, chosen: bool, on_way: bool, same: bool, width: int) -> Content:
    mark = "▶" if chosen else "•" if on_way else " "
    style = styles.CURRENT if chosen else "" if on_way else styles.DIM
    end = _ENDS.get(visit.outcome, " ")
    return row(width, mark, "=" if same and not chosen else " ", f"{visit.insn:>3} {end} {visit.text}", style=style)


def _state(visit: Visit, width: int) -> list[Content]:
    """Registers and stack slots in use; what the instruction changes, marked, with its new value."""
    before = {place.name: place.text for place in visit.before[-1].places()} if visit.before else {}
    after = {place.name: place.text for place in visit.after[-1].places()} if visit.after else before
    if visit.after and len(visit.after) != len(visit.before):
        # A call or a return: the frame behind it is another function's.
        after = before
    rows = []
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name, ""), after.get(name, "")
        changed = old != new
        parts: list[tuple[str, str]] = [
            ("▸" if changed else " ", styles.CHANGED),
            (fit(name, 6), styles.STRONG if changed else ""),
            (new or "-", styles.CHANGED if changed else ""),
            (f" ← {old or '-'}" if changed else "", styles.DIM),
        ]
        rows.append(row(width, *parts))
    return rows


def _origins(walk: Walk, position: int, name: str, view: View, width: int) -> list[Content]:
    rows = [row(width, (say(view.language, "panel.verifier.origin", place=name), styles.HEAD))]
    for origin in walk.origins(position, name):
        text = f"{origin.insn:>3} {origin.text}" if origin.text else say(view.language, "panel.verifier.entry")
        rows.append(row(width, f" {text}", (f"  {origin.place} = {origin.value}", styles.DIM)))
    return rows
