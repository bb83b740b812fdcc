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
    """The switches that the kprobe core looks at; all of them are the build's, none can change while a kernel runs.

    Attributes:
        preemption: ``CONFIG_PREEMPTION``: a task in the kernel can be made to give way. Without it kprobes are boosted.
        ftrace: ``CONFIG_KPROBES_ON_FTRACE``: a probe on a function's fentry site is served by ftrace. Without it such a
            site, where the image has any, cannot be probed at all.
        stepping: ``TRAP_FLAG`` as up to Linux 5.12: no instruction is emulated, the trap flag ends each step.
    """

    preemption: bool = True
    ftrace: bool = False
    stepping: Stepping = Stepping.INT3
