"""The top line: which machine, which scenario, which task, what time, which event."""

from __future__ import annotations

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from kprobesim.i18n import Language
from kprobesim.tui import styles
from kprobesim.tui.cells import fit, fit_right
from kprobesim.tui.snapshot import Snapshot
from kprobesim.tui.values import milliseconds
from kprobesim.tui.wording import say

__all__ = ["Header"]

_WIDE = 110


class Header(Widget):
    """One line of fixed columns."""

    DEFAULT_CSS = """
    Header { height: 1; background: $panel; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._now: Snapshot | None = None
        self._title = ""
        self._language: Language = "en"

    def show(self, now: Snapshot | None, title: str, language: Language) -> None:
        """Show another moment."""
        self._now, self._title, self._language = now, title, language
        self.refresh()

    def render(self) -> Content:
        """Machine left, title in the middle, position right."""
        width, now = self.size.width, self._now
        if now is None:
            return Content.styled(fit(f" kprobesim   {self._title}", width), styles.STRONG)
        cpus = say(self._language, "header.cpus", cpus=now.cpus)
        machine = f"{now.kernel} · {now.profile} · {cpus}"
        left = f" kprobesim  {machine}" if width >= _WIDE else f" {machine}"
        task = f"cpu{now.cpu} {f'{now.comm}/{now.pid}' if now.comm else '-'}"
        event = say(self._language, "header.event", seq=f"{now.seq:,}", total=f"{now.total:,}")
        wide = width >= _WIDE
        # As wide as the last event will need, so that nothing moves on the way there.
        last = say(self._language, "header.event", seq=f"{now.total:,}", total=f"{now.total:,}")
        columns = (
            fit_right(task, 20 if wide else 14),
            f"{milliseconds(now.ns):>12}",
            fit_right(event, max(20 if wide else 15, cell_len(last))),
        )
        right = "{} {}  {} ".format(*columns)
        if cell_len(left) + cell_len(right) >= width:
            # The kprobe panel and the narration tell of the task as well.
            right = f"{columns[1]}  {columns[2]} "
        room = width - cell_len(left) - cell_len(right)
        title = fit(f"{'   ' if wide else '  '}{self._title}", room - 1) + " " if room > 5 else " " * max(room, 0)
        return Content.assemble(left, (title, styles.STRONG), right).truncate(width, pad=True)
