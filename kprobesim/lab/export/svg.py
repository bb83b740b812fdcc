"""One frame as an SVG picture of a terminal.

Each run of characters of one width gets a place and a length of its own, so that Chinese stands on the grid whatever
font the viewer has.
"""

from __future__ import annotations

from html import escape
from typing import Final

from kprobesim.i18n import Language
from kprobesim.lab.export.frames import Frame
from kprobesim.lab.export.screen import COLUMNS, ROWS, draw
from kprobesim.lab.export.widths import printable, runs

__all__ = ["as_svg"]

_CELL: Final = 8.4
_LINE: Final = 18
_MARGIN: Final = 12
_STYLE: Final = """
text { font: 14px ui-monospace, "Cascadia Mono", Menlo, Consolas, "Noto Sans Mono CJK SC", monospace }
text { white-space: pre }
.back { fill: #fdfdfb } .plain { fill: #1b1b1b } .bold { fill: #000; font-weight: bold }
.dim { fill: #595959 } .now { fill: #00508c; font-weight: bold } .changed { fill: #8a3b00; font-weight: bold }
@media (prefers-color-scheme: dark) {
.back { fill: #14171a } .plain { fill: #e4e4e0 } .bold { fill: #fff } .dim { fill: #a8a8a8 }
.now { fill: #8cc8ff } .changed { fill: #ffc46b }
}"""


def as_svg(frame: Frame, language: Language, title: str, *, number: int = 1, count: int = 1) -> str:
    """The picture, as text.

    Args:
        frame: what to show.
        language: of the sentences.
        title: of the whole.
        number, count: which frame of how many, from 1.
    """
    width, height = COLUMNS * _CELL + 2 * _MARGIN, ROWS * _LINE + 2 * _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height}" role="img" xml:lang="{language}">',
        f"<title>{escape(printable(title))}: {escape(printable(frame.narration[language].what))}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="back" width="{width:g}" height="{height}" rx="6"/>',
    ]
    for row, spans in enumerate(draw(frame, language, number, count, title)):
        column, y = 0, _MARGIN + _LINE * (row + 0.75)
        for span in spans:
            for run, wide in runs(span.text):
                if run.strip():
                    length = f'textLength="{wide * _CELL:g}" lengthAdjust="spacingAndGlyphs"'
                    x = _MARGIN + column * _CELL
                    parts.append(f'<text class="{span.style}" x="{x:g}" y="{y:g}" {length}>{escape(run)}</text>')
                column += wide
    return "\n".join([*parts, "</svg>"]) + "\n"
