"""How the kernel is taken to be built, as far as it decides which mechanism serves a probe."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["KprobeConfig", "Stepping"]


class Stepping(Enum):
    """What gives control back after the copy of an instruction has run in its slot."""

    INT3 = "int3"
    TRAP_FLAG = "TF"


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
    """

    preemption: bool = True
    ftrace: bool = False
    stepping: Stepping = Stepping.INT3
    optprobes: bool = False
    optimization: bool = True
