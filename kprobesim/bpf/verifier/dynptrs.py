"""Dynamic pointers: objects of 16 bytes on the stack that only helpers may look into.

Follows Linux kernel/bpf/verifier.c: mark_stack_slots_dynptr, unmark_stack_slots_dynptr, is_dynptr_reg_valid_init.
"""

from typing import TYPE_CHECKING

from kprobesim.bpf.verifier.call_meta import CallMeta
from kprobesim.bpf.verifier.mem_access import check_mem_access
from kprobesim.bpf.verifier.references import acquire_reference, release_reference
from kprobesim.bpf.verifier.reg import Reg
from kprobesim.bpf.verifier.reg_type import PTR_TO_DYNPTR, base_type
from kprobesim.bpf.verifier.stack_access import stack_frame
from kprobesim.bpf.verifier.state import SLOT0, STACK_DYNPTR, Frame
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["check_dynptr_arg", "dynptr_slot", "make_dynptr", "release_dynptr"]

_FIRST = 1
_KINDS = {"local": 2, "ringbuf": 4}
_DYNPTR = bytes([STACK_DYNPTR]) * 8


def _slots(env: "Env", reg: Reg) -> tuple[Frame, int] | None:
    """The frame and the upper slot of the object that the pointer leads to; None outside of the stack in use."""
    frame = stack_frame(env, reg)
    number = -reg.off - 1
    spi = number // 8 if number >= 0 else -(-number // 8)
    return (frame, spi) if 1 <= spi < len(frame.kinds) else None


def dynptr_slot(env: "Env", reg: Reg) -> int:
    """The reference that a dynptr holds, or 0."""
    found = _slots(env, reg)
    return found[0].values[SLOT0 + found[1]].id if found else 0


def check_dynptr_arg(env: "Env", reg: Reg, regno: int, details: list[str], meta: CallMeta) -> None:
    """An argument that is a dynptr, or becomes one."""
    if base_type(reg.type) == PTR_TO_DYNPTR:
        return
    found = _slots(env, reg)
    kinds = [found[0].kinds[found[1]], found[0].kinds[found[1] - 1]] if found else []
    if "out" in details:
        if any(STACK_DYNPTR in slot for slot in kinds):
            env.reject(Errno.EINVAL, "Dynptr has to be an uninitialized dynptr")
        meta.uninit_dynptr_regno = regno
        return
    if found is None or not found[0].values[SLOT0 + found[1]].extent & _FIRST or kinds != [_DYNPTR, _DYNPTR]:
        env.reject(Errno.EINVAL, f"Expected an initialized dynptr as arg #{regno}")
    wanted = details[0] if details else ""
    if wanted and not found[0].values[SLOT0 + found[1]].extent & _KINDS[wanted]:
        env.reject(Errno.EINVAL, f"Expected a dynptr of type {wanted} as arg #{regno}")


def make_dynptr(env: "Env", regno: int, kind: str) -> None:
    """The helper turned 16 bytes of stack into a dynptr."""
    for off in (0, 8):
        check_mem_access(env, regno, off, 8, True, -1)
    found = _slots(env, env.frame.values[regno])
    if found is None:
        env.reject_logged(Errno.EINVAL, "")
    frame, spi = found
    number = acquire_reference(env, env.insn_idx) if kind == "ringbuf" else 0
    for slot, first in ((spi, _FIRST), (spi - 1, 0)):
        frame.kinds[slot] = _DYNPTR
        reg = frame.own(SLOT0 + slot)
        reg.extent = _KINDS[kind] | first
        reg.id = number or reg.id


def release_dynptr(env: "Env", regno: int) -> bool:
    """The helper gave the object back; False if there is none."""
    found = _slots(env, env.frame.values[regno])
    if found is None:
        return False
    frame, spi = found
    top = frame.values[SLOT0 + spi]
    if top.extent & _KINDS["ringbuf"]:
        release_reference(env, top.id)
    for slot in (spi, spi - 1):
        frame.kinds[slot] = bytes(8)
        reg = frame.own(SLOT0 + slot)
        reg.extent = reg.id = 0
    return True
