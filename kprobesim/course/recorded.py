"""A recording as something to open, like a demo."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kprobesim.i18n import Language

if TYPE_CHECKING:
    from kprobesim.lab import Lab
    from kprobesim.lab.recording import Recording

__all__ = ["RecordedScenario"]


class RecordedScenario:
    """A recording, with what screens ask of lessons and demos.

    Args:
        path: of the file.
    """

    minutes = 5

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.stem

    @cached_property
    def recording(self) -> Recording:
        """What the file holds.

        Raises:
            BadInput: it holds no recording.
        """
        from kprobesim.lab.recording import load_recording

        return load_recording(self.path)

    @property
    def profile(self) -> str:
        """The profile's name."""
        return self.recording.profile.value

    def title(self, language: Language) -> str:
        """The file's name, and that it is a recording."""
        return f"{'Recording: ' if language == 'en' else '录制：'}{self.path.name}"

    def summary(self, language: Language) -> str:
        """The first line of its notes."""
        return (self.recording.notes.splitlines() or [""])[0]

    def text(self, language: Language) -> str:
        """Its notes."""
        return self.recording.notes

    def open(self) -> Lab:
        """Live it again; the machine stands at the beginning, and what follows is known.

        Raises:
            KprobesimError: it cannot be.
        """
        from kprobesim.lab.recording import replay

        lab = replay(self.recording)
        lab.seek(lab.beginning)
        return lab
