"""Netlink attributes in a packet, for the ``nla`` and ``nlan`` loads.

An attribute is ``u16 length, u16 type`` in the machine's byte order, then data, padded to 4 bytes. Follows Linux
net/core/filter.c: bpf_skb_get_nlattr and bpf_skb_get_nlattr_nest, and lib/nlattr.c:nla_find.
"""

from kprobesim.bpf.skb.packet import SkbView

__all__ = ["skb_get_nlattr", "skb_get_nlattr_nest"]

_NLA_HDRLEN = 4
_NLA_TYPE_MASK = 0x3FFF


def skb_get_nlattr(skb: SkbView, a: int, x: int) -> int:
    """Offset of the attribute of type ``x`` among those that begin at offset ``a``, both unsigned 32 bits; 0: none."""
    if skb.data_len or skb.len < _NLA_HDRLEN or a > skb.len - _NLA_HDRLEN:
        return 0
    return _nla_find(skb, a, skb.len - a, x)


def skb_get_nlattr_nest(skb: SkbView, a: int, x: int) -> int:
    """The same among those inside the attribute at ``a``."""
    if skb.data_len or skb.len < _NLA_HDRLEN or a > skb.len - _NLA_HDRLEN:
        return 0
    length, _ = _header(skb, a)
    if length > skb.len - a:
        return 0
    return _nla_find(skb, a + _NLA_HDRLEN, length - _NLA_HDRLEN, x)


def _header(skb: SkbView, offset: int) -> tuple[int, int]:
    raw = skb.header_pointer(offset, _NLA_HDRLEN)
    assert raw is not None
    return int.from_bytes(raw[:2], "little"), int.from_bytes(raw[2:], "little") & _NLA_TYPE_MASK


def _nla_find(skb: SkbView, offset: int, remaining: int, wanted: int) -> int:
    while remaining >= _NLA_HDRLEN:
        length, kind = _header(skb, offset)
        if not _NLA_HDRLEN <= length <= remaining:
            return 0
        if kind == wanted:
            return offset
        padded = length + 3 & ~3
        offset += padded
        remaining -= padded
    return 0
