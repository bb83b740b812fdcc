"""A frame as rows of text on a terminal of fixed size: for casts and pictures."""

from __future__ import annotations

from typing import Final, NamedTuple

from kprobesim.i18n import Language, Texts
from kprobesim.lab.export.frames import Frame
from kprobesim.lab.export.widths import fit, printable, wrap

__all__ = ["COLUMNS", "ROWS", "Span", "draw"]

COLUMNS: Final = 100
ROWS: Final = 28
_LEFT: Final = 66
_CODE_ROWS: Final = 9
_TALK_ROWS: Final = 7
_TEXTS: Final = Texts("kprobesim.lab.recording.texts")


class Span(NamedTuple):
    """A piece of a row: its text, and ``plain``, ``bold``, ``dim``, ``now`` or ``changed``."""

    text: str
    style: str = "plain"


Row = list[Span]


def draw(frame: Frame, language: Language, number: int, count: int, title: str = "") -> list[Row]:
    """`ROWS` rows, each exactly `COLUMNS` cells wide.

    Args:
        frame: what to show.
        language: of the sentences.
        number, count: which frame of how many, from 1.
        title: of the whole.
    """
    step = _text(language, "step", number=number, count=count)
    rows: list[Row] = [
        [Span(fit(f" {printable(title)}", _LEFT), "bold"), Span(fit(step, COLUMNS - _LEFT), "dim")],
        [
            Span(fit(f" {frame.phase}  {frame.place}", _LEFT), "now"),
            Span(fit(f"{frame.ns / 1e6:.3f} ms  cpu{frame.cpu}", COLUMNS - _LEFT), "dim"),
        ],
        [Span(" " * COLUMNS)],
    ]
    right = _registers(frame, language)
    left = _code(frame, language)
    for index in range(max(len(left), len(right))):
        ours = left[index] if index < len(left) else [Span(" " * _LEFT)]
        theirs = right[index] if index < len(right) else [Span(" " * (COLUMNS - _LEFT))]
        rows.append([*ours, *theirs])
    rows.append([Span(" " + "─" * (COLUMNS - 2) + " ", "dim")])
    talk = [Span(line, "bold") for line in wrap(printable(frame.narration[language].what), COLUMNS - 4)]
    talk += [Span(line) for line in wrap(printable(frame.narration[language].why), COLUMNS - 4)]
    talk += [Span(line, "changed") for note in frame.notes for line in wrap(f"# {printable(note)}", COLUMNS - 4)]
    rows += [[Span(fit(f"  {line.text}", COLUMNS), line.style)] for line in talk[:_TALK_ROWS]]
    rows += [[Span(" " * COLUMNS)]] * ROWS
    return rows[:ROWS]


def _text(language: Language, key: str, **values: object) -> str:
    return _TEXTS.get(language, f"export.{key}", **values) or key


def _code(frame: Frame, language: Language) -> list[Row]:
    rows: list[Row] = [[Span(fit(f" {frame.function}", _LEFT), "dim")]]
    for line in frame.code[:_CODE_ROWS]:
        mark = "▶" if line.is_next else " "
        star = "*" if line.patched else " "
        text = f" {mark}{line.address & 0xFFFF_FFFF:08x}{star} {line.memory[:8].hex(' '):<23} {line.text}"
        rows.append([Span(fit(text, _LEFT), "now" if line.is_next else "plain")])
    rows += [[Span(" " * _LEFT)]] * (_CODE_ROWS + 1 - len(rows))
    rows.append([Span(fit(f" {_text(language, 'console')}", _LEFT), "dim")])
    rows += [[Span(fit(f"  {printable(line)}", _LEFT))] for line in frame.console.splitlines()[-5:]]
    return rows


def _registers(frame: Frame, language: Language) -> list[Row]:
    width = COLUMNS - _LEFT
    rows: list[Row] = [[Span(fit(_text(language, "registers"), width), "dim")]]
    for name in ("rip", "rsp", "rflags", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10", "r11"):
        changed = name in frame.changed
        text = f"{name:>6} {frame.registers[name]:016x}{' *' if changed else ''}"
        rows.append([Span(fit(text, width), "changed" if changed else "plain")])
    return rows
