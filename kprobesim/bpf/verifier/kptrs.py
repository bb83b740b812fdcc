"""Pointers to kernel objects that a map's value holds: ``struct task_struct __kptr *task``.

A plain one may be stored and loaded, and what is loaded is not trusted. A referenced one (``__kptr_ref``) is only
exchanged, by bpf_kptr_xchg, so that its reference always has one owner. Follows Linux kernel/bpf/verifier.c:
map_kptr_match_type, check_map_kptr_access, process_kptr_func.
"""

from typing import TYPE_CHECKING

from kprobesim.bpf.isa import Class, Mode
from kprobesim.bpf.verifier.call_meta import CallMeta
from kprobesim.bpf.verifier.kernel_btf import struct_ids_match
from kprobesim.bpf.verifier.map_meta import MOST_KPTRS, Kptr, MapMeta
from kprobesim.bpf.verifier.reg import Reg, s64
from kprobesim.bpf.verifier.reg_type import (
    PTR_MAYBE_NULL,
    PTR_TO_BTF_ID,
    PTR_UNTRUSTED,
    base_type,
    reg_type_str,
)
from kprobesim.bpf.verifier.region import check_ptr_off_reg
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["check_kptr_access", "kptr_at", "match_kptr_type", "process_kptr"]

_LOADED = PTR_TO_BTF_ID | PTR_MAYBE_NULL | PTR_UNTRUSTED


def kptr_at(bpf_map: MapMeta, reg: Reg, off: int) -> Kptr | None:
    """The pointer that lies exactly at ``off`` from where a register with a constant offset leads."""
    if not bpf_map.kptrs or not reg.var_off.is_const:
        return None
    at = off + s64(reg.var_off.value)
    return next((kptr for kptr in bpf_map.kptrs if kptr.off == at), None)


def match_kptr_type(env: "Env", kptr: Kptr, reg: Reg, regno: int) -> None:
    """What is stored must point to such a struct, be it inside of another; a referenced pointer to one by itself."""
    allowed = PTR_MAYBE_NULL if kptr.referenced else PTR_MAYBE_NULL | PTR_UNTRUSTED
    fits = base_type(reg.type) == PTR_TO_BTF_ID and not reg.type & ~(base_type(reg.type) | allowed)
    if fits:
        check_ptr_off_reg(env, reg, regno, fixed_ok=True)
    name = reg.btf if fits else ""
    if fits and struct_ids_match(env, name, reg.off, kptr.struct, strict=kptr.referenced):
        return
    expected = f"{reg_type_str(PTR_TO_BTF_ID)}{kptr.struct}"
    if not kptr.referenced:
        expected += f" or {reg_type_str(PTR_TO_BTF_ID | PTR_UNTRUSTED)}{kptr.struct}"
    kind = f"{reg_type_str(reg.type)}{name}"
    env.reject(Errno.EACCES, f"invalid kptr access, R{regno} type={kind} expected={expected}")


def check_kptr_access(env: "Env", kptr: Kptr, value_regno: int) -> Reg | None:
    """A load or store of the pointer; what a load gives."""
    insn = env.insn
    cls = insn.code & 7
    if insn.code & 0xE0 != Mode.MEM:
        env.reject(Errno.EACCES, "kptr in map can only be accessed using BPF_MEM instruction mode")
    if cls != Class.LDX and kptr.referenced:
        env.reject(Errno.EACCES, "store to referenced kptr disallowed")
    if cls == Class.LDX:
        return env.pointer(_LOADED, btf=kptr.struct, id=env.new_id())
    if cls == Class.STX:
        reg = env.frame.values[value_regno]
        if not reg.is_null:
            match_kptr_type(env, kptr, reg, value_regno)
    elif insn.imm:
        env.reject(Errno.EACCES, f"BPF_ST imm must be 0 when storing to kptr at off={kptr.off}")
    return None


def process_kptr(env: "Env", reg: Reg, regno: int, meta: CallMeta) -> None:
    """The first argument of bpf_kptr_xchg: it must lead to a referenced pointer."""
    if not reg.var_off.is_const:
        message = f"R{regno} doesn't have constant offset. kptr has to be at the constant offset"
        env.reject(Errno.EACCES, message)
    bpf_map = reg.map
    assert bpf_map is not None
    if not bpf_map.has_btf:
        env.reject(Errno.EACCES, f"map '{bpf_map.name}' has to have BTF in order to use bpf_kptr_xchg")
    if not bpf_map.kptrs:
        has = f"more than {MOST_KPTRS} kptr" if bpf_map.lacks.get("kptr") is Errno.E2BIG else "no valid kptr"
        env.reject(Errno.EACCES, f"map '{bpf_map.name}' has {has}")
    meta.map = bpf_map
    at = reg.off + s64(reg.var_off.value)
    kptr = kptr_at(bpf_map, reg, reg.off)
    if kptr is None:
        env.reject(Errno.EACCES, f"off={at} doesn't point to kptr")
    if not kptr.referenced:
        env.reject(Errno.EACCES, f"off={at} kptr isn't referenced kptr")
    meta.kptr, meta.ret_btf = kptr, kptr.struct
