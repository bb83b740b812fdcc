"""An asciinema recording, version 3: a header, then one line an event, each with the seconds since the one before.

Format: https://docs.asciinema.org/manual/asciicast/v3/
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from kprobesim.i18n import Language
from kprobesim.lab.export.frames import Frame
from kprobesim.lab.export.screen import COLUMNS, ROWS, draw

__all__ = ["as_cast"]

_CLEAR: Final = "\x1b[H\x1b[2J"
_STYLES: Final = {"plain": "0", "bold": "1", "dim": "2", "now": "7", "changed": "1;33"}
_INPUT_PAUSE: Final = 1.0


def as_cast(frames: Sequence[Frame], language: Language, title: str, *, seconds: float = 1.5) -> str:
    """A cast with a marker at each input, hit, start of a program and bookmark.

    Nothing in it depends on when it was made.

    Args:
        frames: what to show.
        language: of the sentences.
        title: of the whole.
        seconds: how long a frame stays.
    """
    header = {"version": 3, "term": {"cols": COLUMNS, "rows": ROWS}, "title": title}
    lines = [json.dumps(header, ensure_ascii=False)]
    for number, frame in enumerate(frames, 1):
        pause = 0.0 if number == 1 else seconds + (_INPUT_PAUSE if frame.kind == "input" else 0.0)
        label = _marker(frame, language)
        if label:
            lines.append(json.dumps([round(pause, 3), "m", label], ensure_ascii=False))
            pause = 0.0
        screen = "\r\n".join(
            "".join(f"\x1b[{_STYLES[span.style]}m{span.text}\x1b[0m" for span in row).rstrip()
            for row in draw(frame, language, number, len(frames), title)
        )
        lines.append(json.dumps([round(pause, 3), "o", _CLEAR + screen], ensure_ascii=False))
    lines.append(json.dumps([seconds, "x", "0"]))
    return "\n".join(lines) + "\n"


def _marker(frame: Frame, language: Language) -> str:
    if frame.notes:
        return frame.notes[0]
    if frame.kind in ("input", "kprobe.hit", "kprobe.opt_hit", "kprobe.miss", "rethook.handler", "bpf.enter", "panic"):
        return frame.narration[language].what
    return ""
