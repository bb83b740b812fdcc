"""The looks: dark, light, high contrast, and two palettes that the colour-blind tell apart.

Panels say nothing by colour alone; these only make it pleasant. Whatever is a word has a contrast of at least 4.5:1
to what is behind it (WCAG 2.1, 1.4.3), where it is dim, chosen or disabled as well: Textual's own looks are below that.
"""

from __future__ import annotations

from typing import Final

from textual.theme import Theme

__all__ = ["THEMES", "THEME_NAMES"]


def _words(chosen: str, behind: str, head: str, **others: str) -> dict[str, str]:
    """Colours of words that Textual would work out too faint.

    Args:
        chosen: of the option that is chosen.
        behind: that option's background.
        head: of headings in a text.
        others: by the names of Textual's variables, with ``_`` for ``-``.
    """
    return {
        "text": "auto 100%", "text-muted": "auto 85%", "text-disabled": "auto 80%",
        "block-cursor-foreground": chosen, "block-cursor-background": behind,
        "block-cursor-blurred-background": f"{behind}33",
        **{f"markdown-h{level}-color": head for level in (1, 2, 3)},
        **{name.replace("_", "-"): colour for name, colour in others.items()},
    }  # fmt: skip


THEMES: Final = (
    Theme(
        "dark", primary="#0178d4", secondary="#004578", accent="#ffa62b", warning="#ffa62b", error="#ba3c5b",
        success="#4ebf71", foreground="#e0e0e0", dark=True, variables=_words("#000000", "#4aa8f0", "#6cb2e8"),
    ),
    Theme(
        "light", primary="#004578", secondary="#0178d4", accent="#ffa62b", warning="#ffa62b", error="#ba3c5b",
        success="#4ebf71", foreground="#101010", background="#e0e0e0", surface="#d8d8d8", panel="#d0d0d0", dark=False,
        variables=_words(
            "#ffffff", "#004578", "#003a66", text_warning="#6b3a00", text_success="#1d5230", text_error="#8c1f38",
            text_accent="#6b3a00",
        ),
    ),
    Theme(
        "high-contrast", primary="#ffff00", secondary="#00ffff", warning="#ffff00", error="#ff8080", success="#80ff80",
        accent="#00ffff", foreground="#ffffff", background="#000000", surface="#000000", panel="#202020",
        boost="#303030", dark=True, text_alpha=1.0, variables=_words("#000000", "#ffff00", "#ffff00"),
    ),
    # The palette of Okabe and Ito: blue, sky blue, orange and vermilion stay apart with every kind of colour blindness.
    Theme(
        "colour-blind", primary="#56b4e9", secondary="#0072b2", warning="#e69f00", error="#d55e00", success="#56b4e9",
        accent="#f0e442", foreground="#f0f0f0", background="#121212", surface="#1a1a1a", panel="#262626", dark=True,
        variables=_words("#000000", "#56b4e9", "#56b4e9"),
    ),
    Theme(
        "colour-blind-light", primary="#0072b2", secondary="#56b4e9", warning="#b36b00", error="#b34700",
        success="#0072b2", accent="#cc79a7", foreground="#101010", background="#fafafa", surface="#f2f2f2",
        panel="#e4e4e4", dark=False, variables=_words("#ffffff", "#004f7d", "#005a8c"),
    ),
    # A projector washes out greys and tints: black on white, and few, dark colours.
    Theme(
        "projector", primary="#00008b", secondary="#00008b", warning="#8b3a00", error="#a00000", success="#005a00",
        accent="#00008b", foreground="#000000", background="#ffffff", surface="#ffffff", panel="#e8e8e8",
        boost="#e0e0e0", dark=False, text_alpha=1.0, variables=_words("#ffffff", "#00008b", "#00008b"),
    ),
)  # fmt: skip

THEME_NAMES: Final = tuple(theme.name for theme in THEMES)
"""In the order in which the key goes through them."""
