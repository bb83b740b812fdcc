"""One packet of a capture, and what a filter of a kernel would see of it."""

from typing import NamedTuple

from kprobesim.bpf.skb import ETH_HLEN, ETH_P_IP, Device, Skb, eth_type

__all__ = ["LINK_TYPES", "MAX_CAPTURED", "CapturedPacket", "skb_of"]

MAX_CAPTURED = 262_144
"""Most bytes of one packet: what tcpdump captures unless told otherwise, and libpcap's own limit."""

LINKTYPE_NULL, LINKTYPE_ETHERNET, LINKTYPE_RAW, LINKTYPE_LOOP = 0, 1, 101, 108
LINKTYPE_LINUX_SLL, LINKTYPE_IPV4, LINKTYPE_IPV6, LINKTYPE_LINUX_SLL2 = 113, 228, 229, 276
LINK_TYPES = {
    LINKTYPE_NULL: "NULL",
    LINKTYPE_ETHERNET: "EN10MB",
    LINKTYPE_RAW: "RAW",
    LINKTYPE_LOOP: "LOOP",
    LINKTYPE_LINUX_SLL: "LINUX_SLL",
    LINKTYPE_IPV4: "IPV4",
    LINKTYPE_IPV6: "IPV6",
    LINKTYPE_LINUX_SLL2: "LINUX_SLL2",
}
"""Number -> tcpdump's name, for the link types whose headers are known here."""

_ETH_P_IPV6 = 0x86DD
_ARPHRD_ETHER, _ARPHRD_NONE, _ARPHRD_LOOPBACK = 1, 0xFFFE, 772
_OUTGOING = 4
_SLL_HEADER, _SLL2_HEADER, _NULL_HEADER = 16, 20, 4


class CapturedPacket(NamedTuple):
    """A packet as a capture file has it.

    Attributes:
        number: from 1.
        time_ns: when it was captured, nanoseconds since 1970.
        data: the bytes captured, link layer's header first.
        length: how many it had on the wire.
        link_type: a ``LINKTYPE_*`` number.
        interface: which of the capture's interfaces, from 0.
        outgoing: whether it was sent, where the capture tells.
    """

    number: int
    time_ns: int
    data: bytes
    length: int
    link_type: int
    interface: int = 0
    outgoing: bool = False


def _be16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def _ip_version(data: bytes, at: int) -> int:
    version = data[at] >> 4 if len(data) > at else 0
    return {4: ETH_P_IP, 6: _ETH_P_IPV6}.get(version, 0)


def skb_of(packet: CapturedPacket) -> Skb:
    """The packet as it would be in the kernel that captured it.

    What the capture does not tell (mark, hash, queue, CPU) is 0; a VLAN tag stays in the bytes.
    """
    data, link = packet.data, packet.link_type
    protocol, network, hardware, pkt_type = 0, 0, _ARPHRD_NONE, _OUTGOING if packet.outgoing else 0
    if link == LINKTYPE_ETHERNET:
        protocol, network, hardware = eth_type(data), ETH_HLEN, _ARPHRD_ETHER
    elif link == LINKTYPE_LINUX_SLL:
        protocol, network, hardware, pkt_type = _be16(data, 14), _SLL_HEADER, _be16(data, 2), _be16(data, 0)
    elif link == LINKTYPE_LINUX_SLL2:
        pkt_type = data[10] if len(data) > 10 else 0
        protocol, network, hardware = _be16(data, 0), _SLL2_HEADER, _be16(data, 8)
    elif link in (LINKTYPE_RAW, LINKTYPE_IPV4, LINKTYPE_IPV6):
        protocol = _ip_version(data, 0)
    elif link in (LINKTYPE_NULL, LINKTYPE_LOOP):
        protocol, network, hardware = _ip_version(data, _NULL_HEADER), _NULL_HEADER, _ARPHRD_LOOPBACK
    return Skb(
        data,
        network_offset=network,
        protocol=protocol,
        pkt_type=pkt_type,
        dev=Device(packet.interface + 1, hardware),
        lost=max(packet.length - len(data), 0),
    )
