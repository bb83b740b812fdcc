"""What a presenting screen tells a second terminal: which demo is shown, and how far it is.

A small file in the user's data folder, written by the screen and read by ``kprobesim demo NAME --notes``. Both open the
same demo, and the same demo is the same life: a position is all that the notes need.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

__all__ = ["Podium", "Position", "default_podium"]

_MAX_FILE: Final = 1 << 12


@dataclass(frozen=True, slots=True)
class Position:
    """Where a demo is.

    Attributes:
        demo: its id.
        seq: how many events lie behind the moment on the screen.
    """

    demo: str
    seq: int


class Podium:
    """The file.

    Args:
        path: where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._told: Position | None = None

    def tell(self, position: Position) -> None:
        """Write a position, unless it is the last one written; notes that nobody can read are no reason to stop."""
        if position == self._told:
            return
        self._told = position
        beside = self.path.with_suffix(f".{os.getpid()}")
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps(asdict(position)), encoding="utf-8")
            beside.replace(self.path)

    def read(self) -> Position | None:
        """The position written last; None if there is none that makes sense."""
        try:
            with self.path.open("rb") as opened:
                plain: Any = json.loads(opened.read(_MAX_FILE))
            if isinstance(plain["demo"], str) and isinstance(plain["seq"], int) and plain["seq"] >= 0:
                return Position(plain["demo"], plain["seq"])
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            pass
        return None

    def leave(self) -> None:
        """Nothing is presented here any more; a position that another screen told stays."""
        if self._told is None:
            return
        self._told = None
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)


def default_podium() -> Podium:
    """The file in the user's data folder; ``KPROBESIM_DATA`` names another folder."""
    from platformdirs import user_data_path

    named = os.environ.get("KPROBESIM_DATA")
    return Podium((Path(named) if named else user_data_path("kprobesim", appauthor=False)) / "presenting.json")
