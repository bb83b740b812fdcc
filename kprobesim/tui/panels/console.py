"""The console panel: what the simulated machine's terminal shows; lines are typed with a key of their own."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

from kprobesim.tui import styles
from kprobesim.tui.cells import row
from kprobesim.tui.panels.panel import Panel, Rows, View, note

__all__ = ["ConsolePanel"]

_TAB = 8
_TYPED = "$ "


class ConsolePanel(Panel):
    """The newest lines stay in sight. Going back takes them back, too."""

    NAME = "console"

    def draw(self, view: View, width: int) -> Rows:
        """The lines, folded at the panel's edge as a terminal does."""
        text = view.now.console
        if not text.strip():
            return Rows(note(width, view, "panel.console.empty"))
        before = view.before.console if view.before is not None else text
        # A prompt that waits counts as a line.
        lines = [piece for line in text.splitlines() for piece in _folded(_plain(line), width - 2)]
        fresh = 0
        if text != before and text.startswith(before):
            fresh = sum(len(_folded(_plain(line), width - 2)) for line in text[len(before) :].splitlines())
        rows = [
            row(
                width,
                ("▸" if number >= len(lines) - fresh else " ", styles.CHANGED),
                (line, styles.STRONG if line.startswith(_TYPED) else ""),
            )
            for number, line in enumerate(lines)
        ]
        return Rows(rows, max(len(rows) - 1, 0))


def _plain(line: str) -> str:
    """Without what a terminal would take as a command."""
    return "".join(letter if letter.isprintable() else " " for letter in line.expandtabs(_TAB))


def _folded(line: str, width: int) -> list[str]:
    pieces = []
    while cell_len(line) > width > 1:
        head = set_cell_size(line, width)
        head = line[: len(head.rstrip(" "))] or line[:1]
        pieces.append(head)
        line = line[len(head) :]
    return [*pieces, line]
