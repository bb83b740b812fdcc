"""The timeline: the known life from left to right, with hits, runs, map writes, switches and bookmarks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from textual import events
from textual.content import Content
from textual.message import Message
from textual.widget import Widget

from kprobesim.i18n import Language
from kprobesim.tui import styles
from kprobesim.tui.cells import fit
from kprobesim.tui.snapshot import Snapshot
from kprobesim.tui.wording import say

__all__ = ["TimelineBar"]

_GLYPHS: Final = {"hit": "●", "bpf": "▪", "map": "◆", "switch": "↔", "": "─"}
_STYLES: Final = {"hit": styles.ARMED, "bpf": styles.HEAD, "map": styles.CHANGED}
_MIN_LEGEND: Final = 114
_LEGEND: Final = 50


class TimelineBar(Widget):
    """One line. A click goes there; the wheel steps."""

    DEFAULT_CSS = """
    TimelineBar { height: 1; }
    """

    class Picked(Message):
        """A place on the line was clicked: go to just after this event."""

        def __init__(self, seq: int) -> None:
            super().__init__()
            self.seq = seq

    class Wheeled(Message):
        """The wheel was turned: a step forward, or back."""

        def __init__(self, *, back: bool) -> None:
            super().__init__()
            self.back = back

    def __init__(self) -> None:
        super().__init__()
        self._now: Snapshot | None = None
        self._marked: frozenset[int] = frozenset()
        self._language: Language = "en"
        self._painted = Content("")

    def show(self, now: Snapshot, bookmarks: Iterable[int], language: Language) -> None:
        """Draw another moment.

        Args:
            now: the moment.
            bookmarks: how many events lie behind each bookmark.
            language: of the legend.
        """
        self._now, self._marked, self._language = now, frozenset(bookmarks), language
        if not self._paint().is_same(self._painted):
            self.refresh()

    def _columns(self) -> tuple[int, int]:
        """Cells of the line itself, and of the legend behind it."""
        width = self.size.width - 2
        return (width - _LEGEND, _LEGEND) if width >= _MIN_LEGEND else (width, 0)

    def seq_at(self, column: int) -> int | None:
        """The event that a cell stands for."""
        cells, _ = self._columns()
        if self._now is None or not 0 <= column - 1 < cells:
            return None
        track = self._now.track
        return min(track.first + (column - 1) * (track.last - track.first) // max(cells, 1), track.last - 1)

    def render(self) -> Content:
        """The line."""
        self._painted = self._paint()
        return self._painted

    def _paint(self) -> Content:
        cells, legend = self._columns()
        if self._now is None or cells < 4:
            return Content("")
        track, here = self._now.track, self._now.seq
        span = max(track.last - track.first, 1)
        parts: list[tuple[str, str]] = [(" ", "")]
        position = min(max(here - 1 - track.first, 0) * cells // span, cells - 1)
        flags = {min(max(seq - 1 - track.first, 0) * cells // span, cells - 1) for seq in self._marked}
        for cell in range(cells):
            start = track.first + -(-cell * span // cells)
            stop = track.first + -(-(cell + 1) * span // cells)
            kind = track.kind_between(start, stop)
            glyph = "⚑" if cell in flags else "▼" if cell == position and not kind else _GLYPHS[kind]
            style = _STYLES.get(kind, styles.DIM)
            if cell == position:
                style = styles.CURRENT
            elif cell in flags:
                style = styles.STRONG
            parts.append((glyph, style))
        if legend:
            parts.append((fit(f"  {say(self._language, 'timeline.legend')}", legend), styles.DIM))
        return Content.assemble(*parts)

    def on_click(self, event: events.Click) -> None:
        """Go there."""
        seq = self.seq_at(event.x)
        if seq is not None:
            self.post_message(self.Picked(seq))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """A step forward."""
        event.stop()
        self.post_message(self.Wheeled(back=False))

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """A step back."""
        event.stop()
        self.post_message(self.Wheeled(back=True))
