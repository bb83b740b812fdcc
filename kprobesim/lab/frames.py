"""Where on the stack the trap being handled has left its frame."""

from __future__ import annotations

from typing import Final

from kprobesim.lab.views import pt_regs_below
from kprobesim.machine import EventLog

__all__ = ["trap_frame"]

_WINDOW: Final = 200
_STACK: Final = 16384
_FRAME: Final = 40


def trap_frame(log: EventLog, seq: int, cpu: int, rsp: int) -> tuple[int | None, int | None]:
    """Address of the innermost trap frame that is still on the stack, and of its ``struct pt_regs`` once complete.

    Args:
        log: the machine's events.
        seq: how many of them lie behind the present moment.
        cpu: number of the vCPU.
        rsp: its stack pointer.
    """
    for position in range(seq - 1, max(seq - _WINDOW, -1), -1):
        event = log[position]
        if event.cpu != cpu:
            continue
        if event.kind == "syscall":
            break
        if event.kind == "gate":
            # The error code, if there is one, lies below the frame.
            frame_at = event.fields["rsp"] + len(event.fields["frame"]) - _FRAME
            if not 0 <= frame_at - rsp < _STACK:
                continue  # left already, or on another stack
            user = event.fields["frame"][-32] & 3 == 3
            regs_at = pt_regs_below(frame_at, gap=event.fields["vector"] == 3 and not user)
            return frame_at, regs_at if rsp <= regs_at else None
    return None, None
