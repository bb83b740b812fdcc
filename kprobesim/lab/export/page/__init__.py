"""One web page that holds everything: no network, no server.

The script and the style are allowed by their digests, and nothing else is: the page cannot load or send anything.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any, Final

from kprobesim.i18n import LANGUAGES, Language, Texts
from kprobesim.lab.export.frames import Frame

__all__ = ["as_page"]

_TEXTS: Final = Texts("kprobesim.lab.recording.texts")
_WORDS: Final = (
    "step", "keys", "first", "play", "pause", "back", "forth", "registers", "code", "console", "slider", "help",
)  # fmt: skip


def as_page(frames: Sequence[Frame], language: Language, title: str) -> str:
    """The page, as HTML text.

    Args:
        frames: the steps of its player.
        language: the one it opens in; the page has a switch.
        title: of the whole.
    """
    script, style = _file("player.js"), _file("player.css")
    data = {
        "language": language,
        "words": {each: {word: _word(each, word) for word in _WORDS} for each in LANGUAGES},
        "frames": [_plain(frame) for frame in frames],
    }
    values = {
        "language": "zh-CN" if language == "zh" else "en",
        "title": escape(title),
        "policy": f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'",
        "style": style,
        "script": script,
        # Inside a script element only "</" and "<!--" mean anything.
        "data": json.dumps(data, ensure_ascii=True).replace("<", "\\u003c"),
    }
    # In one pass: what is put in may look like a place to put something.
    return re.sub(r"@(\w+)@", lambda found: values[found[1]], _file("player.html"))


def _plain(frame: Frame) -> dict[str, Any]:
    return {
        "seq": frame.seq,
        "ms": f"{frame.ns / 1e6:.3f}",
        "cpu": frame.cpu,
        "kind": frame.kind,
        "told": {language: list(frame.narration[language]) for language in LANGUAGES},
        "place": frame.place,
        "function": frame.function,
        "phase": frame.phase,
        "code": [
            [f"{row.address:016x}", row.memory.hex(" "), row.text, row.is_next, row.patched] for row in frame.code
        ],
        "registers": [[name, f"{value:016x}", name in frame.changed] for name, value in frame.registers.items()],
        "console": frame.console,
        "notes": list(frame.notes),
    }


def _word(language: Language, word: str) -> str:
    """A text of the page; the script fills in ``{number}`` and ``{count}`` itself."""
    return _TEXTS.get(language, f"export.{word}", number="{number}", count="{count}") or word


def _file(name: str) -> str:
    return (files(__name__) / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
