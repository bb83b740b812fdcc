"""The arguments of a helper: is each register what the prototype asks for.

Follows Linux kernel/bpf/verifier.c: check_func_arg, check_reg_type, check_mem_size_reg, check_helper_mem_access.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from kprobesim.bpf.helpers.prototypes import Prototype
from kprobesim.bpf.verifier.call_meta import CallMeta
from kprobesim.bpf.verifier.ctx_access import REWRITTEN_CTX
from kprobesim.bpf.verifier.dynptrs import check_dynptr_arg, dynptr_slot
from kprobesim.bpf.verifier.env import BPF_MAX_VAR_SIZ
from kprobesim.bpf.verifier.jumps import mark_ptr_not_null
from kprobesim.bpf.verifier.kernel_btf import struct_ids_match
from kprobesim.bpf.verifier.kptrs import match_kptr_type, process_kptr
from kprobesim.bpf.verifier.mem_access import check_mem_access, check_ptr_alignment, may_access_direct_pkt_data
from kprobesim.bpf.verifier.precision import mark_chain_precision
from kprobesim.bpf.verifier.reg import Reg
from kprobesim.bpf.verifier.reg_type import (
    CONST_PTR_TO_MAP,
    DYNPTR_TYPE_LOCAL,
    MEM_ALLOC,
    MEM_PERCPU,
    MEM_RDONLY,
    PTR_MAYBE_NULL,
    PTR_TO_BTF_ID,
    PTR_TO_BUF,
    PTR_TO_CTX,
    PTR_TO_DYNPTR,
    PTR_TO_FUNC,
    PTR_TO_MAP_KEY,
    PTR_TO_MAP_VALUE,
    PTR_TO_MEM,
    PTR_TO_PACKET,
    PTR_TO_PACKET_META,
    PTR_TO_SOCK_COMMON,
    PTR_TO_SOCKET,
    PTR_TO_STACK,
    PTR_TO_TCP_SOCK,
    PTR_TO_XDP_SOCK,
    SCALAR_VALUE,
    base_type,
    reg_type_str,
    type_is_pkt_pointer,
)
from kprobesim.bpf.verifier.region import (
    check_buffer,
    check_map_access,
    check_map_access_type,
    check_mem_region,
    check_packet_access,
    check_ptr_off_reg,
)
from kprobesim.bpf.verifier.special_args import check_const_str, process_spin_lock, process_timer
from kprobesim.bpf.verifier.stack_range import check_stack_range_initialized
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["check_func_arg", "check_helper_mem_access", "check_memory_argument"]

_KEY_VALUE = (PTR_TO_STACK, PTR_TO_PACKET, PTR_TO_PACKET_META, PTR_TO_MAP_KEY, PTR_TO_MAP_VALUE)
_SOCKS = (PTR_TO_SOCK_COMMON, PTR_TO_SOCKET, PTR_TO_TCP_SOCK, PTR_TO_XDP_SOCK)
_SCALAR = (SCALAR_VALUE,)
_COMPATIBLE: dict[str, tuple[int, ...]] = {
    "map": (CONST_PTR_TO_MAP,),
    "key": _KEY_VALUE,
    "value": _KEY_VALUE,
    "mem": (*_KEY_VALUE, PTR_TO_MEM, PTR_TO_MEM | MEM_ALLOC, PTR_TO_BUF),
    "size": _SCALAR,
    "size0": _SCALAR,
    "alloc_size": _SCALAR,
    "ctx": (PTR_TO_CTX,),
    "socket": (PTR_TO_SOCKET,),
    "sock_common": _SOCKS,
    "btf_sock_common": (*_SOCKS, PTR_TO_BTF_ID),
    "btf": (PTR_TO_BTF_ID,),
    "alloc": (PTR_TO_MEM | MEM_ALLOC,),
    "percpu": (PTR_TO_BTF_ID | MEM_PERCPU,),
    "func": (PTR_TO_FUNC,),
    "stack": (PTR_TO_STACK,),
    "str": (PTR_TO_MAP_VALUE,),
    "timer": (PTR_TO_MAP_VALUE,),
    "kptr": (PTR_TO_MAP_VALUE,),
    "spin_lock": (PTR_TO_MAP_VALUE,),
    "dynptr": (PTR_TO_STACK, PTR_TO_DYNPTR | DYNPTR_TYPE_LOCAL),
}
for _sized in ("u64", "u32", "fixed"):
    _COMPATIBLE[_sized] = _COMPATIBLE["mem"]
_WRITES = frozenset({"out", "write"})
_NAMES = """
    sock_common sock inet_sock inet_connection_sock inet_request_sock inet_timewait_sock request_sock tcp_sock
    tcp6_sock tcp_request_sock tcp_timewait_sock udp_sock udp6_sock unix_sock mptcp_sock
"""
_SOCK_STRUCTS = frozenset(_NAMES.split())
"""Structs that begin with a struct sock_common, if only in their first member's first member."""

# Pointers whose offset the access itself checks.
_ANY_OFFSET = frozenset(
    {
        PTR_TO_STACK,
        PTR_TO_PACKET,
        PTR_TO_PACKET_META,
        PTR_TO_MAP_KEY,
        PTR_TO_MAP_VALUE,
        PTR_TO_MEM,
        PTR_TO_MEM | MEM_RDONLY,
        PTR_TO_MEM | MEM_ALLOC,
        PTR_TO_BUF,
        PTR_TO_BUF | MEM_RDONLY,
        SCALAR_VALUE,
    }
)


class _Word:
    """An argument's word taken apart."""

    __slots__ = ("base", "details", "nullable", "release")

    def __init__(self, text: str) -> None:
        self.release = text.endswith("!")
        text = text.rstrip("!")
        self.nullable = text.endswith("?")
        self.base, *self.details = text.rstrip("?").split(":")


_words: dict[str, _Word] = {}


def _word(text: str) -> _Word:
    found = _words.get(text)
    if found is None:
        found = _words[text] = _Word(text)
    return found


def check_helper_mem_access(
    env: "Env", regno: int, size: int, write: bool, zero_ok: bool, meta: CallMeta | None
) -> None:
    """A helper will touch ``size`` bytes where the register points."""
    reg = env.frame.values[regno]
    base = base_type(reg.type)
    if base == PTR_TO_STACK:
        check_stack_range_initialized(env, regno, reg.off, size, zero_ok=zero_ok, helper=True, meta=meta)
    elif base == PTR_TO_MAP_VALUE:
        check_map_access_type(env, regno, reg.off, size, write)
        check_map_access(env, regno, reg.off, size, zero_ok=zero_ok)
    elif type_is_pkt_pointer(reg.type):
        check_packet_access(env, regno, reg.off, size, zero_ok=zero_ok)
    elif base in (PTR_TO_MEM, PTR_TO_BUF, PTR_TO_MAP_KEY):
        if write and (reg.type & MEM_RDONLY or base == PTR_TO_MAP_KEY):
            env.reject(Errno.EACCES, f"R{regno} cannot write into {reg_type_str(reg.type)}")
        if base == PTR_TO_BUF:
            check_buffer(env, reg, regno, reg.off, size)
        elif base == PTR_TO_MAP_KEY:
            assert reg.map is not None
            check_mem_region(env, regno, reg.off, size, reg.map.key_size, zero_ok=False)
        else:
            check_mem_region(env, regno, reg.off, size, reg.extent, zero_ok=zero_ok)
    elif base == PTR_TO_CTX and env.prog_type not in REWRITTEN_CTX:
        if size == 0 and not zero_ok:
            env.reject_logged(Errno.EACCES, "")
        if size:
            check_mem_access(env, regno, size - 1, 1, write, -1)
    elif not (zero_ok and size == 0 and reg.is_null):
        kinds = f"type={reg_type_str(reg.type)} expected={reg_type_str(PTR_TO_STACK)}"
        env.reject(Errno.EACCES, f"R{regno} {kinds}")


def check_memory_argument(env: "Env", regno: int, size: int) -> None:
    """A function of the program's own may read and write that much through the register (check_mem_reg)."""
    frame = env.frame
    reg = frame.values[regno]
    if reg.is_null:
        return
    if reg.type & PTR_MAYBE_NULL:
        mark_ptr_not_null(frame.own(regno))
    check_helper_mem_access(env, regno, size, False, True, None)
    check_helper_mem_access(env, regno, size, True, True, None)
    frame.values[regno] = reg


def _check_mem_size(env: "Env", regno: int, write: bool, zero_ok: bool, meta: CallMeta) -> None:
    """The register before this one points to memory of this size: try the smallest and the largest."""
    reg = env.frame.values[regno]
    meta.msize_max = reg.umax
    passed = meta if reg.var_off.is_const else None
    if reg.smin < 0:
        message = f"R{regno} min value is negative, either use unsigned or 'var &= const'"
        env.reject(Errno.EACCES, message)
    if reg.umin == 0:
        check_helper_mem_access(env, regno - 1, 0, write, zero_ok, passed)
    if reg.umax >= BPF_MAX_VAR_SIZ:
        message = f"R{regno} unbounded memory access, use 'var &= const' or 'if (var < const)'"
        env.reject(Errno.EACCES, message)
    check_helper_mem_access(env, regno - 1, reg.umax, write, zero_ok, passed)
    mark_chain_precision(env, regno)


def _resolve_value(env: "Env", word: _Word, meta: CallMeta) -> _Word:
    """What a value is depends on the map (resolve_map_arg_type)."""
    if meta.map is None:
        env.reject(Errno.EACCES, "invalid map_ptr to access map->type")
    if meta.map.type in ("sockmap", "sockhash"):
        if word.nullable or word.details:
            env.reject(Errno.EINVAL, "invalid arg_type for sockmap/sockhash")
        return _word("btf_sock_common")
    if meta.map.type == "bloom_filter" and meta.func_id == 89:
        return _word("value")
    return word


def _check_reg_type(env: "Env", regno: int, word: _Word, reg: Reg, meta: CallMeta) -> None:
    compatible = _COMPATIBLE[word.base]
    kind = reg.type
    if "in" in word.details:
        kind &= ~MEM_RDONLY
    if word.nullable:
        kind &= ~PTR_MAYBE_NULL
    if kind not in compatible:
        names = ", ".join(reg_type_str(expected) for expected in compatible)
        env.reject(Errno.EACCES, f"R{regno} type={reg_type_str(reg.type)} expected={names}")
    if reg.type != PTR_TO_BTF_ID:
        return
    if word.base == "btf_sock_common":
        wanted, same = "sock_common", reg.btf in _SOCK_STRUCTS
    elif word.base == "btf" and word.details[0]:
        wanted = word.details[0]
        same = struct_ids_match(env, reg.btf, reg.off, wanted, strict=word.release)
    elif meta.kptr is not None:
        match_kptr_type(env, meta.kptr, reg, regno)
        return
    else:
        return
    if not same:
        env.reject(Errno.EACCES, f"R{regno} is of type {reg.btf} but {wanted} is expected")


def _check_reg_off(env: "Env", regno: int, word: _Word, reg: Reg) -> None:
    """Offsets of pointers that must be passed to a helper as they came."""
    if reg.type == PTR_TO_STACK and word.base == "dynptr" and reg.off % 8:
        env.reject(Errno.EINVAL, "cannot pass in dynptr at an offset")
    if reg.type == PTR_TO_BTF_ID and word.release and reg.off:
        env.reject(Errno.EINVAL, f"R{regno} must have zero offset when passed to release func")
    check_reg_off(env, regno, reg, exact=word.base == "alloc")


def check_reg_off(env: "Env", regno: int, reg: Reg, exact: bool = False) -> None:
    """Offsets of pointers that must be passed as they came (check_func_arg_reg_off).

    Args:
        env: the verifier.
        regno: the register that is passed.
        reg: what is in it.
        exact: whether pointers to memory must be passed so, too.
    """
    if exact or reg.type not in _ANY_OFFSET:
        check_ptr_off_reg(env, reg, regno, fixed_ok=reg.type == PTR_TO_BTF_ID)


def _check_release(env: "Env", regno: int, word: _Word, reg: Reg, meta: CallMeta) -> None:
    if word.base == "dynptr":
        if not dynptr_slot(env, reg):
            env.reject(Errno.EINVAL, f"arg {regno} is an unacquired reference")
    elif not reg.ref_obj_id and not reg.is_null:
        env.reject(Errno.EINVAL, f"R{regno} must be referenced when passed to release function")
    meta.release_regno = regno


def _map(env: "Env", regno: int, word: _Word, reg: Reg, meta: CallMeta) -> None:
    if meta.map is not None and (meta.map is not reg.map or meta.map_uid != reg.extent):
        env.reject(
            Errno.EINVAL,
            f"timer pointer in R1 map_uid={meta.map_uid} doesn't match map pointer in R2 map_uid={reg.extent}",
        )
    meta.map, meta.map_uid = reg.map, reg.extent


def _key(env: "Env", regno: int, word: _Word, reg: Reg, meta: CallMeta) -> None:
    if meta.map is None:
        env.reject(Errno.EACCES, "invalid map_ptr to access map->key")
    check_helper_mem_access(env, regno, meta.map.key_size, False, False, None)


def _value(env: "Env", regno: int, word: _Word, reg: Reg, meta: CallMeta) -> None:
    if word.nullable and reg.is_null:
        return
    assert meta.map is not None
    out = "out" in word.details
    meta.raw_mode = out
    check_helper_mem_access(env, regno, meta.map.value_size, out, False, meta)


def _mem(env: "Env", regno: int, word: _Word, reg: Reg, meta: CallMeta) -> None:
    meta.raw_mode = "out" in word.details


def _aligned_out(env: "Env", regno: int, word: _Word, reg: Reg, meta: CallMeta) -> None:
    size = 8 if word.base == "u64" else 4
    meta.raw_mode = True
    check_helper_mem_access(env, regno, size, True, False, meta)
    check_ptr_alignment(env, env.frame.values[regno], 0, size, True)


def _fixed(env: "Env", regno: int, word: _Word, reg: Reg, meta: CallMeta) -> None:
    meta.raw_mode = False
    check_helper_mem_access(env, regno, int(word.details[0]), False, False, meta)


def _alloc_size(env: "Env", regno: int, word: _Word, reg: Reg, meta: CallMeta) -> None:
    if not reg.var_off.is_const:
        env.reject(Errno.EACCES, f"R{regno} is not a known constant'")
    value = reg.var_off.value & 0xFFFFFFFF
    meta.mem_size = value - (value >> 31 << 32)
    mark_chain_precision(env, regno)


def _func(env: "Env", regno: int, word: _Word, reg: Reg, meta: CallMeta) -> None:
    meta.subprogno = reg.extent


def _percpu(env: "Env", regno: int, word: _Word, reg: Reg, meta: CallMeta) -> None:
    meta.ret_btf = reg.btf


def _spin_lock(env: "Env", regno: int, word: _Word, reg: Reg, meta: CallMeta) -> None:
    process_spin_lock(env, reg, regno, meta.func_id == 93)


def _timer(env: "Env", regno: int, word: _Word, reg: Reg, meta: CallMeta) -> None:
    process_timer(env, reg, regno, meta)


def _kptr(env: "Env", regno: int, word: _Word, reg: Reg, meta: CallMeta) -> None:
    process_kptr(env, reg, regno, meta)


def _str(env: "Env", regno: int, word: _Word, reg: Reg, meta: CallMeta) -> None:
    check_const_str(env, reg, regno)


def _dynptr(env: "Env", regno: int, word: _Word, reg: Reg, meta: CallMeta) -> None:
    check_dynptr_arg(env, reg, regno, word.details, meta)


_BY_WORD: dict[str, Callable[["Env", int, _Word, Reg, CallMeta], None]] = {
    "map": _map,
    "key": _key,
    "value": _value,
    "mem": _mem,
    "u64": _aligned_out,
    "u32": _aligned_out,
    "fixed": _fixed,
    "alloc_size": _alloc_size,
    "func": _func,
    "percpu": _percpu,
    "spin_lock": _spin_lock,
    "timer": _timer,
    "kptr": _kptr,
    "str": _str,
    "dynptr": _dynptr,
}


def check_func_arg(env: "Env", position: int, meta: CallMeta, proto: Prototype) -> None:
    """Check one argument; ``position`` counts from 0."""
    regno = position + 1
    word = _word(proto.args[position])
    env.check_src(regno)
    if word.base == "any":
        if env.is_pointer_value(regno):
            env.reject(Errno.EACCES, f"R{regno} leaks addr into helper function")
        return
    reg = env.frame.values[regno]
    if type_is_pkt_pointer(reg.type) and not may_access_direct_pkt_data(env, False, meta.pkt_access):
        env.reject(Errno.EACCES, "helper access to the packet is not allowed")
    if word.base == "value":
        word = _resolve_value(env, word, meta)
    if not (word.nullable and reg.is_null):
        _check_reg_type(env, regno, word, reg, meta)
        _check_reg_off(env, regno, word, reg)
    if word.release:
        _check_release(env, regno, word, reg, meta)
    if reg.ref_obj_id:
        if meta.ref_obj_id:
            env.reject(
                Errno.EFAULT,
                "verifier internal error: more than one arg with ref_obj_id "
                f"R{regno} {reg.ref_obj_id} {meta.ref_obj_id}",
            )
        meta.ref_obj_id = reg.ref_obj_id
    if word.base in ("size", "size0"):
        writes = not _WRITES.isdisjoint(_word(proto.args[position - 1]).details)
        _check_mem_size(env, regno, writes, word.base == "size0", meta)
        return
    check = _BY_WORD.get(word.base)
    if check is not None:
        check(env, regno, word, reg, meta)
