"""Writes docs/keys.md from the registry of actions: ``python docs/generate_keys.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kprobesim.tui.actions import APP_ACTIONS, GROUPS, LAB_ACTIONS, WHAT_IF_ACTIONS, Entry
from kprobesim.tui.key_names import key_text
from kprobesim.tui.wording import say

PAGE: Final = Path(__file__).with_name("keys.md")
_HEAD: Final = """\
# Keys

Made by `docs/generate_keys.py` from the registry of actions; do not edit. · 由 `docs/generate_keys.py` 生成，请勿手改。

Every motion that matters has a key that is no letter, as an input method swallows letters. Everything can be found
under Ctrl+P, too, and the keys at the foot of the screen can be clicked. A click puts the cursor on a row; a second
click there runs to it (code, events) or asks who set it (registers, stack, maps). A click on the timeline goes there,
and the wheel over it steps.

Other keys are chosen in `~/.config/kprobesim/keys.toml` (or the file that `KPROBESIM_KEYS` names), by the names in the
last two columns:

```toml
[keys]
who_set_this = ["f7", "ctrl+w"]
```
"""


def page() -> str:
    """The whole page."""
    listed = {action.id: (action.entry, action.keys) for action in (*LAB_ACTIONS, *WHAT_IF_ACTIONS, *APP_ACTIONS)}
    rows: list[tuple[Entry, tuple[str, ...]]] = list(listed.values())
    text = _HEAD
    for group in GROUPS:
        inside = [(entry, keys) for entry, keys in rows if entry.group == group]
        if not inside:
            continue
        text += f"\n## {say('en', f'help.group.{group}')} · {say('zh', f'help.group.{group}')}\n\n"
        text += "| keys | what it does | 作用 | name | names of the keys |\n|---|---|---|---|---|\n"
        for entry, keys in inside:
            shown = ", ".join(key_text(key) for key in keys)
            told = [
                f"{entry.title(language)}{colon}{entry.help(language)}"
                for language, colon in (("en", ". "), ("zh", "。"))
            ]
            text += f"| {shown} | {told[0]} | {told[1]} | `{entry.id}` | {', '.join(f'`{key}`' for key in keys)} |\n"
    return text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
