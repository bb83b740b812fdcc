"""The four named profiles: which mechanism serves a probe is a matter of how a kernel was built."""

from __future__ import annotations

from enum import Enum
from typing import Final

from kprobesim.errors import BadInput
from kprobesim.kprobes import KprobeConfig, Stepping

__all__ = ["Profile"]


class Profile(Enum):
    """A way in which a kernel may be built; the value is its name.

    ``DISTRO`` is what distributions ship: a probe at a function's entry is served by ftrace. ``BARE`` has no ftrace, so
    that such a probe is an int3 like any other. ``SERVER`` is not preemptible either, so that probes are boosted.
    ``HISTORY`` steps by the trap flag and #DB, as up to Linux 5.12.
    """

    DISTRO = "distro"
    BARE = "bare"
    SERVER = "server"
    HISTORY = "history"

    @property
    def config(self) -> KprobeConfig:
        """What the profile means for the kprobe core."""
        return _CONFIGS[self]

    @property
    def variant(self) -> str:
        """The configuration of the image that goes with it, where an image ships in several."""
        return _VARIANTS[self]

    @classmethod
    def parse(cls, name: str) -> Profile:
        """A profile by name.

        Raises:
            BadInput: no such profile.
        """
        try:
            return cls(name)
        except ValueError:
            known = ", ".join(member.value for member in cls)
            raise BadInput(f"There is no profile {name!r}.", hint=f"The profiles are: {known}.") from None


_CONFIGS: Final = {
    Profile.DISTRO: KprobeConfig(ftrace=True, optprobes=True),
    Profile.BARE: KprobeConfig(optprobes=True),
    Profile.SERVER: KprobeConfig(preemption=False, optprobes=True),
    Profile.HISTORY: KprobeConfig(stepping=Stepping.TRAP_FLAG, optprobes=True),
}
# The mechanism of distro is that of the usual image; history differs from bare in the kprobe core only.
_VARIANTS: Final = {
    Profile.DISTRO: "distro",
    Profile.BARE: "bare",
    Profile.SERVER: "server",
    Profile.HISTORY: "bare",
}
