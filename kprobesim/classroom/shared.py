"""What a teacher's machine and place look like as data, and how to get there on another machine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final, NamedTuple

from kprobesim.errors import BadInput
from kprobesim.lab import Lab, Moment
from kprobesim.lab.recording import Recording, capture, parse_recording, recording_bytes
from kprobesim.machine import Input, Stop

__all__ = ["Place", "Shared", "go_there", "received"]

_SLICE: Final = 20_000_000


class Place(NamedTuple):
    """Where a teacher stands.

    Attributes:
        recording: SHA-256 of the recording's bytes, in hex; empty if the machine cannot be told as data.
        data: these bytes.
        moment: in it.
    """

    recording: str
    data: bytes
    moment: Moment


class Shared:
    """Looks at a lab and says its place; the recording is made anew only when something was done to the machine."""

    def __init__(self) -> None:
        self._inputs: list[Input] | None = None
        self._lab: Lab | None = None
        self._data = b""
        self._id = ""

    def look(self, lab: Lab) -> Place:
        """The place of a lab now; the lab is left where it is. To be called where nothing else moves the lab."""
        inputs = lab.timeline.inputs
        known = self._inputs
        if (
            lab is not self._lab
            or known is None
            or len(known) != len(inputs)
            or any(mine is not other for mine, other in zip(known, inputs, strict=True))
        ):
            self._lab, self._inputs = lab, list(inputs)
            try:
                self._data = recording_bytes(capture(lab))
                self._id = hashlib.sha256(self._data).hexdigest()
            except BadInput:
                self._data, self._id = b"", ""
        return Place(self._id, self._data, lab.moment)


def received(data: bytes, name: str) -> Recording:
    """A recording that came over the network.

    Args:
        data: its bytes.
        name: the SHA-256 that was announced.

    Raises:
        BadInput: it is damaged, or not of a kernel that ships: no file of this computer is opened for a stranger.
    """
    if hashlib.sha256(data).hexdigest() != name:
        raise BadInput("The recording did not arrive as it was sent.")
    recording = parse_recording(data, "The teacher's recording")
    if not recording.kernel.isidentifier():
        raise BadInput("The teacher's machine runs a kernel of their own, which is not here.")
    return recording


def go_there(lab: Lab, moment: Moment, interrupt: Callable[[], bool]) -> None:
    """Go to a moment, also to one where this machine has never been.

    Args:
        lab: which lives the teacher's recording.
        moment: in it.
        interrupt: asked now and then on the way; when it is true the way ends there.
    """
    moment = max(moment, Moment(lab.start))
    while moment.insn - lab.timeline.head > _SLICE and not interrupt():
        lab.seek_end()
        if lab.run(instructions=_SLICE, interrupt=interrupt) is not Stop.LIMIT:
            break
    if not interrupt():
        lab.seek(moment)
