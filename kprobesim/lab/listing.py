"""Disassembly that is kept: looking at the same function after every step costs one comparison of its bytes."""

from __future__ import annotations

from typing import Final, NamedTuple

from kprobesim.image import Instruction, Symbol, SymbolOverlay, decode_range

__all__ = ["BAD", "Decoded", "Listing"]

BAD: Final = "(bad)"
"""The text of bytes that are no instruction."""
_KEPT: Final = 64


class Decoded(NamedTuple):
    """An instruction: its address, its bytes and its text; of bytes that are none the first one."""

    address: int
    raw: bytes
    text: str


class Listing:
    """The disassembler of one kernel.

    Args:
        kallsyms: names for addresses. Dynamic symbols come and go, and with them the texts.
    """

    def __init__(self, kallsyms: SymbolOverlay) -> None:
        self._kallsyms = kallsyms
        self._symbols: tuple[Symbol, ...] = ()
        self._known: dict[tuple[int, bytes], tuple[Decoded, ...]] = {}

    def decode(self, code: bytes, start: int) -> tuple[Decoded, ...]:
        """The instructions of some code.

        Args:
            code: its bytes.
            start: address of the first.
        """
        if self._kallsyms.added != self._symbols:
            self._symbols = self._kallsyms.added
            self._known.clear()
        key = start, code
        # The last one asked for stands last, so that the first one is the longest unused.
        found = self._known.pop(key, None) or _decoded(code, start, self._kallsyms)
        self._known[key] = found
        if len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]
        return found


def _decoded(code: bytes, start: int, kallsyms: SymbolOverlay) -> tuple[Decoded, ...]:
    return tuple(
        Decoded(item.address, item.raw, item.text)
        if isinstance(item, Instruction)
        else Decoded(item.address, item.raw[:1], BAD)
        for item in decode_range(code, start, kallsyms.symbolize)
    )
