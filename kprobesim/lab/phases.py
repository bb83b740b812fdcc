"""The phases of a probe hit, as the banner shows them."""

from enum import Enum

__all__ = ["Phase"]


class Phase(Enum):
    """Where a CPU is in the life of a hit; the value is a short name for screens.

    A hit that ftrace serves has no traps: its trampoline makes pt_regs, calls the handler and goes on in the function.
    Where the trap flag ends a step, the second trap is a #DB.
    """

    RUN = "run"
    BREAKPOINT = "#BP"
    GATE = "gate"
    PT_REGS = "pt_regs"
    HANDLER = "kprobe_int3_handler"
    BPF = "BPF"
    SLOT = "slot"
    SECOND_BREAKPOINT = "#BP 2"
    RESUME = "resume"
    DETOUR = "detour"
