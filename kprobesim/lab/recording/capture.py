"""From a lab to a recording."""

from __future__ import annotations

from collections.abc import Iterable

from kprobesim.errors import BadInput
from kprobesim.lab.deeds import Deed
from kprobesim.lab.lab import Lab
from kprobesim.lab.recording.digest import digest_of
from kprobesim.lab.recording.recording import Bookmark, Recording, Step

__all__ = ["capture"]


def capture(lab: Lab, bookmarks: Iterable[Bookmark] = (), notes: str = "") -> Recording:
    """Everything that was done to a machine so far, the known future included; the machine is left where it is.

    Args:
        lab: any, as long as its probes have no handlers in Python.
        bookmarks: moments to keep with it.
        notes: about the whole.

    Raises:
        BadInput: something was done that cannot be told as data.
    """
    inputs = []
    for number, step in enumerate(lab.timeline.inputs):
        deed = step.apply
        if not isinstance(deed, Deed) or not deed.kind:
            raise BadInput(
                f"Input {number}, {step.text!r}, cannot be recorded: it calls a Python function, or is an object file "
                "that was changed or is too large.",
                hint="Attach a BPF program instead of a handler; load an object of at most 1 MiB from its file.",
            )
        inputs.append(Step(step.insn, deed.resting, deed.kind, deed.data, _origin(lab, number, deed)))
    head = lab.timeline.head
    events, digest = digest_of(lab, head)
    return Recording(
        kernel=lab.kernel_name,
        image=lab.image.sha256,
        profile=lab.profile,
        cpus=len(lab.machine.cpus),
        seed=lab.machine.seed,
        optimization=lab.optimization,
        start=lab.start,
        head=head,
        events=events,
        digest=digest,
        inputs=tuple(inputs),
        bookmarks=tuple(sorted(bookmarks, key=lambda mark: mark.moment)),
        notes=notes,
        moment=lab.moment,
        without=lab.without,
    )


def _origin(lab: Lab, number: int, deed: Deed) -> int | None:
    """The number of the input that made what this one takes away."""
    if deed.of is None:
        return None
    for earlier in range(number - 1, -1, -1):
        other = lab.timeline.inputs[earlier].apply
        if isinstance(other, Deed) and other.made == deed.of:
            return earlier
    raise BadInput(f"Input {number} takes away something that no input made.")
