"""Loads from the packet by an offset that may be negative.

Follows Linux net/core/filter.c: bpf_skb_load_helper_convert_offset and bpf_skb_load_helper_8, _16 and _32.
"""

from kprobesim.bpf.skb.packet import SkbView

__all__ = ["convert_offset", "skb_load"]

_SKF_NET_OFF, _SKF_LL_OFF = -0x10_0000, -0x20_0000


def convert_offset(skb: SkbView, offset: int) -> int | None:
    """The offset from ``skb->data`` that a load's offset (signed 32 bits) means, or None if it means none."""
    if offset >= 0:
        return offset
    if offset >= _SKF_NET_OFF:
        return offset - _SKF_NET_OFF + skb.network_offset
    if offset >= _SKF_LL_OFF:
        return offset - _SKF_LL_OFF + skb.mac_offset
    return None


def skb_load(skb: SkbView, offset: int, size: int) -> int | None:
    """The big-endian number of ``size`` bytes at a load's offset, or None if the packet does not have them all."""
    place = convert_offset(skb, offset)
    raw = None if place is None else skb.header_pointer(place, size)
    return None if raw is None else int.from_bytes(raw, "big")
