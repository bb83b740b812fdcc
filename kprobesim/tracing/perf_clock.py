"""Sampling by the clock: programs of type PERF_EVENT on the event cpu-clock.

Follows Linux 6.1 kernel/events/core.c: perf_swevent_hrtimer, bpf_overflow_handler. A sample is taken at each tick of a
CPU that has something to run; the context is what the tick has interrupted.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from kprobesim.errors import LinuxError
from kprobesim.kprobes import PT_REGS_SIZE, KprobeManager
from kprobesim.linux_errno import Errno
from kprobesim.machine import Answer, VCpu, each

if TYPE_CHECKING:
    from kprobesim.tracing.bpf import BpfPrograms

__all__ = ["CPU_CLOCK", "TICK_NS", "PerfClock", "PerfEventLink"]

CPU_CLOCK: Final = "cpu-clock"
TICK_NS: Final = 4_000_000
_KEY: Final = "perf_swevent_enabled"
_STUB: Final = "perf_swevent_hrtimer"


class PerfClock:
    """Who samples by the clock; the kernel's stub is bound here.

    Args:
        manager: of the kernel that ticks.
    """

    def __init__(self, manager: KprobeManager) -> None:
        self._kernel = manager.kernel
        self._jump_labels = manager.kprobes.jump_labels
        self._links: tuple[PerfEventLink, ...] = ()
        self._kernel.bind({_STUB: self._perf_swevent_hrtimer})

    def add(self, link: PerfEventLink) -> None:
        """One more samples.

        Raises:
            LinuxError: ENOENT, this kernel has no such event.
        """
        if not self._kernel.has_symbol(_KEY):
            raise LinuxError(Errno.ENOENT, f"This kernel has no event {CPU_CLOCK}.")
        if not self._links:
            self._jump_labels.static_key_slow_inc(self._kernel.symbol(_KEY))
        link.enabled_at = self._kernel.machine.ns
        self._links = (*self._links, link)

    def remove(self, link: PerfEventLink) -> None:
        """It samples no more."""
        self._links = tuple(other for other in self._links if other is not link)
        if not self._links:
            self._jump_labels.static_key_slow_dec(self._kernel.symbol(_KEY))

    def _perf_swevent_hrtimer(self, cpu: VCpu, regs: int, _: int, __: int) -> Answer:
        return each(link.overflow(cpu, regs) for link in self._links)

    def save(self) -> object:
        """All state that is not in guest memory."""
        return self._links

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        self._links = state


@dataclass(eq=False)
class PerfEventLink:
    """A program of type PERF_EVENT on the clock of all CPUs.

    Args:
        programs: the kernel's.
        program: the program's name.
        event: ``cpu-clock``, the only one that there is.
        cookie: what ``bpf_get_attach_cookie`` answers.

    Attributes:
        enabled_at: since when it is on, virtual nanoseconds.
    """

    programs: BpfPrograms
    program: str
    event: str
    cookie: int = 0
    enabled_at: int = field(default=0, init=False)

    def attach(self) -> None:
        """See Link.

        Raises:
            LinuxError: ENOENT, no such event; EINVAL, a program of another type.
        """
        self.programs.attachable(self.program, "perf_event")
        if self.event != CPU_CLOCK:
            raise LinuxError(
                Errno.ENOENT,
                f"There is no event {self.event} to sample by.",
                hint=f"{CPU_CLOCK} is a sample at each tick, every {TICK_NS // 1_000_000} ms.",
            )
        self.programs.reserve_contexts()
        self.programs.perf_clock.add(self)
        self.programs.add_link(self, self.program, self._where(), {})

    def detach(self) -> None:
        """See Link."""
        self.programs.perf_clock.remove(self)
        self.programs.remove_link(self, self.program, self._where())

    def overflow(self, cpu: VCpu, regs: int) -> Answer:
        """``bpf_overflow_handler``: run the program on ``struct bpf_perf_event_data``.

        Args:
            cpu: the vCPU.
            regs: guest address of the registers that the tick has interrupted.
        """
        # Behind what the program may see: what bpf_perf_prog_read_value counts from.
        context = self.programs.read(regs, PT_REGS_SIZE) + struct.pack("<3Q", TICK_NS, 0, self.enabled_at)
        return self.programs.run_on(self.program, cpu, context, regs=regs, cookie=self.cookie, points_to_regs=False)

    def _where(self) -> str:
        return f"perf_event {self.event}"

    def __str__(self) -> str:
        return f"{self.program} to {self._where()}"
