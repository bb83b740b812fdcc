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
_CALL = (Phase.RUN, Phase.PT_REGS, Phase.HANDLER, Phase.BPF, Phase.RESUME)
"""So is that of a hit that ftrace serves: its trampoline makes pt_regs and calls the handler."""
_PLAIN = (Phase.RUN, Phase.HANDLER, Phase.BPF)
"""A function's return, a tracepoint and the like: the handler is called by code that is no part of a hit."""
_BY_CALL = ("ops->func", "kprobe_ftrace_handler", "fprobe_handler", "arch_ftrace_ops_list_func")
_TRAP = "kprobe_int3_handler"
_JUMPED = "optimized_callback"
_SHORT = {Phase.HANDLER: "handler", Phase.SECOND_BREAKPOINT: "#BP2"}
_LONGEST_JOIN = 5


class Banner(Widget):
    """One line; the current phase by a filled circle, weight and inversion."""

    DEFAULT_CSS = """
    Banner { height: 1; }
    """

    phase: Phase | None = None
    serving = ""
    by_trap_flag = False

    def show(self, phase: Phase, serving: str = "", *, by_trap_flag: bool = False) -> None:
        """Mark a phase.

        Args:
            phase: where the CPU is.
            serving: the function that serves the hit or runs the program, if the CPU is in it or in what calls it.
            by_trap_flag: the second trap of a hit is a #DB.
        """
        if (phase, serving, by_trap_flag) != (self.phase, self.serving, self.by_trap_flag):
            self.phase, self.serving, self.by_trap_flag = phase, serving, by_trap_flag
            self.refresh()

    @property
    def _phases(self) -> tuple[Phase, ...]:
        if self.phase is Phase.DETOUR or self.serving == _JUMPED:
            return _JUMP
        if self.serving in _BY_CALL:
            return _CALL
        if self.serving not in ("", _TRAP):
            return _PLAIN
        return (Phase.RUN, Phase.BPF) if self.phase is Phase.BPF and not self.serving else _TRAPS

    def render(self) -> Content:
        """The line, as generous as the width allows."""
        width = self.size.width
        own = {Phase.HANDLER: self.serving} if self.serving and self._phases is not _TRAPS else {}
        second = {Phase.SECOND_BREAKPOINT: "#DB"} if self.by_trap_flag else {}
        for names in (own | second, _SHORT | own | second):
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
