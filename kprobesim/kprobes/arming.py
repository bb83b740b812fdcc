"""Putting a site's int3 into the kernel's code and taking it away: one byte, then every CPU is made to see it.

Follows Linux 6.1 kernel/kprobes.c (__arm_kprobe, __disarm_kprobe, kprobe_disarmed).
"""

from __future__ import annotations

from kprobesim.kprobes.kprobe import INT3, Kprobe, KprobeFlag
from kprobesim.kprobes.kprobe_ftrace import KprobeFtrace
from kprobesim.kprobes.optimize import Optimizer
from kprobesim.kprobes.text_poke import TextPoke

__all__ = ["Arming"]


class Arming:
    """Arms and disarms sites, each by what serves it.

    Args:
        text: writes the int3.
        on_ftrace: serves the sites at functions' entries that ftrace has.
        optimizer: makes jumps of what is armed; None where the kernel cannot.
    """

    def __init__(self, text: TextPoke, on_ftrace: KprobeFtrace, optimizer: Optimizer | None) -> None:
        self._text = text
        self._on_ftrace = on_ftrace
        self._optimizer = optimizer

    def arm(self, site: Kprobe) -> None:
        """``__arm_kprobe``: a jump over this address becomes an int3 first; then this one may become a jump.

        Raises:
            LinuxError: EBUSY, ftrace will not hook its function.
        """
        assert site.addr is not None
        if site.flags & KprobeFlag.FTRACE:
            self._on_ftrace.arm(site)
            return
        if self._optimizer is not None and (around := self._optimizer.optimized_around(site.addr)) is not None:
            self._optimizer.unoptimize(around, force=True)
        self._poke(site, INT3)
        if self._optimizer is not None:
            self._optimizer.optimize(site)

    def disarm(self, site: Kprobe, *, with_all: bool = False) -> None:
        """``__disarm_kprobe``: what is a jump stays one until the optimizer comes; its handlers do not run any more.

        Args:
            site: which.
            with_all: all sites are being disarmed: no jump may stay, and none comes back that this one was in.
        """
        assert site.addr is not None
        if site.flags & KprobeFlag.FTRACE:
            self._on_ftrace.disarm(site)
            return
        if self._optimizer is None:
            self.disarm_now(site)
            return
        self._optimizer.unoptimize(site, force=with_all)
        if not self._optimizer.is_queued(site):
            self.disarm_now(site)
            if not with_all and (around := self._optimizer.optimized_around(site.addr)) is not None:
                self._optimizer.optimize(around)

    def disarm_now(self, site: Kprobe) -> None:
        """``arch_disarm_kprobe``: put the first byte back."""
        self._poke(site, site.opcode)

    def is_disarmed(self, site: Kprobe) -> bool:
        """``kprobe_disarmed``: disabled, and no jump that only waits to be taken away."""
        return site.is_disabled if self._optimizer is None else self._optimizer.is_disarmed(site)

    def _poke(self, site: Kprobe, byte: int) -> None:
        assert site.addr is not None
        self._text.text_poke(site.addr, bytes([byte]))
