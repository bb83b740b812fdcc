"""How the panels are arranged on a terminal of some size: all of them, or one with or without neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["Layout", "has_room_for_all", "layout_of"]

_ALL_WIDTH: Final = 110
_ALL_HEIGHT: Final = 32
_PAIR_WIDTH: Final = 76
_BROAD: Final = ("verifier", "console")
"""Panels that need a small screen's whole width."""
_BROAD_IF_LOW: Final = (*_BROAD, "bpf")
"""Those that need it where there are few rows."""


@dataclass(frozen=True, slots=True)
class Layout:
    """An arrangement.

    Attributes:
        width, height: what the screen leaves for the panels, in cells.
        single: only the selected panel is shown.
        paired: the kprobe state and the registers stand beside it.
    """

    width: int
    height: int
    single: bool
    paired: bool


def has_room_for_all(width: int) -> bool:
    """Whether all panels have room beside each other.

    Args:
        width: in cells.
    """
    return width >= _ALL_WIDTH


def layout_of(size: tuple[int, int], selected: str, *, reading: bool, maximised: bool, large: bool) -> Layout:
    """The arrangement that fits.

    Args:
        size: width and height of the terminal, in cells.
        selected: name of the panel that the keys are for.
        reading: the text is in sight.
        maximised: the selected panel is to have all the room.
        large: the screen is that of a projector.
    """
    width, height = size
    room = width - (width // 3 if reading and has_room_for_all(width) else 0)
    broad = _BROAD if height >= _ALL_HEIGHT else _BROAD_IF_LOW
    return Layout(
        room,
        height,
        single=maximised or large or not has_room_for_all(room) or height < _ALL_HEIGHT,
        paired=room >= _PAIR_WIDTH and not maximised and selected not in broad,
    )
