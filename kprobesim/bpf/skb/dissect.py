"""Where a packet's payload begins: the flow dissector, as far as ``poff`` asks for it.

Follows Linux net/core/flow_dissector.c: __skb_flow_dissect with the keys *control* and *basic*, and __skb_get_poff.
Each header is a small function that says what comes next; 15 headers at most are looked at.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from kprobesim.bpf.skb.packet import SkbView

__all__ = ["skb_get_poff"]

_MAX_FLOW_DISSECT_HDRS = 15
_U16_MAX = 0xFFFF

_ETH_P_IP, _ETH_P_IPV6, _ETH_P_TEB = 0x0800, 0x86DD, 0x6558
_ETH_P_8021Q, _ETH_P_8021AD = 0x8100, 0x88A8
_ETH_P_MPLS_UC, _ETH_P_MPLS_MC = 0x8847, 0x8848
_ETH_P_PPP_SES, _ETH_P_TIPC, _ETH_P_FCOE, _ETH_P_BATMAN = 0x8864, 0x88CA, 0x8906, 0x4305
_ETH_P_ARP, _ETH_P_RARP, _ETH_P_1588, _ETH_P_PRP, _ETH_P_HSR = 0x0806, 0x8035, 0x88F7, 0x88FB, 0x892F

_HOP, _ROUTING, _FRAGMENT, _DEST = 0, 43, 44, 60
_IPIP, _IPV6, _GRE, _MPLS = 4, 41, 47, 137
_TCP, _TCP_HEADER = 6, 20
_HEADER_SIZES = {1: 8, 2: 8, 17: 8, 33: 12, 58: 8, 132: 12, 136: 8}
"""IP protocol -> bytes of its header: ICMP, IGMP, UDP, DCCP, ICMPv6, SCTP, UDP-Lite."""

_IP_MF, _IP_OFFSET, _IP6_OFFSET = 0x2000, 0x1FFF, 0xFFF8
_GRE_CSUM, _GRE_ROUTING, _GRE_KEY, _GRE_SEQ, _GRE_ACK, _GRE_VERSION = 0x8000, 0x4000, 0x2000, 0x1000, 0x80, 7
_GRE_PROTO_PPP = 0x880B
_PPP_NEXT = {0x0021: _ETH_P_IP, 0x0057: _ETH_P_IPV6, 0x0281: _ETH_P_MPLS_UC, 0x0283: _ETH_P_MPLS_MC}


class _Next(Enum):
    """enum flow_dissect_ret."""

    CONTINUE = auto()
    OUT_GOOD = auto()
    OUT_BAD = auto()
    PROTO_AGAIN = auto()
    IPPROTO_AGAIN = auto()


@dataclass(slots=True)
class _Walk:
    """How far the dissector has come."""

    skb: SkbView
    proto: int
    nhoff: int
    ip_proto: int = 0
    headers: int = 0
    vlans: int = 0
    is_fragment: bool = False
    first_frag: bool = False

    def read(self, size: int, at: int = 0) -> bytes | None:
        return self.skb.header_pointer(self.nhoff + at, size)

    def allowed(self) -> bool:
        self.headers += 1
        return self.headers <= _MAX_FLOW_DISSECT_HDRS


def _be(data: bytes, at: int, size: int = 2) -> int:
    return int.from_bytes(data[at : at + size], "big")


def _ipv4(walk: _Walk) -> _Next:
    header = walk.read(20)
    if header is None or header[0] & 0x0F < 5:
        return _Next.OUT_BAD
    walk.nhoff += 4 * (header[0] & 0x0F)
    walk.ip_proto = header[9]
    fragment = _be(header, 6)
    if fragment & (_IP_MF | _IP_OFFSET):
        walk.is_fragment = True
        walk.first_frag = not fragment & _IP_OFFSET
        return _Next.OUT_GOOD
    return _Next.CONTINUE


def _ipv6(walk: _Walk) -> _Next:
    header = walk.read(40)
    if header is None:
        return _Next.OUT_BAD
    walk.ip_proto = header[6]
    walk.nhoff += 40
    return _Next.CONTINUE


def _vlan(walk: _Walk) -> _Next:
    if walk.vlans == 0 and walk.skb.vlan_present:
        walk.proto = walk.skb.protocol
    else:
        header = walk.read(4)
        if header is None:
            return _Next.OUT_BAD
        walk.proto = _be(header, 2)
        walk.nhoff += 4
    walk.vlans += 1
    return _Next.PROTO_AGAIN


def _pppoe(walk: _Walk) -> _Next:
    header = walk.read(8)
    if header is None or header[0] != 0x11 or header[1]:
        return _Next.OUT_BAD
    inner = _be(header, 6)
    walk.nhoff += 8
    if inner in _PPP_NEXT:
        walk.proto = _PPP_NEXT[inner]
        return _Next.PROTO_AGAIN
    return _Next.OUT_GOOD if inner & 0x0101 == 0x0001 else _Next.OUT_BAD


def _mpls(walk: _Walk) -> _Next:
    walk.nhoff += 4
    return _Next.OUT_GOOD


def _fcoe(walk: _Walk) -> _Next:
    if walk.skb.len - walk.skb.data_len - walk.nhoff < 38:
        return _Next.OUT_BAD
    walk.nhoff += 38
    return _Next.OUT_GOOD


def _batadv(walk: _Walk) -> _Next:
    header = walk.read(24)
    if header is None or header[1] != 15 or header[0] != 0x40:
        return _Next.OUT_BAD
    walk.proto = _be(header, 22)
    walk.nhoff += 24
    return _Next.PROTO_AGAIN


def _hsr(walk: _Walk) -> _Next:
    header = walk.read(6)
    if header is None:
        return _Next.OUT_BAD
    walk.proto = _be(header, 4)
    walk.nhoff += 6
    return _Next.PROTO_AGAIN


def _tipc(walk: _Walk) -> _Next:
    return _Next.OUT_BAD if walk.read(16) is None else _Next.OUT_GOOD


def _ptp(walk: _Walk) -> _Next:
    if walk.read(34) is None:
        return _Next.OUT_BAD
    walk.nhoff += 34
    return _Next.OUT_GOOD


def _arp(walk: _Walk) -> _Next:
    return _Next.OUT_GOOD


def _unknown(walk: _Walk) -> _Next:
    return _Next.OUT_BAD


def _payload(walk: _Walk) -> _Next:
    return _Next.CONTINUE


_PROTOCOLS: dict[int, Callable[[_Walk], _Next]] = {
    _ETH_P_IP: _ipv4,
    _ETH_P_IPV6: _ipv6,
    _ETH_P_8021Q: _vlan,
    _ETH_P_8021AD: _vlan,
    _ETH_P_PPP_SES: _pppoe,
    _ETH_P_TIPC: _tipc,
    _ETH_P_MPLS_UC: _mpls,
    _ETH_P_MPLS_MC: _mpls,
    _ETH_P_FCOE: _fcoe,
    _ETH_P_ARP: _arp,
    _ETH_P_RARP: _arp,
    _ETH_P_BATMAN: _batadv,
    _ETH_P_1588: _ptp,
    _ETH_P_PRP: _hsr,
    _ETH_P_HSR: _hsr,
}


def _gre(walk: _Walk) -> _Next:
    header = walk.read(4)
    if header is None:
        return _Next.OUT_BAD
    flags = _be(header, 0)
    version = flags & _GRE_VERSION
    if flags & _GRE_ROUTING or version > 1:
        return _Next.OUT_GOOD
    walk.proto = _be(header, 2)
    if version and not (walk.proto == _GRE_PROTO_PPP and flags & _GRE_KEY):
        return _Next.OUT_GOOD
    offset = 8 if flags & _GRE_CSUM else 4
    if flags & _GRE_KEY:
        if walk.read(4, offset) is None:
            return _Next.OUT_BAD
        offset += 4
    if flags & _GRE_SEQ:
        offset += 4
    if version:
        if flags & _GRE_ACK:
            offset += 4
        ppp = walk.read(4, offset)
        if ppp is None:
            return _Next.OUT_BAD
        inner = _PPP_NEXT.get(_be(ppp, 2))
        if inner in (_ETH_P_IP, _ETH_P_IPV6):
            walk.proto = inner
        offset += 4
    elif walk.proto == _ETH_P_TEB:
        ethernet = walk.read(14, offset)
        if ethernet is None:
            return _Next.OUT_BAD
        walk.proto = _be(ethernet, 12)
        offset += 14
    walk.nhoff += offset
    return _Next.PROTO_AGAIN


def _ipv6_option(walk: _Walk) -> _Next:
    if walk.proto != _ETH_P_IPV6:
        return _Next.CONTINUE
    header = walk.read(2)
    if header is None:
        return _Next.OUT_BAD
    walk.ip_proto = header[0]
    walk.nhoff += 8 * (header[1] + 1)
    return _Next.IPPROTO_AGAIN


def _ipv6_fragment(walk: _Walk) -> _Next:
    if walk.proto != _ETH_P_IPV6:
        return _Next.CONTINUE
    header = walk.read(8)
    if header is None:
        return _Next.OUT_BAD
    walk.is_fragment = True
    walk.nhoff += 8
    walk.ip_proto = header[0]
    if not _be(header, 2) & _IP6_OFFSET:
        walk.first_frag = True
    return _Next.OUT_GOOD


def _tunnel(proto: int) -> Callable[[_Walk], _Next]:
    def enter(walk: _Walk) -> _Next:
        walk.proto = proto
        return _Next.PROTO_AGAIN

    return enter


_IP_PROTOCOLS: dict[int, Callable[[_Walk], _Next]] = {
    _GRE: _gre,
    _HOP: _ipv6_option,
    _ROUTING: _ipv6_option,
    _DEST: _ipv6_option,
    _FRAGMENT: _ipv6_fragment,
    _IPIP: _tunnel(_ETH_P_IP),
    _IPV6: _tunnel(_ETH_P_IPV6),
    _MPLS: _tunnel(_ETH_P_MPLS_UC),
}


def _dissect(walk: _Walk) -> bool:
    """__skb_flow_dissect: walk from header to header; whether all of them made sense."""
    while True:
        step = _PROTOCOLS.get(walk.proto, _unknown)(walk)
        if step is _Next.CONTINUE:
            step = _Next.IPPROTO_AGAIN
            while step is _Next.IPPROTO_AGAIN:
                step = _IP_PROTOCOLS.get(walk.ip_proto, _payload)(walk)
                if step is _Next.IPPROTO_AGAIN and not walk.allowed():
                    return True
        if step is not _Next.PROTO_AGAIN:
            return step is not _Next.OUT_BAD
        if not walk.allowed():
            return True


def skb_get_poff(skb: SkbView) -> int:
    """Offset of the payload, as far as the headers could be followed; 0 where they could not."""
    walk = _Walk(skb, skb.vlan_proto if skb.vlan_present else skb.protocol, skb.network_offset)
    good = _dissect(walk)
    poff = min(walk.nhoff & 0xFFFF_FFFF, skb.len)
    if not good or poff > _U16_MAX:
        return 0
    if walk.is_fragment and not walk.first_frag:
        return poff
    if walk.ip_proto == _TCP:
        doff = skb.header_pointer(poff + 12, 1)
        return poff if doff is None else poff + max(_TCP_HEADER, (doff[0] & 0xF0) >> 2)
    return poff + _HEADER_SIZES.get(walk.ip_proto, 0)
