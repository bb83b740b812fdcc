"""The few styles of the panels. Each says by weight or shape what it says by colour, for screens without any."""

from typing import Final

__all__ = ["ARMED", "CHANGED", "CURRENT", "CURSOR", "DIM", "FAILED", "HEAD", "NEXT", "SOURCE", "STRONG", "USED"]

DIM: Final = "dim"
STRONG: Final = "bold"
CHANGED: Final = "bold $text-warning"
CURRENT: Final = "bold reverse"
CURSOR: Final = "underline"
ARMED: Final = "bold $text-error"
FAILED: Final = "bold $text-error"
HEAD: Final = "bold $text-primary"
SOURCE: Final = "italic $text-success"
USED: Final = "underline"
NEXT: Final = "bold reverse"
