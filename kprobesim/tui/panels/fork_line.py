"""The timeline of two lives: where they fork, where they part, and where each machine stands."""

from __future__ import annotations

from typing import Final

from textual.content import Content
from textual.widget import Widget

from kprobesim.i18n import Language
from kprobesim.tui import styles
from kprobesim.tui.cells import fit
from kprobesim.tui.twins import TwinView
from kprobesim.tui.wording import say

__all__ = ["ForkLine"]

_MIN_LEGEND: Final = 100
_LEGEND: Final = 52


class ForkLine(Widget):
    """One line, counted in events: single while the lives are one, double behind the place where they part."""

    DEFAULT_CSS = """
    ForkLine { height: 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._twins: TwinView | None = None
        self._language: Language = "en"

    def show(self, twins: TwinView, language: Language) -> None:
        """Draw other moments."""
        self._twins, self._language = twins, language
        self.refresh()

    def render(self) -> Content:
        """The line, then what its marks mean."""
        twins, width = self._twins, self.size.width - 2
        legend = _LEGEND if width >= _MIN_LEGEND else 0
        cells = width - legend
        if twins is None or cells < 4:
            return Content("")
        tracks = [side.track for side in twins.sides]
        span = max(*(track.last - track.first for track in tracks), 1)

        def cell(side: int, seq: int) -> int:
            return min(max(seq - tracks[side].first, 0) * cells // span, cells - 1)

        lengths = [cell(side, tracks[side].last) for side in (0, 1)]
        parting = [cell(side, seq) for side, seq in enumerate(twins.parting) if seq is not None]
        parted = min(parting) if parting else min(lengths) if twins.differs else cells
        marks = {cell(0, twins.fork): ("┬", styles.STRONG)}
        if twins.differs:
            marks[parted] = ("≠", styles.FAILED)
        here = [cell(side, now.seq - 1) for side, now in enumerate(twins.sides)]
        marks[here[0]] = ("◀", styles.CURRENT)
        marks[here[1]] = ("▶", styles.CURRENT)
        if here[0] == here[1]:
            marks[here[0]] = ("▼", styles.CURRENT)
        plain = [("═" if place > parted else "─", styles.DIM) for place in range(cells)]
        for place in range(min(lengths) + 1, cells):
            plain[place] = ("─" if place <= max(lengths) else " ", styles.DIM)
        parts = [(" ", ""), *(marks.get(place, glyph) for place, glyph in enumerate(plain))]
        if legend:
            parts.append((fit(f"  {say(self._language, 'what_if.legend')}", legend), styles.DIM))
        return Content.assemble(*parts)
