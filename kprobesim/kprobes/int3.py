"""The hit path: from the breakpoint trap to the function going on.

Follows Linux 6.1 arch/x86/kernel/kprobes/core.c: kprobe_int3_handler, setup_singlestep, reenter_kprobe,
resume_singlestep, kprobe_post_process, kprobe_fault_handler. The guest's ``exc_int3`` and ``exc_debug`` come here by
hypercalls.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from kprobesim.errors import GuestError
from kprobesim.image import MAX_INSN_SIZE
from kprobesim.kprobes.config import FixUp, Stepping
from kprobesim.kprobes.core import Kprobes
from kprobesim.kprobes.kprobe import INT3, NOTHING_BEFORE, Kprobe, KprobeCtlblk, KprobeStatus
from kprobesim.kprobes.pt_regs import PtRegs
from kprobesim.kprobes.singlestep_tf import TrapFlagStep
from kprobesim.machine import Answer, VCpu, is_abandoned, then

__all__ = ["Int3Path"]

_IF: Final = 1 << 9
_INT3_SIZE: Final = 1
_WORD: Final = struct.Struct("<Q")
_RUNNING: Final = (KprobeStatus.HIT_ACTIVE, KprobeStatus.HIT_SS, KprobeStatus.HIT_SSDONE)


class Int3Path:
    """What happens at an int3.

    Args:
        kprobes: the table of probes.
    """

    def __init__(self, kprobes: Kprobes) -> None:
        self._kprobes = kprobes
        self._kernel = kprobes.kernel
        self._machine = kprobes.kernel.machine
        self._ram = self._machine.ram
        self._guest_is_told = kprobes.kernel.has_symbol("current_kprobe")
        without = kprobes.config.without
        self._checks_reentry = FixUp.REENTRY not in without
        self._resumes_ip = FixUp.RESUME_IP not in without
        self._restores_if = FixUp.RESTORE_IF not in without
        self._trap_flag = TrapFlagStep(kprobes) if kprobes.config.stepping is Stepping.TRAP_FLAG else None

    # Entries from the guest

    def kprobe_int3_handler(self, cpu: VCpu, address: int, _: int, __: int) -> Answer:
        """Handle an int3, if it is a kprobe's.

        Args:
            cpu: the vCPU.
            address: of the guest's ``struct pt_regs``.

        Returns:
            1 if it was, 0 if somebody else must claim it.
        """
        regs = PtRegs(self._ram, cpu.root, address, cpu.number)
        ip, cs, flags = regs.interrupted()
        if cs & 3 == 3:
            return 0
        probe = self._kprobes.get_kprobe(ip - _INT3_SIZE)
        block = self._kprobes.ctlblk[cpu.number]
        # Without a copy it is ftrace's: the int3 was of a patch that has come to its end since the trap was taken.
        if probe is not None and probe.ainsn is not None:
            if block.current is not None and self._checks_reentry:
                self._reenter_kprobe(probe, regs, block)
                return 1
            return self._hit(probe, regs, block, flags)
        current = block.current
        if current is not None and block.status in (KprobeStatus.HIT_SS, KprobeStatus.REENTER):
            assert current.ainsn is not None
            if current.ainsn.insn < ip < current.ainsn.insn + MAX_INSN_SIZE:
                self._resume_singlestep(current, regs, block, ip, cs, flags)
                self._post_process(current, regs, block)
                return 1
        if self._kernel.read(ip - _INT3_SIZE, 1)[0] != INT3:
            # Another CPU has put the byte back since this one took the trap: run what is there now.
            regs.ip = ip - _INT3_SIZE
            self._machine.emit("kprobe.removed", addr=ip - _INT3_SIZE)
            return 1
        return 0

    def kprobe_debug_handler(self, cpu: VCpu, address: int, _: int, __: int) -> int:
        """Handle a #DB: where the trap flag ends a step, it has come to its end.

        Args:
            cpu: the vCPU.
            address: of the guest's ``struct pt_regs``.

        Returns:
            1 if it was a kprobe's, 0 if somebody else must claim it.
        """
        block = self._kprobes.ctlblk[cpu.number]
        current = block.current
        if self._trap_flag is None or current is None or current.ainsn is None:
            return 0
        regs = PtRegs(self._ram, cpu.root, address, cpu.number)
        self._trap_flag.end(current, regs, block)
        self._post_process(current, regs, block)
        return 1

    def kprobe_fault_handler(self, cpu: VCpu, address: int, trapnr: int, _: int) -> int:
        """An exception while a probe is being handled: undo the step if it was the copy that faulted.

        Returns:
            0: the exception is handled as if the original instruction had raised it (FLT-01, FLT-02).
        """
        block = self._kprobes.ctlblk[cpu.number]
        current = block.current
        regs = PtRegs(self._ram, cpu.root, address, cpu.number)
        if current is None or current.ainsn is None or regs.ip != current.ainsn.insn:
            return 0
        assert current.addr is not None
        regs.ip = current.addr
        if self._trap_flag is not None:
            self._trap_flag.cancel(regs)
        regs.flags |= block.old_flags
        self._machine.emit("kprobe.fault", **self._kprobes.place(current), trapnr=trapnr)
        self._leave(block, cpu.number)
        return 0

    # The steps

    def _hit(self, probe: Kprobe, regs: PtRegs, block: KprobeCtlblk, flags: int) -> Answer:
        self._set_current(probe, regs.cpu, block, flags)
        block.status = KprobeStatus.HIT_ACTIVE
        place = self._kprobes.place(probe)
        self._machine.record("kprobe.hit", place | {"by": "int3"})
        if probe.pre_handler is not None:
            answer = probe.pre_handler(probe, regs)
            if not isinstance(answer, int):
                # Meanwhile the probe may have been removed: then its remains are current.
                return then(
                    answer, lambda told: self._after_pre_handler(block.current or probe, regs, block, place, told)
                )
            return self._after_pre_handler(probe, regs, block, place, answer)
        self._setup_singlestep(probe, regs, block, place, reenter=False)
        return 1

    def _after_pre_handler(
        self, probe: Kprobe, regs: PtRegs, block: KprobeCtlblk, place: dict[str, Any], answer: int
    ) -> int:
        self._machine.record("kprobe.pre_handler", place | {"ret": answer})
        if answer:
            self._reset_current(block, regs.cpu)
        else:
            self._setup_singlestep(probe, regs, block, place, reenter=False)
        return 1

    def _reenter_kprobe(self, probe: Kprobe, regs: PtRegs, block: KprobeCtlblk) -> None:
        if block.status not in _RUNNING:
            where = self._kernel.kallsyms.symbolize(regs.ip - _INT3_SIZE)
            raise GuestError(
                f"Unrecoverable kprobe detected. At {where}, while a reentered probe's instruction was being stepped.",
                report=self._machine.report(self._machine.cpus[regs.cpu]),
            )
        self._kprobes.inc_nmissed_count(probe)
        self._setup_singlestep(probe, regs, block, self._kprobes.place(probe), reenter=True)

    def _setup_singlestep(
        self, probe: Kprobe, regs: PtRegs, block: KprobeCtlblk, place: dict[str, Any], *, reenter: bool
    ) -> None:
        assert probe.ainsn is not None
        if probe.is_optimized:
            self._setup_detour_execution(probe, regs, block, place, reenter=reenter)
            return
        if probe.ainsn.boostable and not (self._trap_flag is not None and probe.post_handler is not None):
            if not reenter:
                self._reset_current(block, regs.cpu)
            regs.ip = probe.ainsn.insn
            self._machine.record("kprobe.boost", place | {"slot": probe.ainsn.insn})
            return
        if reenter:
            block.previous = (block.current, block.status, block.old_flags, block.saved_flags)
            self._set_current(probe, regs.cpu, block, regs.flags)
            block.status = KprobeStatus.REENTER
        if probe.ainsn.emulate_op is not None:
            probe.ainsn.emulate_op(regs)
            self._machine.record("kprobe.emulate", place | {"insn": probe.ainsn.text, "ip": regs.ip})
            self._post_process(probe, regs, block)
            return
        if not reenter:
            block.status = KprobeStatus.HIT_SS
        if self._trap_flag is not None:
            self._trap_flag.begin(probe, regs, block)
            return
        _, cs, flags = regs.interrupted()
        regs.set_interrupted(probe.ainsn.insn, cs, flags & ~_IF)
        saved_if = int(block.saved_flags != 0)
        self._machine.record("kprobe.singlestep", place | {"slot": probe.ainsn.insn, "saved_if": saved_if})

    def _setup_detour_execution(
        self, probe: Kprobe, regs: PtRegs, block: KprobeCtlblk, place: dict[str, Any], *, reenter: bool
    ) -> None:
        """The instructions run in the detour buffer, which jumps back by itself: no second trap (OPT-06)."""
        assert probe.optinsn is not None
        regs.ip = probe.optinsn.detour
        if not reenter:
            self._reset_current(block, regs.cpu)
        self._machine.record("kprobe.detour", place | {"ip": probe.optinsn.detour})

    def _resume_singlestep(
        self, probe: Kprobe, regs: PtRegs, block: KprobeCtlblk, ip: int, cs: int, flags: int
    ) -> None:
        assert probe.ainsn is not None and probe.addr is not None
        if self._resumes_ip:
            ip += probe.addr - probe.ainsn.insn - _INT3_SIZE
        if self._restores_if:
            flags |= block.saved_flags
        regs.set_interrupted(ip, cs, flags)
        self._machine.record("kprobe.resume", self._kprobes.place(probe) | {"ip": ip})

    def _post_process(self, probe: Kprobe, regs: PtRegs, block: KprobeCtlblk) -> None:
        if block.status is not KprobeStatus.REENTER:
            block.status = KprobeStatus.HIT_SSDONE
            if probe.post_handler is not None:
                probe.post_handler(probe, regs, 0)
                self._machine.emit("kprobe.post_handler", **self._kprobes.place(probe))
        self._leave(block, regs.cpu)

    # Per-CPU state

    def _set_current(self, probe: Kprobe, cpu: int, block: KprobeCtlblk, flags: int) -> None:
        block.current = probe
        block.saved_flags = block.old_flags = flags & _IF
        self.note(cpu, probe.addr or 0)

    def _leave(self, block: KprobeCtlblk, cpu: int) -> None:
        """After a reentered probe the outer one is current again, otherwise none is."""
        if block.status is KprobeStatus.REENTER:
            block.current, block.status, block.old_flags, block.saved_flags = block.previous
            block.previous = NOTHING_BEFORE
            self._kprobes.synchronize()
            self.note(cpu, (block.current and block.current.addr) or 0)
        else:
            self._reset_current(block, cpu)

    def _reset_current(self, block: KprobeCtlblk, cpu: int) -> None:
        block.current, block.status = None, KprobeStatus.NONE
        self._kprobes.synchronize()
        self.note(cpu, 0)

    def note(self, cpu: int, address: int) -> None:
        """Tell the guest, whose fault path asks only while a probe is being handled."""
        if self._guest_is_told:
            _WORD.pack_into(self._ram.bytes, self._kernel.percpu_physical("current_kprobe", cpu), address)

    def running_as(self, probe: Kprobe, regs: PtRegs) -> _Running:
        """For a return handler: while it runs, ``probe`` is the current one, so that probes it hits are missed."""
        return _Running(self, probe, regs)


class _Running:
    def __init__(self, path: Int3Path, probe: Kprobe, regs: PtRegs) -> None:
        self._path, self._probe, self._regs = path, probe, regs

    def __enter__(self) -> None:
        path = self._path
        block = path._kprobes.ctlblk[self._regs.cpu]
        self._outer = (block.current, block.status, block.old_flags, block.saved_flags)
        block.current, block.status = self._probe, KprobeStatus.HIT_ACTIVE
        path.note(self._regs.cpu, self._probe.addr or 1)

    def __exit__(self, raised: type[BaseException] | None, *_: object) -> None:
        if is_abandoned(raised):
            return
        path = self._path
        block = path._kprobes.ctlblk[self._regs.cpu]
        block.current, block.status, block.old_flags, block.saved_flags = self._outer
        path._kprobes.synchronize()
        path.note(self._regs.cpu, (block.current and block.current.addr) or 0)
