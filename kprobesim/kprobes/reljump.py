"""The jump with a 32-bit displacement: how code that the host makes comes back to the kernel's text."""

from __future__ import annotations

from typing import Final

__all__ = ["JMP32_SIZE", "relative_jump"]

JMP32_SIZE: Final = 5
_JMP32: Final = b"\xe9"


def relative_jump(source: int, target: int) -> bytes:
    """``synthesize_reljump``: the 5 bytes of a jump.

    Args:
        source: address of the jump itself.
        target: where it goes, within 2 GiB.
    """
    return _JMP32 + (target - source - JMP32_SIZE).to_bytes(4, "little", signed=True)
