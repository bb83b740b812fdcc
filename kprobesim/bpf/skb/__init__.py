"""Packets as filters see them: struct sk_buff as data and in guest memory, and the kernel's code that reads it."""

from kprobesim.bpf.skb.dissect import skb_get_poff
from kprobesim.bpf.skb.guest import GuestSkb, place_skb, placed_size
from kprobesim.bpf.skb.load import convert_offset, skb_load
from kprobesim.bpf.skb.netlink import skb_get_nlattr, skb_get_nlattr_nest
from kprobesim.bpf.skb.packet import ETH_HLEN, ETH_P_IP, Device, Skb, SkbView, eth_type

__all__ = [
    "ETH_HLEN",
    "ETH_P_IP",
    "Device",
    "GuestSkb",
    "Skb",
    "SkbView",
    "convert_offset",
    "eth_type",
    "place_skb",
    "placed_size",
    "skb_get_nlattr",
    "skb_get_nlattr_nest",
    "skb_get_poff",
    "skb_load",
]
