"""Which phase of a probe hit a machine is in, and which function of the kernel serves it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from kprobesim.errors import KprobesimError
from kprobesim.image import MAX_INSN_SIZE
from kprobesim.kprobes import MODULES_VADDR
from kprobesim.lab.phases import Phase
from kprobesim.machine import Event

if TYPE_CHECKING:
    from kprobesim.lab.look import Look

__all__ = ["current_phase", "serving_function"]

_WINDOW = 64
_ENDED = ("kprobe.resume", "kprobe.post_handler", "kprobe.emulate", "kprobe.detour", "kprobe.debug")
_TO_SLOT = ("kprobe.singlestep", "kprobe.boost", "kprobe.step_tf")
_FTRACE = ("ftrace_trampoline", "ftrace_regs_caller", "ftrace_regs_call", "ftrace_regs_caller_end")
_FTRACE_HANDLERS = ("kprobe_ftrace_handler", "fprobe_handler", "arch_ftrace_ops_list_func")
_SERVING = frozenset(
    {"kprobe_int3_handler", "rethook_trampoline_handler", "optimized_callback", "seccomp_check_filter",
     "perf_swevent_hrtimer", *_FTRACE_HANDLERS}
)  # fmt: skip
_TRACEPOINT = "__traceiter_"
_IN_BPF = ("bpf.enter", "bpf.helper", "map.update", "map.delete", "trace.printk")
_IN_HANDLER = (
    "kprobe.hit", "kprobe.miss", "kprobe.pre_handler", "bpf.exit", "bpf.fault", "bpf.skip",
    "rethook.prepare", "rethook.handler", "rethook.miss", "fprobe.entry", "fprobe.exit", "fprobe.miss",
)  # fmt: skip
_IN_DETOUR = ("kprobe.opt_hit", "kprobe.opt_pre_handler")
_ELSEWHERE = ("trap", "gate", "syscall", "idle", "sched.switch", "input")


def current_phase(look: Look) -> Phase:
    """The phase of the current vCPU, read from the events behind the present moment and from RIP."""
    log, cpu = look.machine.log, look.cpu
    rip = look.registers()["rip"]
    if rip >= MODULES_VADDR and look.kernel.modules.name(rip) == "kprobe_optinsn_page":
        return Phase.DETOUR
    function = _name(look, rip)
    in_ftrace = function in _FTRACE
    for seq in range(look.seq - 1, max(look.seq - _WINDOW, -1), -1):
        event = log[seq]
        if event.cpu != cpu:
            continue
        if event.kind in _ENDED:
            return Phase.RUN if _left(look, rip) else Phase.RESUME
        if event.kind in _TO_SLOT:
            if 0 <= rip - event.fields["slot"] <= MAX_INSN_SIZE:
                return Phase.SLOT
            return Phase.RUN if event.kind == "kprobe.boost" and _left(look, rip) else Phase.HANDLER
        if event.kind in _IN_DETOUR:
            return Phase.RUN if _left(look, rip) else Phase.DETOUR
        if event.kind in _IN_BPF:
            return Phase.BPF
        if event.kind in _IN_HANDLER:
            if in_ftrace:
                return Phase.HANDLER if event.moment == look.moment else Phase.RESUME
            return Phase.RUN if _left(look, rip) else Phase.HANDLER
        if event.kind in ("trap", "gate") and event.fields["vector"] == 1:
            return Phase.SECOND_BREAKPOINT
        if event.kind == "trap" and event.fields["vector"] == 3:
            return Phase.SECOND_BREAKPOINT if _is_second(event) else Phase.BREAKPOINT
        if event.kind == "gate" and event.fields["vector"] == 3:
            if _is_second(log[seq - 1]):
                return Phase.SECOND_BREAKPOINT
            return Phase.GATE if event.moment == look.moment else Phase.PT_REGS
        if event.kind in _ELSEWHERE:
            break
    return Phase.PT_REGS if in_ftrace else Phase.HANDLER if function in _FTRACE_HANDLERS else Phase.RUN


def serving_function(look: Look) -> str:
    """The kernel's function that serves a hit or runs a BPF program at this moment, by Linux's name.

    In the handler and while a program runs it is the innermost such function on the stack; in ftrace's trampoline it is
    not called yet, or has returned: ``ops->func``. Otherwise, and where no function of that sort is found, empty.
    """
    names = [_name(look, look.registers()["rip"])]
    if names[0] in _FTRACE:
        return "ops->func"
    phase = current_phase(look)
    if phase not in (Phase.HANDLER, Phase.BPF, Phase.DETOUR):
        return ""
    with contextlib.suppress(KprobesimError):
        # The smallest kernels have no tasks whose stacks could be walked.
        names += [_name(look, address) for address in look.backtrace()[1:]]
    found = (name for name in names if name in _SERVING or name.startswith(_TRACEPOINT))
    return next(found, Phase.HANDLER.value if phase is Phase.HANDLER else "")


def _name(look: Look, address: int) -> str:
    place = look.kernel.kallsyms.lookup_size_offset(address)
    return place[0].name if place is not None else ""


def _is_second(trap: Event) -> bool:
    rip: int = trap.fields["rip"]
    return rip >= MODULES_VADDR


def _left(look: Look, rip: int) -> bool:
    """The CPU is out of the trap's entry and handler code again. An override leads to a function without probes."""
    place = look.kernel.kallsyms.lookup_size_offset(rip)
    returns = place is not None and place[0].name == "just_return_func"
    return returns or look.manager.kprobes.blacklist.reason(rip) is None
