"""How the kernel is taken to be built, as far as it decides which mechanism serves a probe."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["FixUp", "KprobeConfig", "Stepping"]


class Stepping(Enum):
    """What gives control back after the copy of an instruction has run in its slot."""

    INT3 = "int3"
    TRAP_FLAG = "TF"


class FixUp(Enum):
    """Steps of the kprobe core that can be left out, to see what they are for. No kernel does without them.

    ``RIP_RELATIVE``: the displacement of a copied instruction is changed for the slot (``__copy_instruction``).
    ``REENTRY``: a probe that is hit while another is being handled is only counted (``reenter_kprobe``).
    ``RESUME_IP``: behind the slot's int3 RIP is taken back to the function (``resume_singlestep``).
    ``RESTORE_IF``: behind the slot's int3 interrupts are as they were before the hit (``resume_singlestep``).
    """

    RIP_RELATIVE = "rip-relative"
    REENTRY = "reentry"
    RESUME_IP = "resume-ip"
    RESTORE_IF = "restore-if"


@dataclass(frozen=True, slots=True)
class KprobeConfig:
    """The switches of one kernel's build and command line that the kprobe core looks at.

    Attributes:
        preemption: ``CONFIG_PREEMPTION``: a task in the kernel can be made to give way. Without it kprobes are boosted.
        ftrace: ``CONFIG_KPROBES_ON_FTRACE``: a probe on a function's fentry site is served by ftrace. Without it such a
            site, where the image has any, cannot be probed at all.
        stepping: ``TRAP_FLAG`` as up to Linux 5.12: no instruction is emulated, the trap flag ends each step.
        optprobes: ``CONFIG_OPTPROBES``: probes may become jumps. It is on for every x86-64 kernel with kprobes.
        optimization: the sysctl debug.kprobes-optimization at boot; there is a boot parameter of that name.
        without: steps that are left out, as no kernel does.
    """

    preemption: bool = True
    ftrace: bool = False
    stepping: Stepping = Stepping.INT3
    optprobes: bool = False
    optimization: bool = True
    without: frozenset[FixUp] = frozenset()
