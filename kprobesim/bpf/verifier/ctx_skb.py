"""Contexts that are a packet: ``struct __sk_buff`` and ``struct xdp_md``.

Follows Linux 6.1 net/core/filter.c: bpf_skb_is_valid_access and the functions that call it, xdp_is_valid_access.
"""

from collections.abc import Iterable

from kprobesim.bpf.verifier.ctx_field import Access, CtxUser, Layout, narrow, within
from kprobesim.bpf.verifier.reg_type import (
    PTR_MAYBE_NULL,
    PTR_TO_FLOW_KEYS,
    PTR_TO_PACKET,
    PTR_TO_PACKET_END,
    PTR_TO_PACKET_META,
    PTR_TO_SOCK_COMMON,
    SCALAR_VALUE,
)

__all__ = ["SKB_CONTEXTS"]

_SKB = Layout(
    """
    len pkt_type mark queue_mapping protocol vlan_present vlan_tci vlan_proto priority ingress_ifindex ifindex
    tc_index cb:20 hash tc_classid data data_end napi_id family remote_ip4 local_ip4 remote_ip6:16 local_ip6:16
    remote_port local_port data_meta flow_keys:* tstamp:8 wire_len gso_segs sk:* gso_size tstamp_type:1 pad:3 hwtstamp:8
    """
)
_XDP = Layout("data data_end data_meta ingress_ifindex rx_queue_index egress_ifindex")
_PACKET = {"data": PTR_TO_PACKET, "data_end": PTR_TO_PACKET_END}
_PACKET_META = {**_PACKET, "data_meta": PTR_TO_PACKET_META}
_WHOLE_WORDS = ("remote_ip4", "local_ip4", "remote_ip6", "local_ip6", "data", "data_meta", "data_end")


def _hits(off: int, names: Iterable[str]) -> bool:
    return any(off in _SKB.span(name) for name in names)


def _skb(off: int, size: int, write: bool) -> int | None:
    """What all programs on socket buffers share."""
    if not within(off, size, _SKB.size):
        return None
    kind = SCALAR_VALUE
    if off in _SKB.span("cb"):
        ok = off + size <= _SKB.span("cb").stop
    elif _hits(off, _WHOLE_WORDS):
        ok = size == 4
    elif _hits(off, ("flow_keys", "tstamp_type", "pad")):
        ok = False
    elif off in _SKB.span("hwtstamp"):
        ok = not write and size == 8
    elif off in _SKB.span("tstamp"):
        ok = size == 8
    elif off in _SKB.span("sk"):
        ok = not write and size == 8
        kind = PTR_TO_SOCK_COMMON | PTR_MAYBE_NULL
    else:
        ok = size == 4 if write else narrow(size, 4)
    return kind if ok else None


def _packets(hidden: str, writable: str, pointers: dict[str, int], socket_hidden: bool) -> Access:
    """One type of programs: fields that it does not see, fields that it may write, fields that are pointers."""
    unseen, changeable = hidden.split(), writable.split()
    addresses = _SKB.span("family", "local_port")

    def check(off: int, size: int, write: bool, user: CtxUser) -> int | None:
        if _hits(off, unseen) or (socket_hidden and off in addresses) or (write and not _hits(off, changeable)):
            return None
        kind = _skb(off, size, write)
        if kind is None:
            return None
        found = _SKB.find(off, pointers)
        return kind if found is None else found

    return check


_socket_filter = _packets("tc_classid data data_meta data_end tstamp wire_len hwtstamp", "cb", {}, socket_hidden=True)
_lwt = _packets("tc_classid data_meta tstamp wire_len hwtstamp", "mark priority cb", _PACKET, socket_hidden=True)
_sk_skb = _packets(
    "tc_classid data_meta tstamp wire_len hwtstamp mark", "tc_index priority", _PACKET, socket_hidden=False
)
_tc = _packets("", "mark tc_index priority tc_classid cb tstamp queue_mapping", _PACKET_META, socket_hidden=True)
_cgroup = _packets("tc_classid data_meta wire_len", "mark priority cb tstamp", _PACKET, socket_hidden=False)


def _sched_cls(off: int, size: int, write: bool, user: CtxUser) -> int | None:
    if off == _SKB["tstamp_type"] and not write:
        return SCALAR_VALUE if size == 1 else None
    return _tc(off, size, write, user)


def _cgroup_skb(off: int, size: int, write: bool, user: CtxUser) -> int | None:
    for_capable = _hits(off, ("data", "data_end")) or (write and off in _SKB.span("tstamp"))
    return None if for_capable and not user.capable else _cgroup(off, size, write, user)


def _flow_dissector(off: int, size: int, write: bool, user: CtxUser) -> int | None:
    if write or not within(off, size, _SKB.size):
        return None
    if off in _SKB.span("flow_keys"):
        return PTR_TO_FLOW_KEYS if size == 8 else None
    return _SKB.find(off, _PACKET) if size == 4 else None


def _xdp(off: int, size: int, write: bool, user: CtxUser) -> int | None:
    if off == _XDP["egress_ifindex"] and user.attach_type != "xdp_devmap":
        return None
    if write or not within(off, size, _XDP.size) or size != 4:
        return None
    found = _XDP.find(off, _PACKET_META)
    return SCALAR_VALUE if found is None else found


SKB_CONTEXTS: dict[str, Access] = {
    "socket_filter": _socket_filter,
    "sched_cls": _sched_cls,
    "sched_act": _sched_cls,
    "xdp": _xdp,
    "cgroup_skb": _cgroup_skb,
    "sk_skb": _sk_skb,
    "flow_dissector": _flow_dissector,
    **dict.fromkeys(("lwt_in", "lwt_out", "lwt_xmit", "lwt_seg6local"), _lwt),
}
"""By program type."""
