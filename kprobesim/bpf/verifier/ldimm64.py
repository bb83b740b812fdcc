"""64-bit loads: the maps they mean, found before the program is walked, and what they load, when it is.

Follows Linux kernel/bpf/verifier.c: resolve_pseudo_ldimm64, check_ld_imm.
"""

from typing import TYPE_CHECKING, NoReturn

from kprobesim.bpf.isa import LDDW, Class, Insn, Level, Mode, Pseudo, lddw_value
from kprobesim.bpf.variants import BY_CODE
from kprobesim.bpf.verifier.env import BPF_MAX_VAR_OFF
from kprobesim.bpf.verifier.map_compat import check_map_prog_compatibility
from kprobesim.bpf.verifier.reg import known_reg, known_zero_reg
from kprobesim.bpf.verifier.reg_type import CONST_PTR_TO_MAP, PTR_TO_FUNC, PTR_TO_MAP_VALUE
from kprobesim.bpf.verifier.subprogs import find_subprog
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["check_ld_imm", "resolve_pseudo_ldimm64"]

_MAX_USED_MAPS = 64
_MAX_TYPE_ID = 1 << 20
_STANDARD_STREAMS = (0, 1, 2)
_BY_VALUE = (Pseudo.MAP_VALUE, Pseudo.MAP_IDX_VALUE)
_BY_MAP = (Pseudo.MAP_FD, Pseudo.MAP_IDX)
_BY_INDEX = (Pseudo.MAP_IDX, Pseudo.MAP_IDX_VALUE)
# Opcode 06 is JMP32|JA, an instruction of 6.6 that stable 6.1 knows by a back-port.
_KNOWN = frozenset(code for code, rows in BY_CODE.items() if any(row.level <= Level.V3 for row in rows)) | {0x06}


def _no_such_variable(env: "Env", number: int, module: int) -> NoReturn:
    """No variable of the kernel can be named here: there are no types of the kernel to find it by."""
    if module:
        env.reject(Errno.EINVAL, "invalid module BTF object FD specified.")
    if not 0 <= number < _MAX_TYPE_ID:
        env.reject(Errno.ENOENT, f"ldimm64 insn specifies invalid btf_id {number}.")
    env.reject(Errno.EINVAL, f"pseudo btf_id {number} in ldimm64 isn't KIND_VAR.")


def _resolve(env: "Env", index: int, insn: Insn) -> None:
    second = env.insns[index + 1] if index + 1 < env.count else None
    if second is None or second[:4] != (0, 0, 0, 0):
        env.reject(Errno.EINVAL, "invalid bpf_ld_imm64 insn")
    if insn.src in (Pseudo.VALUE, Pseudo.FUNC):
        return
    if insn.src == Pseudo.BTF_ID:
        _no_such_variable(env, insn.imm, second.imm)
    if insn.src not in (*_BY_MAP, *_BY_VALUE) or (insn.src in _BY_MAP and second.imm):
        env.reject(Errno.EINVAL, "unrecognized bpf_ld_imm64 insn")
    found = env.setup.map_at(index, insn)
    if found is None:
        if insn.src in _BY_INDEX:
            env.reject(Errno.EPROTO, "fd_idx without fd_array is invalid")
        # Every process has its three standard streams open, which are files but no maps.
        errno = Errno.EINVAL if insn.imm in _STANDARD_STREAMS else Errno.EBADF
        env.reject(errno, f"fd {insn.imm} is not pointing to valid bpf_map")
    check_map_prog_compatibility(env, found)
    aux = env.aux_of(index)
    if insn.src in _BY_VALUE:
        off = second.imm & 0xFFFFFFFF
        if off >= BPF_MAX_VAR_OFF:
            env.reject(Errno.EINVAL, f"direct value offset of {off} is not allowed")
        if not found.has_direct_value:
            env.reject(Errno.EINVAL, "no direct value access support for this map type")
        if found.max_entries != 1 or off >= found.value_size:
            errno = Errno.ENOTSUPP if found.max_entries != 1 else Errno.EINVAL
            env.reject(errno, f"invalid access to map value pointer, value_size={found.value_size} off={off}")
        aux.map_off = off
    aux.map = found
    if not any(used is found for used in env.used_maps):
        if len(env.used_maps) >= _MAX_USED_MAPS:
            env.reject(Errno.E2BIG, "")
        env.used_maps.append(found)


def resolve_pseudo_ldimm64(env: "Env") -> None:
    """Find the maps, and refuse opcodes that do not exist."""
    index = 0
    while index < env.count:
        insn = env.insns[index]
        env.insn_idx = index
        if insn.code & 7 == Class.LDX and (insn.code & 0xE0 != Mode.MEM or insn.imm):
            env.reject(Errno.EINVAL, "BPF_LDX uses reserved fields")
        if insn.code == LDDW:
            _resolve(env, index, insn)
            index += 1
        elif insn.code not in _KNOWN:
            env.reject(Errno.EINVAL, f"unknown opcode {insn.code:02x}")
        index += 1
    env.insn_idx = 0


def check_ld_imm(env: "Env", insn: Insn) -> None:
    """A 64-bit load gives a constant, a map, a place in a map's value, or a function."""
    if insn.code != LDDW:
        env.reject(Errno.EINVAL, "invalid BPF_LD_IMM insn")
    if insn.off:
        env.reject(Errno.EINVAL, "BPF_LD_IMM64 uses reserved fields")
    env.check_dst(insn.dst)
    if insn.src == Pseudo.VALUE:
        reg = known_reg(lddw_value(env.insns, env.insn_idx))
        reg.precise = not env.bpf_capable
        env.set_reg(insn.dst, reg)
        return
    if insn.src == Pseudo.FUNC:
        number = find_subprog(env, env.insn_idx + insn.imm + 1)
        if not env.has_func_info:
            env.reject(Errno.EINVAL, "missing btf func_info")
        if env.functions and env.functions[number].is_global:
            env.reject(Errno.EINVAL, "callback function not static")
        if number == 0:
            env.reject(Errno.EINVAL, "callback function cannot be the main program")
        env.set_reg(insn.dst, known_zero_reg(PTR_TO_FUNC, extent=number))
        return
    aux = env.aux_of(env.insn_idx)
    bpf_map = aux.map
    assert bpf_map is not None
    if insn.src in _BY_VALUE:
        number = env.new_id() if bpf_map.spin_lock_off is not None else 0
        env.set_reg(insn.dst, known_zero_reg(PTR_TO_MAP_VALUE, map=bpf_map, off=aux.map_off, id=number))
    else:
        env.set_reg(insn.dst, known_zero_reg(CONST_PTR_TO_MAP, map=bpf_map))
