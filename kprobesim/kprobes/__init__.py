"""The kprobe manager: register, arm, hit, single-step, emulate, return probes, blacklist.

What in Linux is the kprobe core's C code is this Python; the guest reaches it by hypercalls whose stubs have the Linux
functions' names. Knows nothing of who asks for a probe.
"""

from typing import TYPE_CHECKING

from kprobesim.on_demand import on_demand

if TYPE_CHECKING:
    from kprobesim.kprobes.blacklist import Blacklist, BlacklistEntry
    from kprobesim.kprobes.config import FixUp, KprobeConfig, Stepping
    from kprobesim.kprobes.core import Kprobes
    from kprobesim.kprobes.detour import OptInsn, disassemble_detour
    from kprobesim.kprobes.fprobe import Fprobe, FprobeHandler, Fprobes
    from kprobesim.kprobes.ftrace import Ftrace, FtraceOps
    from kprobesim.kprobes.jump_label import JumpLabels
    from kprobesim.kprobes.kernel import MODULES_VADDR, RunningKernel, Task
    from kprobesim.kprobes.kinds import KPROBE_KINDS
    from kprobesim.kprobes.kprobe import (
        INT3,
        NOP5,
        ArchSpecificInsn,
        Kprobe,
        KprobeCtlblk,
        KprobeFlag,
        KprobeStatus,
        PostHandler,
        PreHandler,
    )
    from kprobesim.kprobes.manager import KprobeManager
    from kprobesim.kprobes.optimize import Optimizer
    from kprobesim.kprobes.pt_regs import PT_REGS_FIELDS, PT_REGS_SIZE, PtRegs
    from kprobesim.kprobes.rethook import Kretprobe, Rethooks
    from kprobesim.kprobes.shadow_stack import RethookNode
    from kprobesim.kprobes.slots import InsnSlots
    from kprobesim.kprobes.stacktrace import arch_stack_walk
    from kprobesim.kprobes.text_poke import TextPoke
else:
    __getattr__, __dir__ = on_demand(
        __name__,
        {
            "kprobesim.kprobes.blacklist": ["Blacklist", "BlacklistEntry"],
            "kprobesim.kprobes.config": ["FixUp", "KprobeConfig", "Stepping"],
            "kprobesim.kprobes.core": ["Kprobes"],
            "kprobesim.kprobes.detour": ["OptInsn", "disassemble_detour"],
            "kprobesim.kprobes.fprobe": ["Fprobe", "FprobeHandler", "Fprobes"],
            "kprobesim.kprobes.ftrace": ["Ftrace", "FtraceOps"],
            "kprobesim.kprobes.jump_label": ["JumpLabels"],
            "kprobesim.kprobes.kernel": ["MODULES_VADDR", "RunningKernel", "Task"],
            "kprobesim.kprobes.kinds": ["KPROBE_KINDS"],
            "kprobesim.kprobes.kprobe": [
                "INT3",
                "NOP5",
                "ArchSpecificInsn",
                "Kprobe",
                "KprobeCtlblk",
                "KprobeFlag",
                "KprobeStatus",
                "PostHandler",
                "PreHandler",
            ],
            "kprobesim.kprobes.manager": ["KprobeManager"],
            "kprobesim.kprobes.optimize": ["Optimizer"],
            "kprobesim.kprobes.pt_regs": ["PT_REGS_FIELDS", "PT_REGS_SIZE", "PtRegs"],
            "kprobesim.kprobes.rethook": ["Kretprobe", "Rethooks"],
            "kprobesim.kprobes.shadow_stack": ["RethookNode"],
            "kprobesim.kprobes.slots": ["InsnSlots"],
            "kprobesim.kprobes.stacktrace": ["arch_stack_walk"],
            "kprobesim.kprobes.text_poke": ["TextPoke"],
        },
    )

__all__ = [
    "INT3",
    "KPROBE_KINDS",
    "MODULES_VADDR",
    "NOP5",
    "PT_REGS_FIELDS",
    "PT_REGS_SIZE",
    "ArchSpecificInsn",
    "Blacklist",
    "BlacklistEntry",
    "FixUp",
    "Fprobe",
    "FprobeHandler",
    "Fprobes",
    "Ftrace",
    "FtraceOps",
    "InsnSlots",
    "JumpLabels",
    "Kprobe",
    "KprobeConfig",
    "KprobeCtlblk",
    "KprobeFlag",
    "KprobeManager",
    "KprobeStatus",
    "Kprobes",
    "Kretprobe",
    "OptInsn",
    "Optimizer",
    "PostHandler",
    "PreHandler",
    "PtRegs",
    "RethookNode",
    "Rethooks",
    "RunningKernel",
    "Stepping",
    "Task",
    "TextPoke",
    "arch_stack_walk",
    "disassemble_detour",
]
