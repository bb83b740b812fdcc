"""The four named profiles: which mechanism serves a probe is a matter of how a kernel was built."""

from __future__ import annotations

from enum import Enum

from kprobesim.errors import BadInput
from kprobesim.kprobes import KprobeConfig

__all__ = ["Profile"]


class Profile(Enum):
    """A way in which a kernel may be built; the value is its name.

    ``BARE`` has no ftrace, so that a probe at a function's entry is an int3 like any other. The mechanisms of the other
    profiles are not there yet: `parse` refuses them.
    """

    DISTRO = "distro"
    BARE = "bare"
    SERVER = "server"
    HISTORY = "history"

    @property
    def config(self) -> KprobeConfig:
        """What the kprobe core needs to know of the build."""
        return KprobeConfig(optprobes=True)

    @classmethod
    def parse(cls, name: str) -> Profile:
        """A profile by name.

        Raises:
            BadInput: no such profile, or one whose mechanism this version does not have.
        """
        try:
            profile = cls(name)
        except ValueError:
            known = ", ".join(member.value for member in cls)
            raise BadInput(f"There is no profile {name!r}.", hint=f"The profiles are: {known}.") from None
        if profile is not cls.BARE:
            raise BadInput(
                f"The profile {name} is not there yet: this version has the int3 mechanism only.",
                hint="Use --profile bare.",
            )
        return profile
