"""A kernel image on a machine with a kprobe manager, and what tests ask of it."""

import struct
from collections.abc import Iterable
from typing import Any

from kprobesim.image import KernelImage
from kprobesim.kprobes import Kprobe, KprobeConfig, KprobeManager, Kretprobe, PtRegs, RunningKernel
from kprobesim.machine import Event, Machine, Stop, Timeline

__all__ = ["Running", "Spy"]


class Spy:
    """Handlers that note when they were called and with which registers.

    Attributes:
        calls: (name, registers by name) in order.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, int]]] = []

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.calls]

    def pre(self, name: str = "pre", answer: int = 0, **changes: int) -> Any:
        """A pre_handler that returns ``answer`` after setting registers."""

        def handler(_: Kprobe, regs: PtRegs) -> int:
            self._note(name, regs, changes)
            return answer

        return handler

    def post(self, name: str = "post", **changes: int) -> Any:
        def handler(_: Kprobe, regs: PtRegs, flags: int) -> None:
            assert flags == 0
            self._note(name, regs, changes)

        return handler

    def returned(self, name: str = "return", **changes: int) -> Any:
        """A kretprobe's handler."""

        def handler(_: Any, regs: PtRegs) -> None:
            self._note(name, regs, changes)

        return handler

    def _note(self, name: str, regs: PtRegs, changes: dict[str, int]) -> None:
        self.calls.append((name, dict(regs.items())))
        for register, value in changes.items():
            setattr(regs, register, value)


class Running:
    """A machine that has run to ``boot.done``.

    Args:
        image: the kernel.
        cpus: vCPUs.
        commands: typed at the console beforehand.
        ram_size: bytes.
        spacing: instructions between checkpoints.
        config: how the kernel is taken to be built.
    """

    def __init__(
        self,
        image: KernelImage,
        *,
        cpus: int = 1,
        commands: Iterable[str] = (),
        ram_size: int = 16 << 20,
        spacing: int = 2_000_000,
        config: KprobeConfig | None = None,
    ) -> None:
        self.machine = Machine(cpus=cpus, ram_size=ram_size)
        self.machine.boot(image.entry, image.segments)
        self.kernel = RunningKernel(self.machine, image)
        self.manager = KprobeManager(self.kernel, config)
        self.kprobes = self.manager.kprobes
        self.timeline = Timeline(self.machine, [self.manager], spacing=spacing)
        assert self.timeline.run(10_000_000, stop_kinds=["boot.done"]) is Stop.MOMENT
        if commands:
            text = "".join(f"{command}\n" for command in commands).encode()
            self.timeline.input("type", lambda: self.machine.devices.type(text))

    def register(self, probe: Kprobe | Kretprobe) -> Kprobe:
        """Register a probe; a new future begins."""
        if isinstance(probe, Kretprobe):
            self.timeline.input("register", lambda: self.manager.rethooks.register_kretprobe(probe))
            return probe.kp
        self.timeline.input("register", lambda: self.kprobes.register_kprobe(probe))
        return probe

    def unregister(self, *probes: Kprobe) -> None:
        self.timeline.input("unregister", lambda: self.kprobes.unregister_kprobes(probes))

    def run(self, limit: int = 30_000_000) -> Stop:
        return self.timeline.run(limit)

    def symbol(self, name: str) -> int:
        return self.kernel.symbol(name)

    def byte(self, address: int) -> int:
        return self.kernel.read(address, 1)[0]

    def text(self) -> bytes:
        """All code of the kernel."""
        return b"".join(self.kernel.read(span.start, span.size) for span in self.kernel.tables.text)

    def events(self, *kinds: str) -> list[Event]:
        return [event for event in self.machine.log if event.kind in kinds]

    def kinds(self, prefix: str = "") -> list[str]:
        return [event.kind for event in self.machine.log if event.kind.startswith(prefix)]

    def console(self) -> str:
        return self.machine.devices.output.decode(errors="replace")

    def word(self, address: int) -> int:
        return int(struct.unpack("<Q", self.kernel.read(address, 8))[0])
