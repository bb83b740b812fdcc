"""Where a probe is meant to be, and whether one is accepted there.

Follows Linux 6.1 kernel/kprobes.c: _kprobe_addr, check_ftrace_location, check_kprobe_address_safe.
"""

from __future__ import annotations

from typing import Final

from kprobesim.errors import LinuxError
from kprobesim.kprobes.blacklist import Blacklist
from kprobesim.kprobes.jump_label import JumpLabels
from kprobesim.kprobes.kernel import RunningKernel
from kprobesim.kprobes.kprobe import Kprobe, KprobeFlag
from kprobesim.linux_errno import Errno

__all__ = ["ProbePlaces"]

_BUG_ENTRY_SIZE: Final = 12


class ProbePlaces:
    """The checks of one kernel that come before anything of it is changed.

    Args:
        kernel: the running kernel.
        blacklist: where no probe is accepted.
        jump_labels: its static branches, where none is accepted either.
        by_ftrace: kprobes may use ftrace.
    """

    def __init__(
        self, kernel: RunningKernel, blacklist: Blacklist, jump_labels: JumpLabels, *, by_ftrace: bool
    ) -> None:
        self._kernel = kernel
        self._blacklist = blacklist
        self._jump_labels = jump_labels
        self._by_ftrace = by_ftrace

    def kprobe_addr(self, probe: Kprobe) -> int:
        """``_kprobe_addr``: exactly one of symbol and address, resolved to the symbol that really contains it.

        Raises:
            LinuxError: EINVAL, both or neither; ENOENT, no such symbol.
        """
        if (probe.symbol_name is None) == (probe.address is None):
            raise LinuxError(Errno.EINVAL, "A probe needs either a symbol or an address, not both.")
        kallsyms = self._kernel.kallsyms
        if probe.symbol_name is not None:
            found = kallsyms.lookup_name(probe.symbol_name)
            if not found:
                near = kallsyms.near_names(probe.symbol_name)
                hint = f"Did you mean {' or '.join(near)}?" if near else ""
                raise LinuxError(Errno.ENOENT, f"The kernel has no symbol {probe.symbol_name}.", hint=hint)
            address = found[0].address + probe.offset
        else:
            assert probe.address is not None
            address = probe.address + probe.offset
        if kallsyms.lookup_size_offset(address) is None:
            raise LinuxError(Errno.ENOENT, f"No symbol of the kernel contains {address:#x}.")
        return address

    def check_ftrace_location(self, address: int) -> KprobeFlag:
        """``check_ftrace_location``: what becomes of a probe on a fentry site (REG-05).

        Raises:
            LinuxError: EINVAL, the kernel has kprobes that cannot use ftrace.
        """
        if self._by_ftrace:
            return KprobeFlag.FTRACE
        where = self._kernel.kallsyms.symbolize(address)
        raise LinuxError(
            Errno.EINVAL,
            f"{where} belongs to ftrace, and kprobes cannot use ftrace in this profile.",
            hint="Use the profile distro, or an image without -mfentry.",
        )

    def check_address_safe(self, address: int) -> None:
        """``check_kprobe_address_safe``: code, and none that must not be probed.

        Raises:
            LinuxError: EINVAL.
        """
        where = self._kernel.kallsyms.symbolize(address)
        tables = self._kernel.tables
        if not tables.is_text(address):
            raise LinuxError(
                Errno.EINVAL, f"{where} is not code of the kernel.", hint="Probe a function, not a variable."
            )
        if reason := self._blacklist.reason(address):
            raise LinuxError(
                Errno.EINVAL,
                f"{where} cannot be probed: {reason}.",
                hint="What runs while a probe is handled is on the blacklist.",
            )
        if self._jump_labels.jump_label_text_reserved(address, address):
            raise LinuxError(
                Errno.EINVAL,
                f"{where} is in a static branch, whose code is changed while the kernel runs.",
                hint="Probe the instruction before it or behind it.",
            )
        if address in self._bug_addresses():
            raise LinuxError(Errno.EINVAL, f"{where} is the ud2 of a BUG or WARN.")

    def _bug_addresses(self) -> set[int]:
        """Addresses of the trap instructions that ``__bug_table`` lists, each entry relative to itself."""
        start, data = self._kernel.tables.bug_table.start, self._kernel.tables.bug_table_bytes
        return {
            start + offset + int.from_bytes(data[offset : offset + 4], "little", signed=True)
            for offset in range(0, len(data) - 3, _BUG_ENTRY_SIZE)
        }
