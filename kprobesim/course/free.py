"""The lab without a lesson: a kernel that waits at its prompt, and nothing done to it yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kprobesim.i18n import Language

if TYPE_CHECKING:
    from kprobesim.lab import Lab

__all__ = ["FreeLab"]

_FAR: Final = 200_000_000
_TITLES: Final = {"en": "A free lab", "zh": "自由实验"}
_SUMMARIES: Final = {
    "en": "The kernel at its prompt: probe, attach, type and step as you like.",
    "zh": "内核停在提示符前：布设 probe、挂载程序、输命令、走步，随你安排。",
}


@dataclass(frozen=True)
class FreeLab:
    """What screens ask of lessons and demos, for a lab on its own.

    Attributes:
        kernel, profile, cpus, seed: as for `Lab.open`.
    """

    kernel: str = "toyix"
    profile: str = "bare"
    cpus: int = 1
    seed: int = 0

    def title(self, language: Language) -> str:
        """A few words."""
        return _TITLES[language]

    def summary(self, language: Language) -> str:
        """One sentence."""
        return _SUMMARIES[language]

    def text(self, language: Language) -> str:
        """Nothing to read."""
        return ""

    def open(self) -> Lab:
        """Boot the kernel and run it until it waits; that is where the experiment begins.

        Raises:
            KprobesimError: there is no such kernel or profile.
        """
        from kprobesim.lab import Lab

        lab = Lab.open(self.kernel, profile=self.profile, cpus=self.cpus, seed=self.seed)
        lab.run(instructions=_FAR)
        lab.start = lab.moment.insn
        lab.seek(lab.start)
        return lab
