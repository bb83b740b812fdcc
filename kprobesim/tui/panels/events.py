"""The events panel: the stream of events around this moment; a click goes to one."""

from __future__ import annotations

from textual import events
from textual.content import Content

from kprobesim.tui import styles
from kprobesim.tui.cells import fit, row
from kprobesim.tui.panels.panel import Panel, Rows, View, note
from kprobesim.tui.snapshot import EventRow
from kprobesim.tui.targets import Target
from kprobesim.tui.values import milliseconds

__all__ = ["EventsPanel"]

_WIDE = 60


class EventsPanel(Panel):
    """Events behind this moment, the newest of them marked, and dimmed those ahead that are known already."""

    NAME = "events"
    parting: int | None = None
    """Position of the event from which on another life is another, where there is another."""

    def draw(self, view: View, width: int) -> Rows:
        """One event a row."""
        now = view.now
        if not now.events:
            return Rows(note(width, view, "panel.events.empty"))
        rows = [_event(item, now.seq - 1, now.at_event, width, self.parting) for item in now.events]
        anchor = next((i for i, item in enumerate(now.events) if item.event.seq == now.seq - 1), 0)
        return Rows(rows, anchor, [Target("event", number=item.event.seq) for item in now.events])

    def on_click(self, event: events.Click) -> None:
        """Go to the event under the mouse, at the first click."""
        offset = event.get_content_offset(self)
        if offset is None or self.view is None:
            return
        index = self.first_row() + offset.y
        if 0 <= index < len(self.view.now.events):
            seq = self.view.now.events[index].event.seq
            self.post_message(self.Chosen(self, Target("event", number=seq)))


def _event(item: EventRow, newest: int, at_event: bool, width: int, parting: int | None) -> Content:
    event = item.event
    here = event.seq == newest
    mark = "▶" if here and at_event else "▷" if here else " "
    time = f"{milliseconds(event.ns):>12} cpu{event.cpu} " if width >= _WIDE else ""
    style = styles.CURRENT if here and at_event else styles.STRONG if here else styles.DIM if event.seq > newest else ""
    number = f"{event.seq + 1:>5,}{'≠' if event.seq == parting else ' '}"
    return row(width, mark, number, time, fit(event.kind, 18 if width >= _WIDE else 17), " ", item.brief, style=style)
