"""Contexts that are a socket or something that happens to one, and the sockets that programs get pointers to.

Follows Linux 6.1 net/core/filter.c (sock_filter_is_valid_access and its neighbours) and kernel/bpf/cgroup.c.
"""

from kprobesim.bpf.verifier.ctx_field import Access, CtxUser, Layout, narrow, wide, within
from kprobesim.bpf.verifier.reg_type import (
    PTR_MAYBE_NULL,
    PTR_TO_PACKET,
    PTR_TO_PACKET_END,
    PTR_TO_SOCK_COMMON,
    PTR_TO_SOCKET,
    PTR_TO_TCP_SOCK,
    PTR_TO_XDP_SOCK,
    SCALAR_VALUE,
)

__all__ = ["FLOW_KEYS_SIZE", "SOCK_CONTEXTS", "sock_access_ok"]

FLOW_KEYS_SIZE = 56
_SOCK = Layout(
    """
    bound_dev_if family type protocol mark priority src_ip4 src_ip6:16 src_port dst_port:2 pad:2 dst_ip4 dst_ip6:16
    state rx_queue_mapping
    """
)
_SOCK_ADDR = Layout("user_family user_ip4 user_ip6:16 user_port family type protocol msg_src_ip4 msg_src_ip6:16 sk:*")
_SOCK_OPS = Layout(
    """
    op args:16 family remote_ip4 local_ip4 remote_ip6:16 local_ip6:16 remote_port local_port is_fullsock snd_cwnd
    srtt_us cb_flags state rtt_min snd_ssthresh rcv_nxt snd_nxt snd_una mss_cache ecn_flags rate_delivered
    rate_interval_us packets_out retrans_out total_retrans segs_in data_segs_in segs_out data_segs_out lost_out
    sacked_out sk_txhash bytes_received:8 bytes_acked:8 sk:* skb_data:* skb_data_end:* skb_len skb_tcp_flags
    """
)
_SK_MSG = Layout(
    """
    data:* data_end:* family remote_ip4 local_ip4 remote_ip6:16 local_ip6:16 remote_port local_port size sk:*
    """
)
_REUSEPORT = Layout("data:* data_end:* len eth_protocol ip_protocol bind_inany hash sk:* migrating_sk:*")
_SK_LOOKUP = Layout(
    """
    sk:* family protocol remote_ip4 remote_ip6:16 remote_port:2 pad:2 local_ip4 local_ip6:16 local_port ingress_ifindex
    """
)
_SOCKOPT = Layout("sk:* optval:* optval_end:* level optname optlen retval")
_SYSCTL = Layout("write file_pos")
_DEVICE = Layout("access_type major minor")
_TCP_SOCK_END, _TCP_BYTES = 116, (80, 88)
_NARROW_WHOLE = ("src_ip4", "src_ip6", "dst_ip4", "dst_ip6")
_NARROW_FIRST = ("state", "family", "type", "protocol", "src_port", "rx_queue_mapping")


def _sock(off: int, size: int) -> bool:
    """``struct bpf_sock`` (bpf_sock_is_valid_access)."""
    if not within(off, size, _SOCK.size) or off in _SOCK.span("pad"):
        return False
    if off in _SOCK.span("dst_port"):
        return size == 4 or narrow(size, 2)
    if any(off == _SOCK[name] for name in _NARROW_FIRST) or any(off in _SOCK.span(name) for name in _NARROW_WHOLE):
        return narrow(size, 4)
    return size == 4


def sock_access_ok(kind: int, off: int, size: int) -> bool:
    """Whether a socket pointer of this type may be read there (the switch of check_sock_access)."""
    if kind == PTR_TO_SOCK_COMMON:
        return off not in _SOCK.span("type", "priority") and _sock(off, size)
    if kind == PTR_TO_SOCKET:
        return _sock(off, size)
    if kind == PTR_TO_TCP_SOCK:
        return within(off, size, _TCP_SOCK_END) and size == (8 if off in _TCP_BYTES else 4)
    return kind == PTR_TO_XDP_SOCK and within(off, size, 4) and size == 4


_CREATE = frozenset({"cgroup_inet_sock_create", "cgroup_inet_sock_release"})
_BOUND4, _BOUND6 = "cgroup_inet4_post_bind", "cgroup_inet6_post_bind"


def _cgroup_sock(off: int, size: int, write: bool, user: CtxUser) -> int | None:
    if not _sock(off, size):
        return None
    attach = user.attach_type
    if off in (_SOCK["bound_dev_if"], _SOCK["mark"], _SOCK["priority"]):
        return SCALAR_VALUE if attach in _CREATE else None
    hooks: tuple[str, ...] | None = None
    if off in _SOCK.span("src_ip4"):
        hooks = (_BOUND4,)
    elif off in _SOCK.span("src_ip6"):
        hooks = (_BOUND6,)
    elif off in _SOCK.span("src_port"):
        hooks = (_BOUND4, _BOUND6)
    if write or (hooks is not None and attach not in hooks):
        return None
    return SCALAR_VALUE


def _of_ip(version: str, events: str) -> frozenset[str]:
    return frozenset(event.replace("@", version) for event in events.split())


_ADDRESS_HOOKS = """
    cgroup_inet@_bind cgroup_inet@_connect cgroup_inet@_getpeername cgroup_inet@_getsockname cgroup_udp@_sendmsg
    cgroup_udp@_recvmsg
"""
_ADDRESSES = {
    "user_ip4": _of_ip("4", _ADDRESS_HOOKS),
    "user_ip6": _of_ip("6", _ADDRESS_HOOKS),
    "msg_src_ip4": _of_ip("4", "cgroup_udp@_sendmsg"),
    "msg_src_ip6": _of_ip("6", "cgroup_udp@_sendmsg"),
}


def _sock_addr(off: int, size: int, write: bool, user: CtxUser) -> int | None:
    if not within(off, size, _SOCK_ADDR.size):
        return None
    for name, hooks in _ADDRESSES.items():
        if off in _SOCK_ADDR.span(name) and user.attach_type not in hooks:
            return None
    if off in _SOCK_ADDR.span("sk"):
        return PTR_TO_SOCKET if not write and size == 8 else None
    if off in _SOCK_ADDR.span("user_port") or any(off in _SOCK_ADDR.span(name) for name in _ADDRESSES):
        arrays = (_SOCK_ADDR.span("user_ip6"), _SOCK_ADDR.span("msg_src_ip6"))
        if any(wide(off, size, array.start, array.stop) for array in arrays):
            return SCALAR_VALUE
        return SCALAR_VALUE if (size == 4 if write else narrow(size, 4)) else None
    return SCALAR_VALUE if not write and size == 4 else None


def _sock_ops(off: int, size: int, write: bool, user: CtxUser) -> int | None:
    if not within(off, size, _SOCK_OPS.size):
        return None
    if write:
        return SCALAR_VALUE if size == 4 and off in (_SOCK_OPS["args"], _SOCK_OPS["sk_txhash"]) else None
    pointers = {
        "sk": PTR_TO_SOCKET | PTR_MAYBE_NULL,
        "skb_data": PTR_TO_PACKET,
        "skb_data_end": PTR_TO_PACKET_END,
        "bytes_received": SCALAR_VALUE,
        "bytes_acked": SCALAR_VALUE,
    }
    found = _SOCK_OPS.find(off, pointers)
    if found is not None:
        return found if size == 8 else None
    ok = narrow(size, 4) if off == _SOCK_OPS["skb_tcp_flags"] else size == 4
    return SCALAR_VALUE if ok else None


def _sk_msg(off: int, size: int, write: bool, user: CtxUser) -> int | None:
    if write or not within(off, size, _SK_MSG.size):
        return None
    found = _SK_MSG.find(off, {"data": PTR_TO_PACKET, "data_end": PTR_TO_PACKET_END, "sk": PTR_TO_SOCKET})
    if found is not None:
        return found if size == 8 else None
    return SCALAR_VALUE if size == 4 and off in _SK_MSG.span("family", "size") else None


def _reuseport(off: int, size: int, write: bool, user: CtxUser) -> int | None:
    if write or not within(off, size, _REUSEPORT.size):
        return None
    pointers = {
        _REUSEPORT["data"]: PTR_TO_PACKET,
        _REUSEPORT["data_end"]: PTR_TO_PACKET_END,
        _REUSEPORT["sk"]: PTR_TO_SOCKET,
        _REUSEPORT["migrating_sk"]: PTR_TO_SOCK_COMMON | PTR_MAYBE_NULL,
    }
    if off in pointers:
        return pointers[off] if size == 8 else None
    if off == _REUSEPORT["hash"]:
        return SCALAR_VALUE if size == 4 else None
    if off not in _REUSEPORT.span("len", "bind_inany") or (off in _REUSEPORT.span("eth_protocol") and size < 2):
        return None
    return SCALAR_VALUE if narrow(size, 4) else None


def _sk_lookup(off: int, size: int, write: bool, user: CtxUser) -> int | None:
    if write or not within(off, size, _SK_LOOKUP.size):
        return None
    if off in _SK_LOOKUP.span("sk"):
        return PTR_TO_SOCKET | PTR_MAYBE_NULL if size == 8 else None
    if off in _SK_LOOKUP.span("remote_port"):
        ok = size == 4 or narrow(size, 2)
    elif off in _SK_LOOKUP.span("pad"):
        ok = narrow(size, 2)
    else:
        ok = off < _SK_LOOKUP.span("ingress_ifindex").stop and narrow(size, 4)
    return SCALAR_VALUE if ok else None


def _sockopt(off: int, size: int, write: bool, user: CtxUser) -> int | None:
    if not within(off, size, _SOCKOPT.size):
        return None
    attach = user.attach_type
    if write:
        allowed = {
            _SOCKOPT["retval"]: attach == "cgroup_getsockopt",
            _SOCKOPT["optname"]: attach == "cgroup_setsockopt",
            _SOCKOPT["level"]: attach == "cgroup_setsockopt",
            _SOCKOPT["optlen"]: True,
        }
        return SCALAR_VALUE if size == 4 and allowed.get(off) else None
    found = _SOCKOPT.find(off, {"sk": PTR_TO_SOCKET, "optval": PTR_TO_PACKET, "optval_end": PTR_TO_PACKET_END})
    if found is not None:
        return found if size == 8 else None
    hidden = off in _SOCKOPT.span("retval") and attach != "cgroup_getsockopt"
    return SCALAR_VALUE if size == 4 and not hidden else None


def _sysctl(off: int, size: int, write: bool, user: CtxUser) -> int | None:
    if not within(off, size, _SYSCTL.size) or off + size > _SYSCTL.size:
        return None
    if write:
        return SCALAR_VALUE if off in _SYSCTL.span("file_pos") and size == 4 else None
    return SCALAR_VALUE if narrow(size, 4) else None


def _device(off: int, size: int, write: bool, user: CtxUser) -> int | None:
    if write or not within(off, size, _DEVICE.size) or off + size > _DEVICE.size:
        return None
    ok = narrow(size, 4) if off in _DEVICE.span("access_type") else size == 4
    return SCALAR_VALUE if ok else None


SOCK_CONTEXTS: dict[str, Access] = {
    "cgroup_sock": _cgroup_sock,
    "cgroup_sock_addr": _sock_addr,
    "sock_ops": _sock_ops,
    "sk_msg": _sk_msg,
    "sk_reuseport": _reuseport,
    "sk_lookup": _sk_lookup,
    "cgroup_sockopt": _sockopt,
    "cgroup_sysctl": _sysctl,
    "cgroup_device": _device,
}
"""By program type."""
