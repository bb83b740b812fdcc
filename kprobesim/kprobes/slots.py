"""Out-of-line instruction slots: where displaced instructions run.

Follows Linux kernel/kprobes.c:__get_insn_slot and __free_insn_slot: pages in the module area, within 2 GiB of the text,
cut into slots of the longest instruction's size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from kprobesim.image import MAX_INSN_SIZE
from kprobesim.kprobes.kernel import ModuleArea
from kprobesim.machine import PAGE_SIZE

__all__ = ["SLOTS_PER_PAGE", "InsnSlots"]

SLOTS_PER_PAGE: Final = PAGE_SIZE // MAX_INSN_SIZE


class InsnSlots:
    """The slots of all pages named ``kprobe_insn_page``.

    Args:
        modules: where pages come from.
        anybody_in: whether a CPU, or what it has interrupted, is in a slot.
    """

    def __init__(self, modules: ModuleArea, anybody_in: Callable[[int], bool]) -> None:
        self._modules = modules
        self._anybody_in = anybody_in
        self._pages: dict[int, set[int]] = {}
        self._dirty: tuple[int, ...] = ()

    def get(self) -> int:
        """Address of a free slot of 15 bytes.

        Raises:
            LinuxError: ENOMEM, the module area is full.
        """
        if self._dirty and all(len(used) == SLOTS_PER_PAGE for used in self._pages.values()):
            self._collect_garbage_slots()
        for page, used in self._pages.items():
            if len(used) < SLOTS_PER_PAGE:
                number = next(number for number in range(SLOTS_PER_PAGE) if number not in used)
                used.add(number)
                return page + number * MAX_INSN_SIZE
        page = self._modules.alloc_page("kprobe_insn_page")
        self._pages[page] = {0}
        return page

    def free(self, slot: int) -> None:
        """Give a slot back; a page without slots is kept, as Linux keeps the last one."""
        page = slot & ~(PAGE_SIZE - 1)
        self._pages[page].discard((slot - page) // MAX_INSN_SIZE)

    def free_boosted(self, slot: int) -> None:
        """Give back the slot of a boosted probe: nobody notes who runs there, so it is collected only when all others
        are in use (``collect_garbage_slots``)."""
        self._dirty = (*self._dirty, slot)

    def _collect_garbage_slots(self) -> None:
        busy = tuple(slot for slot in self._dirty if self._anybody_in(slot))
        for slot in self._dirty:
            if slot not in busy:
                self.free(slot)
        self._dirty = busy

    @property
    def used(self) -> int:
        """How many slots are taken by probes."""
        return sum(len(used) for used in self._pages.values()) - len(self._dirty)

    def save(self) -> object:
        """Which slots are taken."""
        return tuple((page, frozenset(used)) for page, used in self._pages.items()), self._dirty

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        pages, self._dirty = state
        self._pages = {page: set(used) for page, used in pages}
