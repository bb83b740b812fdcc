"""Arguments that are things inside a map's value: locks, timers, constant strings.

Follows Linux kernel/bpf/verifier.c: process_spin_lock, process_timer_func, and the string part of
check_func_arg.
"""

from typing import TYPE_CHECKING, NoReturn

from kprobesim.bpf.verifier.call_meta import CallMeta
from kprobesim.bpf.verifier.map_meta import MapMeta
from kprobesim.bpf.verifier.reg import Reg, s64
from kprobesim.bpf.verifier.region import check_map_access
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["check_const_str", "process_spin_lock", "process_timer"]


def _place(env: "Env", reg: Reg, regno: int, what: str) -> tuple[MapMeta, int]:
    """The map and the constant offset that a pointer to such a thing must have."""
    if not reg.var_off.is_const:
        message = f"R{regno} doesn't have constant offset. {what} has to be at the constant offset"
        env.reject(Errno.EACCES, message)
    bpf_map = reg.map
    assert bpf_map is not None
    if not bpf_map.has_btf:
        env.reject(Errno.EACCES, f"map '{bpf_map.name}' has to have BTF in order to use {what}")
    return bpf_map, s64(reg.var_off.value) + reg.off


def _reject_lacking(env: "Env", bpf_map: MapMeta, what: str) -> NoReturn:
    """The value has no such thing that could be used, for one of three reasons."""
    errno = bpf_map.lacks.get(what, Errno.ENOENT)
    if errno is Errno.E2BIG:
        said = f"has more than one 'struct {what}'"
    elif errno is Errno.ENOENT:
        said = f"doesn't have 'struct {what}'"
    else:
        said = f"is not a struct type or {what} is mangled"
    env.reject(Errno.EACCES, f"map '{bpf_map.name}' {said}")


def process_spin_lock(env: "Env", reg: Reg, regno: int, lock: bool) -> None:
    """Take a lock or give it back; at most one may be held."""
    bpf_map, at = _place(env, reg, regno, "bpf_spin_lock")
    if bpf_map.spin_lock_off is None:
        _reject_lacking(env, bpf_map, "bpf_spin_lock")
    if bpf_map.spin_lock_off != at:
        env.reject(Errno.EACCES, f"off {at} doesn't point to 'struct bpf_spin_lock'")
    state = env.state
    if lock:
        if state.active_spin_lock:
            env.reject(Errno.EACCES, "Locking two bpf_spin_locks are not allowed")
        state.active_spin_lock = reg.id
        return
    if not state.active_spin_lock:
        env.reject(Errno.EACCES, "bpf_spin_unlock without taking a lock")
    if state.active_spin_lock != reg.id:
        env.reject(Errno.EACCES, "bpf_spin_unlock of different lock")
    state.active_spin_lock = 0


def process_timer(env: "Env", reg: Reg, regno: int, meta: CallMeta) -> None:
    """The pointer must be at the value's timer."""
    bpf_map, at = _place(env, reg, regno, "bpf_timer")
    if bpf_map.timer_off is None:
        _reject_lacking(env, bpf_map, "bpf_timer")
    if bpf_map.timer_off != at:
        where = f"'struct bpf_timer' that is at {bpf_map.timer_off}"
        env.reject(Errno.EACCES, f"off {at} doesn't point to {where}")
    meta.map, meta.map_uid = bpf_map, reg.extent


def check_const_str(env: "Env", reg: Reg, regno: int) -> None:
    """A string in a map that cannot change any more."""
    bpf_map = reg.map
    assert bpf_map is not None
    if not bpf_map.is_rdonly:
        env.reject(Errno.EACCES, f"R{regno} does not point to a readonly map'")
    if not reg.var_off.is_const:
        env.reject(Errno.EACCES, f"R{regno} is not a constant address'")
    if not bpf_map.has_direct_value:
        env.reject(Errno.EACCES, "no direct value access support for this map type")
    check_map_access(env, regno, reg.off, bpf_map.value_size - reg.off, zero_ok=False)
    at = reg.off + s64(reg.var_off.value)
    if bpf_map.max_entries != 1 or at >= bpf_map.value_size:
        errno = Errno.EINVAL if bpf_map.max_entries == 1 else Errno.ENOTSUPP
        env.reject(errno, "direct value access on string failed")
    if b"\0" not in bpf_map.content[at:].ljust(bpf_map.value_size - at, b"\0"):
        env.reject(Errno.EINVAL, "string is not zero-terminated")
