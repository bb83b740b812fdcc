"""Probes at a function's entry that ftrace serves: no int3, no slot, no step.

Follows Linux 6.1 kernel/kprobes.c (arm_kprobe_ftrace, disarm_kprobe_ftrace) and arch/x86/kernel/kprobes/ftrace.c.
"""

from __future__ import annotations

import struct
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

from kprobesim.kprobes.ftrace import FtraceOps
from kprobesim.kprobes.kprobe import Kprobe, KprobeCtlblk, KprobeStatus
from kprobesim.kprobes.pt_regs import PtRegs
from kprobesim.machine import Answer, GuestCall, VCpu

if TYPE_CHECKING:
    from kprobesim.kprobes.core import Kprobes

__all__ = ["KprobeFtrace"]

_INT3_SIZE: Final = 1
_STUB: Final = "kprobe_ftrace_handler"
_WORD: Final = struct.Struct("<Q")


class KprobeFtrace:
    """Arming such probes, and their hits.

    Args:
        kprobes: the table of probes, with its ftrace.
    """

    def __init__(self, kprobes: Kprobes) -> None:
        self._kprobes = kprobes
        self._ftrace = kprobes.ftrace
        self._kernel = kprobes.kernel
        self._machine = kprobes.kernel.machine
        self._plain = FtraceOps("kprobe_ftrace_ops", _STUB, self.kprobe_ftrace_handler)
        self._ipmodify = FtraceOps("kprobe_ipmodify_ops", _STUB, self.kprobe_ftrace_handler, ipmodify=True)
        self._armed: dict[int, FtraceOps] = {}

    def is_armed(self, probe: Kprobe) -> bool:
        """Whether the entry of the probe's function calls here."""
        return probe.addr in self._armed

    def arm(self, probe: Kprobe) -> None:
        """``arm_kprobe_ftrace``: with a post_handler the probe asks for the right to change ip (FTR-04).

        Raises:
            LinuxError: EBUSY, another user of ftrace has that right for this function.
        """
        assert probe.addr is not None
        if probe.addr in self._armed:
            return
        behind = probe.children if probe.children is not None else [probe]
        ops = self._ipmodify if any(each.post_handler is not None for each in behind) else self._plain
        is_first = not ops.sites
        self._ftrace.ftrace_set_filter_ips(ops, [probe.addr])
        if is_first:
            try:
                self._ftrace.register_ftrace_function(ops)
            except BaseException:
                ops.sites.pop(probe.addr)
                raise
        self._armed[probe.addr] = ops

    def disarm(self, probe: Kprobe) -> None:
        """``disarm_kprobe_ftrace``."""
        assert probe.addr is not None
        ops = self._armed.pop(probe.addr, None)
        if ops is None:
            return
        if len(ops.sites) == 1:
            self._ftrace.unregister_ftrace_function(ops)
        self._ftrace.ftrace_set_filter_ips(ops, [probe.addr], remove=True)

    # At a hit

    def kprobe_ftrace_handler(self, cpu: VCpu, ip: int, parent_ip: int, address: int) -> Answer:
        """Run the handlers of the probe at a function's entry, with what they would see at an int3 (FTR-02).

        Args:
            cpu: the vCPU.
            ip: the fentry site.
            parent_ip: where the function will return to.
            address: of the guest's ``struct pt_regs``, whose ip is behind the call.
        """
        number = cpu.number
        if not self._ftrace.trylock(number):
            return 0
        probe = self._kprobes.get_kprobe(ip)
        if probe is not None and not probe.is_disabled:
            block = self._kprobes.ctlblk[number]
            if block.current is None:
                return self._hit(probe, PtRegs(self._machine.ram, cpu.root, address, number), block)
            self._kprobes.inc_nmissed_count(probe)
        self._ftrace.unlock(number)
        return 0

    def _hit(self, probe: Kprobe, regs: PtRegs, block: KprobeCtlblk) -> Answer:
        assert probe.addr is not None
        orig_ip = regs.ip
        regs.ip = probe.addr + _INT3_SIZE
        block.current, block.status = probe, KprobeStatus.HIT_ACTIVE
        self._note(regs.cpu, probe.addr)
        self._machine.record("kprobe.hit", {**self._kprobes.place(probe), "by": "ftrace"})
        if probe.pre_handler is None:
            return self._leave(probe, regs, orig_ip, 0)
        answer = probe.pre_handler(probe, regs)
        if not isinstance(answer, int):
            return self._by_way_of_the_guest(answer, probe, regs, orig_ip)
        self._machine.record("kprobe.pre_handler", {**self._kprobes.place(probe), "ret": answer})
        return self._leave(probe, regs, orig_ip, answer)

    def _by_way_of_the_guest(
        self, answer: Generator[GuestCall, int, int], probe: Kprobe, regs: PtRegs, orig_ip: int
    ) -> Generator[GuestCall, int, int]:
        with self._kernel.preempt_disabled(regs.cpu):
            told = yield from answer
        self._machine.record("kprobe.pre_handler", {**self._kprobes.place(probe), "ret": told})
        return self._leave(probe, regs, orig_ip, told)

    def _leave(self, probe: Kprobe, regs: PtRegs, orig_ip: int, answer: int) -> int:
        block = self._kprobes.ctlblk[regs.cpu]
        if not answer:
            if probe.post_handler is not None:
                # The 5-byte nop counts as the probed instruction, and as run.
                regs.ip = orig_ip
                block.status = KprobeStatus.HIT_SSDONE
                probe.post_handler(probe, regs, 0)
                self._machine.record("kprobe.post_handler", {**self._kprobes.place(probe)})
            regs.ip = orig_ip
        block.current, block.status = None, KprobeStatus.NONE
        self._note(regs.cpu, 0)
        self._ftrace.unlock(regs.cpu)
        return 0

    def _note(self, cpu: int, address: int) -> None:
        """The guest's ``current_kprobe``."""
        _WORD.pack_into(self._machine.ram.bytes, self._kernel.percpu_physical("current_kprobe", cpu), address)

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory."""
        return tuple(self._armed.items())

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        self._armed = dict(state)
