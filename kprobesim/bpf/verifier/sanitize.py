"""What unprivileged programs may not do with pointers, because a mispredicting CPU would go further than the program.

Pointer arithmetic by a register must always go the same way and stay inside the object; Linux then masks the operand
at run time and also verifies the path that a CPU takes when it guesses wrong. Follows Linux kernel/bpf/verifier.c:
sanitize_ptr_alu and the functions around it.
"""

from typing import TYPE_CHECKING, NoReturn

from kprobesim.bpf.isa import Insn, Op
from kprobesim.bpf.verifier.env import MAX_BPF_STACK, InsnAux
from kprobesim.bpf.verifier.errors import Rejected
from kprobesim.bpf.verifier.reg import U32_MAX, Reg, s64
from kprobesim.bpf.verifier.reg_type import PTR_TO_MAP_VALUE, PTR_TO_STACK
from kprobesim.bpf.verifier.region import check_map_access
from kprobesim.bpf.verifier.state import State
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = [
    "Window",
    "sanitize_check_bounds",
    "sanitize_needed",
    "sanitize_ptr_alu",
    "sanitize_speculative_path",
    "sanitize_val_alu",
]

_SANITIZE_SRC, _SANITIZE_DST, _NEG_VALUE, _NON_POINTER, _IMMEDIATE = 1, 2, 4, 8, 16
_PROHIBITED = "pointer arithmetic with it prohibited for !root"


class Window:
    """What is noted of an operation before it is done, for the check after it."""

    def __init__(self) -> None:
        self.aux = InsnAux()
        self.mask_to_left = False


def sanitize_needed(op: int) -> bool:
    """Whether the operation moves a pointer."""
    return op in (Op.ADD, Op.SUB)


def _can_skip(env: "Env", insn: Insn) -> bool:
    return env.bypass_spec_v1 or not insn.by_reg


def _refuse(env: "Env", text: str) -> NoReturn:
    env.reject(Errno.EACCES, f"{text}, {_PROHIBITED}")


def _update(env: "Env", insn: Insn, aux: InsnAux, state: int, limit: int) -> None:
    if aux.alu_state and (aux.alu_state != state or aux.alu_limit != limit):
        verb = "add" if insn.op == Op.ADD else "sub"
        _refuse(env, f"R{insn.dst} tried to {verb} from different maps, paths or scalars")
    aux.alu_state, aux.alu_limit = state, limit


def sanitize_val_alu(env: "Env", insn: Insn) -> None:
    """An addition of plain numbers must be that on all paths."""
    if not _can_skip(env, insn):
        _update(env, insn, env.aux_of(env.insn_idx), _NON_POINTER, 0)


def _ptr_limit(env: "Env", insn: Insn, ptr: Reg, left: bool) -> int:
    """How far the pointer may move before it leaves its object (Linux's retrieve_ptr_limit)."""
    if ptr.type == PTR_TO_STACK:
        most = MAX_BPF_STACK + left
        limit = -(s64(ptr.var_off.value) + ptr.off) & U32_MAX
    elif ptr.type == PTR_TO_MAP_VALUE and ptr.map is not None:
        most = ptr.map.value_size
        limit = (ptr.smin if left else ptr.umax) + ptr.off & U32_MAX
    else:
        _refuse(env, f"R{insn.dst} has pointer with unsupported alu operation")
    if limit >= most:
        verb = "add" if insn.op == Op.ADD else "sub"
        _refuse(env, f"R{insn.dst} tried to {verb} beyond pointer bounds")
    return limit


def sanitize_speculative_path(env: "Env", insn: Insn | None, following: int, index: int) -> State | None:
    """Let the mispredicted path wait, with the compared registers unknown."""
    branch = env.push_stack(following, index, speculative=True)
    if branch is not None and insn is not None:
        values = branch.frame.values
        values[insn.dst] = env.unknown
        if insn.by_reg:
            values[insn.src] = env.unknown
    return branch


def sanitize_ptr_alu(
    env: "Env", insn: Insn, ptr: Reg, off: Reg, ptr_is_dst: bool, window: Window, commit: bool
) -> None:
    """Check before (``commit`` false) and after a pointer is moved.

    Args:
        env: the verifier.
        insn: the instruction.
        ptr: the pointer, before or after.
        off: what is added or subtracted.
        ptr_is_dst: whether the pointer is the destination.
        window: carried from the first check to the second.
        commit: which of the two this is.
    """
    if _can_skip(env, insn):
        return
    aux = env.aux_of(env.insn_idx) if commit else window.aux
    off_is_imm = off.var_off.is_const
    negative = off.smin < 0
    if not env.state.speculative:
        if not commit:
            if not off_is_imm and negative != (off.smax < 0):
                _refuse(env, f"R{insn.src} has unknown scalar with mixed signed bounds")
            window.mask_to_left = negative if insn.op == Op.ADD else not negative
        limit = _ptr_limit(env, insn, ptr, window.mask_to_left)
        if commit:
            state = window.aux.alu_state
            limit = abs(window.aux.alu_limit - limit)
        else:
            state = _NEG_VALUE if negative else 0
            state |= _IMMEDIATE if off_is_imm else 0
            state |= _SANITIZE_SRC if ptr_is_dst else _SANITIZE_DST
            if not off_is_imm:
                env.explore_alu_limits = True
        _update(env, insn, aux, state, limit)
    if commit or off_is_imm:
        return
    values = env.frame.values
    kept = values[insn.dst]
    if not ptr_is_dst:
        values[insn.dst] = ptr
    branch = sanitize_speculative_path(env, None, env.insn_idx + 1, env.insn_idx)
    values[insn.dst] = kept
    if branch is None:
        _refuse(env, f"R{insn.dst} could not be pushed for speculative verification")


def sanitize_check_bounds(env: "Env", insn: Insn, dst: Reg) -> None:
    """The moved pointer must still point into its object."""
    if env.bypass_spec_v1:
        return
    regno = insn.dst
    if dst.type == PTR_TO_STACK:
        at = dst.off + s64(dst.var_off.value)
        if not dst.var_off.is_const:
            message = f"R{regno} variable stack access prohibited for !root, var_off={dst.var_off} off={at}"
            env.reject(Errno.EACCES, message)
        if not -MAX_BPF_STACK <= at < 0:
            message = f"R{regno} stack pointer arithmetic goes out of range, prohibited for !root; off={at}"
            env.reject(Errno.EACCES, message)
    elif dst.type == PTR_TO_MAP_VALUE:
        try:
            check_map_access(env, regno, dst.off, 1, zero_ok=False)
        except Rejected:
            env.reject(
                Errno.EACCES, f"R{regno} pointer arithmetic of map value goes out of range, prohibited for !root"
            )
