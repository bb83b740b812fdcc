"""A packet in guest memory: struct sk_buff, its buffer, its device and its page, laid out as in Linux.

::

    base   sk_buff | net_device | headroom, linear bytes | skb_shared_info -> page -> bytes of the fragment
"""

from kprobesim.bpf.memory import GuestMemory
from kprobesim.bpf.skb import layout as at
from kprobesim.bpf.skb.packet import Skb
from kprobesim.errors import BadInput

__all__ = ["PAGE_OFFSET", "VMEMMAP_BASE", "GuestSkb", "place_skb", "placed_size"]

PAGE_OFFSET = 0xFFFF_8880_0000_0000
"""Where all physical memory is mapped."""
VMEMMAP_BASE = 0xFFFF_EA00_0000_0000
"""Where the array of struct page is."""
_PAGE_SHIFT, _STRUCT_PAGE_SHIFT = 12, 6
_PAGE = 1 << _PAGE_SHIFT
_LARGEST_HEADER_OFFSET = 0xFFFF


def _aligned(size: int) -> int:
    return size + 63 & ~63


def _pieces(skb: Skb) -> tuple[int, int, int, int]:
    """Offsets from the base: device, buffer, shared info, fragment."""
    dev = _aligned(at.SKB_SIZE)
    head = dev + _aligned(at.DEV_SIZE)
    end = head + _aligned(len(skb.headroom) + len(skb.linear))
    return dev, head, end, end + _aligned(at.SHINFO_SIZE)


def placed_size(skb: Skb) -> int:
    """Bytes that ``place_skb`` needs."""
    return _pieces(skb)[3] + len(skb.frag)


def place_skb(memory: GuestMemory, base: int, skb: Skb) -> int:
    """Write a packet to guest memory; the address of its struct sk_buff, which is ``base``.

    Args:
        memory: where to; ``placed_size(skb)`` bytes from ``base`` on.
        base: a multiple of 64 in the direct mapping.
        skb: the packet.

    Raises:
        BadInput: header offsets that struct sk_buff cannot hold.
        MemoryFault: no memory there.
    """
    dev, head, end, frag = _pieces(skb)
    room = len(skb.headroom)
    tail = room + len(skb.linear)
    headers = (room + skb.network_offset, room + skb.mac_offset)
    if not all(0 <= offset < _LARGEST_HEADER_OFFSET for offset in headers):
        raise BadInput(f"Headers at {skb.network_offset} and {skb.mac_offset} are outside of the packet's buffer.")
    fields = (
        (at.SKB_DEV, 8, base + dev if skb.dev is not None else 0),
        (at.SKB_LEN, 4, skb.len),
        (at.SKB_DATA_LEN, 4, skb.data_len),
        (at.SKB_QUEUE_MAPPING, 2, skb.queue_mapping),
        (at.SKB_PKT_TYPE, 1, skb.pkt_type & at.PKT_TYPE_MAX),
        (at.SKB_VLAN_PRESENT, 1, int(skb.vlan_present)),
        (at.SKB_HASH, 4, skb.hash),
        (at.SKB_VLAN_TCI, 2, skb.vlan_tci),
        (at.SKB_MARK, 4, skb.mark),
        (at.SKB_NETWORK_HEADER, 2, headers[0]),
        (at.SKB_MAC_HEADER, 2, headers[1]),
        (at.SKB_TAIL, 4, tail),
        (at.SKB_END, 4, end - head),
        (at.SKB_HEAD, 8, base + head),
        (at.SKB_DATA, 8, base + head + room),
    )
    image = bytearray(placed_size(skb))
    for offset, size, value in fields:
        image[offset : offset + size] = (value & (1 << 8 * size) - 1).to_bytes(size, "little")
    for offset, protocol in ((at.SKB_PROTOCOL, skb.protocol), (at.SKB_VLAN_PROTO, skb.vlan_proto)):
        image[offset : offset + 2] = (protocol & 0xFFFF).to_bytes(2, "big")
    if skb.dev is not None:
        image[dev + at.DEV_IFINDEX : dev + at.DEV_IFINDEX + 4] = (skb.dev.ifindex & 0xFFFFFFFF).to_bytes(4, "little")
        image[dev + at.DEV_TYPE : dev + at.DEV_TYPE + 2] = (skb.dev.type & 0xFFFF).to_bytes(2, "little")
    image[head : head + tail] = skb.headroom + skb.linear
    if skb.frag:
        physical = base + frag - PAGE_OFFSET
        page = VMEMMAP_BASE + (physical >> _PAGE_SHIFT << _STRUCT_PAGE_SHIFT)
        bio_vec = end + at.SHINFO_FRAGS
        image[end + at.SHINFO_NR_FRAGS] = 1
        image[bio_vec : bio_vec + 8] = page.to_bytes(8, "little")
        image[bio_vec + 8 : bio_vec + 12] = len(skb.frag).to_bytes(4, "little")
        image[bio_vec + 12 : bio_vec + 16] = (physical % _PAGE).to_bytes(4, "little")
        image[frag:] = skb.frag
    memory.write(base, bytes(image))
    return base


class GuestSkb:
    """A struct sk_buff in guest memory; see SkbView for what can be asked. MemoryFault where it leads nowhere."""

    def __init__(self, memory: GuestMemory, address: int) -> None:
        self._memory = memory
        self._address = address

    def _field(self, offset: int, size: int) -> int:
        return int.from_bytes(self._memory.read(self._address + offset, size), "little")

    def _be16(self, offset: int) -> int:
        return int.from_bytes(self._memory.read(self._address + offset, 2), "big")

    def _header(self, offset: int) -> int:
        return self._field(at.SKB_HEAD, 8) + self._field(offset, 2) - self._field(at.SKB_DATA, 8)

    @property
    def len(self) -> int:
        """See SkbView."""
        return self._field(at.SKB_LEN, 4)

    @property
    def data_len(self) -> int:
        """See SkbView."""
        return self._field(at.SKB_DATA_LEN, 4)

    @property
    def network_offset(self) -> int:
        """See SkbView."""
        return self._header(at.SKB_NETWORK_HEADER)

    @property
    def mac_offset(self) -> int:
        """See SkbView."""
        return self._header(at.SKB_MAC_HEADER)

    @property
    def protocol(self) -> int:
        """See SkbView."""
        return self._be16(at.SKB_PROTOCOL)

    @property
    def vlan_present(self) -> bool:
        """See SkbView."""
        return bool(self._field(at.SKB_VLAN_PRESENT, 1) & 1)

    @property
    def vlan_proto(self) -> int:
        """See SkbView."""
        return self._be16(at.SKB_VLAN_PROTO)

    def header_pointer(self, offset: int, size: int) -> bytes | None:
        """See SkbView; Linux __skb_header_pointer and skb_copy_bits."""
        data = self._field(at.SKB_DATA, 8)
        linear = self.len - self.data_len
        if linear - offset >= size:
            return self._memory.read(data + offset, size)
        if offset > self.len - size:
            return None
        found = b""
        if offset < linear:
            found = self._memory.read(data + offset, linear - offset)
        start = linear
        for address, length in self._frags():
            begin, end = max(offset - start, 0), min(offset + size - start, length)
            if begin < end:
                found += self._memory.read(address + begin, end - begin)
            start += length
        return found if len(found) == size else None

    def _frags(self) -> list[tuple[int, int]]:
        """Address and length of each piece in a page."""
        shinfo = self._field(at.SKB_HEAD, 8) + self._field(at.SKB_END, 4)
        number = self._memory.read(shinfo + at.SHINFO_NR_FRAGS, 1)[0]
        found = []
        for index in range(number):
            raw = self._memory.read(shinfo + at.SHINFO_FRAGS + index * at.FRAG_SIZE, at.FRAG_SIZE)
            page = int.from_bytes(raw[:8], "little")
            physical = page - VMEMMAP_BASE >> _STRUCT_PAGE_SHIFT << _PAGE_SHIFT
            address = PAGE_OFFSET + physical + int.from_bytes(raw[12:], "little")
            found.append((address, int.from_bytes(raw[8:12], "little")))
        return found
