"""Is an access inside the memory that a pointer leads to: map values, packets, blocks of memory, buffers.

Both ends of the pointer's possible offsets are tried. Follows Linux kernel/bpf/verifier.c: check_mem_region_access,
check_map_access, check_packet_access.
"""

from typing import TYPE_CHECKING

from kprobesim.bpf.verifier.env import BPF_MAX_VAR_OFF
from kprobesim.bpf.verifier.map_meta import MapMeta
from kprobesim.bpf.verifier.reg import S64_MIN, Reg, s32, s64
from kprobesim.bpf.verifier.reg_type import (
    MEM_RDONLY,
    PTR_TO_MAP_KEY,
    PTR_TO_MAP_VALUE,
    PTR_TO_PACKET,
    PTR_TO_PACKET_END,
    PTR_TO_PACKET_META,
    reg_type_str,
)
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = [
    "check_buffer",
    "check_map_access",
    "check_map_access_type",
    "check_mem_region",
    "check_not_negative",
    "check_packet_access",
    "check_ptr_off_reg",
]

_SPIN_LOCK_SIZE = 4
_TIMER_SIZE = 16
_KPTR_SIZE = 8


def check_map_access_type(env: "Env", regno: int, off: int, size: int, write: bool) -> None:
    """The map's flags must allow it."""
    bpf_map = _map_of(env, regno)
    if write and not bpf_map.can_write:
        env.reject(Errno.EACCES, f"write into map forbidden, value_size={bpf_map.value_size} off={off} size={size}")
    if not write and not bpf_map.can_read:
        env.reject(Errno.EACCES, f"read from map forbidden, value_size={bpf_map.value_size} off={off} size={size}")


def _map_of(env: "Env", regno: int) -> MapMeta:
    bpf_map = env.frame.values[regno].map
    assert bpf_map is not None
    return bpf_map


def _inside(env: "Env", regno: int, off: int, size: int, limit: int, zero_ok: bool) -> bool:
    """Whether ``size`` bytes at ``off`` are; if not, the first half of the message is logged."""
    off = s32(off)
    if off >= 0 and (size > 0 or (size == 0 and zero_ok)) and off + size <= limit:
        return True
    reg = env.frame.values[regno]
    if reg.type == PTR_TO_MAP_KEY:
        text = f"invalid access to map key, key_size={limit} off={off} size={size}"
    elif reg.type == PTR_TO_MAP_VALUE:
        text = f"invalid access to map value, value_size={limit} off={off} size={size}"
    elif reg.type in (PTR_TO_PACKET, PTR_TO_PACKET_META, PTR_TO_PACKET_END):
        where = f"R{regno}(id={reg.id},off={off},r={limit})"
        text = f"invalid access to packet, off={off} size={size}, {where}"
    else:
        text = f"invalid access to memory, mem_size={limit & 0xFFFFFFFF} off={off} size={size}"
    env.log.write(f"{text}\n")
    return False


def check_not_negative(env: "Env", reg: Reg, regno: int) -> None:
    """The variable offset must not be below zero."""
    if reg.smin < 0:
        _negative(env, regno)


def _negative(env: "Env", regno: int) -> None:
    env.reject(
        Errno.EACCES,
        f"R{regno} min value is negative, either use unsigned index or do a if (index >=0) check.",
    )


def check_mem_region(env: "Env", regno: int, off: int, size: int, limit: int, *, zero_ok: bool) -> None:
    """Lowest and highest possible access must lie in 0..limit."""
    reg = env.frame.values[regno]
    low = reg.smin + off
    if reg.smin < 0 and (reg.smin == S64_MIN or low != s32(low) or low < 0):
        _negative(env, regno)
    if not _inside(env, regno, low, size, limit, zero_ok):
        env.reject(Errno.EACCES, f"R{regno} min value is outside of the allowed memory range")
    if reg.umax >= BPF_MAX_VAR_OFF:
        env.reject(Errno.EACCES, f"R{regno} unbounded memory access, make sure to bounds check any such access")
    if not _inside(env, regno, reg.umax + off, size, limit, zero_ok):
        env.reject(Errno.EACCES, f"R{regno} max value is outside of the allowed memory range")


def _hits(reg: Reg, off: int, size: int, at: int, length: int) -> bool:
    return reg.smin + off < at + length and at < reg.umax + off + size


def _check_kptrs(env: "Env", bpf_map: MapMeta, reg: Reg, off: int, size: int, direct: bool) -> None:
    """An access that touches such a pointer must be one of the program's own, and of the whole pointer."""
    for kptr in bpf_map.kptrs:
        if not (reg.smin + off < kptr.off + _KPTR_SIZE and kptr.off < reg.umax + off + size):
            continue
        if not direct:
            env.reject(Errno.EACCES, "kptr cannot be accessed indirectly by helper")
        if not reg.var_off.is_const:
            env.reject(Errno.EACCES, "kptr access cannot have variable offset")
        at = off + s64(reg.var_off.value)
        if at != kptr.off:
            env.reject(Errno.EACCES, f"kptr access misaligned expected={kptr.off} off={at}")
        if size != _KPTR_SIZE:
            env.reject(Errno.EACCES, "kptr access size must be BPF_DW")
        return


def check_map_access(env: "Env", regno: int, off: int, size: int, *, zero_ok: bool, direct: bool = False) -> None:
    """Inside the value, and not on its lock or timer; ``direct`` for a load or store, not a helper."""
    bpf_map = _map_of(env, regno)
    check_mem_region(env, regno, off, size, bpf_map.value_size, zero_ok=zero_ok)
    reg = env.frame.values[regno]
    lock, timer = bpf_map.spin_lock_off, bpf_map.timer_off
    if lock is not None and _hits(reg, off, size, lock, _SPIN_LOCK_SIZE):
        env.reject(Errno.EACCES, "bpf_spin_lock cannot be accessed directly by load/store")
    if timer is not None and _hits(reg, off, size, timer, _TIMER_SIZE):
        env.reject(Errno.EACCES, "bpf_timer cannot be accessed directly by load/store")
    _check_kptrs(env, bpf_map, reg, off, size, direct)


def check_packet_access(env: "Env", regno: int, off: int, size: int, *, zero_ok: bool) -> None:
    """Inside the part of the packet that a comparison with its end has shown to be there."""
    reg = env.frame.values[regno]
    check_not_negative(env, reg, regno)
    errno = Errno.EINVAL if reg.extent < 0 else Errno.EACCES
    if reg.extent < 0 or not _inside(env, regno, off, size, reg.extent, zero_ok):
        env.reject(errno, f"R{regno} offset is outside of the packet")


def check_ptr_off_reg(env: "Env", reg: Reg, regno: int, fixed_ok: bool = False) -> None:
    """Some pointers must be passed on and dereferenced as they came (Linux's __check_ptr_off_reg)."""
    name = reg_type_str(reg.type)
    if reg.off < 0:
        env.reject(Errno.EACCES, f"negative offset {name} ptr R{regno} off={reg.off} disallowed")
    if reg.off and not fixed_ok:
        env.reject(Errno.EACCES, f"dereference of modified {name} ptr R{regno} off={reg.off} disallowed")
    if not reg.var_off.is_const or reg.var_off.value:
        env.reject(Errno.EACCES, f"variable {name} access var_off={reg.var_off} disallowed")


def check_buffer(env: "Env", reg: Reg, regno: int, off: int, size: int, kind: str = "") -> None:
    """A buffer whose size is checked when the program is attached: offsets must be constants."""
    if off < 0:
        name = kind or ("rdonly" if reg.type & MEM_RDONLY else "rdwr")
        env.reject(Errno.EACCES, f"R{regno} invalid {name} buffer access: off={off}, size={size}")
    if not reg.var_off.is_const or reg.var_off.value:
        env.reject(Errno.EACCES, f"R{regno} invalid variable buffer offset: off={off}, var_off={reg.var_off}")
