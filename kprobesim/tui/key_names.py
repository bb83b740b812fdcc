"""The keys that texts name, as this user has them.

A text writes ``{key[text]}`` for the key of the action ``text``, and ``{key[up]}`` for a key that nobody can choose,
such as those of a dialog. The app says once which keys the user has chosen and whether arrows can be drawn.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Final

__all__ = ["KEY_NAMES", "KeyNames", "key_text", "keys_in_ascii"]

_NAMES: Final = {
    "right": "→", "left": "←", "up": "↑", "down": "↓", "space": "Space", "backspace": "Backspace", "home": "Home",
    "end": "End", "enter": "Enter", "escape": "Esc", "tab": "Tab", "pageup": "PgUp", "pagedown": "PgDn",
    "question_mark": "?", "asterisk": "*", "dollar_sign": "$", "left_square_bracket": "[",
    "right_square_bracket": "]", "less_than_sign": "<", "greater_than_sign": ">", "colon": ":",
    "insert": "Insert", "plus": "+", "equals_sign": "=", "minus": "-", "full_stop": ".", "slash": "/",
    "ideographic_comma": "、",
    "shift": "Shift", "ctrl": "Ctrl",
}  # fmt: skip
_SHORT: Final = {"Backspace": "⌫", "Insert": "Ins"}
_IN_ASCII: Final = {ord(mark): name for mark, name in zip("←→↑↓⌫", ("<-", "->", "Up", "Dn", "Bksp"), strict=True)}


def key_text(key: str) -> str:
    """A key as it is written on keyboards."""
    *modifiers, last = key.split("+")
    name = _NAMES.get(last, last.upper() if modifiers or _is_function_key(last) else last)
    return "+".join([*(_NAMES.get(word, word.title()) for word in modifiers), name])


def _is_function_key(key: str) -> bool:
    """F1 to F24."""
    return key[:1] == "f" and key[1:].isdigit()


def keys_in_ascii(text: str) -> str:
    """Names of keys without arrows: as marks they would read like the keys ``<``, ``>``, ``^`` and ``v``."""
    return text.translate(_IN_ASCII)


class KeyNames:
    """What ``{key[...]}`` stands for: the first key of an action, or the name of a key."""

    def __init__(self) -> None:
        self._chosen: Mapping[str, tuple[str, ...]] = {}
        self._plain = False

    def choose(self, chosen: Mapping[str, tuple[str, ...]], *, plain: bool) -> None:
        """Say what the user has.

        Args:
            chosen: the user's own keys, by action.
            plain: keys are named in letters of ASCII.
        """
        self._chosen, self._plain = chosen, plain

    def __getitem__(self, name: str) -> str:
        keys = self._chosen.get(name) or _usual().get(name) or (name,)
        text = key_text(keys[0])
        return keys_in_ascii(text) if self._plain else text

    def written(self, text: str) -> str:
        """A text that names keys itself, as lessons do."""
        return keys_in_ascii(text) if self._plain else text

    def short(self, name: str) -> str:
        """The same for a line that has little room."""
        text = self[name]
        text = _SHORT.get(text, text)
        return keys_in_ascii(text) if self._plain else text


@functools.cache
def _usual() -> dict[str, tuple[str, ...]]:
    # The registry of actions has its own texts from the module that asks for names of keys.
    from kprobesim.tui.actions import ACTIONS

    return {action.id: action.keys for actions in ACTIONS.values() for action in actions}


KEY_NAMES: Final = KeyNames()
"""Those of the app that runs in this process."""
