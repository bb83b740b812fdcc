"""The events of kernel memory: Linux 6.1 include/trace/events/kmem.h and mmflags.h."""

from __future__ import annotations

from typing import Any, Final

from kprobesim.machine import VCpu
from kprobesim.tracing.kernel_events.event import EventSpec
from kprobesim.tracing.kernel_events.guest import Guest
from kprobesim.tracing.kernel_events.layout import Layout, Value

__all__ = ["KMEM_EVENTS"]

# The flags by their definition: single bits as numbers, combinations as the names they are made of. The format file has
# these definitions expanded by the preprocessor, brackets and all.
_BITS: Final = {
    "__GFP_HIGHMEM": 0x02, "GFP_DMA32": 0x04, "__GFP_HIGH": 0x20, "__GFP_ATOMIC": 0x200, "__GFP_IO": 0x40,
    "__GFP_FS": 0x80, "__GFP_NOWARN": 0x2000, "__GFP_RETRY_MAYFAIL": 0x4000, "__GFP_NOFAIL": 0x8000,
    "__GFP_NORETRY": 0x10000, "__GFP_COMP": 0x40000, "__GFP_ZERO": 0x100, "__GFP_NOMEMALLOC": 0x80000,
    "__GFP_MEMALLOC": 0x20000, "__GFP_HARDWALL": 0x100000, "__GFP_THISNODE": 0x200000, "__GFP_RECLAIMABLE": 0x10,
    "__GFP_MOVABLE": 0x08, "__GFP_ACCOUNT": 0x400000, "__GFP_WRITE": 0x1000, "__GFP_RECLAIM": 0xC00,
    "__GFP_DIRECT_RECLAIM": 0x400, "__GFP_KSWAPD_RECLAIM": 0x800, "__GFP_ZEROTAGS": 0x800000,
}  # fmt: skip
_GFP_DMA: Final = 0x01


_RECLAIM: Final = "(( gfp_t)(0x400u|0x800u))"


def _bit(value: int) -> str:
    return _RECLAIM if value == 0xC00 else f"(( gfp_t)0x{value:02x}u)"


_IO, _FS, _HARDWALL, _ACCOUNT = (
    _bit(_BITS[name]) for name in ("__GFP_IO", "__GFP_FS", "__GFP_HARDWALL", "__GFP_ACCOUNT")
)
_COMP, _NOMEMALLOC, _NOWARN = (_bit(_BITS[name]) for name in ("__GFP_COMP", "__GFP_NOMEMALLOC", "__GFP_NOWARN"))
_USER: Final = f"({_RECLAIM} | {_IO} | {_FS} | {_HARDWALL})"
_KERNEL: Final = f"({_RECLAIM} | {_IO} | {_FS})"
_HIGHUSER: Final = f"({_USER} | {_bit(0x02)})"
_NONE: Final = "(( gfp_t)0)"
_MOVABLE: Final = f"({_HIGHUSER} | {_bit(0x08)} | {_NONE} | {_NONE})"
_LIGHT: Final = f"(({_MOVABLE} | {_COMP} | {_NOMEMALLOC} | {_NOWARN}) & ~{_RECLAIM})"
_USER_BITS, _MOVABLE_BITS = 0x100CC0, 0x100CCA
_LIGHT_BITS: Final = (_MOVABLE_BITS | 0xC2000) & ~0xC00

# In the order in which they are looked for: those with the most bits first.
_FLAGS: Final = (
    ("GFP_TRANSHUGE", f"({_LIGHT} | {_bit(0x400)})", _LIGHT_BITS | 0x400),
    ("GFP_TRANSHUGE_LIGHT", _LIGHT, _LIGHT_BITS),
    ("GFP_HIGHUSER_MOVABLE", _MOVABLE, _MOVABLE_BITS),
    ("GFP_HIGHUSER", _HIGHUSER, _USER_BITS | 0x02),
    ("GFP_USER", _USER, _USER_BITS),
    ("GFP_KERNEL_ACCOUNT", f"({_KERNEL} | {_ACCOUNT})", 0x400CC0),
    ("GFP_KERNEL", _KERNEL, 0xCC0),
    ("GFP_NOFS", f"({_RECLAIM} | {_IO})", 0xC40),
    ("GFP_ATOMIC", f"({_bit(0x20)}|{_bit(0x200)}|{_bit(0x800)})", 0xA20),
    ("GFP_NOIO", f"({_RECLAIM})", 0xC00),
    ("GFP_NOWAIT", f"({_bit(0x800)})", 0x800),
    ("GFP_DMA", _bit(_GFP_DMA), _GFP_DMA),
    *((name, _bit(value), value) for name, value in _BITS.items()),
)
_SHOW_GFP_FLAGS: Final = (
    '(REC->gfp_flags) ? __print_flags(REC->gfp_flags, "|", '
    + ", ".join(f'{{( unsigned long){text}, "{name}"}}' for name, text, _ in _FLAGS)
    + ' ) : "none"'
)


def _gfp_flags(flags: int) -> str:
    """``show_gfp_flags``: what is left over when no name fits is shown as a number."""
    found = []
    for name, _, value in _FLAGS:
        if flags & value == value:
            found.append(name)
            flags &= ~value
    return "|".join([*found, *([f"0x{flags:x}"] if flags else [])]) or "none"


def _assign_kmalloc(guest: Guest, cpu: VCpu, args: tuple[int, ...]) -> tuple[Value, ...]:
    return args


def _print_kmalloc(guest: Guest, values: list[Any]) -> str:
    call_site, pointer, bytes_req, bytes_alloc, flags, node = values
    return (
        f"call_site={guest.symbol_offset(call_site)} ptr={guest.pointer(pointer)} bytes_req={bytes_req} "
        f"bytes_alloc={bytes_alloc} gfp_flags={_gfp_flags(flags)} node={node} accounted=false"
    )


def _print_kfree(guest: Guest, values: list[Any]) -> str:
    call_site, pointer = values
    return f"call_site={guest.symbol_offset(call_site)} ptr={guest.pointer(pointer)}"


KMEM_EVENTS: Final = (
    EventSpec(
        "kmem",
        "kmalloc",
        Layout(
            (
                "unsigned long call_site", "const void * ptr", "size_t bytes_req", "size_t bytes_alloc",
                "unsigned long gfp_flags", "int node",
            )
        ),
        _assign_kmalloc,
        '"call_site=%pS ptr=%p bytes_req=%zu bytes_alloc=%zu gfp_flags=%s node=%d accounted=%s", '
        "(void *)REC->call_site, REC->ptr, REC->bytes_req, REC->bytes_alloc, "
        f'{_SHOW_GFP_FLAGS}, REC->node, (1 && (REC->gfp_flags & ( unsigned long){_ACCOUNT})) ? "true" : "false"',
        _print_kmalloc,
    ),
    EventSpec(
        "kmem",
        "kfree",
        Layout(("unsigned long call_site", "const void * ptr")),
        _assign_kmalloc,
        '"call_site=%pS ptr=%p", (void *)REC->call_site, REC->ptr',
        _print_kfree,
    ),
)  # fmt: skip
