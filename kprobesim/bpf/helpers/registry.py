"""The helpers that exist here: each with its prototype and its function.

What a helper takes and who may call it is in `prototypes`, the one table that the verifier reads as well.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from kprobesim.bpf.helper_names import HELPER_IDS
from kprobesim.bpf.helpers import (
    btf_show,
    callbacks,
    clock,
    dynptr,
    map_access,
    path,
    perf,
    printk,
    ring,
    skb_load,
    stack,
    strings,
    task,
)
from kprobesim.bpf.helpers import probe_read as pr
from kprobesim.bpf.helpers.base import Helper, HelperContext
from kprobesim.bpf.helpers.prototypes import PROTOTYPES, prototype_for
from kprobesim.bpf.helpers.tail_call import tail_call

__all__ = ["CALLS_BACK", "HELPERS", "helpers_for"]

_BY_MODULE = (btf_show, callbacks, clock, dynptr, map_access, path, perf, pr, ring, skb_load, stack, strings, task)
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(module, name) for module in _BY_MODULE for name in module.__all__ if name in HELPER_IDS},
    "tail_call": tail_call,
    "trace_printk": printk.trace_printk,
    "trace_vprintk": printk.trace_vprintk,
    "snprintf": printk.snprintf,
    "ktime_get_boot_ns": clock.ktime_get_ns,
    "ktime_get_tai_ns": clock.ktime_get_ns,
    "get_current_task_btf": task.get_current_task,
    "send_signal_thread": task.send_signal,
}

_MORE_ARGUMENTS = {"trace_printk": ("any", "any", "any"), "get_branch_snapshot": ("any",)}
"""Registers that a helper looks at although its prototype does not name them."""


_CALL_BACK = ("for_each_map_elem", "loop", "find_vma", "user_ringbuf_drain")


def _driven(steps: Callable[..., Any]) -> Callable[..., Any]:
    """A helper that calls back, as a function: its calls are made by the context."""

    def function(ctx: HelperContext, *args: int) -> int:
        calls = steps(ctx, *args)
        answer = None
        while True:
            try:
                wanted = calls.send(answer)
            except StopIteration as done:
                return int(done.value)
            answer = ctx.call_back(*wanted)

    return function


def _helper(name: str, function: Callable[..., Any]) -> Helper:
    proto = PROTOTYPES[HELPER_IDS[name]]
    args = proto.args + _MORE_ARGUMENTS.get(name, ())
    if name in _CALL_BACK:
        return Helper(proto.id, name, proto.ret, args, proto.gpl_only, _driven(function), function)
    return Helper(proto.id, name, proto.ret, args, proto.gpl_only, function)


HELPERS: dict[int, Helper] = {
    HELPER_IDS[name]: _helper(name, function)
    for name, function in sorted(_FUNCTIONS.items(), key=lambda item: HELPER_IDS[item[0]])
}
"""id -> helper, for all helpers that exist here."""

CALLS_BACK = frozenset(HELPER_IDS[name] for name in _CALL_BACK)
"""Helpers that call a function of the program before they return."""


@cache
def helpers_for(program_type: str) -> dict[int, Helper]:
    """Those that a privileged program of this type may call."""
    return {
        number: helper
        for number, helper in HELPERS.items()
        if prototype_for(number, program_type, kprobe_override=True)
    }
