"""The context: which fields a program of each type may read or write, and what they are.

Sizes and rules follow the ``is_valid_access`` of Linux kernel/trace/bpf_trace.c and net/core/filter.c. ``struct
__sk_buff`` and ``struct bpf_perf_event_data`` are those of x86-64, Linux 6.1.
"""

from collections.abc import Callable

from kprobesim.bpf.verifier.reg_type import (
    PTR_MAYBE_NULL,
    PTR_TO_PACKET,
    PTR_TO_PACKET_END,
    PTR_TO_PACKET_META,
    PTR_TO_SOCK_COMMON,
    SCALAR_VALUE,
)

__all__ = ["PT_REGS_SIZE", "REWRITTEN_CTX", "ctx_field"]

PT_REGS_SIZE = 168
_PERF_MAX_TRACE_SIZE = 8192
_PERF_EVENT_DATA = 184
_RAW_TP_ARGS = 8 * 12
_XDP_SIZE = 24

REWRITTEN_CTX = frozenset({"sched_cls", "sched_act", "socket_filter", "xdp", "perf_event"})
"""Program types whose context is not what it seems: loads are rewritten, so helpers cannot be given it as memory."""

Access = Callable[[int, int, bool], int | None]


def _aligned_read(limit: int, first: int = 0) -> Access:
    def check(off: int, size: int, write: bool) -> int | None:
        if write or not first <= off < limit or off % size:
            return None
        return SCALAR_VALUE

    return check


def _kprobe(off: int, size: int, write: bool) -> int | None:
    if write or not 0 <= off < PT_REGS_SIZE or off % size or off + size > PT_REGS_SIZE:
        return None
    return SCALAR_VALUE


def _narrow(off: int, size: int, field: int) -> bool:
    """A part of a field, as bpf_ctx_narrow_access_ok has it."""
    return size <= field and size & (size - 1) == 0 and off % field + size <= field


def _perf_event(off: int, size: int, write: bool) -> int | None:
    if write or not 0 <= off < _PERF_EVENT_DATA:
        return None
    if off % size and not (size == 8 and off % size == 4):
        return None
    if off >= PT_REGS_SIZE:
        return SCALAR_VALUE if _narrow(off, size, 8) else None
    return SCALAR_VALUE if size == 8 else None


# struct __sk_buff
_SKB_SIZE = 192
_SKB_MARK, _SKB_QUEUE_MAPPING, _SKB_PRIORITY, _SKB_TC_INDEX = 8, 12, 32, 44
_SKB_CB, _SKB_CB_END = 48, 68
_SKB_TC_CLASSID, _SKB_DATA, _SKB_DATA_END = 72, 76, 80
_SKB_FAMILY, _SKB_LOCAL_PORT_END = 88, 140
_SKB_DATA_META, _SKB_FLOW_KEYS, _SKB_TSTAMP = 140, 144, 152
_SKB_SK, _SKB_TSTAMP_TYPE, _SKB_HWTSTAMP = 168, 180, 184
_SKB_REMOTE_IP4, _SKB_LOCAL_IP4, _SKB_REMOTE_IP6, _SKB_REMOTE_PORT = 92, 96, 100, 132
_SKB_PACKET = {_SKB_DATA: PTR_TO_PACKET, _SKB_DATA_END: PTR_TO_PACKET_END, _SKB_DATA_META: PTR_TO_PACKET_META}
_CLS_WRITABLE = (
    (_SKB_MARK, _SKB_MARK + 4),
    (_SKB_TC_INDEX, _SKB_TC_INDEX + 4),
    (_SKB_PRIORITY, _SKB_PRIORITY + 4),
    (_SKB_TC_CLASSID, _SKB_TC_CLASSID + 4),
    (_SKB_CB, _SKB_CB_END),
    (_SKB_TSTAMP, _SKB_TSTAMP + 8),
    (_SKB_QUEUE_MAPPING, _SKB_QUEUE_MAPPING + 4),
)


def _skb(off: int, size: int, write: bool) -> int | None:
    """What all programs on socket buffers share (bpf_skb_is_valid_access)."""
    if not 0 <= off < _SKB_SIZE or off % size:
        return None
    ok: bool
    kind = SCALAR_VALUE
    if _SKB_CB <= off < _SKB_CB_END:
        ok = off + size <= _SKB_CB_END
    elif _SKB_REMOTE_IP4 <= off < _SKB_REMOTE_PORT or off & ~3 in _SKB_PACKET:
        ok = size == 4
    elif _SKB_FLOW_KEYS <= off < _SKB_FLOW_KEYS + 8:
        ok = False
    elif off >= _SKB_HWTSTAMP:
        ok = not write and size == 8
    elif _SKB_TSTAMP <= off < _SKB_TSTAMP + 8:
        ok = size == 8
    elif _SKB_SK <= off < _SKB_SK + 8:
        ok = not write and size == 8
        kind = PTR_TO_SOCK_COMMON | PTR_MAYBE_NULL
    elif _SKB_TSTAMP_TYPE <= off < _SKB_HWTSTAMP:
        ok = False
    else:
        ok = size == 4 if write else _narrow(off, size, 4)
    return kind if ok else None


def _sched_cls(off: int, size: int, write: bool) -> int | None:
    if write and not any(low <= off < high for low, high in _CLS_WRITABLE):
        return None
    if _SKB_FAMILY <= off < _SKB_LOCAL_PORT_END:
        return None
    if off == _SKB_TSTAMP_TYPE:
        return SCALAR_VALUE if size == 1 else None
    kind = _skb(off, size, write)
    return _SKB_PACKET.get(off & ~3, kind) if kind is not None else None


def _socket_filter(off: int, size: int, write: bool) -> int | None:
    if off >> 2 in (_SKB_TC_CLASSID >> 2, _SKB_DATA >> 2, _SKB_DATA_END >> 2, _SKB_DATA_META >> 2):
        return None
    if _SKB_TSTAMP <= off < _SKB_TSTAMP + 8 or _SKB_FAMILY <= off < _SKB_LOCAL_PORT_END or off >= _SKB_HWTSTAMP:
        return None
    if write and not _SKB_CB <= off < _SKB_CB_END:
        return None
    return _skb(off, size, write)


def _xdp(off: int, size: int, write: bool) -> int | None:
    if write or not 0 <= off < _XDP_SIZE or off % size or size != 4:
        return None
    kinds = {0: PTR_TO_PACKET, 4: PTR_TO_PACKET_END, 8: PTR_TO_PACKET_META}
    # egress_ifindex, the last field, is for programs on a device map only.
    return None if off == 20 else kinds.get(off, SCALAR_VALUE)


_BY_TYPE: dict[str, Access] = {
    "kprobe": _kprobe,
    "tracepoint": _aligned_read(_PERF_MAX_TRACE_SIZE, 8),
    "raw_tracepoint": _aligned_read(_RAW_TP_ARGS),
    "raw_tracepoint_writable": _aligned_read(_RAW_TP_ARGS),
    "perf_event": _perf_event,
    "socket_filter": _socket_filter,
    "sched_cls": _sched_cls,
    "sched_act": _sched_cls,
    "xdp": _xdp,
}


def ctx_field(prog_type: str, off: int, size: int, write: bool) -> int | None:
    """Type of what is loaded from the context, or None where the access is refused."""
    check = _BY_TYPE.get(prog_type)
    return None if check is None else check(off, size, write)
