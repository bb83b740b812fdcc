"""From a recording to a lab: the same life, lived again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from kprobesim.bpf import Assembly
from kprobesim.bpf.maps import PerfConfig
from kprobesim.errors import BadInput, GuestError, KprobesimError
from kprobesim.kprobes import FixUp, Fprobe, Kprobe
from kprobesim.lab.lab import Lab
from kprobesim.lab.profiles import Profile
from kprobesim.lab.program_data import assembly_of
from kprobesim.lab.recording.digest import digest_of
from kprobesim.lab.recording.recording import Recording, Step
from kprobesim.machine import Moment, Stop
from kprobesim.tracing.links import Link

__all__ = ["Player", "replay"]

_SLICE: Final = 20_000_000
_TO_REST: Final = 400_000_000

Interrupt = Callable[[], bool]


def replay(recording: Recording, *, interrupt: Interrupt = lambda: False) -> Lab:
    """Live a recording again, and go to the moment it was saved at.

    Args:
        recording: any.
        interrupt: asked every so many million instructions; when it is true the replay ends with an error.

    Raises:
        BadInput: the kernel is another one than that of the recording, or its inputs make no sense.
        KprobesimError: the life is not the recorded one, or it was interrupted.
    """
    player = Player(recording, interrupt=interrupt)
    lab = player.lab
    player.to_end()
    events, digest = digest_of(lab, recording.head)
    if (events, digest) != (recording.events, recording.digest):
        raise KprobesimError(
            f"The replay parts from the recording: {events:,} events instead of {recording.events:,}."
            if events != recording.events
            else "The replay parts from the recording: the events are others.",
            hint="Was the recording changed by hand, or made by another version of kprobesim?",
        )
    lab.start = recording.start
    lab.seek(max(recording.moment, Moment(recording.start)))
    return lab


class Player:
    """Plays the inputs of a recording on a new machine.

    Args:
        recording: whose inputs.
        profile: instead of the recording's own. The number of instructions is another then: inputs that were made
            while the machine waited are made when it waits.
        without: instead of the recording's own.
        interrupt: as for `replay`.

    Attributes:
        lab: the machine, booted; nothing has been done to it yet.
        changed: it is not the recorded one any more.
        forked: the instruction from which on it is not.

    Raises:
        BadInput: the image is another one than that of the recording.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        profile: Profile | None = None,
        without: Iterable[FixUp] | None = None,
        interrupt: Interrupt = lambda: False,
    ) -> None:
        self.recording = recording
        self._interrupt = interrupt
        self._made: dict[int, Any] = {}
        self._next = 0
        self.forked = 0
        self.changed = (profile is not None and profile is not recording.profile) or without is not None
        self.lab = Lab.open(
            recording.kernel,
            profile=profile or recording.profile,
            cpus=recording.cpus,
            seed=recording.seed,
            optimization=recording.optimization,
            without=recording.without if without is None else without,
        )
        if not self.changed or profile is None or profile is recording.profile:
            _same_image(self.lab, recording)

    def to(self, insn: int) -> None:
        """Play all inputs before an instruction, and go to the clean state before it."""
        while self._next < len(self.recording.inputs) and self.recording.inputs[self._next].insn < insn:
            self._play_next()
        self._run_to(insn)

    def to_end(self) -> None:
        """Play everything."""
        while self._next < len(self.recording.inputs):
            self._play_next()
        self._run_to(self.recording.head)

    def inputs_left(self, *, at: int | None = None) -> None:
        """Play the inputs that are left, or those at one instruction, where the machine is when they are due."""
        while self._next < len(self.recording.inputs):
            step = self.recording.inputs[self._next]
            if at is not None and step.insn != at:
                return
            self._play_next()

    def _play_next(self) -> None:
        number, step = self._next, self.recording.inputs[self._next]
        earlier = self.recording.inputs[number - 1] if number else None
        self._next += 1
        if not self.changed:
            self._run_to(step.insn)
        elif earlier is None or earlier.insn != step.insn:
            self._go_on(step, earlier)
        self._made[number] = self._perform(step)

    def _go_on(self, step: Step, earlier: Step | None) -> None:
        """On a machine of another kind: to where it waits, or as far behind the last input as it was then."""
        if step.resting:
            self.to_rest()
        else:
            before = max(earlier.insn if earlier else self.lab.start, self.forked)
            self._run_to(self.lab.timeline.head + step.insn - before)

    def to_rest(self) -> Stop:
        """Run until the machine waits, or so long that it never will."""
        lab = self.lab
        goal = lab.moment.insn + _TO_REST
        while True:
            stop = lab.run(instructions=_SLICE)
            if stop is not Stop.LIMIT or lab.moment.insn >= goal:
                return stop
            self._ask()

    def _run_to(self, insn: int) -> None:
        lab = self.lab
        while lab.moment.insn < insn:
            before = lab.moment
            lab.seek(Moment(min(insn, lab.moment.insn + _SLICE)))
            if lab.moment == before:
                if self.changed:
                    return
                raise KprobesimError(
                    f"The replay parts from the recording: the machine waits at instruction {before.insn:,}, which in "
                    f"the recording went on to {insn:,}."
                )
            self._ask()

    def _ask(self) -> None:
        if self._interrupt():
            raise KprobesimError("The replay was interrupted.")

    def _perform(self, step: Step) -> Any:
        lab, data = self.lab, step.data
        try:
            if step.of is not None:
                return self._take_away(step, self._made.get(step.of))
            if step.kind == "load":
                source: str | Assembly = data["text"] if "text" in data else assembly_of(data)
                return lab.load_program(source, data["name"], verified=data["verified"])
            if step.kind == "fprobe":
                return lab.fprobe(data["match"], notfilter=data["notfilter"] or None, name=data["name"])
            return _DO[step.kind](lab, data)
        except GuestError:
            raise
        except (KprobesimError, LookupError, ValueError) as error:
            if self.changed and isinstance(error, KprobesimError):
                return None  # what this machine refuses is a difference to be shown, and the rest still counts
            raise BadInput(f"An input of the recording ({step.kind}) cannot be done: {error}") from None

    def _take_away(self, step: Step, what: Any) -> None:
        lab = self.lab
        if step.kind == "unregister_kprobe" and isinstance(what, Kprobe):
            lab.unregister_kprobe(what)
        elif step.kind == "unregister_fprobe" and isinstance(what, Fprobe):
            lab.unregister_fprobe(what)
        elif step.kind == "detach" and isinstance(what, Link):
            lab.detach(what)
        else:
            raise BadInput(f"{step.kind} does not fit input {step.of}.")


_DO: Final[dict[str, Callable[[Lab, Any], object]]] = {
    "type": lambda lab, data: lab.type(data["text"]),
    "interrupt": lambda lab, data: lab.interrupt(),
    "kprobe": lambda lab, data: lab.kprobe(data["where"], name=data["name"], disabled=data["disabled"]),
    "load_object": lambda lab, data: lab.load_object(bytes.fromhex(data["bytes"]), name=data["name"], attach=False),
    "attach": lambda lab, data: lab.attach(
        data["program"], data["where"], kind=data["section"], returns=data["returns"], cookie=data["cookie"]
    ),
    "bpf_jit_enable": lambda lab, data: lab.set_bpf_jit(data["enable"]),
    "open_perf_buffer": lambda lab, data: lab.open_perf_buffer(data["map"], data["pages"], PerfConfig[data["config"]]),
    "read_perf_buffer": lambda lab, data: lab.read_perf_buffer(data["map"]),
    "read_ringbuf": lambda lab, data: lab.read_ringbuf(data["map"]),
    "write_user_ringbuf": lambda lab, data: lab.write_user_ringbuf(data["map"], bytes.fromhex(data["bytes"])),
    "fill_prog_array": lambda lab, data: lab.fill_prog_array(data["map"], data["index"], data["program"]),
    "poke": lambda lab, data: lab.poke(data["address"], bytes.fromhex(data["bytes"])),
    "set_register": lambda lab, data: lab.set_register(data["register"], data["value"], data["cpu"]),
}


def _same_image(lab: Lab, recording: Recording) -> None:
    if lab.image.sha256 != recording.image:
        raise BadInput(
            f"The recording was made on another build of the kernel {recording.kernel}: "
            f"{recording.image[:12]}, and here is {lab.image.sha256[:12]}.",
            hint="Use the version of kprobesim that made it, or record it again.",
        )
