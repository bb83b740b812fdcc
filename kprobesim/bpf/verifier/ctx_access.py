"""The context: which fields a program of each type may read or write, and what they are.

Here are the contexts of tracing programs, and the table of all types. Sizes and rules follow the ``is_valid_access`` of
Linux 6.1 kernel/trace/bpf_trace.c and kernel/bpf/syscall.c, on x86-64.
"""

from kprobesim.bpf.verifier.ctx_field import Access, CtxUser, narrow, within
from kprobesim.bpf.verifier.ctx_skb import SKB_CONTEXTS
from kprobesim.bpf.verifier.ctx_sock import SOCK_CONTEXTS
from kprobesim.bpf.verifier.reg_type import PTR_TO_TP_BUFFER, SCALAR_VALUE

__all__ = ["PT_REGS_SIZE", "REWRITTEN_CTX", "ctx_field"]

PT_REGS_SIZE = 168
_PERF_MAX_TRACE_SIZE = 8192
_PERF_EVENT_DATA = 184
_RAW_TP_ARGS = 8 * 12
_U16_MAX = 0xFFFF


def _aligned_read(limit: int, first: int = 0) -> Access:
    def check(off: int, size: int, write: bool, user: CtxUser) -> int | None:
        return None if write or off < first or not within(off, size, limit) else SCALAR_VALUE

    return check


def _kprobe(off: int, size: int, write: bool, user: CtxUser) -> int | None:
    if write or not within(off, size, PT_REGS_SIZE) or off + size > PT_REGS_SIZE:
        return None
    return SCALAR_VALUE


def _perf_event(off: int, size: int, write: bool, user: CtxUser) -> int | None:
    if write or not within(off, size, _PERF_EVENT_DATA):
        return None
    # Behind the registers are sample_period and addr, which may be read in part.
    ok = narrow(size, 8) if off >= PT_REGS_SIZE else size == 8
    return SCALAR_VALUE if ok else None


_raw_tp = _aligned_read(_RAW_TP_ARGS)


def _raw_tp_writable(off: int, size: int, write: bool, user: CtxUser) -> int | None:
    if off == 0:
        return PTR_TO_TP_BUFFER if size == 8 and not write else None
    return _raw_tp(off, size, write, user)


def _syscall(off: int, size: int, write: bool, user: CtxUser) -> int | None:
    return SCALAR_VALUE if within(off, size, _U16_MAX) else None


def _lirc(off: int, size: int, write: bool, user: CtxUser) -> int | None:
    return SCALAR_VALUE if not write and off == 0 and size == 4 else None


_BY_TYPE: dict[str, Access] = {
    "kprobe": _kprobe,
    "tracepoint": _aligned_read(_PERF_MAX_TRACE_SIZE, 8),
    "raw_tracepoint": _raw_tp,
    "raw_tracepoint_writable": _raw_tp_writable,
    "perf_event": _perf_event,
    "syscall": _syscall,
    "lirc_mode2": _lirc,
    "tracing": _raw_tp,
    "lsm": _raw_tp,
}
_BY_TYPE |= SKB_CONTEXTS
_BY_TYPE |= SOCK_CONTEXTS

REWRITTEN_CTX = frozenset({"perf_event"} | SKB_CONTEXTS.keys() | SOCK_CONTEXTS.keys()) - {"cgroup_device"}
"""Program types whose context is not what it seems: loads are rewritten, so helpers cannot be given it as memory."""


def ctx_field(prog_type: str, off: int, size: int, write: bool, user: CtxUser) -> int | None:
    """Type of what is loaded from the context, or None where the access is refused."""
    check = _BY_TYPE.get(prog_type)
    return None if check is None else check(off, size, write, user)
