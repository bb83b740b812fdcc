"""Helpers that copy bytes of a packet. Follows Linux net/core/filter.c."""

from kprobesim.bpf.helpers.base import HelperContext
from kprobesim.bpf.skb import GuestSkb
from kprobesim.linux_errno import Errno

__all__ = ["skb_load_bytes", "skb_load_bytes_relative"]

_MASK32 = 0xFFFF_FFFF
_INT_MAX = 0x7FFF_FFFF
_START_MAC, _START_NET = 0, 1
_FARTHEST = 0xFFFF


def _hand_over(ctx: HelperContext, to: int, size: int, found: bytes | None) -> int:
    """The bytes, or zeros and EFAULT where the packet does not have them all."""
    ctx.check_buffer(to, size)
    ctx.memory.write(to, bytes(size) if found is None else found)
    return 0 if found is not None else -Errno.EFAULT


def skb_load_bytes(ctx: HelperContext, skb: int, offset: int, to: int, size: int) -> int:
    """Copy ``size`` bytes from ``offset`` on, counted from where the packet's layer begins."""
    offset, size = offset & _MASK32, size & _MASK32
    found = None if offset > _INT_MAX else GuestSkb(ctx.memory, skb).header_pointer(offset, size)
    return _hand_over(ctx, to, size, found)


def skb_load_bytes_relative(ctx: HelperContext, skb: int, offset: int, to: int, size: int, start: int) -> int:
    """The same, counted from the link layer's header (0) or the network's (1), and in the linear part only."""
    offset, size = offset & _MASK32, size & _MASK32
    packet = GuestSkb(ctx.memory, skb)
    begins = {_START_MAC: packet.mac_offset, _START_NET: packet.network_offset}.get(start & _MASK32)
    found = None
    if offset <= _FARTHEST and begins is not None and begins + offset + size <= packet.len - packet.data_len:
        found = packet.header_pointer(begins + offset, size)
    return _hand_over(ctx, to, size, found)
