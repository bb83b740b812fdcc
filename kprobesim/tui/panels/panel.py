"""What all panels have in common: a frame with a number and a title, and a window on rows of fixed width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.content import Content
from textual.widget import Widget

from kprobesim.i18n import Language
from kprobesim.tui import styles
from kprobesim.tui.actions import PANELS
from kprobesim.tui.cells import row, wrap
from kprobesim.tui.snapshot import Snapshot
from kprobesim.tui.wording import say

__all__ = ["Panel", "Rows", "View", "note"]


@dataclass(frozen=True, slots=True)
class View:
    """What to draw: a moment, the moment that was shown before it, and the language."""

    now: Snapshot
    before: Snapshot | None
    language: Language


@dataclass(frozen=True, slots=True)
class Rows:
    """A panel's content.

    Attributes:
        rows: each exactly as wide as the panel.
        anchor: the row that must stay in sight, in the middle third; None: begin at the top.
    """

    rows: list[Content]
    anchor: int | None = None


class Panel(Widget, can_focus=True):
    """A framed window on the rows that `draw` gives. It never changes its size."""

    NAME: ClassVar[str]

    DEFAULT_CSS = """
    Panel {
        border: round $foreground 30%;
        border-title-color: $foreground 80%;
        border-title-style: none;
        padding: 0;
        &:focus { border: heavy $primary; border-title-style: bold; border-title-color: $foreground; }
        &:nocolor:focus { border: heavy white; }
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self._view: View | None = None
        self._top = 0
        self._shift = 0
        self._title = ""
        self._painted = Content("")

    # For subclasses

    def draw(self, view: View, width: int) -> Rows:
        """The rows, each ``width`` cells wide."""
        raise NotImplementedError

    def heading(self, view: View) -> str:
        """What stands in the frame behind the panel's name."""
        return ""

    # Textual's side

    @property
    def view(self) -> View | None:
        """What is drawn now."""
        return self._view

    def show(self, view: View) -> None:
        """Draw another moment."""
        moved = self._view is None or self._view.now is not view.now
        self._view = view
        if moved:
            self._shift = 0
        name, heading = say(view.language, f"panel.{self.NAME}.title"), self.heading(view)
        title = f"{PANELS.index(self.NAME) + 1} {name}{' ─ ' if heading else ''}{heading}"
        if title != self._title:
            self._title = title
            self.border_title = Content(title)
        # Most steps leave most panels as they are: nothing is sent to the terminal for those.
        if not self._paint().is_same(self._painted):
            self.refresh()

    def scroll_rows(self, by: int) -> None:
        """Look at other rows until the next motion.

        Args:
            by: in rows, downwards.
        """
        self._shift += by
        self.refresh()

    def render(self) -> Content:
        """The rows in sight."""
        self._painted = self._paint()
        return self._painted

    def _paint(self) -> Content:
        width, height = self.content_size
        if self._view is None or width < 4 or height < 1:
            return Content("")
        drawn = self.draw(self._view, width)
        return Content("\n").join(self._in_sight(drawn, height))

    def _in_sight(self, drawn: Rows, height: int) -> list[Content]:
        last_top = max(len(drawn.rows) - height, 0)
        if drawn.anchor is None:
            self._top = 0
        elif not self._top + height // 3 <= drawn.anchor < self._top + height - height // 3:
            self._top = drawn.anchor - height // 2
        self._top = min(max(self._top, 0), last_top)
        top = min(max(self._top + self._shift, 0), last_top)
        self._shift = top - self._top
        return drawn.rows[top : top + height]

    def first_row(self) -> int:
        """Number of the row at the top, for clicks."""
        return self._top + self._shift

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel looks around; it does not step."""
        event.stop()
        self.scroll_rows(1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel looks around; it does not step."""
        event.stop()
        self.scroll_rows(-1)


def note(width: int, view: View, key: str, **values: object) -> list[Content]:
    """A dim sentence where there is nothing to show."""
    text = say(view.language, key, **values)
    return [row(width, " ", (line, styles.DIM)) for line in wrap(text, max(width - 2, 1))]
