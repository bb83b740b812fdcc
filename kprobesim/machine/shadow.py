"""What is in RAM, page by page, found out by comparison with a copy.

No emulator tells which pages were written, and a hook on every store would cost far more than to look at all of RAM:
the C library compares 16 MiB in a millisecond.
"""

from __future__ import annotations

import ctypes
import os
from typing import Final

from kprobesim.machine.memory import PAGE_SIZE, PhysicalMemory

__all__ = ["Shadow"]

_CHUNK: Final = 32
"""Pages compared at once; in a chunk that differs each is compared by itself."""

_memcmp = ctypes.CDLL("msvcrt" if os.name == "nt" else None).memcmp
_memcmp.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class Shadow:
    """A copy of a bank of RAM that can be brought up to date, and put back.

    Args:
        ram: all zero, or what it holds counts as changed.
    """

    def __init__(self, ram: PhysicalMemory) -> None:
        self._ram = ram
        self._pages: list[bytes] = [bytes(PAGE_SIZE)] * (ram.size // PAGE_SIZE)
        # Side by side, so that one call compares many pages; what was never written takes no memory of the host.
        self._copy = bytearray(ram.size)
        self._copy_address = ctypes.addressof(ctypes.c_char.from_buffer(self._copy))

    def pages(self) -> tuple[bytes, ...]:
        """The contents of all pages; a page that has not changed since the last time is the same object."""
        self._update()
        return tuple(self._pages)

    def restore(self, pages: tuple[bytes, ...]) -> None:
        """Put contents back.

        Args:
            pages: from `pages`.
        """
        self._update()
        for number, (now, page) in enumerate(zip(self._pages, pages, strict=True)):
            if now is not page:
                self._ram.bytes[number * PAGE_SIZE : (number + 1) * PAGE_SIZE] = page
                self._copy[number * PAGE_SIZE : (number + 1) * PAGE_SIZE] = page
        self._pages = list(pages)

    def _update(self) -> None:
        here, there, size = self._ram.host_address, self._copy_address, _CHUNK * PAGE_SIZE
        for start in range(0, self._ram.size, size):
            if _memcmp(here + start, there + start, min(size, self._ram.size - start)):
                for at in range(start, min(start + size, self._ram.size), PAGE_SIZE):
                    if _memcmp(here + at, there + at, PAGE_SIZE):
                        page = self._ram.bytes[at : at + PAGE_SIZE]
                        self._copy[at : at + PAGE_SIZE] = page
                        self._pages[at // PAGE_SIZE] = page
