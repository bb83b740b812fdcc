"""The few styles of the panels. Each says by weight or shape what it says by colour, for screens without any."""

from typing import Final

__all__ = ["ARMED", "CHANGED", "CURRENT", "DIM", "FAILED", "HEAD", "SOURCE", "STRONG", "USED"]

DIM: Final = "dim"
STRONG: Final = "bold"
CHANGED: Final = "bold $warning"
CURRENT: Final = "bold reverse"
ARMED: Final = "bold $error"
FAILED: Final = "bold $error"
HEAD: Final = "bold $primary"
SOURCE: Final = "italic $success"
USED: Final = "underline"
