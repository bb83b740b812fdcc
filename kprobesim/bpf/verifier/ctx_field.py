"""What all contexts have in common: who asks, and ranges of fields.

Follows bpf_ctx_range, bpf_ctx_narrow_access_ok and bpf_ctx_wide_access_ok of Linux include/linux/filter.h.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

__all__ = ["Access", "CtxUser", "Layout", "narrow", "wide", "within"]


class CtxUser(NamedTuple):
    """Who wants to look: the program's attach type as bpftool names it, and whether the user has CAP_BPF."""

    attach_type: str = ""
    capable: bool = True


Access = Callable[[int, int, bool, CtxUser], int | None]
"""Offset, size, whether it is a store, and who: the type of what is there (SCALAR_VALUE or a pointer), or None."""


def within(off: int, size: int, limit: int) -> bool:
    """Whether an aligned access begins inside of the struct."""
    return 0 <= off < limit and off % size == 0


def narrow(size: int, field: int) -> bool:
    """Whether a field of ``field`` bytes may be read in parts of this size."""
    return size <= field and size & (size - 1) == 0


def wide(off: int, size: int, start: int, end: int) -> bool:
    """Whether these are 8 aligned bytes inside of an array of words."""
    return size == 8 and off >= start and off + 8 <= end and off % 8 == 0


class Layout:
    """Offsets of a struct's fields.

    Args:
        text: names in order, with ``:size`` after a name that has not 4 bytes; ``*`` stands for an aligned pointer.
    """

    def __init__(self, text: str) -> None:
        self._at: dict[str, tuple[int, int]] = {}
        off = 0
        for word in text.split():
            name, _, said = word.partition(":")
            size = 8 if said == "*" else int(said or 4)
            if said in ("*", "8"):
                off = (off + 7) & ~7
            self._at[name] = off, off + size
            off += size
        self.size = (off + 7) & ~7 if ":*" in text or ":8" in text else off

    def __getitem__(self, name: str) -> int:
        """Where a field begins."""
        return self._at[name][0]

    def span(self, first: str, last: str = "") -> range:
        """The bytes from one field to the end of another, or of the same."""
        return range(self._at[first][0], self._at[last or first][1])

    def find(self, off: int, kinds: Mapping[str, int]) -> int | None:
        """The kind of the field that holds this byte, if it is one of ``kinds``."""
        for name, kind in kinds.items():
            if off in self.span(name):
                return kind
        return None
