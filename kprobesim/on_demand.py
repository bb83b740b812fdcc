"""Rooms whose names are loaded when somebody asks for them (PEP 562).

A room's face has many names, and behind one of them may stand the whole machine. Whoever only wants to know how far a
step goes does not wait for it: so the first picture of the screen comes before the machine is loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

__all__ = ["on_demand"]


def on_demand(room: str, homes: Mapping[str, Sequence[str]]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` for a package.

    The package says the same to type checkers, and to tools that follow imports, with plain imports under
    ``TYPE_CHECKING``. What is assigned here belongs into the ``else`` of that: a type checker that saw a
    ``__getattr__`` would believe that the package has every name.

    Args:
        room: the package's name.
        homes: which of its names is defined in which module.
    """
    home_of = {name: home for home, names in homes.items() for name in names}

    def find(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        value = getattr(import_module(home_of[name]), name)
        # Found at once from now on.
        setattr(sys.modules[room], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[room]), *home_of})

    return find, names
