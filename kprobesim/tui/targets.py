"""What a row of a panel stands for, so that the cursor can point at it and a key can ask about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """One thing on the screen.

    Attributes:
        kind: ``code``, ``register``, ``memory``, ``element`` of a map, ``event``, or ``visit`` of the verifier.
        name: of the register or the map.
        number: address, position of the event or of the visit.
        size: bytes in memory.
        key: of the map's element.
    """

    kind: Literal["code", "register", "memory", "element", "event", "visit"]
    name: str = ""
    number: int = 0
    size: int = 0
    key: bytes = b""
