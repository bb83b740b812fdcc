"""Numbers as people read them."""

from __future__ import annotations

__all__ = ["FLAGS", "flag_names", "milliseconds", "number_text"]

FLAGS = (("CF", 0), ("PF", 2), ("ZF", 6), ("SF", 7), ("TF", 8), ("IF", 9), ("DF", 10), ("OF", 11))
"""The bits of RFLAGS that matter here, by name, lowest first."""


def flag_names(rflags: int) -> tuple[tuple[str, bool], ...]:
    """Each flag's name and whether it is set."""
    return tuple((name, bool(rflags >> bit & 1)) for name, bit in FLAGS)


def number_text(raw: bytes) -> str:
    """The bytes of a map's key or value: an integer of one machine word or less, otherwise hex."""
    if len(raw) in (1, 2, 4, 8):
        value = int.from_bytes(raw, "little")
        return f"{value:,}" if value < 1 << 48 else f"{value:#x}"
    return raw.hex(" ")


def milliseconds(ns: int) -> str:
    """Virtual time with microseconds: ``24.680 ms``."""
    return f"{ns / 1e6:,.3f} ms"
