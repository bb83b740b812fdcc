"""Calls of the program's own functions, directly or by way of a helper, and the return from them.

Follows Linux kernel/bpf/verifier.c: check_func_call, set_callee_state and its relatives, prepare_func_exit.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from kprobesim.bpf.isa import Insn
from kprobesim.bpf.verifier.call_meta import CallMeta
from kprobesim.bpf.verifier.env import JMP_SEQ_LIMIT, Pending
from kprobesim.bpf.verifier.functions import caller_passes
from kprobesim.bpf.verifier.liveness import mark_place_read
from kprobesim.bpf.verifier.precision import mark_chain_precision
from kprobesim.bpf.verifier.reg import Reg, known_zero_reg
from kprobesim.bpf.verifier.reg_type import (
    CONST_PTR_TO_MAP,
    DYNPTR_TYPE_LOCAL,
    PTR_TO_BTF_ID,
    PTR_TO_DYNPTR,
    PTR_TO_MAP_KEY,
    PTR_TO_MAP_VALUE,
    PTR_TO_STACK,
    SCALAR_VALUE,
)
from kprobesim.bpf.verifier.state import MAX_CALL_FRAMES, Frame, State
from kprobesim.bpf.verifier.subprogs import find_subprog
from kprobesim.bpf.verifier.tnum import UNKNOWN, Tnum, tnum_in, tnum_range
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["check_callback_call", "check_func_call", "prepare_func_exit", "reject_invalid_scalar"]

_FOR_EACH, _TIMER, _FIND_VMA, _LOOP, _DRAIN = 164, 170, 180, 181, 209

SetCallee = Callable[["Env", Frame, Frame, CallMeta | None], None]


def reject_invalid_scalar(env: "Env", reg: Reg, allowed: Tnum, where: str, name: str = "R0") -> None:
    """A number is not in the range that it should be in (Linux's verbose_invalid_scalar)."""
    value = "has unknown scalar value" if reg.var_off == UNKNOWN else f"has value {reg.var_off}"
    env.reject(Errno.EINVAL, f"At {where} the register {name} {value} should have been in {allowed}")


def _pass_args(env: "Env", caller: Frame, callee: Frame, meta: CallMeta | None) -> None:
    for i in range(1, 6):
        callee.copy_place(i, caller, i)


def _fresh_args(env: "Env", callee: Frame, *regs: Reg) -> None:
    """Arguments from R1 on; the rest were never written."""
    for i in range(1, 6):
        callee.values[i] = regs[i - 1] if i <= len(regs) else env.not_init


def _is_callback(callee: Frame) -> None:
    callee.in_callback = True
    callee.callback_range = tnum_range(0, 1)


def _for_each(env: "Env", caller: Frame, callee: Frame, meta: CallMeta | None) -> None:
    if env.aux_of(env.insn_idx).map_poisoned:
        env.reject(Errno.EINVAL, "tail_call abusing map_ptr")
    bpf_map = meta.map if meta else None
    if bpf_map is None or not bpf_map.has_foreach:
        env.reject(Errno.ENOTSUPP, "callback function not allowed for map")
    key, value = known_zero_reg(PTR_TO_MAP_KEY, map=bpf_map), known_zero_reg(PTR_TO_MAP_VALUE, map=bpf_map)
    _fresh_args(env, callee, caller.values[1], key, value, caller.values[3])
    callee.copy_place(1, caller, 1)
    callee.copy_place(4, caller, 3)
    _is_callback(callee)


def _loop(env: "Env", caller: Frame, callee: Frame, meta: CallMeta | None) -> None:
    counter = env.not_init.with_(type=SCALAR_VALUE)
    _fresh_args(env, callee, counter, caller.values[3])
    callee.copy_place(2, caller, 3)
    _is_callback(callee)


def _find_vma(env: "Env", caller: Frame, callee: Frame, meta: CallMeta | None) -> None:
    vma = known_zero_reg(PTR_TO_BTF_ID, btf="vm_area_struct")
    _fresh_args(env, callee, caller.values[1], vma, caller.values[4])
    callee.copy_place(1, caller, 1)
    callee.copy_place(3, caller, 4)
    _is_callback(callee)


def _drain(env: "Env", caller: Frame, callee: Frame, meta: CallMeta | None) -> None:
    dynptr = known_zero_reg(PTR_TO_DYNPTR | DYNPTR_TYPE_LOCAL)
    _fresh_args(env, callee, dynptr, caller.values[3])
    callee.copy_place(2, caller, 3)
    _is_callback(callee)


def _timer(env: "Env", caller: Frame, callee: Frame, meta: CallMeta | None) -> None:
    bpf_map = caller.values[1].map
    kinds = (CONST_PTR_TO_MAP, PTR_TO_MAP_KEY, PTR_TO_MAP_VALUE)
    _fresh_args(env, callee, *(known_zero_reg(kind, map=bpf_map) for kind in kinds))
    callee.in_async_callback = True
    callee.callback_range = tnum_range(0, 1)


_CALLBACKS: dict[int, SetCallee] = {
    _FOR_EACH: _for_each,
    _TIMER: _timer,
    _FIND_VMA: _find_vma,
    _LOOP: _loop,
    _DRAIN: _drain,
}


def _enter(env: "Env", subprog: int, set_callee: SetCallee, meta: CallMeta | None) -> None:
    """Go on in the function; ``env.insn_idx`` becomes the one before its first instruction."""
    state = env.state
    if len(state.frames) >= MAX_CALL_FRAMES:
        env.reject(Errno.E2BIG, f"the call stack of {len(state.frames) + 1} frames is too deep")
    caller = state.frame
    callee = Frame(env.not_init, env.insn_idx, len(state.frames), subprog)
    env.log.all_scratched()
    callee.refs = caller.refs
    set_callee(env, caller, callee, meta)
    env.clear_caller_saved(caller)
    state.frames.append(callee)
    env.insn_idx = env.subprogs[subprog].start - 1
    if env.log.per_insn:
        env.log.write("caller:\n")
        env.log.state(caller)
        env.log.write("callee:\n")
        env.log.state(callee)


def check_func_call(env: "Env", insn: Insn) -> None:
    """``call pc+N``."""
    target = env.insn_idx + insn.imm + 1
    subprog = find_subprog(env, target)
    if subprog < 0:
        env.reject(Errno.EFAULT, f"verifier bug. No program starts at insn {target}")
    if caller_passes(env, subprog):
        env.clear_caller_saved(env.frame)
        env.set_reg(0, env.unknown)
        return
    _enter(env, subprog, _pass_args, None)


def check_callback_call(env: "Env", meta: CallMeta) -> None:
    """A helper will call a function of the program: now, or for a timer some time later."""
    set_callee = _CALLBACKS[meta.func_id]
    if meta.func_id == _TIMER:
        _push_async(env, meta, set_callee)
    else:
        _enter(env, meta.subprogno, set_callee, meta)


def _push_async(env: "Env", meta: CallMeta, set_callee: SetCallee) -> None:
    """Let the callback wait as a path of its own (Linux's push_async_cb)."""
    sub = env.subprogs[meta.subprogno]
    sub.is_async_cb = True
    callee = Frame(env.not_init, -1, 0, meta.subprogno)
    state = State(callee)
    env.stack.append(Pending(state, sub.start, env.insn_idx, env.log.length))
    if len(env.stack) > JMP_SEQ_LIMIT:
        env.reject(Errno.EFAULT, f"The sequence of {len(env.stack)} jumps is too complex for async cb.")
    env.log.all_scratched()
    caller = env.frame
    callee.async_entry_cnt = caller.async_entry_cnt + 1
    set_callee(env, caller, callee, meta)
    env.clear_caller_saved(caller)
    caller.values[0] = env.unknown


def prepare_func_exit(env: "Env") -> None:
    """Return from a function to its caller's next instruction."""
    state = env.state
    callee, caller = state.frames[-1], state.frames[-2]
    result = callee.values[0]
    if result.type == PTR_TO_STACK:
        env.reject(Errno.EINVAL, "cannot return stack pointer to the caller")
    if callee.in_callback:
        if result.type != SCALAR_VALUE:
            env.reject(Errno.EACCES, "R0 not a scalar value")
        mark_place_read(env, callee, 0)
        mark_chain_precision(env, 0)
        if not tnum_in(callee.callback_range, result.var_off):
            reject_invalid_scalar(env, result, callee.callback_range, "callback return")
    else:
        caller.copy_place(0, callee, 0)
        caller.refs = callee.refs
    env.insn_idx = callee.callsite + 1
    if env.log.per_insn:
        env.log.write("returning from callee:\n")
        env.log.state(callee)
        env.log.write(f"to caller at {env.insn_idx}:\n")
        env.log.state(caller)
    state.frames.pop()
