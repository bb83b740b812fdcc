"""The kprobe manager: register, arm, hit, single-step, emulate, return probes, blacklist.

What in Linux is the kprobe core's C code is this Python; the guest reaches it by hypercalls whose stubs have the Linux
functions' names. Knows nothing of who asks for a probe.
"""

from kprobesim.kprobes.blacklist import Blacklist, BlacklistEntry
from kprobesim.kprobes.core import Kprobes
from kprobesim.kprobes.jump_label import JumpLabels
from kprobesim.kprobes.kernel import MODULES_VADDR, RunningKernel, Task
from kprobesim.kprobes.kinds import KPROBE_KINDS
from kprobesim.kprobes.kprobe import (
    INT3,
    ArchSpecificInsn,
    Kprobe,
    KprobeCtlblk,
    KprobeFlag,
    KprobeStatus,
    PostHandler,
    PreHandler,
)
from kprobesim.kprobes.manager import KprobeManager
from kprobesim.kprobes.pt_regs import PT_REGS_FIELDS, PT_REGS_SIZE, PtRegs
from kprobesim.kprobes.rethook import Kretprobe, RethookNode, Rethooks
from kprobesim.kprobes.slots import InsnSlots

__all__ = [
    "INT3",
    "KPROBE_KINDS",
    "MODULES_VADDR",
    "PT_REGS_FIELDS",
    "PT_REGS_SIZE",
    "ArchSpecificInsn",
    "Blacklist",
    "BlacklistEntry",
    "InsnSlots",
    "JumpLabels",
    "Kprobe",
    "KprobeCtlblk",
    "KprobeFlag",
    "KprobeManager",
    "KprobeStatus",
    "Kprobes",
    "Kretprobe",
    "PostHandler",
    "PreHandler",
    "PtRegs",
    "RethookNode",
    "Rethooks",
    "RunningKernel",
    "Task",
]
