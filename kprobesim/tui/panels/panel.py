"""What all panels have in common: a frame with a number and a title, and a window on rows of fixed width."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import zip_longest
from typing import ClassVar, Self

from rich.segment import Segment
from textual import events
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from kprobesim.i18n import Language
from kprobesim.tui import styles
from kprobesim.tui.cells import row, wrap
from kprobesim.tui.key_names import KEY_NAMES
from kprobesim.tui.snapshot import Snapshot
from kprobesim.tui.targets import Target
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
        targets: what each row stands for, if anything; empty where the cursor has nothing to point at.
    """

    rows: list[Content]
    anchor: int | None = None
    targets: list[Target | None] = field(default_factory=list)


class Panel(Widget, can_focus=True):
    """A framed window on the rows that `draw` gives. It never changes its size.

    After a step only the rows that have become others are painted and sent to the terminal.
    """

    NAME: ClassVar[str]

    class Chosen(Message):
        """What the cursor is on was clicked once more."""

        def __init__(self, panel: Panel, target: Target) -> None:
            super().__init__()
            self.panel = panel
            self.target = target

    DEFAULT_CSS = """
    Panel {
        border: round $foreground 30%;
        border-title-color: $foreground 80%;
        border-title-style: none;
        border-subtitle-color: $foreground 80%;
        border-subtitle-style: none;
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
        self._rows: list[Content] = []
        self._strips: dict[int, Strip] = {}
        self._drawn_at: Size | None = None
        self._painting = False
        self._lettering = ""
        self._marks = ""
        self._count = 0
        self._targets: list[Target | None] = []
        self._anchor: int | None = None
        self.cursor: Target | None = None
        self._kept: View | None = None

    # For subclasses

    def draw(self, view: View, width: int) -> Rows:
        """The rows, each ``width`` cells wide; none by default."""
        return Rows([])

    def heading(self, view: View) -> str:
        """What stands in the frame behind the panel's name."""
        return ""

    def label(self, view: View) -> str:
        """The panel's name, behind its key."""
        return f"{KEY_NAMES[f'panel_{self.NAME}']} {say(view.language, f'panel.{self.NAME}.title')}"

    def aside_width(self, view: View, width: int) -> int:
        """Cells on the right that do not scroll with the rows; 0 for none."""
        return 0

    def aside(self, view: View, width: int) -> list[Content]:
        """What stands there, each ``width`` cells wide."""
        return []

    # Textual's side

    @property
    def view(self) -> View | None:
        """What is drawn now."""
        return self._view

    def show(self, view: View) -> None:
        """Draw another moment."""
        moved = self._view is None or self._view.now is not view.now
        self._view, self._kept = view, None
        if moved:
            self._shift = 0
        heading = self.heading(view)
        title = f"{self.label(view)}{' ─ ' if heading else ''}{heading}"
        if title != self._title:
            self._title, self._lettering = title, "top"
            self.border_title = Content(title)
            self._lettering = ""
        known, size, before = self._drawn_at is not None, self.content_size, self._rows
        self._rows, self._drawn_at = self._in_window(size), size
        self._mark()
        if not known or len(before) != len(self._rows) or self.text_selection is not None:
            self._strips.clear()
            super().refresh()
            return
        changed = [y for y, (one, other) in enumerate(zip(before, self._rows, strict=True)) if not one.is_same(other)]
        for y in changed:
            self._strips.pop(y, None)
        if changed:
            self.refresh(*(Region(0, y, size.width, 1) for y in changed))

    def keep(self, view: View) -> None:
        """What to draw once the panel is seen; until then nothing is."""
        self._kept = view

    def on_show(self) -> None:
        """Seen again: catch up."""
        if self._kept is not None:
            self.show(self._kept)

    def scroll_rows(self, by: int) -> None:
        """Look at other rows until the next motion.

        Args:
            by: in rows, downwards.
        """
        self._shift += by
        self.refresh()

    def scroll_halves(self, by: int) -> None:
        """The same by so many halves of what is in sight.

        Args:
            by: in halves, downwards.
        """
        self.scroll_rows(by * max(self.content_size.height // 2, 1))

    def move_cursor(self, by: int) -> None:
        """To the next row that stands for something, and into sight.

        Args:
            by: 1 downwards, -1 upwards.
        """
        if self.cursor in self._targets:
            place = self._targets.index(self.cursor) + by
        else:
            place = self._anchor if self._anchor is not None else self._top
        while 0 <= place < len(self._targets):
            if self._targets[place] is not None:
                self.cursor = self._targets[place]
                self._into_sight(place)
                self.refresh()
                return
            place += by

    def _into_sight(self, place: int) -> None:
        height = max(self.content_size.height, 1)
        top = self._top + self._shift
        self._shift += min(place - top, 0) + max(place - top - height + 1, 0)

    def on_click(self, event: events.Click) -> None:
        """Put the cursor there; on what it is on already, choose that."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        place = self.first_row() + offset.y
        target = self._targets[place] if 0 <= place < len(self._targets) else None
        if target is None:
            return
        if target == self.cursor:
            self.post_message(self.Chosen(self, target))
        self.cursor = target
        self.refresh()

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """Without regions, have all rows drawn anew; but other letters in the frame are only another line of it."""
        if self._lettering:
            left, top = self.gutter.top_left
            y = -top if self._lettering == "top" else self.outer_size.height - top - 1
            regions = (Region(-left, y, self.outer_size.width, 1),)
        if repaint and not regions:
            self._drawn_at = None
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def notify_style_update(self) -> None:
        """Other colours: nothing painted is of use any more."""
        super().notify_style_update()
        self._strips.clear()

    def render(self) -> Content:
        """The rows in sight, as one text: what can be selected with the mouse."""
        return Content("\n").join(self._rows_now())

    def render_lines(self, crop: Region) -> list[Strip]:
        """Paint."""
        self._rows_now()
        self._painting = True
        try:
            return super().render_lines(crop)
        finally:
            self._painting = False

    def render_line(self, y: int) -> Strip:
        """One row. Only the mouse, and text that is selected, need to know where in the whole text it stands."""
        if not self._painting or self.text_selection is not None:
            return super().render_line(y)
        if (strip := self._strips.get(y)) is None:
            strip = self._strips[y] = self._strip(y)
        return strip

    def _strip(self, y: int) -> Strip:
        rows, base = self._rows, self.visual_style
        if y >= len(rows):
            return Strip.blank(self.content_size.width, base.rich_style)
        pieces = rows[y].render(base, end="", parse_style=self._get_style)
        return Strip([Segment(text, (base + style).rich_style) for text, style in pieces], rows[y].cell_length)

    def _rows_now(self) -> list[Content]:
        size = self.content_size
        if self._drawn_at != size:
            self._rows, self._drawn_at = self._in_window(size), size
            self._strips.clear()
            self._mark()
        return self._rows

    def _mark(self) -> None:
        """Say in the frame that rows go on above or below; how many, where the rows do not follow an anchor."""
        top, below = self.first_row(), self._count - self.first_row() - max(self.content_size.height, 0)
        marks = " ".join(
            arrow if self._anchor is not None else f"{arrow} {count}"
            for arrow, count in (("↑", top), ("↓", below))
            if count > 0 and self._rows
        )
        if marks != self._marks:
            self._marks, self._lettering = marks, "bottom"
            self.border_subtitle = Content(marks)
            self._lettering = ""

    def _in_window(self, size: Size) -> list[Content]:
        width, height = size
        if self._view is None or width < 4 or height < 1:
            return []
        right = self.aside_width(self._view, width)
        left = width - right - 1 if right else width
        drawn = self.draw(self._view, left)
        self._targets, self._anchor, self._count = drawn.targets, drawn.anchor, len(drawn.rows)
        if self.cursor in drawn.targets:
            place = drawn.targets.index(self.cursor)
            drawn.rows[place] = drawn.rows[place].stylize(styles.CURSOR)
        shown = self._in_sight(drawn, height)
        if right:
            blank = Content(" " * left), Content(" " * right)
            beside = self.aside(self._view, right)[:height]
            pairs = zip_longest(shown, beside)
            shown = [Content.assemble(one or blank[0], " ", other or blank[1]) for one, other in pairs]
        return shown

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
