"""Letters built of blocks, as a terminal's own cannot grow: capitals, digits and the marks of assembly.

Each letter is five pixels high. A pixel is two cells of one line, one cell, or half of one, in that order as room is
left: the largest letters are read from the last row of a classroom.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import Final

__all__ = ["Face", "set_in", "spelled", "width_in"]

_HEIGHT: Final = 5
_BREAKS: Final = re.compile(r"[^ ,_]*[ ,_]?")
"""What stays on one line: a text may go on below behind a space, a comma or an underscore."""
_LETTERS: Final = {
    "A": ".#./#.#/###/#.#/#.#", "B": "##./#.#/##./#.#/##.", "C": ".##/#../#../#../.##", "D": "##./#.#/#.#/#.#/##.",
    "E": "###/#../##./#../###", "F": "###/#../##./#../#..", "G": ".##/#../#.#/#.#/.##", "H": "#.#/#.#/###/#.#/#.#",
    "I": "###/.#./.#./.#./###", "J": "..#/..#/..#/#.#/.#.", "K": "#.#/#.#/##./#.#/#.#", "L": "#../#../#../#../###",
    "M": "#...#/##.##/#.#.#/#...#/#...#", "N": "#..#/##.#/#.##/#..#/#..#", "O": ".##./#..#/#..#/#..#/.##.",
    "P": "##./#.#/##./#../#..", "Q": ".##./#..#/#..#/#.##/.###", "R": "##./#.#/##./#.#/#.#", "S": ".##/#../.#./..#/##.",
    "T": "###/.#./.#./.#./.#.", "U": "#.#/#.#/#.#/#.#/###", "V": "#.#/#.#/#.#/#.#/.#.",
    "W": "#...#/#...#/#.#.#/##.##/#...#", "X": "#.#/#.#/.#./#.#/#.#", "Y": "#.#/#.#/.#./.#./.#.",
    "Z": "###/..#/.#./#../###",
    "0": "###/#.#/#.#/#.#/###", "1": ".#./##./.#./.#./###", "2": "###/..#/###/#../###", "3": "###/..#/.##/..#/###",
    "4": "#.#/#.#/###/..#/..#", "5": "###/#../###/..#/###", "6": "###/#../###/#.#/###", "7": "###/..#/..#/.#./.#.",
    "8": "###/#.#/###/#.#/###", "9": "###/#.#/###/..#/###",
    " ": "../../../../..", "%": "#.#/..#/.#./#../#.#", "$": "..#../.####/.###./####./..#..", "(": ".#/#./#./#./.#",
    ")": "#./.#/.#/.#/#.", "[": "##/#./#./#./##", "]": "##/.#/.#/.#/##", ",": "../../../.#/#.", ".": "././././#",
    ":": "./#/./#/.", ";": "../.#/../.#/#.", "+": ".../.#./###/.#./...", "-": ".../.../###/.../...",
    "_": ".../.../.../.../###", "*": ".../#.#/.#./#.#/...", "=": ".../###/.../###/...", "<": "..#/.#./#../.#./..#",
    ">": "#../.#./..#/.#./#..", "/": "..#/..#/.#./#../#..", "!": "#/#/#/./#", "|": "#/#/#/#/#",
    "?": "##./..#/.#./.../.#.", "&": ".#./#.#/.#./#.#/.##", "^": ".#./#.#/.../.../...",
    "#": ".#.#./#####/.#.#./#####/.#.#.", "→": "..#../...#./#####/...#./..#..",
    "←": "..#../.#.../#####/.#.../..#..", "…": "...../...../...../...../#.#.#",
}  # fmt: skip


class Face(Enum):
    """A size of letters: cells across a pixel, and lines that five of them take."""

    LARGE = (2, 5)
    TALL = (1, 5)
    SMALL = (1, 3)

    @property
    def lines(self) -> int:
        """Lines that the letters take."""
        return self.value[1]


def spelled(text: str) -> str:
    """The text in the letters that there are."""
    return "".join(letter if letter in _LETTERS else "?" for letter in text.upper())


def width_in(face: Face, text: str) -> int:
    """Cells that a text takes."""
    across = sum(len(_LETTERS[letter].split("/")[0]) + 1 for letter in spelled(text)) - 1
    return max(across, 0) * face.value[0]


@lru_cache(512)
def set_in(face: Face, text: str, width: int, lines: int) -> tuple[str, ...] | None:
    """A text as lines of blocks, folded where it must be and it can be read so; None if it does not fit.

    Args:
        face: the letters.
        text: anything; what there is no letter for becomes a question mark.
        width: cells that there are.
        lines: lines that there are.
    """
    folded = [""]
    for word in _BREAKS.findall(text):
        if folded[-1] and width_in(face, (folded[-1] + word).rstrip()) > width:
            folded.append("")
        folded[-1] += word
    folded = [line.strip() for line in folded]
    if len(folded) * (face.lines + 1) - 1 > lines or any(width_in(face, line) > width for line in folded):
        return None
    rows: list[str] = []
    for line in folded:
        rows += ["", *_rows(face, line)] if rows else _rows(face, line)
    return tuple(rows)


def _rows(face: Face, text: str) -> list[str]:
    letters = [_LETTERS[letter].split("/") for letter in spelled(text)]
    pixels = [".".join(letter[row] for letter in letters) for row in range(_HEIGHT)]
    if face is not Face.SMALL:
        across = face.value[0]
        return ["".join("█" * across if pixel == "#" else " " * across for pixel in row) for row in pixels]
    halves = {"##": "█", "#.": "▀", ".#": "▄", "..": " "}
    pairs = zip(pixels[::2], [*pixels[1::2], "." * len(pixels[0])], strict=True)
    return ["".join(halves[upper + lower] for upper, lower in zip(*pair, strict=True)) for pair in pairs]
