"""What differs between two machines: registers, then stretches of memory, the value of each side in its column."""

from __future__ import annotations

from itertools import zip_longest

from textual.content import Content

from kprobesim.i18n import Language
from kprobesim.tui import styles
from kprobesim.tui.cells import fit, row, wrap
from kprobesim.tui.panels.panel import Panel, Rows, View
from kprobesim.tui.twins import TwinView
from kprobesim.tui.wording import say

__all__ = ["Differences"]

_NAME = 24
_MOST_BYTES = 32


class Differences(Panel):
    """Rows of name, value as it was, value with the change."""

    NAME = "differences"

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._twins: TwinView | None = None

    def compare(self, twins: TwinView, language: Language) -> None:
        """Show two machines."""
        self._twins = twins
        self.show(View(twins.sides[0], None, language))

    def label(self, view: View) -> str:
        """The name alone: no key leads here."""
        return say(view.language, "panel.differences.title")

    def heading(self, view: View) -> str:
        """How many there are."""
        twins = self._twins
        if twins is None:
            return ""
        counts = {"registers": len(twins.registers), "memory": len(twins.memory)}
        return say(view.language, "panel.differences.counts", **counts)

    def draw(self, view: View, width: int) -> Rows:
        """Registers first."""
        twins = self._twins
        if twins is None:
            return Rows([])
        column = max((width - _NAME) // 2, 8)
        several = len({item.cpu for item in twins.registers}) > 1
        rows: list[Content] = []
        for item in twins.registers:
            name = f"cpu{item.cpu} {item.name}" if several else item.name
            rows += _pair(name, f"{item.left:016x}", f"{item.right:016x}", column, width)
        for place in twins.memory:
            left, right = (_hex(data) for data in (place.left, place.right))
            rows += _pair(place.place, left, right, column, width)
        if not rows:
            told = say(view.language, f"panel.differences.{'none' if twins.differs else 'never'}")
            rows = [row(width, (f" {line}", styles.DIM)) for line in wrap(told, max(width - 2, 1))]
        return Rows(rows, 0)


def _hex(data: bytes) -> str:
    return data[:_MOST_BYTES].hex(" ") + (" …" if len(data) > _MOST_BYTES else "")


def _pair(name: str, left: str, right: str, column: int, width: int) -> list[Content]:
    """As many rows as the longer value needs."""
    lines = zip_longest(wrap(left, column - 2), wrap(right, column - 2), fillvalue="")
    return [
        row(
            width,
            (fit(f" {'' if number else name}", _NAME), styles.STRONG),
            fit(one, column),
            (fit(other, column), styles.CHANGED),
        )
        for number, (one, other) in enumerate(lines)
    ]
