"""Recordings: a life of the machine as data, which the deterministic machine lives again.

::

    recording = capture(lab, [Bookmark(lab.moment, "the trap")])
    save_recording(recording, Path("hit.kprobesim"))
    lab = replay(load_recording(Path("hit.kprobesim")))      # at the moment where the other one stood
"""

from kprobesim.lab.recording.capture import capture
from kprobesim.lab.recording.digest import digest_of
from kprobesim.lab.recording.file import (
    LARGEST,
    load_recording,
    parse_recording,
    recording_bytes,
    save_recording,
    write_whole,
)
from kprobesim.lab.recording.recording import FORMAT_VERSION, Bookmark, Recording, Step
from kprobesim.lab.recording.replay import Player, replay

__all__ = [
    "FORMAT_VERSION",
    "LARGEST",
    "Bookmark",
    "Player",
    "Recording",
    "Step",
    "capture",
    "digest_of",
    "load_recording",
    "parse_recording",
    "recording_bytes",
    "replay",
    "save_recording",
    "write_whole",
]
