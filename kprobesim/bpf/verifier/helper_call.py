"""Calls of helpers: may this program call it, are the arguments right, what is known afterwards.

Follows Linux kernel/bpf/verifier.c: check_helper_call.
"""

from typing import TYPE_CHECKING

from kprobesim.bpf.helper_names import HELPER_NAMES, helper_text
from kprobesim.bpf.helpers.prototypes import Prototype, prototype_for
from kprobesim.bpf.isa import Insn
from kprobesim.bpf.program import PROG_TYPES
from kprobesim.bpf.verifier.bounds import reg_bounds_sync
from kprobesim.bpf.verifier.bprintf import is_bprintf_format
from kprobesim.bpf.verifier.call_meta import CallMeta
from kprobesim.bpf.verifier.calls import check_callback_call
from kprobesim.bpf.verifier.dynptrs import dynptr_slot, make_dynptr, release_dynptr
from kprobesim.bpf.verifier.func_args import check_func_arg
from kprobesim.bpf.verifier.map_compat import check_map_func_compatibility
from kprobesim.bpf.verifier.mem_access import check_mem_access
from kprobesim.bpf.verifier.packets import is_pkt_pointer_any
from kprobesim.bpf.verifier.precision import CALLBACK_HELPERS, mark_chain_precision
from kprobesim.bpf.verifier.references import acquire_reference, check_reference_leak, release_reference
from kprobesim.bpf.verifier.reg import U32_MAX, Reg, s64
from kprobesim.bpf.verifier.reg_type import (
    MEM_ALLOC,
    PTR_MAYBE_NULL,
    PTR_TO_BTF_ID,
    PTR_TO_MAP_VALUE,
    PTR_TO_MEM,
    PTR_TO_SOCK_COMMON,
    PTR_TO_SOCKET,
    PTR_TO_TCP_SOCK,
    SCALAR_VALUE,
    reg_type_str,
)
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["check_helper_call"]

_NUMBERS = {name: number for number, name in enumerate(HELPER_NAMES)}


def _ids(names: str) -> frozenset[int]:
    return frozenset(_NUMBERS[name] for name in names.split())


_MAX_ERRNO = 4095
_TAIL_CALL, _LOOP = _NUMBERS["tail_call"], _NUMBERS["loop"]
_DYNPTR_DATA, _DYNPTR_FROM_MEM = _NUMBERS["dynptr_data"], _NUMBERS["dynptr_from_mem"]
_RECORDED = _ids(
    "tail_call map_lookup_elem map_update_elem map_delete_elem map_push_elem map_pop_elem map_peek_elem "
    "for_each_map_elem redirect_map map_lookup_percpu_elem"
)
_WRITERS = _ids("map_delete_elem map_update_elem map_push_elem map_pop_elem")
_ACQUIRE = _ids("sk_lookup_tcp sk_lookup_udp skc_lookup_tcp ringbuf_reserve kptr_xchg")
_CASTS = _ids(
    "tcp_sock sk_fullsock skc_to_tcp_sock skc_to_tcp6_sock skc_to_udp6_sock skc_to_mptcp_sock "
    "skc_to_tcp_timewait_sock skc_to_tcp_request_sock"
)
_LOCAL_STORAGE, _SNPRINTF, _GET_FUNC_IP = _NUMBERS["get_local_storage"], _NUMBERS["snprintf"], _NUMBERS["get_func_ip"]
_KPTR_XCHG, _D_PATH = _NUMBERS["kptr_xchg"], _NUMBERS["d_path"]
_PATH_HOOKS = """
    security_file_permission security_inode_getattr security_file_open security_path_truncate vfs_truncate
    vfs_fallocate dentry_open vfs_getattr filp_close
"""
_WITH_PATHS = frozenset(_PATH_HOOKS.split())
_SIZED_RESULT = _ids("get_stack get_task_stack probe_read_str probe_read_kernel_str probe_read_user_str")
_SOCKETS = {"sock": PTR_TO_SOCKET, "sock_common": PTR_TO_SOCK_COMMON, "tcp_sock": PTR_TO_TCP_SOCK}


def _prototype(env: "Env", number: int) -> Prototype:
    """The prototype, if this program may call the helper."""
    if not 0 <= number < len(HELPER_NAMES):
        env.reject(Errno.EINVAL, f"invalid func {helper_text(number)}")
    setup = env.setup
    proto = prototype_for(
        number, env.prog_type, env.bpf_capable, setup.attach_type, kprobe_override=setup.kprobe_override
    )
    if proto is None:
        env.reject(Errno.EINVAL, f"unknown func {helper_text(number)}")
    if proto.gpl_only and not env.setup.gpl_compatible:
        env.reject(Errno.EINVAL, "cannot call GPL-restricted function from non-GPL compatible program")
    if number == _D_PATH and not _d_path_allowed(env):
        env.reject(Errno.EINVAL, "helper call is not allowed in probe")
    if proto.might_sleep and not env.setup.sleepable:
        env.reject(Errno.EINVAL, "helper call might sleep in a non-sleepable prog")
    return proto


def _d_path_allowed(env: "Env") -> bool:
    """Only where the path is held, and no lock that the walk would want (bpf_d_path_allowed).

    Of the hooks of a security module Linux names those that may sleep; here there are none.
    """
    setup = env.setup
    return env.prog_type == "lsm" or setup.attach_type == "trace_iter" or setup.attach_func in _WITH_PATHS


def _record_map(env: "Env", meta: CallMeta) -> None:
    """Whether all paths use the same map here (record_func_map)."""
    if meta.func_id not in _RECORDED:
        return
    bpf_map = meta.map
    if bpf_map is None:
        env.reject(Errno.EINVAL, "kernel subsystem misconfigured verifier")
    if not bpf_map.can_write and meta.func_id in _WRITERS:
        env.reject(Errno.EACCES, "write into map forbidden")
    aux = env.aux_of(env.insn_idx)
    aux.map_unpriv |= not bpf_map.bypass_spec_v1
    if aux.helper_map is None:
        aux.helper_map = bpf_map
    elif aux.helper_map is not bpf_map:
        aux.map_poisoned = True


def _record_key(env: "Env", meta: CallMeta) -> None:
    """Whether all paths tail-call the same known program (record_func_key)."""
    if meta.func_id != _TAIL_CALL:
        return
    if meta.map is None or meta.map.type != "prog_array":
        env.reject(Errno.EINVAL, "kernel subsystem misconfigured verifier")
    reg = env.frame.values[3]
    aux = env.aux_of(env.insn_idx)
    value = reg.var_off.value
    if reg.type != SCALAR_VALUE or not reg.var_off.is_const or value >= meta.map.max_entries:
        aux.key_poisoned = True
        return
    mark_chain_precision(env, 3)
    if aux.map_key is None:
        aux.map_key = value
    elif aux.map_key != value:
        aux.key_poisoned = True


def _release(env: "Env", meta: CallMeta, proto: Prototype) -> None:
    if not meta.release_regno:
        return
    if proto.args[meta.release_regno - 1].startswith("dynptr"):
        done = release_dynptr(env, meta.release_regno)
    elif meta.ref_obj_id:
        done = release_reference(env, meta.ref_obj_id)
    else:
        done = env.frame.values[meta.release_regno].is_null
    if not done:
        text = f"func {helper_text(meta.func_id)} reference has not been acquired before"
        env.reject(Errno.EINVAL, text)


def _note_loop_flags(env: "Env") -> None:
    """Linux inlines a loop whose flags are 0 on all paths, and so relies on their value (update_loop_inline_state)."""
    aux = env.aux_of(env.insn_idx)
    if aux.loop_fits_inline is not False:
        aux.loop_fits_inline = env.frame.values[4].is_null
        if aux.loop_fits_inline:
            mark_chain_precision(env, 4)


def _check_snprintf(env: "Env") -> None:
    """The format is known, so it is checked against the number of arguments now (check_bpf_snprintf_call)."""
    values = env.frame.values
    size, text = values[5].var_off.value, values[3]
    if size % 8:
        env.reject_logged(Errno.EINVAL, "")
    assert text.map is not None
    at = text.off + s64(text.var_off.value)
    if not is_bprintf_format(text.map.content[at:].partition(b"\0")[0], size // 8):
        env.reject(Errno.EINVAL, "Invalid format string")


def _check_get_func_ip(env: "Env", number: int) -> None:
    """Only where the traced function is known (check_get_func_ip)."""
    if env.prog_type == "kprobe":
        return
    text = f"func {helper_text(number)}"
    if env.prog_type == "tracing":
        if env.setup.attach_type in ("trace_raw_tp", "trace_iter"):
            env.reject(Errno.ENOTSUPP, f"{text} supported only for fentry/fexit/fmod_ret programs")
        return
    env.reject(Errno.ENOTSUPP, f"{text} not supported for program type {PROG_TYPES.index(env.prog_type)}")


def _special(env: "Env", meta: CallMeta, proto: Prototype) -> None:
    """What single helpers need beyond their prototypes."""
    number = meta.func_id
    values = env.frame.values
    if number == _TAIL_CALL:
        check_reference_leak(env, "tail_call would lead to reference leak")
    elif number == _DYNPTR_FROM_MEM and values[1].type != PTR_TO_MAP_VALUE:
        name = reg_type_str(values[1].type)
        env.reject(Errno.EACCES, f"Unsupported reg type {name} for bpf_dynptr_from_mem data")
    elif number == _DYNPTR_DATA and values[1].type & 0xFF == 6:
        meta.ref_obj_id = dynptr_slot(env, values[1])
    elif number == _LOCAL_STORAGE and not values[2].is_null:
        env.reject(Errno.EINVAL, "get_local_storage() doesn't support non-zero flags")
    elif number == _SNPRINTF:
        _check_snprintf(env)
    elif number in CALLBACK_HELPERS:
        if number == _LOOP:
            _note_loop_flags(env)
        check_callback_call(env, meta)


def _result(env: "Env", meta: CallMeta, proto: Prototype) -> Reg:
    """R0 after the call."""
    word = proto.ret.rstrip("?")
    flags = PTR_MAYBE_NULL if proto.ret.endswith("?") else 0
    if word == "int":
        return env.unknown
    if word == "void":
        return env.not_init
    if word == "value":
        if meta.map is None:
            env.reject(Errno.EINVAL, "kernel subsystem misconfigured verifier")
        reg = env.pointer(PTR_TO_MAP_VALUE | flags, map=meta.map, extent=meta.map_uid)
        if not flags and meta.map.spin_lock_off is not None:
            reg.id = env.new_id()
    elif word in _SOCKETS:
        reg = env.pointer(_SOCKETS[word] | flags)
    elif word == "alloc":
        reg = env.pointer(PTR_TO_MEM | MEM_ALLOC | flags, extent=meta.mem_size & U32_MAX)
    elif word == "mem":
        reg = env.pointer(PTR_TO_MEM | flags, extent=meta.mem_size & U32_MAX)
    else:
        reg = env.pointer(PTR_TO_BTF_ID | flags, btf=word.partition(":")[2] or meta.ret_btf)
    if reg.type & PTR_MAYBE_NULL:
        reg.id = env.new_id()
    return reg


def _refine_result(env: "Env", meta: CallMeta, reg: Reg) -> Reg:
    """Ids of resources, and the range of results that are sizes or errors (do_refine_retval_range)."""
    number = meta.func_id
    if number in _CASTS or number == _DYNPTR_DATA:
        return reg.with_(ref_obj_id=meta.ref_obj_id)
    sock_lookup = number == 1 and meta.map is not None and meta.map.type in ("sockmap", "sockhash")
    if number in _ACQUIRE or sock_lookup:
        ref = acquire_reference(env, env.insn_idx)
        return reg.with_(id=ref, ref_obj_id=ref)
    if number in _SIZED_RESULT:
        reg = reg.copy()
        high = meta.msize_max
        reg.smax = high - (high >> 63 << 64)
        low = high & 0xFFFFFFFF
        reg.s32_max = low - (low >> 31 << 32)
        reg.smin = reg.s32_min = -_MAX_ERRNO
        reg_bounds_sync(reg)
    return reg


def check_helper_call(env: "Env", insn: Insn) -> None:
    """Check a call of a helper."""
    number = insn.imm
    proto = _prototype(env, number)
    index = env.insn_idx
    meta = CallMeta(number, pkt_access=proto.pkt_access)
    for position in range(len(proto.args)):
        check_func_arg(env, position, meta, proto)
    _record_map(env, meta)
    _record_key(env, meta)
    for at in range(meta.access_size):
        check_mem_access(env, meta.regno, at, 1, True, -1)
    if meta.uninit_dynptr_regno:
        kind = proto.args[meta.uninit_dynptr_regno - 1].split(":")[1]
        make_dynptr(env, meta.uninit_dynptr_regno, kind)
    _release(env, meta, proto)
    frame = env.frame
    _special(env, meta, proto)
    env.clear_caller_saved(frame)
    reg = _result(env, meta, proto)
    callee_index, env.insn_idx = env.insn_idx, index
    frame.values[0] = _refine_result(env, meta, reg)
    check_map_func_compatibility(env, meta.map, number)
    if number == _GET_FUNC_IP:
        _check_get_func_ip(env, number)
    env.insn_idx = callee_index
    if proto.changes_packet:
        for owner, place in env.state.places():
            if is_pkt_pointer_any(owner.values[place]):
                owner.values[place] = env.unknown
