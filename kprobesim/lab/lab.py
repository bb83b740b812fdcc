"""One experiment: a kernel on a machine, probes and programs in it, and a clock that runs both ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from kprobesim.errors import BadInput, GuestError
from kprobesim.image import ImageInfo, KernelImage, find_image, open_image
from kprobesim.kprobes import FixUp
from kprobesim.lab.act_on_programs import ActOnPrograms
from kprobesim.lab.clock import insn_at, ns_at
from kprobesim.lab.kinds import EVENT_KINDS
from kprobesim.lab.motion import Grain, Motion
from kprobesim.lab.profiles import Profile
from kprobesim.machine import Event, Machine, Moment, Stop

__all__ = ["Lab"]

_BOOT_LIMIT: Final = 200_000_000
_AHEAD: Final = 1_000_000


class Lab(ActOnPrograms):
    """The public face of everything below: open a kernel, put probes into it, run it, look at it, go back.

    Use `Lab.open`. What can be seen is in `Look`, what can be done to the machine in `Act` and `ActOnPrograms`.

    Attributes:
        profile: how the kernel is taken to be built.
        kernel_name: what `open` was asked for.
        optimization: the sysctl debug.kprobes-optimization at boot.
        without: steps of the kprobe core that are left out.
        start: instruction at which the experiment begins; no motion goes back behind it.
    """

    def __init__(
        self,
        image: KernelImage,
        machine: Machine,
        profile: Profile,
        sources: Path | None,
        *,
        optimization: bool,
        without: frozenset[FixUp] = frozenset(),
    ) -> None:
        super().__init__(image, machine, replace(profile.config, optimization=optimization, without=without), sources)
        self.profile = profile
        self.kernel_name = image.name
        self.optimization = optimization
        self.without = without
        self.start = 0
        self._beginning = Moment(0)
        self._motion = Motion(self)

    @classmethod
    def open(
        cls,
        kernel: str | Path = "toyix",
        *,
        profile: str | Profile = Profile.BARE,
        cpus: int = 1,
        seed: int = 0,
        boot: bool = True,
        optimization: bool = True,
        without: Iterable[FixUp] = (),
    ) -> Lab:
        """Put a kernel on a new machine and boot it.

        Args:
            kernel: name of an image that ships, or the path of one.
            profile: which mechanism serves probes; where an image ships in several configurations, also which one.
            cpus: number of vCPUs, 1 to 8.
            seed: of everything random; same seed, same run.
            boot: run until the kernel waits for something to do; otherwise stop before the first instruction.
            optimization: probes may become jumps, as the sysctl debug.kprobes-optimization has it.

        Raises:
            BadInput: no such kernel or profile, or a number of CPUs that cannot be.
            ImageError: the file is not a kernel image.
            GuestError: the kernel did not come up.
        """
        chosen = profile if isinstance(profile, Profile) else Profile.parse(profile)
        if not 1 <= cpus <= 8:
            raise BadInput(f"A machine has 1 to 8 CPUs, not {cpus}.")
        image = open_image(kernel, variant=chosen.variant)
        info = _shipped(kernel)
        machine = Machine(cpus=cpus, seed=seed)
        machine.boot(image.entry, image.segments)
        sources = info.folder if info else None
        lab = cls(image, machine, chosen, sources, optimization=optimization, without=frozenset(without))
        lab.kernel_name = str(kernel)
        if boot:
            lab.boot()
        return lab

    def boot(self) -> None:
        """Run from power-on until the first program waits for input; motions cannot go back behind the boot's end.

        Raises:
            GuestError: the kernel did not come up.
        """
        stop = self.timeline.run(_BOOT_LIMIT, stop_kinds=["boot.done"])
        if stop is not Stop.MOMENT:
            raise GuestError(
                f"The kernel {self.image.name} did not come up: {stop.value}.",
                report=self.machine.report(self.machine.current_cpu),
                hint="A kernel says that it is up by hypercall HC_MARK 5, boot.done.",
            )
        self.start = self.machine.moment.insn + 1
        self.timeline.seek(Moment(self.start))

    @property
    def beginning(self) -> Moment:
        """Where the experiment begins; `start` is its instruction. Nothing goes back behind it."""
        return self._beginning if self._beginning.insn == self.start else Moment(self.start)

    def begin_here(self) -> None:
        """Let the experiment begin at the present moment, behind what was done to the machine at this instruction."""
        self._beginning = self.moment
        self.start = self._beginning.insn

    # Moving

    def run(
        self,
        *,
        instructions: int | None = None,
        until: Iterable[str] = (),
        to: str | int | None = None,
        interrupt: Callable[[], bool] | None = None,
    ) -> Stop:
        """Go forward until an event of some kinds, to a place in the code, for some instructions, or to the end.

        Args:
            instructions: at most so many.
            until: event kinds to stop at, as `Event.kind` has them.
            to: stop before the instruction at this address, ``symbol`` or ``symbol+offset``; if the machine is there
                now, the next time.
            interrupt: asked every few million instructions; when it is true the run ends there, as at a limit.

        Raises:
            BadInput: no such kind of event, or no such place.
            GuestError: the guest cannot go on.
        """
        kinds = frozenset(until)
        if unknown := sorted(kinds - EVENT_KINDS.keys()):
            raise BadInput(f"There is no event kind {unknown[0]!r}.", hint="docs/events.md lists them.")
        limit = self.machine.moment.insn + (instructions if instructions is not None else 1 << 60)
        return self._motion.run(limit, kinds, interrupt, self.address_of(to) if isinstance(to, str) else to)

    def step(
        self,
        grain: Grain = Grain.PHASE,
        *,
        back: bool = False,
        count: int = 1,
        interrupt: Callable[[], bool] | None = None,
    ) -> bool:
        """Step forwards or backwards.

        Args:
            grain: how far one step goes.
            back: backwards.
            count: how often.
            interrupt: asked now and then during a long step; when it is true the step ends where it is.

        Returns:
            Whether the machine is somewhere else now.
        """
        return sum(self._motion.step(grain, back=back, interrupt=interrupt) for _ in range(count)) > 0

    def seek(self, target: Moment | Event | int) -> None:
        """Go to a moment, to just after an event, or to the clean state before an instruction by its number.

        Raises:
            BadInput: it lies before the start of the experiment.
        """
        moment = target.moment if isinstance(target, Event) else Moment(target) if isinstance(target, int) else target
        if moment < self.beginning:
            raise BadInput(f"The experiment begins at instruction {self.start:,}.")
        self.timeline.seek(moment)

    def seek_time(self, ns: int) -> None:
        """Go to the first clean state at or after a virtual time: the start, if that is later; as far as the machine
        goes, if it stops for good before.

        Args:
            ns: nanoseconds since power-on.

        Raises:
            GuestError: the guest cannot go on before that.
        """
        machine = self.machine
        if ns > ns_at(machine.log, self.timeline.head, machine.ns_per_insn):
            self.seek_end()
            while machine.ns < ns:
                ahead = min(_AHEAD, max(1, (ns - machine.ns) // machine.ns_per_insn))
                if self.timeline.run(machine.moment.insn + ahead) is not Stop.LIMIT and machine.ns < ns:
                    return
        self.timeline.seek(Moment(max(self.start, insn_at(machine.log, ns, machine.ns_per_insn))))

    def seek_end(self) -> None:
        """Go to the furthest place ever reached."""
        self.timeline.seek_end()


def _shipped(kernel: str | Path) -> ImageInfo | None:
    """The description of an image that ships."""
    if isinstance(kernel, Path):
        return None
    try:
        return find_image(kernel)
    except BadInput:
        return None
