"""Loads and stores through a pointer, by what the pointer points to.

Follows Linux kernel/bpf/verifier.c: check_mem_access, check_ptr_alignment and, for atomic operations, check_atomic.
"""

from typing import TYPE_CHECKING

from kprobesim.bpf.isa import ATOMIC_OPS, BPF_FETCH, Insn
from kprobesim.bpf.verifier.bounds import coerce_reg_to_size
from kprobesim.bpf.verifier.ctx_access import ctx_field
from kprobesim.bpf.verifier.ctx_sock import FLOW_KEYS_SIZE, sock_access_ok
from kprobesim.bpf.verifier.kernel_btf import traced_argument
from kprobesim.bpf.verifier.kernel_types import check_map_struct_access, check_struct_access
from kprobesim.bpf.verifier.kptrs import check_kptr_access, kptr_at
from kprobesim.bpf.verifier.reg import Reg, known_reg, s64
from kprobesim.bpf.verifier.reg_type import (
    CONST_PTR_TO_MAP,
    MEM_RDONLY,
    PTR_MAYBE_NULL,
    PTR_TO_BTF_ID,
    PTR_TO_BUF,
    PTR_TO_CTX,
    PTR_TO_FLOW_KEYS,
    PTR_TO_MAP_KEY,
    PTR_TO_MAP_VALUE,
    PTR_TO_MEM,
    PTR_TO_PACKET,
    PTR_TO_PACKET_META,
    PTR_TO_SOCK_COMMON,
    PTR_TO_SOCKET,
    PTR_TO_STACK,
    PTR_TO_TCP_SOCK,
    PTR_TO_TP_BUFFER,
    PTR_TO_XDP_SOCK,
    SCALAR_VALUE,
    SK_POINTERS,
    base_type,
    reg_type_str,
)
from kprobesim.bpf.verifier.region import (
    check_buffer,
    check_map_access,
    check_map_access_type,
    check_mem_region,
    check_not_negative,
    check_packet_access,
    check_ptr_off_reg,
)
from kprobesim.bpf.verifier.stack_access import check_stack_access_within_bounds, check_stack_write
from kprobesim.bpf.verifier.stack_range import check_stack_read
from kprobesim.bpf.verifier.tnum import Tnum, tnum_add, tnum_is_aligned
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["SIZES", "check_atomic", "check_mem_access", "check_ptr_alignment", "may_access_direct_pkt_data"]

SIZES = {0x00: 4, 0x08: 2, 0x10: 1, 0x18: 8}
_M64 = (1 << 64) - 1
_NET_IP_ALIGN = 2
_CMPXCHG = 0xF1
_ALIGNED = {
    PTR_TO_FLOW_KEYS: "flow keys ",
    PTR_TO_MAP_KEY: "key ",
    PTR_TO_MAP_VALUE: "value ",
    PTR_TO_CTX: "context ",
    PTR_TO_STACK: "stack ",
    PTR_TO_SOCKET: "sock ",
    PTR_TO_SOCK_COMMON: "sock_common ",
    PTR_TO_TCP_SOCK: "tcp_sock ",
    PTR_TO_XDP_SOCK: "xdp_sock ",
}
_PACKET_TYPES = frozenset({"sched_cls", "sched_act", "xdp", "lwt_xmit", "sk_skb", "sk_msg"})
_PACKET_READERS = frozenset(
    {"lwt_in", "lwt_out", "lwt_seg6local", "sk_reuseport", "flow_dissector", "cgroup_skb"},
)


def may_access_direct_pkt_data(env: "Env", write: bool, helper_ok: bool | None = None) -> bool:
    """Whether such programs may touch packets; ``helper_ok`` is what a helper's prototype says of that."""
    if env.prog_type in _PACKET_READERS:
        if write:
            return False
    elif env.prog_type == "cgroup_sockopt":
        return True
    elif env.prog_type not in _PACKET_TYPES:
        return False
    if helper_ok is not None:
        return helper_ok
    env.seen_direct_write = True
    return True


def check_ptr_alignment(env: "Env", reg: Reg, off: int, size: int, strict: bool) -> None:
    """The access must be aligned: on the stack always, elsewhere if asked for."""
    kind = reg.type
    strict = strict or env.strict_alignment or kind == PTR_TO_STACK
    if not strict or size == 1:
        return
    packet = kind in (PTR_TO_PACKET, PTR_TO_PACKET_META)
    shift = _NET_IP_ALIGN if packet else 0
    if tnum_is_aligned(tnum_add(reg.var_off, Tnum(shift + reg.off + off & _M64, 0)), size):
        return
    if packet:
        message = f"misaligned packet access off {shift}+{reg.var_off}+{reg.off}+{off} size {size}"
    else:
        message = f"misaligned {_ALIGNED.get(kind, '')}access off {reg.var_off}+{reg.off}+{off} size {size}"
    env.reject(Errno.EACCES, message)


def _load(env: "Env", value_regno: int, reg: Reg) -> None:
    if value_regno >= 0:
        env.state.frames[-1].values[value_regno] = reg


def _no_leak(env: "Env", write: bool, value_regno: int, where: str) -> None:
    if write and value_regno >= 0 and env.is_pointer_value(value_regno):
        env.reject(Errno.EACCES, f"R{value_regno} leaks addr into {where}")


def _map_value(env: "Env", regno: int, reg: Reg, off: int, size: int, write: bool, value_regno: int) -> None:
    _no_leak(env, write, value_regno, "map")
    check_map_access_type(env, regno, off, size, write)
    check_map_access(env, regno, off, size, zero_ok=False, direct=True)
    bpf_map = reg.map
    assert bpf_map is not None
    kptr = kptr_at(bpf_map, reg, off)
    if kptr is not None:
        loaded = check_kptr_access(env, kptr, value_regno)
        if loaded is not None:
            _load(env, value_regno, loaded)
        return
    if write or value_regno < 0:
        return
    if reg.var_off.is_const and bpf_map.is_rdonly and bpf_map.has_direct_value:
        at = off + s64(reg.var_off.value)
        content = bpf_map.content[at : at + size].ljust(size, b"\0")
        known = known_reg(int.from_bytes(content, "little"))
        known.precise = env.frame.values[value_regno].precise
        _load(env, value_regno, known)
    else:
        _load(env, value_regno, env.unknown)


def _memory(env: "Env", regno: int, reg: Reg, off: int, size: int, write: bool, value_regno: int) -> None:
    name = reg_type_str(reg.type)
    if reg.type & PTR_MAYBE_NULL:
        env.reject(Errno.EACCES, f"R{regno} invalid mem access '{name}'")
    if write and reg.type & MEM_RDONLY:
        env.reject(Errno.EACCES, f"R{regno} cannot write into {name}")
    _no_leak(env, write, value_regno, "mem")
    check_mem_region(env, regno, off, size, reg.extent, zero_ok=False)
    if not write or reg.type & MEM_RDONLY:
        _load(env, value_regno, env.unknown)


def _context(env: "Env", regno: int, reg: Reg, off: int, size: int, write: bool, value_regno: int) -> None:
    _no_leak(env, write, value_regno, "ctx")
    check_ptr_off_reg(env, reg, regno)
    traced = None
    if env.traced is not None:
        traced = traced_argument(env, off, size, write)
        kind = None if traced is None else traced.type
    else:
        kind = ctx_field(env.prog_type, off, size, write, env.ctx_user)
    if kind is None:
        env.log.write(f"invalid bpf_context access off={off} size={size}\n")
        env.log.source_line(env.insn_idx, "; ")
        env.reject_logged(Errno.EACCES, f"invalid bpf_context access off={off} size={size}")
    env.max_ctx_offset = max(env.max_ctx_offset, off + size)
    env.ctx_accesses.add(env.insn_idx)
    if write or value_regno < 0:
        return
    if traced is not None:
        _load(env, value_regno, traced)
    elif kind == SCALAR_VALUE:
        _load(env, value_regno, env.unknown)
    else:
        _load(env, value_regno, env.pointer(kind, id=env.new_id() if kind & PTR_MAYBE_NULL else 0))


def _stack(env: "Env", regno: int, reg: Reg, off: int, size: int, write: bool, value_regno: int) -> None:
    check_stack_access_within_bounds(env, regno, off, size, write)
    if write:
        check_stack_write(env, regno, off, size, value_regno)
    else:
        check_stack_read(env, regno, off, size, value_regno)


def _packet(env: "Env", regno: int, reg: Reg, off: int, size: int, write: bool, value_regno: int) -> None:
    if write and not may_access_direct_pkt_data(env, write):
        env.reject(Errno.EACCES, "cannot write into packet")
    _no_leak(env, write, value_regno, "packet")
    check_packet_access(env, regno, off, size, zero_ok=False)
    if not write:
        _load(env, value_regno, env.unknown)


def _socket(env: "Env", regno: int, reg: Reg, off: int, size: int, write: bool, value_regno: int) -> None:
    name = reg_type_str(reg.type)
    if write:
        env.reject(Errno.EACCES, f"R{regno} cannot write into {name}")
    check_not_negative(env, reg, regno)
    if not sock_access_ok(reg.type, off, size):
        env.reject(Errno.EACCES, f"R{regno} invalid {name} access off={off} size={size}")
    _load(env, value_regno, env.unknown)


def _flow_keys(env: "Env", regno: int, reg: Reg, off: int, size: int, write: bool, value_regno: int) -> None:
    _no_leak(env, write, value_regno, "flow keys")
    if off < 0 or off + size > FLOW_KEYS_SIZE:
        env.reject(Errno.EACCES, f"invalid access to flow keys off={off} size={size}")
    if not write:
        _load(env, value_regno, env.unknown)


def _buffer(env: "Env", regno: int, reg: Reg, off: int, size: int, write: bool, value_regno: int) -> None:
    if write and reg.type & MEM_RDONLY:
        env.reject(Errno.EACCES, f"R{regno} cannot write into {reg_type_str(reg.type)}")
    check_buffer(env, reg, regno, off, size)
    if not write:
        _load(env, value_regno, env.unknown)


def _other(env: "Env", regno: int, reg: Reg, off: int, size: int, write: bool, value_regno: int) -> None:
    kind = reg.type
    base = base_type(kind)
    if kind == PTR_TO_MAP_KEY:
        if write:
            env.reject(Errno.EACCES, f"write to change key R{regno} not allowed")
        assert reg.map is not None
        check_mem_region(env, regno, off, size, reg.map.key_size, zero_ok=False)
        _load(env, value_regno, env.unknown)
    elif kind == PTR_TO_TP_BUFFER:
        check_buffer(env, reg, regno, off, size, "tracepoint")
        if not write:
            _load(env, value_regno, env.unknown)
    elif base == PTR_TO_BTF_ID and not kind & PTR_MAYBE_NULL:
        _load(env, value_regno, check_struct_access(env, reg, regno, off, size, write))
    elif kind == CONST_PTR_TO_MAP:
        _load(env, value_regno, check_map_struct_access(env, reg, regno, off, size, write))
    elif base == PTR_TO_BUF and not kind & PTR_MAYBE_NULL:
        _buffer(env, regno, reg, off, size, write, value_regno)
    else:
        env.reject(Errno.EACCES, f"R{regno} invalid mem access '{reg_type_str(kind)}'")


_BY_TYPE = {
    PTR_TO_MAP_VALUE: _map_value,
    PTR_TO_CTX: _context,
    PTR_TO_STACK: _stack,
    PTR_TO_PACKET: _packet,
    PTR_TO_PACKET_META: _packet,
    PTR_TO_FLOW_KEYS: _flow_keys,
}
_BY_TYPE |= dict.fromkeys(SK_POINTERS, _socket)


def check_mem_access(
    env: "Env", regno: int, off: int, size: int, write: bool, value_regno: int, strict: bool = False
) -> None:
    """One load or store.

    Args:
        env: the verifier.
        regno: the pointer.
        off: offset in the instruction.
        size: bytes, 1 to 8.
        write: store or load.
        value_regno: register that is stored or loaded; -1 where there is none.
        strict: whether this access must be aligned in any case.
    """
    frame = env.state.frames[-1]
    reg = frame.values[regno]
    check_ptr_alignment(env, reg, off, size, strict)
    off += reg.off
    check = _BY_TYPE.get(reg.type)
    if check is not None:
        check(env, regno, reg, off, size, write, value_regno)
    elif base_type(reg.type) == PTR_TO_MEM:
        _memory(env, regno, reg, off, size, write, value_regno)
    else:
        _other(env, regno, reg, off, size, write, value_regno)
    if size < 8 and value_regno >= 0 and not write:
        loaded = frame.values[value_regno]
        if loaded is env.unknown:
            frame.values[value_regno] = env.narrow[size]
        elif loaded.type == SCALAR_VALUE:
            coerce_reg_to_size(frame.own(value_regno), size)


def check_atomic(env: "Env", insn: Insn) -> None:
    """An atomic operation: a load and a store of the same place, and a register that gets the old value."""
    if insn.imm not in ATOMIC_OPS:
        env.reject(Errno.EINVAL, f"BPF_ATOMIC uses invalid atomic opcode {insn.imm & 0xFFFFFFFF:02x}")
    size = SIZES[insn.code & 0x18]
    if size < 4:
        env.reject(Errno.EINVAL, "invalid atomic operand size")
    env.check_src(insn.src)
    env.check_src(insn.dst)
    load_regno = -1
    if insn.imm == _CMPXCHG:
        load_regno = 0
        env.check_src(0)
        if env.is_pointer_value(0):
            env.reject(Errno.EACCES, "R0 leaks addr into mem")
    elif insn.imm & BPF_FETCH:
        load_regno = insn.src
    if env.is_pointer_value(insn.src):
        env.reject(Errno.EACCES, f"R{insn.src} leaks addr into mem")
    kind = env.frame.values[insn.dst].type
    if kind in (PTR_TO_CTX, PTR_TO_FLOW_KEYS, PTR_TO_PACKET, PTR_TO_PACKET_META) or kind in SK_POINTERS:
        env.reject(Errno.EACCES, f"BPF_ATOMIC stores into R{insn.dst} {reg_type_str(kind)} is not allowed")
    if load_regno >= 0:
        env.check_dst(load_regno)
    check_mem_access(env, insn.dst, insn.off, size, False, -1, True)
    if load_regno >= 0:
        check_mem_access(env, insn.dst, insn.off, size, False, load_regno, True)
    check_mem_access(env, insn.dst, insn.off, size, True, -1, True)
