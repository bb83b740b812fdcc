"""How a kernel was built, as far as the kprobe core asks."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KprobeConfig"]


@dataclass(frozen=True)
class KprobeConfig:
    """The switches of one kernel's build and command line.

    Attributes:
        optprobes: ``CONFIG_OPTPROBES``: probes may become jumps. It is on for every x86-64 kernel with kprobes.
        optimization: the sysctl debug.kprobes-optimization at boot; there is a boot parameter of that name.
    """

    optprobes: bool = False
    optimization: bool = True
