"""The phase banner: the life of a probe hit from left to right, and where in it the CPU is."""

from __future__ import annotations

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from kprobesim.lab import Phase
from kprobesim.tui import styles
from kprobesim.tui.cells import row

__all__ = ["Banner"]

_TRAPS = tuple(phase for phase in Phase if phase is not Phase.DETOUR)
_JUMP = (Phase.RUN, Phase.DETOUR, Phase.BPF)
"""The life of a hit of an optimized probe is a shorter one."""
_SHORT = {Phase.HANDLER: "handler", Phase.SECOND_BREAKPOINT: "#BP2"}
_LONGEST_JOIN = 5


class Banner(Widget):
    """One line; the current phase by a filled circle, weight and inversion."""

    DEFAULT_CSS = """
    Banner { height: 1; }
    """

    phase: Phase | None = None
    by_trap_flag = False

    def show(self, phase: Phase, *, by_trap_flag: bool = False) -> None:
        """Mark a phase.

        Args:
            phase: where the CPU is.
            by_trap_flag: the second trap of a hit is a #DB.
        """
        if (phase, by_trap_flag) != (self.phase, self.by_trap_flag):
            self.phase, self.by_trap_flag = phase, by_trap_flag
            self.refresh()

    @property
    def _phases(self) -> tuple[Phase, ...]:
        return _JUMP if self.phase is Phase.DETOUR else _TRAPS

    def render(self) -> Content:
        """The line, as generous as the width allows."""
        width = self.size.width
        second = {Phase.SECOND_BREAKPOINT: "#DB"} if self.by_trap_flag else {}
        for names in (second, _SHORT | second):
            for gap in (" ", ""):
                words = [f"{gap}{names.get(phase, phase.value)}" for phase in self._phases]
                spare = width - 1 - sum(cell_len(word) + 1 for word in words)
                join = min(spare // (len(words) - 1), _LONGEST_JOIN)
                if join >= (3 if gap else 1):
                    return self._line(words, join, width)
        return self._line(words, 1, width)

    def _line(self, words: list[str], join: int, width: int) -> Content:
        between = f" {'─' * (join - 2)} " if join >= 3 else " " * join
        parts: list[tuple[str, str]] = [(" ", "")]
        for index, (phase, word) in enumerate(zip(self._phases, words, strict=True)):
            if index:
                parts.append((between, styles.DIM))
            here = phase is self.phase
            parts.append((f"{'●' if here else '○'}{word}", styles.CURRENT if here else styles.DIM))
        return row(width, *parts)
