"""The phases of a probe hit, as the banner shows them."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from kprobesim.kprobes import MODULES_VADDR

if TYPE_CHECKING:
    from kprobesim.lab.lab import Lab

__all__ = ["Phase", "current_phase"]

_WINDOW = 64
_HANDLING = ("kprobe.hit", "kprobe.miss", "kprobe.pre_handler", "bpf.exit", "bpf.fault", "bpf.skip", "rethook.prepare")


class Phase(Enum):
    """Where a CPU is in the life of a hit; the value is a short name for screens."""

    RUN = "run"
    BREAKPOINT = "#BP"
    GATE = "gate"
    PT_REGS = "pt_regs"
    HANDLER = "kprobe_int3_handler"
    BPF = "BPF"
    SLOT = "slot"
    SECOND_BREAKPOINT = "#BP 2"
    RESUME = "resume"


def current_phase(lab: Lab) -> Phase:
    """The phase of the current vCPU, read from the events behind the present moment and from RIP."""
    log, cpu, moment = lab.machine.log, lab.cpu, lab.moment
    rip = lab.registers()["rip"]
    for seq in range(lab.seq - 1, max(lab.seq - _WINDOW, -1), -1):
        event = log[seq]
        if event.cpu != cpu:
            continue
        if event.kind in ("kprobe.resume", "kprobe.post_handler", "kprobe.emulate"):
            return Phase.RUN if _left(lab, rip) else Phase.RESUME
        if event.kind == "kprobe.singlestep":
            return Phase.SLOT if rip == event.fields["slot"] else Phase.HANDLER
        if event.kind in ("bpf.enter", "bpf.helper", "map.update", "map.delete", "trace.printk"):
            return Phase.BPF
        if event.kind in (
            "kprobe.hit",
            "kprobe.miss",
            "kprobe.pre_handler",
            "bpf.exit",
            "bpf.fault",
            "rethook.prepare",
        ):
            return Phase.HANDLER if not _left(lab, rip) else Phase.RUN
        if event.kind in ("trap", "gate") and event.fields["vector"] == 3:
            second = _is_second(log[seq if event.kind == "trap" else seq - 1].fields["rip"])
            if event.kind == "trap":
                return Phase.SECOND_BREAKPOINT if second else Phase.BREAKPOINT
            if second:
                return Phase.SECOND_BREAKPOINT
            return Phase.GATE if event.moment == moment else Phase.PT_REGS
        if event.kind in ("trap", "gate", "syscall", "idle", "sched.switch", "input"):
            return Phase.RUN
    return Phase.RUN


def _is_second(rip: int) -> bool:
    return rip >= MODULES_VADDR


def _left(lab: Lab, rip: int) -> bool:
    """The CPU is out of the trap's entry and handler code again."""
    return lab.manager.kprobes.blacklist.reason(rip) is None
