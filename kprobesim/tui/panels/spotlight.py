"""What is in play and nothing else, in letters of blocks: the next instruction, the byte at the probe, what changed."""

from __future__ import annotations

import re

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from kprobesim.tui import styles
from kprobesim.tui.cells import fit, row
from kprobesim.tui.panels.code import plain_text
from kprobesim.tui.panels.face import Face, set_in, width_in
from kprobesim.tui.panels.panel import View
from kprobesim.tui.values import FLAGS
from kprobesim.tui.wording import say

__all__ = ["Spotlight"]

_THREE = 18
"""Lines from which on byte and registers have a place of their own each."""
_BYTE, _CHANGED = 7, 6
"""Lines of each of these, what says what it is among them."""
_BOTH = 5
"""Lines of the two together on a screen that is lower."""
_APART = "  "
_DIGITS = 8
_KERNEL = 1 << 47
_OPCODE = re.compile(r"^\([0-9a-f]{2}\) ")
_ADDRESS = re.compile(r"0xf{8}([0-9a-f]{8})\b")
_LAST = ("rsp", "rip")
"""Registers that change with nearly every instruction come last, and RIP not at all: the code says it."""


class Spotlight(Widget):
    """Seen from the last row; hidden but for the presenter. Each thing has its place, which never moves.

    Args:
        plain: letters of ASCII alone, in which half a cell cannot be filled.
    """

    DEFAULT_CSS = """
    Spotlight { height: 1fr; display: none; padding: 0 1; }
    """

    def __init__(self, *, plain: bool = False) -> None:
        super().__init__()
        self._faces = tuple(face for face in Face if face is not Face.SMALL or not plain)
        self._view: View | None = None

    def show(self, view: View) -> None:
        """Show another moment."""
        self._view = view
        self.refresh()

    def render(self) -> Content:
        """Two or three things below each other, each with a line above that says what it is."""
        width, height = self.content_size
        if self._view is None or width < 8 or height < 4:
            return Content("")
        code, byte, changed = _code(self._view), _byte(self._view), _changed(self._view)
        if height >= _THREE:
            places = [(code, height - _BYTE - _CHANGED), (byte, _BYTE), (changed, _CHANGED)]
        else:
            caption = byte[0] if byte[1] else changed[0]
            other = (caption, byte[1] + changed[1])
            places = [(code, max(height - _BOTH, height // 2)), (other, min(_BOTH, height - height // 2))]
        lines: list[Content] = []
        for (caption, words), room in places:
            lines += self._place(caption, words, width, room)
        return Content("\n").join(lines[:height])

    def _place(self, caption: str, words: tuple[str, ...], width: int, room: int) -> list[Content]:
        title = row(width, _centred(fit(caption, min(cell_len(caption), width)), width), style=styles.STRONG)
        shown = self._set(words, width, room - 1) if words else ()
        lines = [title, *(row(width, (_centred(line, width), styles.STRONG)) for line in shown)]
        return [*lines, *[Content(" " * width)] * (room - len(lines))]

    def _set(self, words: tuple[str, ...], width: int, lines: int) -> tuple[str, ...]:
        """The words in the largest letters in which the first of them fit; as many of the others as there is room."""
        for face in self._faces:
            for count in range(len(words), 0, -1):
                text = _APART.join(words[:count])
                if count > 1 and width_in(face, text) > width:
                    continue
                if (made := set_in(face, text, width, lines)) is not None:
                    return made
        spaced = " ".join(words[0])
        return (spaced if cell_len(spaced) <= width else fit(words[0], width).rstrip(),)


def _centred(line: str, width: int) -> str:
    return " " * max((width - cell_len(line)) // 2, 0) + line


def _code(view: View) -> tuple[str, tuple[str, ...]]:
    """The instruction that runs next: of the CPU, of the BPF program, or the function that the host plays."""
    now, language = view.now, view.language
    program = now.program
    if program is not None and program.running is not None:
        running = program.running
        text = next((text for slot, text in program.lines if slot == running.pc), "")
        return say(language, "spot.bpf", program=program.name, slot=running.pc), (_OPCODE.sub("", text),)
    if now.code.host:
        return say(language, "spot.host"), (now.code.host,)
    text = _ADDRESS.sub(r"…\1", plain_text(now.next_text, now.code.name))
    return say(language, "spot.next", place=now.place), (text or now.place,)


def _byte(view: View) -> tuple[str, tuple[str, ...]]:
    """The byte that stands at the probe in play, and the one that it hides; nothing where there is no probe."""
    now, language = view.now, view.language
    line = next((line for line in now.code.rows if line.address == now.probed), None)
    if line is None:
        return "", ()
    byte, original = line.memory[:1].hex().upper(), line.original[:1].hex().upper()
    place = f"{now.code.name}+{line.address - now.code.start:#x}" if now.code.name else f"{line.address:#x}"
    told = say(language, "spot.was", byte=original) if line.patched else say(language, "spot.plain")
    return f"{say(language, 'spot.byte')} {place}  {told}", (f"{byte} ← {original}" if line.patched else byte,)


def _changed(view: View) -> tuple[str, tuple[str, ...]]:
    """Flags and registers that have another value than at the moment shown before."""
    now, before = view.now, view.before
    if before is None or before.cpu != now.cpu:
        return "", ()
    old, new = before.registers, now.registers
    words = [f"{name}={new['rflags'] >> bit & 1}" for name, bit in FLAGS if (new["rflags"] ^ old["rflags"]) >> bit & 1]
    names = [name for name in new if new[name] != old[name] and name not in ("rflags", "rip", "cs", "ss")]
    words += [f"{name}={_short(new[name])}" for name in sorted(names, key=_LAST.__contains__)]
    return say(view.language, "spot.changed") if words else "", tuple(words)


def _short(value: int) -> str:
    """A number in hex; of an address in the kernel the last digits."""
    return f"{value:x}" if value < _KERNEL else f"…{value & ((1 << 4 * _DIGITS) - 1):0{_DIGITS}x}"
