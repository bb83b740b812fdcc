"""Probes at a function's entry that ftrace serves: no int3, no slot, no step.

Follows Linux 6.1 kernel/kprobes.c (arm_kprobe_ftrace, disarm_kprobe_ftrace) and arch/x86/kernel/kprobes/ftrace.c.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Final

from kprobesim.kprobes.ftrace import MCOUNT_INSN_SIZE, FtraceOps
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
        self._plain = FtraceOps("kprobe_ftrace_ops", _STUB, self._func)
        self._ipmodify = FtraceOps("kprobe_ipmodify_ops", _STUB, self._func, ipmodify=True)
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
        return self._func(cpu, ip, parent_ip, address)

    def _func(self, cpu: VCpu, ip: int, _: int, address: int) -> Answer:
        number = cpu.number
        if not self._ftrace.trylock(number):
            return 0
        probe = self._kprobes.get_kprobe(ip)
        block = self._kprobes.ctlblk[number]
        if probe is not None and not probe.is_disabled:
            if block.current is None:
                return self._hit(probe, PtRegs(self._machine.ram, cpu.root, address, number), block)
            self._kprobes.inc_nmissed_count(probe)
        self._ftrace.unlock(number)
        return 0

    def _hit(self, probe: Kprobe, regs: PtRegs, block: KprobeCtlblk) -> Answer:
        assert probe.addr is not None
        place = self._kprobes.place(probe)
        orig_ip = regs.ip
        regs.ip = probe.addr + _INT3_SIZE
        block.current, block.status = probe, KprobeStatus.HIT_ACTIVE
        self._note(regs.cpu, probe.addr)
        self._machine.record("kprobe.hit", {**place, "by": "ftrace"})
        answer = None if probe.pre_handler is None else probe.pre_handler(probe, regs)
        if isinstance(answer, int | None):
            return self._leave(probe, regs, block, orig_ip, answer)
        return self._by_way_of_the_guest(probe, regs, block, orig_ip, answer)

    def _by_way_of_the_guest(
        self, probe: Kprobe, regs: PtRegs, block: KprobeCtlblk, orig_ip: int, answer: Generator[GuestCall, int, int]
    ) -> Generator[GuestCall, int, int]:
        told = yield from answer
        return self._leave(block.current or probe, regs, block, orig_ip, told)  # its remains, if it is gone by now

    def _leave(self, probe: Kprobe, regs: PtRegs, block: KprobeCtlblk, orig_ip: int, answer: int | None) -> int:
        assert probe.addr is not None
        record: Callable[[str, dict[str, Any]], None] = self._machine.record
        place = self._kprobes.place(probe)
        if answer is not None:
            record("kprobe.pre_handler", {**place, "ret": answer})
        if not answer:
            if probe.post_handler is not None:
                # The 5-byte nop counts as the probed instruction, and as run.
                regs.ip = probe.addr + MCOUNT_INSN_SIZE
                block.status = KprobeStatus.HIT_SSDONE
                probe.post_handler(probe, regs, 0)
                record("kprobe.post_handler", {**place})
            regs.ip = orig_ip
        block.current, block.status = None, KprobeStatus.NONE
        self._note(regs.cpu, 0)
        self._ftrace.unlock(regs.cpu)
        return 0

    def _note(self, cpu: int, address: int) -> None:
        """Tell the guest's fault path that a probe is being handled."""
        _WORD.pack_into(self._machine.ram.bytes, self._kernel.percpu_physical("current_kprobe", cpu), address)

    # Going back and forth in time

    def save(self) -> object:
        """All state that is not in guest memory."""
        return tuple(self._armed.items())

    def restore(self, state: Any) -> None:
        """Go back to what `save` returned."""
        self._armed = dict(state)
