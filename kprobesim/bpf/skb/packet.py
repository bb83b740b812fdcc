"""A packet as the kernel has it: bytes in a linear part and perhaps in a page, and what is known about them.

``Skb`` is such a packet as data. Filters look at packets through ``SkbView``, which guest memory offers as well, see
``kprobesim.bpf.skb.guest``.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

__all__ = ["ETH_HLEN", "ETH_P_802_2", "ETH_P_802_3", "ETH_P_IP", "Device", "Skb", "SkbView", "eth_type"]

ETH_HLEN = 14
ETH_P_IP = 0x0800
ETH_P_802_3, ETH_P_802_2 = 0x0001, 0x0004
_ETH_P_802_3_MIN = 0x0600


class Device(NamedTuple):
    """A network device: its number, and its ``ARPHRD_*`` type (1 is Ethernet)."""

    ifindex: int = 1
    type: int = 1


class SkbView(Protocol):
    """What the kernel's code reads of a struct sk_buff. Offsets count from ``skb->data`` and may be negative."""

    @property
    def len(self) -> int:
        """All bytes from ``skb->data`` on."""
        ...

    @property
    def data_len(self) -> int:
        """How many of them are in pages."""
        ...

    @property
    def network_offset(self) -> int:
        """Where the network header is."""
        ...

    @property
    def mac_offset(self) -> int:
        """Where the link layer's header is."""
        ...

    @property
    def protocol(self) -> int:
        """What the link layer says is inside, host byte order."""
        ...

    @property
    def vlan_present(self) -> bool:
        """Whether a VLAN tag was taken off the bytes."""
        ...

    @property
    def vlan_proto(self) -> int:
        """That tag's protocol, host byte order."""
        ...

    def header_pointer(self, offset: int, size: int) -> bytes | None:
        """``size`` bytes, wherever they lie, or None if the packet does not have them all."""
        ...


@dataclass(frozen=True, slots=True)
class Skb:
    """A packet. The defaults are those of one that has just come in over Ethernet.

    Attributes:
        linear: the bytes from ``skb->data`` on that lie in one piece.
        frag: those that follow, in a page.
        lost: how many more the packet had that a capture did not keep; they count, but no load can reach them.
        headroom: bytes before ``skb->data`` that are still there: headers already dealt with.
        network_offset: where the network header is, from ``skb->data``.
        mac_offset: where the link layer's header is, at most ``len(headroom)`` before ``skb->data``.
        protocol: what the link layer says is inside, host byte order.
        pkt_type: 0 for us, 1 broadcast, 2 multicast, 3 for others, 4 outgoing.
        mark, queue_mapping, hash: numbers that other parts of the kernel left.
        vlan_tci, vlan_present, vlan_proto: the VLAN tag taken off the bytes, if there was one.
        dev: the device it came in over, or None.
    """

    linear: bytes
    frag: bytes = b""
    headroom: bytes = b""
    network_offset: int = ETH_HLEN
    mac_offset: int = 0
    protocol: int = ETH_P_IP
    pkt_type: int = 0
    mark: int = 0
    queue_mapping: int = 0
    hash: int = 0
    vlan_tci: int = 0
    vlan_present: bool = False
    vlan_proto: int = 0
    dev: Device | None = field(default_factory=Device)
    lost: int = 0

    @property
    def len(self) -> int:
        """See SkbView."""
        return len(self.linear) + self.data_len

    @property
    def data_len(self) -> int:
        """See SkbView."""
        return len(self.frag) + self.lost

    def header_pointer(self, offset: int, size: int) -> bytes | None:
        """See SkbView; Linux include/linux/skbuff.h:__skb_header_pointer."""
        if offset > self.len - size or offset < -len(self.headroom):
            return None
        if 0 <= offset <= len(self.linear) - size:
            return self.linear[offset : offset + size]
        found = b""
        start = -len(self.headroom)
        for piece in (self.headroom, self.linear, self.frag):
            found += piece[max(offset - start, 0) : max(offset + size - start, 0)]
            start += len(piece)
        return found if len(found) == size else None


def eth_type(frame: bytes) -> int:
    """The protocol of an Ethernet frame (Linux net/ethernet/eth.c:eth_type_trans); 0 if it has no whole header."""
    if len(frame) < ETH_HLEN:
        return 0
    number = int.from_bytes(frame[12:14], "big")
    if number >= _ETH_P_802_3_MIN:
        return number
    return ETH_P_802_3 if frame[14:16] == b"\xff\xff" else ETH_P_802_2
