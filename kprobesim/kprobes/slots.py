"""Out-of-line instruction slots: where displaced instructions run.

Follows Linux kernel/kprobes.c:__get_insn_slot and __free_insn_slot: pages in the module area, within 2 GiB of the text,
cut into slots of one size: the longest instruction's, or a detour buffer's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kprobesim.image import MAX_INSN_SIZE
from kprobesim.kprobes.kernel import ModuleArea
from kprobesim.machine import PAGE_SIZE

__all__ = ["InsnSlots"]


class InsnSlots:
    """The slots of all pages of one name (``struct kprobe_insn_cache``).

    Args:
        modules: where pages come from.
        page_name: their name in kallsyms.
        size: bytes of a slot.
        anybody_in: whether a CPU, or what it has interrupted, is in a slot; asked about the slots of boosted probes.
    """

    def __init__(
        self,
        modules: ModuleArea,
        page_name: str = "kprobe_insn_page",
        size: int = MAX_INSN_SIZE,
        *,
        anybody_in: Callable[[int], bool] = lambda slot: False,
    ) -> None:
        self._modules = modules
        self._anybody_in = anybody_in
        self._page_name = page_name
        self._size = size
        self._pages: dict[int, set[int]] = {}
        self._dirty: tuple[int, ...] = ()

    def get(self) -> int:
        """Address of a free slot.

        Raises:
            LinuxError: ENOMEM, the module area is full.
        """
        if self._dirty and self.is_full:
            self._collect_garbage_slots()
        for page, used in self._pages.items():
            number = next((number for number in range(PAGE_SIZE // self._size) if number not in used), None)
            if number is not None:
                used.add(number)
                return page + number * self._size
        page = self._modules.alloc_page(self._page_name)
        self._pages[page] = {0}
        return page

    def free(self, slot: int) -> None:
        """Give a slot back; a page without slots is kept, as Linux keeps the last one."""
        page = slot & ~(PAGE_SIZE - 1)
        self._pages[page].discard((slot - page) // self._size)

    @property
    def is_full(self) -> bool:
        """No page has a free slot."""
        return all(len(used) >= PAGE_SIZE // self._size for used in self._pages.values())

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
