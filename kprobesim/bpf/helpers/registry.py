"""The helpers that exist here, and who may call them.

Prototypes follow Linux 6.1 kernel/bpf/helpers.c and kernel/trace/bpf_trace.c.
"""

from collections.abc import Callable
from typing import Any

from kprobesim.bpf.helper_names import HELPER_NAMES
from kprobesim.bpf.helpers import probe_read as pr
from kprobesim.bpf.helpers.base import Arg, Helper, HelperContext, Ret
from kprobesim.bpf.helpers.printk import trace_printk
from kprobesim.linux_errno import Errno

__all__ = ["HELPERS", "HZ", "INITIAL_JIFFIES", "TRACING_TYPES", "helpers_for"]

HZ = 250
INITIAL_JIFFIES = (1 << 32) - 300 * HZ
"""Linux starts the counter five minutes before 32 bits overflow, so that bugs with the overflow show early."""

TRACING_TYPES = frozenset({"kprobe", "tracepoint", "perf_event", "raw_tracepoint", "tracing"})


def _map_lookup_elem(ctx: HelperContext, addr: int, key: int) -> int:
    found = ctx.maps.get(addr)
    if found is None:
        found = ctx.map_at(addr)
    return found.lookup_elem(ctx.memory.read(key, found.key_size))


def _map_update_elem(ctx: HelperContext, addr: int, key: int, value: int, flags: int) -> int:
    found, memory = ctx.map_at(addr), ctx.memory
    return found.update_elem(memory.read(key, found.key_size), memory.read(value, found.value_size), flags)


def _map_delete_elem(ctx: HelperContext, addr: int, key: int) -> int:
    found = ctx.map_at(addr)
    return found.delete_elem(ctx.memory.read(key, found.key_size))


def _ktime_get_ns(ctx: HelperContext) -> int:
    return ctx.env.ktime_get_ns()


def _get_prandom_u32(ctx: HelperContext) -> int:
    return ctx.env.prandom_u32()


def _get_smp_processor_id(ctx: HelperContext) -> int:
    return ctx.env.smp_processor_id()


def _get_current_pid_tgid(ctx: HelperContext) -> int:
    return ctx.env.current_pid_tgid()


def _get_current_uid_gid(ctx: HelperContext) -> int:
    return ctx.env.current_uid_gid()


def _get_current_comm(ctx: HelperContext, buf: int, size: int) -> int:
    size &= 0xFFFFFFFF
    ctx.check_buffer(buf, size)
    if size == 0:
        return -Errno.EINVAL
    ctx.memory.write(buf, ctx.env.current_comm()[: size - 1].ljust(size, b"\0"))
    return 0


def _get_current_task(ctx: HelperContext) -> int:
    return ctx.env.current_task()


def _get_numa_node_id(ctx: HelperContext) -> int:
    return 0


def _jiffies64(ctx: HelperContext) -> int:
    return INITIAL_JIFFIES + ctx.env.ktime_get_ns() * HZ // 1_000_000_000


def _get_func_ip(ctx: HelperContext, program_ctx: int) -> int:
    return ctx.env.func_ip()


def _get_attach_cookie(ctx: HelperContext, program_ctx: int) -> int:
    return ctx.env.attach_cookie()


_A = Arg
_KEY = (_A.CONST_MAP_PTR, _A.PTR_TO_MAP_KEY)
_COPY = (_A.PTR_TO_UNINIT_MEM, _A.CONST_SIZE_OR_ZERO, _A.ANYTHING)
_PRINTK = (_A.PTR_TO_MEM_RDONLY, _A.CONST_SIZE, _A.ANYTHING, _A.ANYTHING, _A.ANYTHING)

_Row = tuple[int, Callable[..., Any], tuple[Arg, ...], bool]
_ROWS: tuple[_Row, ...] = (
    # id, function, arguments, GPL only
    (1, _map_lookup_elem, _KEY, False),
    (2, _map_update_elem, (*_KEY, _A.PTR_TO_MAP_VALUE, _A.ANYTHING), False),
    (3, _map_delete_elem, _KEY, False),
    (4, pr.probe_read, _COPY, True),
    (5, _ktime_get_ns, (), False),
    (6, trace_printk, _PRINTK, True),
    (7, _get_prandom_u32, (), False),
    (8, _get_smp_processor_id, (), False),
    (14, _get_current_pid_tgid, (), False),
    (15, _get_current_uid_gid, (), False),
    (16, _get_current_comm, (_A.PTR_TO_UNINIT_MEM, _A.CONST_SIZE), False),
    (35, _get_current_task, (), True),
    (42, _get_numa_node_id, (), False),
    (45, pr.probe_read_str, _COPY, True),
    (112, pr.probe_read_user, _COPY, True),
    (113, pr.probe_read_kernel, _COPY, True),
    (114, pr.probe_read_user_str, _COPY, True),
    (115, pr.probe_read_kernel_str, _COPY, True),
    (118, _jiffies64, (), False),
    (125, _ktime_get_ns, (), False),
    (173, _get_func_ip, (_A.PTR_TO_CTX,), True),
    (174, _get_attach_cookie, (_A.PTR_TO_CTX,), False),
)

HELPERS: dict[int, Helper] = {
    number: Helper(
        number,
        HELPER_NAMES[number],
        Ret.PTR_TO_MAP_VALUE_OR_NULL if number == 1 else Ret.INTEGER,
        args,
        gpl_only,
        function,
    )
    for number, function, args, gpl_only in _ROWS
}
"""id -> helper, for all helpers that exist here."""


def helpers_for(program_type: str) -> dict[int, Helper]:
    """Those that a program of this type may call; all of HELPERS are tracing helpers, other types get the first three
    and those that tell the time, the CPU and random numbers.
    """
    if program_type in TRACING_TYPES:
        return HELPERS
    return {number: HELPERS[number] for number in (1, 2, 3, 5, 7, 8, 42, 118, 125)}
