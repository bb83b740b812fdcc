"""Where no probe is accepted, and why.

Sources as in Linux kernel/kprobes.c:populate_kprobe_blacklist and arch/x86/kernel/kprobes/core.c: functions marked
``NOKPROBE_SYMBOL``, ``.kprobes.text``, ``.noinstr.text`` and the whole of ``.entry.text``.
"""

from __future__ import annotations

from typing import NamedTuple

from kprobesim.image import Range
from kprobesim.kprobes.kernel import RunningKernel

__all__ = ["Blacklist", "BlacklistEntry"]


class BlacklistEntry(NamedTuple):
    """One function that cannot be probed: its range by kallsyms sizes, and what put it on the list."""

    start: int
    end: int
    symbol: str
    reason: str


class Blacklist:
    """The blacklist of one kernel.

    Args:
        kernel: whose symbols and sections.
    """

    def __init__(self, kernel: RunningKernel) -> None:
        self._kernel = kernel
        tables = kernel.tables
        self._sections = (
            (tables.kprobes_text, ".kprobes.text"),
            (tables.noinstr_text, ".noinstr.text"),
            (tables.entry_text, ".entry.text"),
        )
        self.entries: tuple[BlacklistEntry, ...] = tuple(self._collect())

    def _collect(self) -> list[BlacklistEntry]:
        found: dict[int, BlacklistEntry] = {}
        lookup = self._kernel.kallsyms.lookup_size_offset

        def add(address: int, reason: str) -> None:
            place = lookup(address)
            if place is not None and place[1] == 0 and place[2]:
                symbol, _, size = place
                found.setdefault(address, BlacklistEntry(address, address + size, symbol.name, reason))

        for address in self._kernel.tables.kprobe_blacklist:
            add(address, "NOKPROBE_SYMBOL")
        for symbol in self._kernel.kallsyms:
            for section, name in self._sections:
                if symbol.is_text and symbol.address in section:
                    add(symbol.address, name)
        return sorted(found.values())

    def reason(self, address: int) -> str | None:
        """Why an address cannot be probed, or None if it can.

        As in ``within_kprobe_blacklist``, a compiler-made clone (``foo.isra.0``) shares the fate of ``foo``.

        Args:
            address: of kernel text.
        """
        if found := self._listed(address):
            return found
        place = self._kernel.kallsyms.lookup_size_offset(address)
        if place is not None and "." in place[0].name:
            originals = self._kernel.kallsyms.lookup_name(place[0].name.partition(".")[0])
            if originals and (found := self._listed(originals[0].address)):
                return found
        return self._in_section(address)

    def _listed(self, address: int) -> str | None:
        for entry in self.entries:
            if entry.start <= address < entry.end:
                if entry.reason[0] == ".":
                    return f"{entry.symbol} lies in {entry.reason}"
                return f"{entry.symbol} is marked {entry.reason}"
        return None

    def _in_section(self, address: int) -> str | None:
        section: Range
        for section, name in self._sections:
            if address in section:
                return f"it lies in {name}"
        return None
