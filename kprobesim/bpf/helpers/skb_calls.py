"""Functions of the kernel that converted filters call. No program can name them.

In Linux their call instructions hold the function's distance from ``__bpf_call_base``; here, a number above those of
all helpers. Follows net/core/filter.c: bpf_skb_load_helper_8 and its neighbours; kernel/bpf/core.c:bpf_user_rnd_u32.
"""

from collections.abc import Callable
from enum import IntEnum

from kprobesim.bpf.helpers.base import Helper, HelperContext
from kprobesim.bpf.skb import GuestSkb, skb_get_nlattr, skb_get_nlattr_nest, skb_get_poff, skb_load
from kprobesim.linux_errno import Errno

__all__ = ["SKB_CALLS", "SkbCall"]

_MASK32 = 0xFFFFFFFF


class SkbCall(IntEnum):
    """``imm`` of a call instruction."""

    LOAD_HELPER_8 = 240
    LOAD_HELPER_16 = 241
    LOAD_HELPER_32 = 242
    GET_PAY_OFFSET = 243
    GET_NLATTR = 244
    GET_NLATTR_NEST = 245
    GET_RAW_CPU_ID = 246
    USER_RND_U32 = 247
    LOAD_HELPER_8_NO_CACHE = 248
    LOAD_HELPER_16_NO_CACHE = 249
    LOAD_HELPER_32_NO_CACHE = 250

    @property
    def function(self) -> str:
        """The function's name in Linux."""
        return _NAMES[self]


_NAMES = {
    SkbCall.LOAD_HELPER_8: "bpf_skb_load_helper_8",
    SkbCall.LOAD_HELPER_16: "bpf_skb_load_helper_16",
    SkbCall.LOAD_HELPER_32: "bpf_skb_load_helper_32",
    SkbCall.GET_PAY_OFFSET: "bpf_skb_get_pay_offset",
    SkbCall.GET_NLATTR: "bpf_skb_get_nlattr",
    SkbCall.GET_NLATTR_NEST: "bpf_skb_get_nlattr_nest",
    SkbCall.GET_RAW_CPU_ID: "bpf_get_raw_cpu_id",
    SkbCall.USER_RND_U32: "bpf_user_rnd_u32",
    SkbCall.LOAD_HELPER_8_NO_CACHE: "bpf_skb_load_helper_8_no_cache",
    SkbCall.LOAD_HELPER_16_NO_CACHE: "bpf_skb_load_helper_16_no_cache",
    SkbCall.LOAD_HELPER_32_NO_CACHE: "bpf_skb_load_helper_32_no_cache",
}


def _loader(size: int) -> Callable[[HelperContext, int, int, int, int], int]:
    def load(ctx: HelperContext, skb: int, data: int, headlen: int, offset: int) -> int:
        place = (offset & _MASK32 ^ 1 << 31) - (1 << 31)
        found = skb_load(GuestSkb(ctx.memory, skb), place, size)
        return -Errno.EFAULT if found is None else found

    return load


def _loader_no_cache(size: int) -> Callable[[HelperContext, int, int], int]:
    """The same for a caller that has not looked up where the packet is."""
    load = _loader(size)
    return lambda ctx, skb, offset: load(ctx, skb, 0, 0, offset)


def _get_pay_offset(ctx: HelperContext, skb: int) -> int:
    return skb_get_poff(GuestSkb(ctx.memory, skb))


def _get_nlattr(ctx: HelperContext, skb: int, a: int, x: int) -> int:
    return skb_get_nlattr(GuestSkb(ctx.memory, skb), a & _MASK32, x & _MASK32)


def _get_nlattr_nest(ctx: HelperContext, skb: int, a: int, x: int) -> int:
    return skb_get_nlattr_nest(GuestSkb(ctx.memory, skb), a & _MASK32, x & _MASK32)


def _get_raw_cpu_id(ctx: HelperContext) -> int:
    return ctx.env.smp_processor_id()


def _user_rnd_u32(ctx: HelperContext) -> int:
    return ctx.env.prandom_u32()


_ROWS: tuple[tuple[SkbCall, Callable[..., int], int], ...] = (
    # call, function, number of arguments
    (SkbCall.LOAD_HELPER_8, _loader(1), 4),
    (SkbCall.LOAD_HELPER_16, _loader(2), 4),
    (SkbCall.LOAD_HELPER_32, _loader(4), 4),
    (SkbCall.GET_PAY_OFFSET, _get_pay_offset, 1),
    (SkbCall.GET_NLATTR, _get_nlattr, 3),
    (SkbCall.GET_NLATTR_NEST, _get_nlattr_nest, 3),
    (SkbCall.GET_RAW_CPU_ID, _get_raw_cpu_id, 0),
    (SkbCall.USER_RND_U32, _user_rnd_u32, 0),
    (SkbCall.LOAD_HELPER_8_NO_CACHE, _loader_no_cache(1), 2),
    (SkbCall.LOAD_HELPER_16_NO_CACHE, _loader_no_cache(2), 2),
    (SkbCall.LOAD_HELPER_32_NO_CACHE, _loader_no_cache(4), 2),
)

SKB_CALLS: dict[int, Helper] = {
    int(call): Helper(call, call.function.removeprefix("bpf_"), "int", ("any",) * count, False, function)
    for call, function, count in _ROWS
}
"""imm -> function."""
