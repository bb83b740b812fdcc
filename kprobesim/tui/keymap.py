"""The user's own keys: ``keys.toml`` in the configuration folder.

::

    [keys]
    step_forward = ["right", "x"]
    who_set_this = ["f7", "ctrl+w"]

Names of actions and keys are those of ``docs/keys.md``. A mistake in the file is a sentence, and the rest of it counts.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kprobesim.tui.actions import ACTIONS

__all__ = ["Keymap", "default_keymap_file", "read_keymap"]

_MAX_SIZE: Final = 1 << 16
_KEY: Final = re.compile(r"(?:(?:ctrl|shift|alt)\+)*[a-zA-Z0-9_]{1,30}")


@dataclass(frozen=True, slots=True)
class Keymap:
    """Keys by action, and what was wrong in the file.

    Attributes:
        keys: of the actions that the file names.
        complaints: one sentence each.
    """

    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    complaints: tuple[str, ...] = ()


def default_keymap_file() -> Path:
    """Where the file is looked for: ``$KPROBESIM_KEYS``, or ``kprobesim/keys.toml`` in the user's configuration."""
    if told := os.environ.get("KPROBESIM_KEYS"):
        return Path(told)
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "kprobesim" / "keys.toml"


def read_keymap(path: Path) -> Keymap:
    """Read the file; one that is not there is an empty one.

    Args:
        path: of the file.
    """
    try:
        if path.stat().st_size > _MAX_SIZE:
            return Keymap(complaints=(f"{path} is larger than {_MAX_SIZE:,} bytes and was not read.",))
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("keys", {})
    except FileNotFoundError:
        return Keymap()
    except (OSError, ValueError, RecursionError) as error:
        return Keymap(complaints=(f"{path} cannot be read: {error}.",))
    if not isinstance(table, dict):
        return Keymap(complaints=(f"{path}: keys must be a table.",))
    return _checked(path, table)


def _checked(path: Path, table: Mapping[str, object]) -> Keymap:
    usual = {action.id: action.keys for actions in ACTIONS.values() for action in actions}
    keys: dict[str, tuple[str, ...]] = {}
    complaints = []
    for name, value in table.items():
        wanted = [value] if isinstance(value, str) else value
        if name not in usual:
            complaints.append(f"{path}: there is no action {name!r}.")
        elif not isinstance(wanted, list) or not wanted or not all(_is_key(key) for key in wanted):
            complaints.append(f'{path}: {name} must be a key or a list of keys, such as "ctrl+w".')
        else:
            keys[name] = tuple(wanted)
    settled = {name: own for name, own in usual.items() if name not in keys}
    for name in list(keys):
        owners = {
            key: action.id
            for actions in ACTIONS.values()
            if any(action.id == name for action in actions)
            for action in actions
            for key in settled.get(action.id, ())
        }
        taken = [f"{key} is the key of {owners[key]}" for key in keys[name] if key in owners]
        if taken:
            complaints.append(f"{path}: {name}: {', '.join(taken)}.")
            del keys[name]
        else:
            settled[name] = keys[name]
    return Keymap(keys, tuple(complaints))


def _is_key(key: object) -> bool:
    return isinstance(key, str) and _KEY.fullmatch(key) is not None
