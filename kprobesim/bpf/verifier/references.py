"""Resources that a program must give back: sockets, ring buffer records.

Follows Linux kernel/bpf/verifier.c: acquire_reference_state, release_reference, check_reference_leak.
"""

from typing import TYPE_CHECKING

from kprobesim.bpf.verifier.state import Frame, Reference
from kprobesim.linux_errno import Errno

if TYPE_CHECKING:
    from kprobesim.bpf.verifier.env import Env

__all__ = ["acquire_reference", "check_reference_leak", "release_reference", "release_reference_state"]


def acquire_reference(env: "Env", insn_idx: int) -> int:
    """The current function holds one more; its id."""
    frame = env.frame
    number = env.new_id()
    frame.refs = (*frame.refs, Reference(number, insn_idx, frame.frameno if frame.in_callback else 0))
    return number


def release_reference_state(frame: Frame, number: int) -> bool:
    """Drop a reference from the frame's; False if it does not hold it, or if only its caller may drop it."""
    refs = list(frame.refs)
    for i, ref in enumerate(refs):
        if ref.id != number:
            continue
        if frame.in_callback and ref.callback_ref != frame.frameno:
            return False
        # The last one takes its place, as in Linux: the order shows in the log.
        last = refs.pop()
        if i < len(refs):
            refs[i] = last
        frame.refs = tuple(refs)
        return True
    return False


def release_reference(env: "Env", number: int) -> bool:
    """Drop a reference, and make all pointers to the resource useless; False if it is not held."""
    if not release_reference_state(env.frame, number):
        return False
    for frame, place in env.state.places():
        if frame.values[place].ref_obj_id == number:
            frame.values[place] = env.unknown if env.allow_ptr_leaks else env.not_init
    return True


def check_reference_leak(env: "Env", then: str = "") -> None:
    """Nothing may be held any more; ``then`` is said after the list of what is."""
    frame = env.frame
    if frame.frameno and not frame.in_callback:
        return
    message = ""
    for ref in frame.refs:
        if frame.in_callback and ref.callback_ref != frame.frameno:
            continue
        message = f"Unreleased reference id={ref.id} alloc_insn={ref.insn_idx}"
        env.log.write(f"{message}\n")
    if message:
        if then:
            env.reject(Errno.EINVAL, then)
        env.reject_logged(Errno.EINVAL, message)
