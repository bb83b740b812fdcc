"""What a seccomp filter's return value says (Linux include/uapi/linux/seccomp.h)."""

from typing import Final

__all__ = ["SECCOMP_ACTIONS", "action_name"]

SECCOMP_ACTIONS: Final = {
    0x8000_0000: "KILL_PROCESS",
    0x0000_0000: "KILL_THREAD",
    0x0003_0000: "TRAP",
    0x0005_0000: "ERRNO",
    0x7FC0_0000: "USER_NOTIF",
    0x7FF0_0000: "TRACE",
    0x7FFC_0000: "LOG",
    0x7FFF_0000: "ALLOW",
}
"""Upper half of the value -> the name behind ``SECCOMP_RET_``."""


def action_name(ret: int) -> str:
    """The action of a return value, unsigned 32 bits; one that there is not kills the process."""
    return SECCOMP_ACTIONS.get(ret & 0xFFFF_0000, "KILL_PROCESS")
