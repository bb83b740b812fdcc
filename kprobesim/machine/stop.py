"""Why a machine stands still."""

from enum import Enum

__all__ = ["Stop"]


class Stop(Enum):
    """Why `Machine.run` came back."""

    LIMIT = "the instruction count asked for is reached"
    MOMENT = "the moment or event asked for is reached; the machine is frozen there"
    ADDRESS = "the address asked for is reached, and about to be executed"
    IDLE = "all vCPUs wait and no timer is set: only input can wake them"
    OFF = "the guest switched the machine off"
