"""The looks: dark, light, high contrast, and two palettes that the colour-blind tell apart.

Panels say nothing by colour alone; these only make it pleasant.
"""

from __future__ import annotations

from typing import Final

from textual.theme import Theme

__all__ = ["THEMES", "THEME_NAMES"]

THEMES: Final = (
    Theme(
        "high-contrast", primary="#ffff00", secondary="#00ffff", warning="#ffff00", error="#ff8080", success="#80ff80",
        accent="#00ffff", foreground="#ffffff", background="#000000", surface="#000000", panel="#202020",
        boost="#303030", dark=True, text_alpha=1.0,
    ),
    # The palette of Okabe and Ito: blue, sky blue, orange and vermilion stay apart with every kind of colour blindness.
    Theme(
        "colour-blind", primary="#56b4e9", secondary="#0072b2", warning="#e69f00", error="#d55e00", success="#56b4e9",
        accent="#f0e442", foreground="#f0f0f0", background="#121212", surface="#1a1a1a", panel="#262626", dark=True,
    ),
    Theme(
        "colour-blind-light", primary="#0072b2", secondary="#56b4e9", warning="#b36b00", error="#b34700",
        success="#0072b2", accent="#cc79a7", foreground="#101010", background="#fafafa", surface="#f2f2f2",
        panel="#e4e4e4", dark=False,
    ),
    # A projector washes out greys and tints: black on white, and few, dark colours.
    Theme(
        "projector", primary="#00008b", secondary="#00008b", warning="#8b3a00", error="#a00000", success="#005a00",
        accent="#00008b", foreground="#000000", background="#ffffff", surface="#ffffff", panel="#e8e8e8",
        boost="#e0e0e0", dark=False, text_alpha=1.0,
    ),
)  # fmt: skip

THEME_NAMES: Final = ("textual-dark", "textual-light", *(theme.name for theme in THEMES))
"""In the order in which the key goes through them."""
