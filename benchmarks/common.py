"""What the benchmarks share: a booted toyix, and how figures are printed."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from kprobesim.image import open_image
from kprobesim.kprobes import KprobeManager, RunningKernel
from kprobesim.lab import Profile
from kprobesim.machine import Machine, Timeline

__all__ = ["Toyix", "report"]


class Toyix:
    """toyix at the moment before its first user program, with a kprobe manager on a timeline.

    Args:
        commands: typed at its console.
        profile: how it is built, and so which mechanism serves a probe.
        jumps: let probes become jumps, where the profile does.
    """

    def __init__(self, *commands: str, profile: Profile = Profile.BARE, jumps: bool = False) -> None:
        image = open_image("toyix", variant=profile.variant)
        self.machine = Machine()
        self.machine.boot(image.entry, image.segments)
        self.kernel = RunningKernel(self.machine, image)
        self.manager = KprobeManager(self.kernel, replace(profile.config, optimization=jumps))
        self.timeline = Timeline(self.machine, [self.manager])
        self.timeline.run(stop_kinds=["boot.done"])
        text = "".join(f"{command}\n" for command in commands).encode()
        self.timeline.input("type", lambda: self.machine.devices.type(text))


def report(name: str, figures: dict[str, Any]) -> None:
    """Print one JSON object: the benchmark, the computer, the figures."""
    computer = {
        "processor": platform.machine(),
        "cpus": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "unicorn": version("unicorn"),
    }
    print(json.dumps({"benchmark": name, "computer": computer, **figures}))
