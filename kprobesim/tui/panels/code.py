"""The code panel: the function's instructions, what stands in memory there, and the C line above its instructions."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual.content import Content

from kprobesim.i18n import Language
from kprobesim.tui import styles
from kprobesim.tui.cells import fit, row
from kprobesim.tui.panels.panel import Panel, Rows, View, note
from kprobesim.tui.snapshot import CodeView
from kprobesim.tui.targets import Target
from kprobesim.tui.wording import say

if TYPE_CHECKING:
    from kprobesim.lab import CodeLine

__all__ = ["CodePanel", "byte_text", "plain_text"]

_WIDE = 74
_BYTES = 14
_BYTES_WIDE = 26


class CodePanel(Panel):
    """Disassembly of the function at hand."""

    NAME = "code"

    def heading(self, view: View) -> str:
        """Function and source file."""
        code = view.now.code
        name = code.name or say(view.language, "panel.code.user")
        return f"{name} ─ {code.file}" if code.file else name

    def draw(self, view: View, width: int) -> Rows:
        """Source lines and instructions in the order of addresses."""
        code, now = view.now.code, view.now
        rows: list[Content] = []
        targets: list[Target | None] = []
        anchor = None
        if code.host:
            told = say(view.language, "panel.code.host", function=code.host)
            rows.append(row(width, (f"◇ {told}", styles.STRONG)))
        if code.asleep:
            told = say(view.language, "panel.code.asleep")
            rows.append(row(width, (f"◇ {told}", styles.STRONG)))
        here = code.here
        probes = {probe.address: probe.armed for probe in now.kprobe.probes}
        for index, line in enumerate(code.rows):
            if line.address in code.sources:
                rows.append(row(width, (code.sources[line.address], styles.SOURCE)))
            if index == here:
                anchor = len(rows)
            rows.append(_instruction(code, line, index == here, probes.get(line.address), width, view.language))
            targets += [None] * (len(rows) - 1 - len(targets))
            targets.append(Target("code", number=line.address, size=min(len(line.memory), 8)))
        if not code.rows:
            rows += note(width, view, "panel.code.empty")
        return Rows(rows, anchor, targets)


def _instruction(
    code: CodeView, line: CodeLine, here: bool, armed: bool | None, width: int, language: Language
) -> Content:
    wide = width >= _WIDE
    apart = bool(code.host) or code.asleep
    pointer = " " if not here else "◇" if apart else "▶"
    probe = " " if armed is None else "●" if armed else "○"
    place = f"{line.address:016x}" if wide or not code.name else f"+{line.address - code.start:#x}"
    raw = byte_text(line, _BYTES_WIDE if wide else _BYTES, language)
    style = styles.CURRENT if here and not apart else styles.STRONG if here else ""
    return row(
        width,
        (pointer, styles.STRONG),
        (probe, styles.ARMED if armed else styles.STRONG),
        " ",
        (fit(place, 16 if wide or not code.name else 6), "" if here else styles.DIM),
        " ",
        (fit(raw, _BYTES_WIDE if wide else _BYTES), styles.ARMED if line.patched else ""),
        " ",
        plain_text(line.text, code.name),
        style=style,
    )


def byte_text(line: CodeLine, width: int, language: Language) -> str:
    """The bytes in memory, whole bytes only; under a probe's int3 also the byte that was there: ``cc (was 55)``."""
    first = line.memory[:1].hex()
    if line.patched:
        first = say(language, "panel.code.hidden", byte=first, hidden=line.original[:1].hex())
    words = [first]
    words += [f"{byte:02x}" for byte in line.memory[1:]]
    whole = " ".join(words)
    while cell_len(whole) > width and len(words) > 1:
        words.pop()
        whole = f"{' '.join(words)} …"
    return whole


@lru_cache(4096)
def plain_text(text: str, function: str) -> str:
    """An instruction's text in fewer cells: one space after the mnemonic, a jump's target by name only."""
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"0x[0-9a-f]+ <([^>]+)>", r"\1", text)
    return re.sub(rf"\b{re.escape(function)}(\+0x[0-9a-f]+)", r"\1", text) if function else text
