"""Stretches of stack that a helper, or a load at a variable offset, reads: every byte must have been written.

Follows Linux kernel/bpf/verifier.c: check_stack_range_initialized, check_stack_read.
"""

from typing import TYPE_CHECKING

from kprobesim.bpf.verifier.liveness import mark_place_read
from kprobesim.bpf.verifier.reg import s64
from kprobesim.bpf.verifier.reg_type import SCALAR_VALUE
from kprobesim.bpf.verifier.stack_access import (
    check_stack_access_within_bounds,
    check_stack_read_fixed,
    load_stack_bytes,
    stack_frame,
    stack_range,
)
from kprobesim.bpf.verifier.state import SLOT0, STACK_INVALID, STACK_MISC, STACK_ZERO, is_spilled, scrub
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.call_meta import CallMeta
    from kprobesim.bpf.verifier.env import Env

__all__ = ["check_stack_range_initialized", "check_stack_read"]


def check_stack_range_initialized(
    env: "Env", regno: int, off: int, size: int, *, zero_ok: bool, helper: bool = False, meta: "CallMeta | None" = None
) -> None:
    """Check a stretch, and mark it as read.

    Args:
        env: the verifier.
        regno: the pointer.
        off: fixed offset from it.
        size: bytes.
        zero_ok: whether nothing at all may be read.
        helper: whether a helper does it, which may also write there.
        meta: with ``raw_mode``, the helper only writes, and what it writes is noted there.
    """
    reg = env.frame.values[regno]
    frame = stack_frame(env, reg)
    what = " indirect" if helper else ""
    if size == 0 and not zero_ok:
        env.reject(Errno.EACCES, "invalid zero-sized read")
    check_stack_access_within_bounds(env, regno, off, size, write=helper, helper=helper)
    raw = meta is not None and meta.raw_mode
    if not reg.var_off.is_const:
        if not env.bypass_spec_v1:
            message = f"R{regno}{what} variable offset stack access prohibited for !root, var_off={reg.var_off}"
            env.reject(Errno.EACCES, message)
        raw = False
    if raw and meta is not None:
        meta.access_size, meta.regno = size, regno
        return
    low, high = stack_range(reg, off, size)
    for at in range(low, high):
        slot = -at - 1
        spi = slot >> 3
        place = SLOT0 + spi
        kinds = frame.kinds[spi]
        kind = kinds[slot & 7]
        if kind == STACK_ZERO or (kind == STACK_INVALID and env.allow_uninit_stack):
            if helper:
                frame.set_kind(slot, STACK_MISC)
        elif kind != STACK_MISC:
            spilled = is_spilled(kinds)
            if not spilled or not (frame.values[place].type == SCALAR_VALUE or env.allow_ptr_leaks):
                where = f"off {low}+{at - low}" if reg.var_off.is_const else f"var_off {reg.var_off}+{at - low}"
                env.reject(Errno.EACCES, f"invalid{what} read from stack R{regno} {where} size {size}")
            if helper:
                frame.values[place] = env.unknown
                frame.kinds[spi] = scrub(kinds)
        mark_place_read(env, frame, place)


def check_stack_read(env: "Env", regno: int, off: int, size: int, dst_regno: int) -> None:
    """A load; ``dst_regno`` is -1 where the value goes nowhere."""
    reg = env.frame.values[regno]
    frame = stack_frame(env, reg)
    if reg.var_off.is_const:
        check_stack_read_fixed(env, frame, off + s64(reg.var_off.value), size, dst_regno)
        return
    if dst_regno < 0:
        env.reject(
            Errno.EACCES,
            "variable offset stack pointer cannot be passed into helper function; "
            f"var_off={reg.var_off} off={off} size={size}",
        )
    check_stack_range_initialized(env, regno, off, size, zero_ok=False)
    load_stack_bytes(env, frame, reg.smin + off, reg.smax + off + size, dst_regno)
