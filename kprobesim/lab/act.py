"""Doing something to a machine from outside: to its console, memory and registers, and to its probes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from kprobesim.errors import BadInput
from kprobesim.image import KernelImage
from kprobesim.kprobes import Fprobe, FprobeHandler, Kprobe, KprobeConfig, PostHandler, PreHandler
from kprobesim.lab.deeds import Deed
from kprobesim.lab.look import Look
from kprobesim.machine import GENERAL, Machine, Timeline

__all__ = ["Act"]

_WORD: Final = (1 << 64) - 1


class Act(Look):
    """The part of `Lab` that acts on the machine. Each act is an input of the timeline: going back undoes it.

    Args:
        image, machine, config, sources: see `Look`.

    Attributes:
        timeline: the machine's life.
    """

    def __init__(self, image: KernelImage, machine: Machine, config: KprobeConfig, sources: Path | None) -> None:
        super().__init__(image, machine, config, sources)
        self.timeline = Timeline(machine, [self.manager, self.bpf, self.tracing])

    # The machine

    def type(self, text: str) -> None:
        """Type a line at the machine's console, where init reads commands.

        Args:
            text: without the newline.
        """
        data = text.encode(errors="replace")
        self._do(text, "type", {"text": data.decode()}, lambda: self.machine.devices.type(data + b"\n"))

    def interrupt(self) -> None:
        """Press Ctrl-C at the machine's console."""
        self._do("^C", "interrupt", {}, lambda: self.machine.devices.type(b"\x03"))

    def poke(self, address: int, data: bytes) -> None:
        """Change bytes of the machine's memory, code included, as nothing in the machine itself would do it.

        Args:
            address: virtual, in the address space that the current vCPU is in.
            data: what is to stand there.

        Raises:
            MemoryFault: not mapped.
        """
        text = f"{self.symbolize(address)} = {data[:16].hex(' ')}"
        told = {"address": address, "bytes": data.hex()}
        self._do(text, "poke", told, lambda: self.machine.write_code(address, data))

    def set_register(self, register: str, value: int, cpu: int | None = None) -> None:
        """Change a register of a vCPU, the current one by default.

        Args:
            register: a general register, ``rip`` or ``rflags``.
            value: 64 bits.
            cpu: its number.

        Raises:
            BadInput: there is no such vCPU, or the register cannot be set.
        """
        number = self._number(cpu)
        if register not in GENERAL:
            raise BadInput(f"{register!r} cannot be set.", hint=f"These can: {', '.join(GENERAL)}.")
        told = {"register": register, "value": value & _WORD, "cpu": number}
        target = self.machine.cpus[number]
        text = f"cpu{number} {register} = {value & _WORD:#x}"
        self._do(text, "set_register", told, lambda: target.set_register(register, value & _WORD))

    # Probes

    def kprobe(
        self,
        where: str,
        *,
        pre_handler: PreHandler | None = None,
        post_handler: PostHandler | None = None,
        name: str = "",
        disabled: bool = False,
    ) -> Kprobe:
        """Register a probe.

        Args:
            where: ``symbol``, ``symbol+offset`` or an address in hex.
            pre_handler, post_handler: Python functions, called as in the kernel. They must do the same each time they
                are called, as going back runs them again.
            name: what events call it.
            disabled: do not arm it.

        Raises:
            BadInput: ``where`` cannot be read.
            LinuxError: what register_kprobe() would return.
        """
        probe = self._probe_at(where)
        probe.pre_handler, probe.post_handler, probe.name, probe.disabled = pre_handler, post_handler, name, disabled
        plain = pre_handler is None and post_handler is None
        self._do(
            f"register_kprobe {where}",
            "kprobe" if plain else "",
            {"where": where, "name": name, "disabled": disabled},
            lambda: self.manager.kprobes.register_kprobe(probe),
            made=probe,
        )
        return probe

    def unregister_kprobe(self, probe: Kprobe) -> None:
        """Remove a probe."""
        text = f"unregister_kprobe {probe.name or probe.symbol_name or hex(probe.address or 0)}"
        self._do(text, "unregister_kprobe", {}, lambda: self.manager.kprobes.unregister_kprobe(probe), of=probe)

    def fprobe(
        self,
        match: str,
        *,
        entry_handler: FprobeHandler | None = None,
        exit_handler: FprobeHandler | None = None,
        notfilter: str | None = None,
        name: str = "fprobe",
    ) -> Fprobe:
        """Probe the entries and returns of all functions whose names match; ftrace serves it, so the profile must be
        *distro*.

        Args:
            match: names; ``*``, ``?`` and ``[...]`` as in a shell.
            entry_handler, exit_handler: called with the fprobe, the function's address, the registers and the bytes of
                the call, or None. They must do the same each time they are called.
            notfilter: names to leave out.
            name: what events call it.

        Raises:
            LinuxError: what register_fprobe() would return.
        """
        fprobe = Fprobe(entry_handler, exit_handler, name=name)
        text = f"register_fprobe {match}" + (f" but {notfilter}" if notfilter else "")
        self._do(
            text,
            "fprobe" if entry_handler is None and exit_handler is None else "",
            {"match": match, "notfilter": notfilter or "", "name": name},
            lambda: self.manager.fprobes.register_fprobe(fprobe, match, notfilter),
            made=fprobe,
        )
        return fprobe

    def unregister_fprobe(self, fprobe: Fprobe) -> None:
        """Remove an fprobe."""
        text = f"unregister_fprobe {fprobe.name}"
        self._do(text, "unregister_fprobe", {}, lambda: self.manager.fprobes.unregister_fprobe(fprobe), of=fprobe)

    # How it is done, and where

    def _do(
        self,
        text: str,
        kind: str,
        data: Mapping[str, Any],
        apply: Callable[[], object],
        *,
        made: object = None,
        of: object = None,
    ) -> None:
        """One input of the timeline, with what is needed to do it again on another machine."""
        resting = self.machine.frozen is None and all(cpu.halted for cpu in self.machine.cpus if cpu.online)
        self.timeline.input(text, Deed(apply, kind, data, resting, made, of))

    def address_of(self, where: str) -> int:
        """The address of ``symbol``, ``symbol+offset`` or an address in hex.

        Raises:
            BadInput: it cannot be read, or there is no such symbol.
        """
        probe = self._probe_at(where)
        if probe.address is not None:
            return probe.address + probe.offset
        assert probe.symbol_name is not None
        found = self.kernel.kallsyms.lookup_name(probe.symbol_name)
        if not found:
            near = self.kernel.kallsyms.near_names(probe.symbol_name)
            hint = f"Did you mean {' or '.join(near)}?" if near else ""
            raise BadInput(f"The kernel has no symbol {probe.symbol_name}.", hint=hint)
        return found[0].address + probe.offset

    def _probe_at(self, where: str) -> Kprobe:
        symbol, plus, offset = where.partition("+")
        try:
            number = int(offset, 0) if plus else 0
            if symbol[:1].isdigit():
                return Kprobe(address=int(symbol, 16 if not symbol.startswith("0x") else 0), offset=number)
        except ValueError:
            raise BadInput(
                f"{where!r} is not a place to probe.", hint="Write symbol, symbol+0x10 or 0xffffffff81000000."
            ) from None
        return Kprobe(symbol_name=symbol, offset=number)
